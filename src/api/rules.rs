//! What the API server refuses, as data: limits of schemas, and rules in CEL, each with its message.
//!
//! They are put into the generated CRDs by [`apply`], so that the server, and [`super::cel`] on its own, read the
//! very same expressions.
//!
//! **Invariant:** every string, list and map that a rule looks into has a limit, or the server's cost estimate refuses
//! the CRD. A rule never looks below the key of a map, so that the path of a violation has no dot that is not a field.

use serde_json::{Map, Value, json};

use super::schema::VALIDATIONS;

/// What is said about one place of a spec.
///
/// *Shape*: `path` starts at the spec, `a.b`, `[]` for the items of a list, `{}` for the values of a map; empty is the
/// spec itself.
pub(super) struct Constraint {
    pub path: &'static str,
    pub limits: Vec<(&'static str, Value)>,
    pub rules: Vec<Rule>,
}

/// One rule: an expression that must be true, and what a person reads when it is not.
pub(super) struct Rule {
    pub expression: String,
    /// What is wrong, then what to write instead.
    pub message: &'static str,
    /// The field to blame, below the place of the rule, when it is not that place itself.
    pub field: Option<&'static str>,
}

/// Starts the constraints of one place.
pub(super) fn at(path: &'static str) -> Constraint {
    Constraint {
        path,
        limits: Vec::new(),
        rules: Vec::new(),
    }
}

impl Constraint {
    pub fn limit(mut self, keyword: &'static str, value: impl Into<Value>) -> Self {
        self.limits.push((keyword, value.into()));
        self
    }

    pub fn rule(mut self, expression: impl Into<String>, message: &'static str) -> Self {
        self.rules.push(Rule {
            expression: expression.into(),
            message,
            field: None,
        });
        self
    }

