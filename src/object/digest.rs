//! One short word for the content of a JSON value.

use std::io::BufWriter;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Returns the SHA-256 of a value as JSON, in lower-case hex.
///
/// *Shape*: keys of a JSON value are sorted, so equal ones have equal digests; a type has its keys in the order in which
/// it writes them, and none that is no text.
pub fn digest(value: &impl Serialize) -> String {
    let mut bytes = BufWriter::new(Sha256::new());
    serde_json::to_writer(&mut bytes, value)
        .expect("what is digested are texts, numbers, lists and mappings");
    let digest = bytes.into_inner().expect("a digest takes all bytes");
    hex(&digest.finalize())
}

/// Returns bytes as lower-case hex, two digits each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_order_in_which_keys_were_written_does_not_change_a_digest() {
        let one: Value = serde_json::from_str(r#"{"b": [1, 2], "a": null}"#).unwrap();
        assert_eq!(digest(&one), digest(&json!({"a": null, "b": [1, 2]})));
        assert_ne!(digest(&one), digest(&json!({"a": null, "b": [2, 1]})));
        assert_eq!(digest(&one).len(), 64);
    }
}
