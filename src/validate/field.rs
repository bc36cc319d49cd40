//! Whether a path leads to a field that a cluster can have.

use serde_json::Value;

use crate::api::crd;
use crate::object::pointer;

/// A step of a path that leads to no field of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    pub step: String,
    /// The fields that are there instead, in alphabetical order.
    pub known: Vec<String>,
}

/// Follows a JSON pointer through the schema of a cluster.
///
/// *Shape*: items of lists and keys of free mappings are whatever they are.
pub fn find_field(pointer: &str) -> Result<(), UnknownField> {
    let schema = crd::cluster_schema();
    let mut node = &schema;
    for step in pointer::steps(pointer) {
        let below = |keyword: &str| node.get(keyword).filter(|below| below.is_object());
        let next = match below("properties") {
            Some(fields) => fields
                .get(step.as_ref())
                .or_else(|| below("additionalProperties")),
            None => below("items").or_else(|| below("additionalProperties")),
        };
        node = match (next, below("properties")) {
            (Some(next), _) => next,
            (None, Some(Value::Object(fields)))
                if node.get("additionalProperties") == Some(&Value::Bool(false)) =>
            {
                let known = fields.keys().cloned().collect();
                let step = step.into_owned();
                return Err(UnknownField { step, known });
            }
            // A free object, or a value with nothing below it: the whole of it is what is said.
            (None, _) => return Ok(()),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_followed_through_the_schema() {
        for known in [
            "/spec/version",
            "/spec/controlPlaneFlags/0",
            "/spec/manifests/0/configMap/name",
            "/spec/k0sConfig/spec/anything",
            "/spec/service/annotations/a",
            "/metadata/labels/site",
            "/spec",
        ] {
            assert_eq!(find_field(known), Ok(()), "{known}");
        }
        let unknown = find_field("/spec/service/typ").unwrap_err();
        assert_eq!(unknown.step, "typ");
        assert!(unknown.known.contains(&"type".to_owned()), "{unknown:?}");
        assert!(find_field("/spec/repicas").is_err() && find_field("/nothing").is_err());
    }
}
