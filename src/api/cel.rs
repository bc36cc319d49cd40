//! The rules of the CRDs, evaluated without a server: the same expressions, the same messages.
//!
//! Spec (and the spec before) as JSON -> violations.
//!
//! **Invariant:** nothing here knows a rule. They are read from the schema that is installed, after the nulls are
//! dropped and the defaults filled in, as the server does.

mod share;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use kube::core::cel::{ErrorKind, Validator};
use serde_json::{Value, json};

use self::share::Share;
use super::crd::Definition;
use super::schema::{self, VALIDATIONS};

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// JSON pointer from the root of the object, `/spec/storage/type`.
    pub pointer: String,
    /// What is wrong, then what to write instead.
    pub message: String,
}

/// Returns the rules that the spec of a K0smotronCluster breaks, sorted by place.
///
/// *Shape*: `spec` as written in a manifest; null is no spec. With `old`, the spec the server has, rules about changes
/// are evaluated too, and none about what does not change: the server lets that be. What the schema itself says (types,
/// enums, numbers) is not repeated here: see [`super::crd::cluster_schema`]; where it is broken, rules that cannot be
/// evaluated are left out.
pub fn violations(spec: &Value, old: Option<&Value>) -> Vec<Violation> {
    violations_of(Definition::Cluster, spec, old)
}

/// Returns the rules that the spec of an object breaks, as [`violations`] does for a cluster.
pub fn violations_of(definition: Definition, spec: &Value, old: Option<&Value>) -> Vec<Violation> {
    let rules = rules(definition);
    let (spec, old) = (written(spec), old.map(written));
    let parts = rules.shares.iter().map(|share| {
        let old = old.as_ref().map(|old| share.stored(old));
        (share, share.stored(&spec), old)
    });
    let mut violations: Vec<Violation> = parts
        .filter(|(_, part, old)| old.as_ref() != Some(part))
        .flat_map(|(share, part, old)| rules.judge(share, &part, old.as_ref(), &spec))
        .collect();
    violations.sort();
    violations
}

/// No spec is an empty one.
fn written(spec: &Value) -> Cow<'_, Value> {
    match spec {
        Value::Null => Cow::Owned(json!({})),
        spec => Cow::Borrowed(spec),
    }
}

/// What was said about specs of K0smotronClusters, by the parts that were judged.
///
/// Rules cost ten times as much as all else that is asked of a cluster, and the clusters of a fleet are mostly alike:
/// only the parts in which one differs from those before it are judged again.
#[derive(Default)]
pub struct Remembered {
    /// By share, and by the part of the spec it reads, as JSON text, as it is written.
    by_part: HashMap<(usize, String), Vec<Violation>>,
}

impl Remembered {
    /// Returns what [`violations`] does for a spec without one before it.
    pub fn violations(&mut self, spec: &Value) -> Vec<Violation> {
        let rules = rules(Definition::Cluster);
        let spec = &*written(spec);
        let mut violations = Vec::new();
        for (index, share) in rules.shares.iter().enumerate() {
            let found = self
                .by_part
                .entry((index, share.text(spec)))
                .or_insert_with(|| rules.judge(share, &share.stored(spec), None, spec));
            violations.extend(found.iter().cloned());
        }
        violations.sort();
        violations
    }
}

/// Compiles the rules of a K0smotronCluster, unless that is done.
pub fn prepare() {
    rules(Definition::Cluster);
}

/// Returns the spec of a K0smotronCluster as the server stores it: nulls dropped, `replicas` filled in, never absent.
pub fn as_stored(spec: Option<&Value>) -> Value {
    schema::as_stored(&rules(Definition::Cluster).spec, spec).unwrap_or_else(|| json!({}))
}

