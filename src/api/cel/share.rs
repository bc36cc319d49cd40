//! Rules in the parts in which they can be judged one without the other.
//!
//! Schema of a spec -> shares of its rules, each with the fields it reads.
//!
//! **Invariant:** a share gives the verdict that its rules have; only how often they are evaluated, and what is asked
//! of a pattern, is arranged here.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use kube::core::cel::{CompiledSchema, compile_schema};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::super::schema::{self, VALIDATIONS};

/// Most patterns that are asked of one text. Each doubles the forms in which its rules may have to be compiled.
const PATTERNS_MAX: usize = 4;

/// Rules that read nothing of a spec but some of its fields: those below one field, or those on the spec itself.
pub(super) struct Share {
    fields: BTreeSet<String>,
    /// Of the part of a spec that holds these fields.
    schema: Value,
    compiled: CompiledSchema,
    patterns: Option<Patterns>,
}

/// The patterns that the rules of one text ask of it.
///
/// An evaluator compiles a pattern each time it is asked, which takes as long as all else that is done for a cluster.
/// Here each is compiled once, and the rules are evaluated with its answer in the place of the question.
struct Patterns {
    field: String,
    /// The question as it stands in the rules, with its pattern.
    questions: Vec<(String, Regex)>,
    /// The rules by what the patterns answer, the first in the lowest bit.
    answered: Vec<OnceLock<CompiledSchema>>,
}

/// Returns the shares of the rules in the schema of a spec.
pub(super) fn of(spec: &Value) -> Vec<Share> {
    let properties = spec["properties"].as_object().cloned().unwrap_or_default();
    let mut shares = Vec::new();
    if let Some(own) = spec[VALIDATIONS].as_array() {
        let fields = fields_read(own).unwrap_or_else(|| properties.keys().cloned().collect());
        let read: Map<String, Value> = properties
            .iter()
            .filter(|(name, _)| fields.contains(*name))
            .map(|(name, property)| (name.clone(), schema::without_rules(property.clone())))
            .collect();
        let schema = json!({"type": "object", "properties": read, VALIDATIONS: own});
        shares.push(Share {
            fields,
            compiled: compiled(&schema),
            schema,
            patterns: None,
        });
    }
    let below = properties
        .into_iter()
        .filter(|(_, property)| schema::has_rules(property));
    shares.extend(below.map(|(name, property)| {
        let patterns = Patterns::new(&name, &property);
        let schema = json!({"type": "object", "properties": {&name: property}});
        Share {
            fields: BTreeSet::from([name]),
            compiled: compiled(&schema),
            schema,
            patterns,
        }
    }));
    shares
}

impl Share {
    /// Returns the rules, in the form to judge this part with.
    pub fn compiled(&self, part: &Value) -> &CompiledSchema {
        self.patterns
            .as_ref()
            .and_then(|patterns| patterns.compiled(&self.schema, part))
            .unwrap_or(&self.compiled)
    }

    /// Returns the text of the part of a spec that the rules read, or one like it: different parts have different texts.
    pub fn text(&self, spec: &Value) -> String {
        let Value::Object(written) = spec else {
            return spec.to_string();
        };
        self.read(written)
            .map(|(name, field)| format!("{name}={field}"))
            .collect()
    }

    /// Returns the part of a spec as it is written that the rules read, as the server stores it.
    pub fn stored(&self, spec: &Value) -> Value {
        schema::as_stored(&self.schema, Some(&self.part(spec))).unwrap_or(Value::Null)
    }

    /// Returns the part of a spec that the rules read.
    fn part(&self, spec: &Value) -> Value {
        let Value::Object(written) = spec else {
            return spec.clone();
        };
        let read = self.read(written);
        Value::Object(read.map(|(name, field)| (name.clone(), field.clone())).collect())
    }

    fn read<'a>(&'a self, written: &'a Map<String, Value>) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.fields
            .iter()
            .filter_map(|name| Some((name, written.get(name)?)))
    }
}

impl Patterns {
    /// Returns the patterns that the rules of a text ask; `None` when they ask none, too many, or it is no text.
    fn new(field: &str, property: &Value) -> Option<Self> {
        if property["type"] != "string" {
            return None;
        }
        let mut questions: Vec<(String, Regex)> = Vec::new();
        for rule in property[VALIDATIONS].as_array()? {
            for (question, pattern) in questions_in(rule["rule"].as_str()?) {
                if questions.iter().all(|(known, _)| known != question) {
                    questions.push((question.to_owned(), Regex::new(pattern).ok()?));
                }
            }
        }
        (1..=PATTERNS_MAX).contains(&questions.len()).then(|| Self {
            answered: (0..1 << questions.len()).map(|_| OnceLock::new()).collect(),
            field: field.to_owned(),
            questions,
        })
    }

    /// Returns the rules of a schema with the answers for the text of this part; `None` without a text.
    fn compiled(&self, schema: &Value, part: &Value) -> Option<&CompiledSchema> {
        let text = part.get(&self.field)?.as_str()?;
        let answers = self
            .questions
            .iter()
            .enumerate()
            .map(|(index, (_, pattern))| usize::from(pattern.is_match(text)) << index)
            .sum::<usize>();
        let answered = self.answered.get(answers)?;
        Some(answered.get_or_init(|| compiled(&self.with_answers(schema.clone(), answers))))
    }

    fn with_answers(&self, mut schema: Value, answers: usize) -> Value {
        let rules = schema["properties"][&self.field][VALIDATIONS].as_array_mut();
        for rule in rules.into_iter().flatten() {
            let mut expression = rule["rule"].as_str().unwrap_or_default().to_owned();
            for (index, (question, _)) in self.questions.iter().enumerate() {
                let answer = if answers >> index & 1 == 1 {
                    "true"
                } else {
                    "false"
                };
                expression = expression.replace(question, answer);
            }
            rule["rule"] = Value::String(expression);
        }
        schema
    }
}

