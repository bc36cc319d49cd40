//! One short word for the content of a JSON value.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Returns the SHA-256 of a value as lower-case hex. Keys are sorted, so equal values have equal digests.
pub fn digest(value: &Value) -> String {
    hex(&Sha256::digest(value.to_string().as_bytes()))
}

/// Returns bytes as lower-case hex, two digits each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_in_which_keys_were_written_does_not_change_a_digest() {
        let one: Value = serde_json::from_str(r#"{"b": [1, 2], "a": null}"#).unwrap();
        assert_eq!(digest(&one), digest(&json!({"a": null, "b": [1, 2]})));
        assert_ne!(digest(&one), digest(&json!({"a": null, "b": [2, 1]})));
        assert_eq!(digest(&one).len(), 64);
    }
}
