//! Values as JSON for programs. `docs/reference/json.md` documents every document.
//!
//! **Invariant:** deterministic: keys sorted, lists in a stated order, no time of day, no name of a context.

use serde_json::{Value, json};

/// Version of the documents. It grows when a field changes its meaning or goes; new fields may come any time.
const VERSION: u32 = 1;

/// Returns one document with its header and a line end.
pub fn document(kind: &str, mut content: Value) -> String {
    if let Some(fields) = content.as_object_mut() {
        fields.insert("format".to_owned(), json!(format!("k0smotron-fleet/{kind}")));
        fields.insert("formatVersion".to_owned(), json!(VERSION));
    }
    format!("{content:#}\n")
}