/// Finds `self.matches('...')` with a pattern that reads the same in CEL and here; returns all of it, and the pattern.
fn questions_in(expression: &str) -> impl Iterator<Item = (&str, &str)> {
    const BEGIN: &str = "self.matches('";
    const END: &str = "')";
    expression.match_indices(BEGIN).filter_map(|(at, _)| {
        let (pattern, _) = expression[at + BEGIN.len()..].split_once('\'')?;
        let end = at + BEGIN.len() + pattern.len() + END.len();
        let question = expression.get(at..end)?;
        let is_whole =
            question.ends_with(END) && !expression[..at].ends_with(is_word) && !pattern.contains('\\');
        is_whole.then_some((question, pattern))
    })
}

fn compiled(spec: &Value) -> CompiledSchema {
    compile_schema(&json!({"type": "object", "properties": {"spec": spec}}))
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Returns the fields of `self` that rules read; `None` when one reads it as a whole.
fn fields_read(rules: &[Value]) -> Option<BTreeSet<String>> {
    let mut fields = BTreeSet::new();
    for rule in rules {
        let expression = rule["rule"].as_str()?;
        for name in ["self", "oldSelf"] {
            for (at, _) in expression.match_indices(name) {
                if expression[..at].ends_with(is_word) {
                    continue;
                }
                let rest = &expression[at + name.len()..];
                if rest.starts_with(is_word) {
                    continue;
                }
                let field = rest.strip_prefix('.')?;
                let end = field.find(|character| !is_word(character)).unwrap_or(field.len());
                fields.insert(field[..end].to_owned());
            }
        }
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use kube::core::cel::Validator;

    use super::super::super::crd::Definition;
    use super::*;

    fn spec_of(definition: Definition) -> Value {
        definition.schema()["properties"]["spec"].take()
    }

    #[test]
    fn what_rules_read_is_told_from_their_expressions() {
        let read = |expression: &str| fields_read(&[json!({"rule": expression})]);
        let fields = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(
            read("has(self.a) ? self.a.b == oldSelf.c.all(x, x == self.d) : itself.e"),
            fields(&["a", "c", "d"])
        );
        assert_eq!(read("1 == 1"), fields(&[]));
        for whole in ["self == oldSelf", "self['a'] == 1", "self.a == oldSelf"] {
            assert_eq!(read(whole), None, "{whole}");
        }
    }

    #[test]
    fn every_rule_is_in_one_share_and_reads_nothing_beside_it() {
        for definition in Definition::ALL {
            let spec = spec_of(definition);
            let own = spec[VALIDATIONS].as_array().map_or(&[][..], Vec::as_slice);
            assert!(
                fields_read(own).is_some(),
                "{definition:?}: a rule reads the whole spec"
            );
            let properties = spec["properties"].as_object().expect("a spec has fields");
            let below = properties
                .values()
                .filter(|property| schema::has_rules(property))
                .count();
            assert_eq!(
                of(&spec).len(),
                below + usize::from(!own.is_empty()),
                "{definition:?}"
            );
        }
    }

    #[test]
    fn questions_are_found_where_their_pattern_reads_the_same() {
        let found = |expression| questions_in(expression).collect::<Vec<_>>();
        assert_eq!(
            found("isIP(self) ? true : self.matches('^a$') && !self.matches('^(b)$')"),
            [("self.matches('^a$')", "^a$"), ("self.matches('^(b)$')", "^(b)$")]
        );
        for other in [
            "itself.matches('a')",
            "oldSelf.matches('a')",
            "self.matches('a' + 'b')",
            "self.matches('a\\d')",
            "self.matches('a",
            "key.matches('a')",
        ] {
            assert_eq!(found(other), [], "{other}");
        }
    }

    #[test]
    fn rules_with_the_answers_in_them_give_the_verdict_that_they_have() {
        let validator = Validator::new();
        let texts = [
            "",
            "a",
            "A",
            "a.example.org",
            "a..b",
            "10.0.0.300",
            "10.0.0.3",
            "0.0.0.0",
            "::",
            "fd00::1",
            "v1.36.3+k0s.2",
            "v1.36",
            "1h",
            "0s",
            "5m",
            "99999h",
            "/var/lib/a",
            "/var/lib/k0s",
            "a b",
            " ",
            "registry:5000/k0s",
            "é",
            "k0s:v1@sha256:0",
            "-",
            "https://a",
        ];
        let mut asked = 0;
        for definition in Definition::ALL {
            for share in of(&spec_of(definition)) {
                let Some(patterns) = &share.patterns else { continue };
                asked += 1;
                for text in texts {
                    let part = json!({&patterns.field: text});
                    let object = json!({ "spec": part });
                    let verdict = |compiled: &CompiledSchema| {
                        let verdict = validator.validate_compiled(compiled, &object, None);
                        verdict.err().map(|errors| {
                            let errors = errors.into_vec().into_iter();
                            errors
                                .map(|error| (error.field_path, error.message))
                                .collect::<Vec<_>>()
                        })
                    };
                    assert_eq!(
                        verdict(share.compiled(&part)),
                        verdict(&share.compiled),
                        "{definition:?} {} {text:?}",
                        patterns.field
                    );
                }
                let number = json!({&patterns.field: 1});
                assert!(std::ptr::eq(share.compiled(&number), &share.compiled));
            }
        }
        assert!(asked >= 3, "{asked}");
    }
}