    /// Adds a rule that blames a field below the place where it sits.
    pub fn rule_for(
        mut self,
        field: &'static str,
        expression: impl Into<String>,
        message: &'static str,
    ) -> Self {
        self.rules.push(Rule {
            expression: expression.into(),
            message,
            field: Some(field),
        });
        self
    }
}

/// Puts constraints into the schema of a spec.
pub(super) fn apply(spec: &mut Value, constraints: &[Constraint]) {
    for constraint in constraints {
        let node = spec
            .pointer_mut(&schema_pointer(constraint.path))
            .and_then(Value::as_object_mut)
            .expect(
                "every constraint names a place of the schema; the test of the generated CRDs runs them all",
            );
        for (keyword, value) in &constraint.limits {
            node.insert((*keyword).into(), value.clone());
        }
        let rules = constraint.rules.iter().map(|rule| {
            let mut written = Map::new();
            written.insert("rule".into(), json!(rule.expression));
            written.insert("message".into(), json!(rule.message));
            if let Some(field) = rule.field {
                written.insert("fieldPath".into(), json!(format!(".{field}")));
            }
            Value::Object(written)
        });
        let present = node.entry(VALIDATIONS).or_insert(json!([]));
        if let Value::Array(present) = present {
            present.extend(rules);
            if present.is_empty() {
                node.remove(VALIDATIONS);
            }
        }
    }
}

fn schema_pointer(path: &str) -> String {
    let mut pointer = String::new();
    for segment in path.split('.').filter(|segment| !segment.is_empty()) {
        let name = segment.trim_end_matches(['[', ']', '{', '}']);
        pointer.push_str("/properties/");
        pointer.push_str(name);
        for suffix in segment.as_bytes()[name.len()..].chunks(2) {
            pointer.push_str(if suffix == b"[]" {
                "/items"
            } else {
                "/additionalProperties"
            });
        }
    }
    pointer
}

// === parts of expressions ===

/// Returns an expression for the value of an optional field with optional parents.
pub(super) fn value_or(root: &str, path: &str, default: &str) -> String {
    format!("({} ? {root}.{path} : {default})", written(root, path))
}

/// Returns an expression that is true when a field and all its parents are written.
pub(super) fn written(root: &str, path: &str) -> String {
    let ends = path.match_indices('.').map(|(end, _)| end).chain([path.len()]);
    ends.map(|end| format!("has({root}.{})", &path[..end]))
        .collect::<Vec<_>>()
        .join(" && ")
}

/// Returns a rule that forbids a field to change, where unset is the same as `default`. It belongs on a place that is
/// always there, or adding and removing the parent would go around it.
pub(super) fn unchanged(path: &str, default: &str) -> String {
    format!(
        "{} == {}",
        value_or("self", path, default),
        value_or("oldSelf", path, default)
    )
}

// Patterns are written without a backslash, so that they read the same in CEL, JSON and YAML.
const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const NAME: &str = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?";
const IMAGE_PATH: &str = "[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*";

pub(super) fn matches(pattern: &str) -> String {
    format!("self.matches('^{pattern}$')")
}

fn subdomain() -> String {
    format!("{LABEL}([.]{LABEL})*")
}

/// Last label not a number: `10.0.0.300` is a mistyped address and no host.
fn host() -> String {
    format!("({LABEL}[.])*[a-z]([-a-z0-9]*[a-z0-9])?")
}

fn image_repository() -> String {
    format!("({NAME}(:[0-9]{{1,5}})?/)?{IMAGE_PATH}(/{IMAGE_PATH})*")
}

const DIGEST: &str = "(@sha256:[0-9a-f]{64})?";

// === constraints of places that are alike ===

/// The name of an object of the same namespace.
pub(super) fn object_name(path: &'static str) -> Constraint {
    at(path).limit("maxLength", 253).rule(
        matches(&subdomain()),
        "not the name of an object; write lower-case letters, digits, `-` and `.`, for example `my-secret`",
    )
}

/// A name that is also one label of a host name.
pub(super) fn label_name(path: &'static str) -> Constraint {
    at(path).limit("maxLength", 63).rule(
        matches(LABEL),
        "not a name; write at most 63 lower-case letters, digits and `-`, for example `my-volume`",
    )
}

pub(super) fn host_name(path: &'static str) -> Constraint {
    at(path).limit("maxLength", 253).rule(
        matches(&host()),
        "not a host name; write it in lower case, without scheme, port and path, for example `api.example.com`",
    )
}

/// A host name or an address of either family.
pub(super) fn address(path: &'static str) -> Constraint {
    at(path).limit("maxLength", 253).rule(
        format!("isIP(self) ? !ip(self).isUnspecified() : {}", matches(&host())),
        "not an address; write a host name or an IP address, without scheme, port and brackets",
    )
}

pub(super) fn repository(path: &'static str) -> Constraint {
    at(path).limit("maxLength", 512).rule(
        matches(&format!("{}{DIGEST}", image_repository())),
        "not an image repository; write it without scheme and tag, for example `registry:5000/k0s` (a digest \
         `@sha256:...` may follow)",
    )
}

pub(super) fn repository_prefix(path: &'static str) -> Constraint {
    at(path).limit("maxLength", 512).rule(
        matches(&format!("({}|{NAME}:[0-9]{{1,5}})", image_repository())),
        "not a prefix of images; write registry and path without scheme, tag and final `/`, for example \
         `registry:5000/mirror`",
    )
}

pub(super) fn image(path: &'static str) -> Constraint {
    at(path).limit("maxLength", 512).rule(
        matches(&format!(
            "{}(:[A-Za-z0-9_][-A-Za-z0-9_.]{{0,127}})?{DIGEST}",
            image_repository()
        )),
        "not an image; write it without scheme, for example `registry:5000/etcd:v3.6.5`",
    )
}

pub(super) fn port(path: &'static str) -> Constraint {
    at(path).limit("minimum", 1).limit("maximum", 65535)
}

/// What a duration looks like: each unit at most once, largest first, so that it always fits.
pub(super) const DURATION: &str = "([0-9]{1,6}([.][0-9]{1,3})?h)?([0-9]{1,6}([.][0-9]{1,3})?m)?([0-9]{1,6}([.][0-9]{1,3})?s)?([0-9]{1,6}ms)?";

/// A duration with a condition on it, such as `>= duration('1h')`.
pub(super) fn duration(path: &'static str, condition: &str, message: &'static str) -> Constraint {
    at(path).limit("maxLength", 32).limit("minLength", 1).rule(
        format!("{} && duration(self) {condition}", matches(DURATION)),
        message,
    )
}

/// A duration, zero included.
pub(super) fn duration_of_any_length(path: &'static str, message: &'static str) -> Constraint {
    duration(path, ">= duration('0s')", message)
}

/// Labels of an object of ours: well-formed, and none that we write ourselves.
pub(super) fn labels(path: &'static str) -> Constraint {
    const OURS: &str = "(app|cluster|component|controller-revision-hash|([-a-z0-9]+[.])*k0smotron[.]io/.*|\
                        app[.]kubernetes[.]io/(name|instance|component|managed-by)|\
                        (statefulset|apps)[.]kubernetes[.]io/.*)";
    at(path)
        .limit("maxProperties", 64)
        .rule(
            format!(
                "self.all(key, key.matches('^({}/)?{NAME}$') && self[key].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))",
                subdomain()
            ),
            "not labels; write keys as `prefix/name` or `name`, and values of at most 63 letters, digits, `-`, `_` \
             and `.`",
        )
        .rule(
            format!("self.all(key, !key.matches('^{OURS}$'))"),
            "a label that the operator sets; leave out `app`, `cluster`, `component`, the `app.kubernetes.io/` ones, \
             and those of `k0smotron.io/`",
        )
}

pub(super) fn annotations(path: &'static str) -> Constraint {
    at(path).limit("maxProperties", 64).rule(
        "self.all(key, !key.matches('^([-a-z0-9]+[.])*k0smotron[.]io/'))",
        "an annotation that the operator sets; leave out those of `k0smotron.io/`",
    )
}