/// Returns what a rule about one field of a K0smotronCluster's spec says to write, by JSON pointer from the root of the
/// object. `None` where no rule says how the value must look.
pub fn form(pointer: &str) -> Option<&'static str> {
    let mut schema = &rules(Definition::Cluster).spec;
    for step in pointer.strip_prefix("/spec/")?.split('/') {
        schema = match schema.get("items") {
            Some(items) => items,
            None => schema.get("properties")?.get(step)?,
        };
    }
    let rules = schema.get(VALIDATIONS)?.as_array()?;
    let parts = |rule: &'static Value| rule["message"].as_str()?.split_once("; ");
    let about_form = |(what, _): &(&str, &str)| what.starts_with("not a ") || what.starts_with("not an ");
    rules
        .iter()
        .filter_map(parts)
        .find(about_form)
        .map(|(_, instead)| instead)
}

struct Rules {
    spec: Value,
    /// Made when it is first asked: most specs are right.
    closed: OnceLock<jsonschema::Validator>,
    shares: Vec<Share>,
    validator: Validator,
}

impl Rules {
    fn new(definition: Definition) -> Self {
        let spec = definition.schema()["properties"]["spec"].take();
        let shares = share::of(&spec);
        Self {
            closed: OnceLock::new(),
            spec,
            shares,
            validator: Validator::new(),
        }
    }

    /// Tells whether the schema alone takes a spec.
    fn is_well_formed(&self, spec: &Value) -> bool {
        let closed = || schema::validator(&schema::closed(self.spec.clone()));
        self.closed.get_or_init(closed).is_valid(spec)
    }

    /// Evaluates the rules of a share. `spec` is the whole as it is written, of which `part` is what they read, as it is
    /// stored.
    fn judge(&self, share: &Share, part: &Value, old: Option<&Value>, spec: &Value) -> Vec<Violation> {
        let object = json!({ "spec": part });
        let old = old.map(|old| json!({ "spec": old }));
        let verdict = self
            .validator
            .validate_compiled(share.compiled(part), &object, old.as_ref());
        let Err(errors) = verdict else {
            return Vec::new();
        };
        errors
            .into_vec()
            .into_iter()
            // A rule over a value of a wrong type has no verdict; the type is the finding, and the server says no more.
            .filter(|error| error.kind == ErrorKind::ValidationFailure || self.is_well_formed(spec))
            .map(|error| Violation {
                pointer: pointer(&error.field_path),
                message: error.message,
            })
            .collect()
    }
}

/// Compiling takes a thousand times as long as evaluating, so it is done once a process.
fn rules(definition: Definition) -> &'static Rules {
    static RULES: [OnceLock<Rules>; Definition::ALL.len()] =
        [const { OnceLock::new() }; Definition::ALL.len()];
    RULES[definition as usize].get_or_init(|| Rules::new(definition))
}

/// Turns the server's notation of a place, `spec.mounts[1].path`, into a pointer. No field of ours has a dot.
fn pointer(path: &str) -> String {
    let mut pointer = String::new();
    for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
        pointer.push('/');
        pointer.push_str(part.trim_end_matches(']'));
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_about_the_form_of_a_field_says_what_to_write_and_others_do_not() {
        assert_eq!(
            form("/spec/version"),
            Some("write v1.36.3+k0s.2, v1.36.3-k0s.2 or v1.36.3")
        );
        assert!(form("/spec/mounts/3/path").is_some_and(|words| words.contains('/')));
        for none in ["/spec/replicas", "/spec/nothing/at/all", "/metadata/name", ""] {
            assert_eq!(form(none), None, "{none}");
        }
    }

    #[test]
    fn a_part_that_was_judged_before_gives_the_same_verdict_again() {
        let mut remembered = Remembered::default();
        let alike = |name: &str| {
            json!({"externalAddress": name, "version": "new", "ttl": "0s", "ingress": {"apiHost": "a.example.org",
                "konnectivityHost": "a.example.org"}})
        };
        for name in ["one.example.org", "two.example.org", "not an address"] {
            let spec = alike(name);
            assert_eq!(remembered.violations(&spec), violations(&spec, None), "{name}");
            assert!(violations(&spec, None).len() >= 3, "{name}");
        }
        let judged = remembered.by_part.len();
        assert_eq!(
            judged,
            rules(Definition::Cluster).shares.len() + 2,
            "only the address is judged again"
        );
    }
}
