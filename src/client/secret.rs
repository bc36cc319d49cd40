//! Bytes of Secrets on their way to and from the server.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use super::connect::Client;
use super::error::ClientError;
use super::read::{JSON, remove_managed_fields};
use super::request::{Call, RequestName, Verb};
use crate::object::{Object, ObjectId, kinds};

/// The data of a Secret. Overwritten when dropped; cannot be printed.
#[derive(Clone, Default)]
pub struct SecretData(BTreeMap<String, Zeroizing<Vec<u8>>>);

/// A Secret as the server has it: its metadata, and its data apart.
pub struct SecretBody {
    /// Without `data`.
    pub metadata: Object,
    pub data: SecretData,
}

impl SecretData {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn insert(&mut self, key: impl Into<String>, value: Zeroizing<Vec<u8>>) {
        self.0.insert(key.into(), value);
    }

    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(|value| value.as_slice())
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Writes `object` with this data into one buffer that never grows, so that no copy stays behind.
    pub(super) fn write_into(&self, object: &Value) -> Zeroizing<Vec<u8>> {
        let mut text = object.clone();
        if let Some(fields) = text.as_object_mut() {
            fields.remove("data");
            fields.remove("stringData");
        }
        let head = text.to_string();
        let size = self
            .0
            .iter()
            .map(|(key, value)| 6 * key.len() + value.len().div_ceil(3) * 4 + 6)
            .sum::<usize>();
        let mut bytes = Zeroizing::new(Vec::with_capacity(head.len() + size + 16));
        bytes.extend_from_slice(head.strip_suffix('}').unwrap_or(&head).as_bytes());
        bytes.extend_from_slice(b",\"data\":{");
        for (index, (key, value)) in self.0.iter().enumerate() {
            if index > 0 {
                bytes.push(b',');
            }
            bytes.extend_from_slice(Value::from(key.as_str()).to_string().as_bytes());
            bytes.extend_from_slice(b":\"");
            let encoded = Zeroizing::new(BASE64.encode(value.as_slice()));
            bytes.extend_from_slice(encoded.as_bytes());
            bytes.push(b'"');
        }
        bytes.extend_from_slice(b"}}");
        bytes
    }
}

#[derive(Deserialize)]
struct Wire {
    metadata: Value,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

impl Client {
    /// Reads one Secret with its data; `None` when it is not there.
    ///
    /// *Effects*: one GET by name. The only way to Secret bytes: call it to sign, and for a value that a user's Secret
    /// is named for, and for nothing else.
    pub async fn get_secret(&self, namespace: &str, name: &str) -> Result<Option<SecretBody>, ClientError> {
        let id = ObjectId::new(kinds::SECRET, namespace, name);
        let request = RequestName::of(Verb::Get, &id);
        let call = Call {
            name: request.clone(),
            method: Method::GET,
            query: Vec::new(),
            accept: JSON,
            body: None,
        };
        let body = match self.call(call).await {
            Ok(answer) => answer.body,
            Err(ClientError::Refused { source, .. }) if source.is_missing_object() => return Ok(None),
            Err(error) => return Err(error),
        };
        let wire = serde_json::from_slice::<Wire>(&body);
        wipe(body);
        let unusable = |reason: &str| ClientError::Answer {
            request: request.clone().into(),
            reason: reason.to_owned(),
        };
        // What serde says may quote the value.
        let mut wire = wire.map_err(|_| unusable("it is not a Secret"))?;
        let mut data = SecretData::new();
        for (key, text) in std::mem::take(&mut wire.data) {
            let text = Zeroizing::new(text);
            let value = BASE64
                .decode(text.as_bytes())
                .map_err(|_| unusable("its data is not base64"))?;
            data.insert(key, Zeroizing::new(value));
        }
        let mut metadata = Object(serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": wire.metadata,
        }));
        remove_managed_fields(&mut metadata);
        Ok(Some(SecretBody { metadata, data }))
    }
}

/// Overwrites an answer, where nobody else holds it.
fn wipe(body: Bytes) {
    if let Ok(mut bytes) = body.try_into_mut() {
        bytes.as_mut().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn data_is_written_into_the_object_without_growing_the_buffer() {
        let mut data = SecretData::new();
        data.insert("tls.crt", Zeroizing::new(b"certificate".to_vec()));
        data.insert("tls \"key\"", Zeroizing::new(b"key".to_vec()));
        for object in [
            json!({"metadata": {"labels": {"a": "}"}}, "data": {"old": "x"}}),
            json!({"metadata": {"name": "edge-ca", "labels": {"a": {}}}, "type": "z"}),
        ] {
            let bytes = data.write_into(&object);
            let mut expected = object.clone();
            expected["data"] = json!({"tls.crt": "Y2VydGlmaWNhdGU=", "tls \"key\"": "a2V5"});
            assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), expected);
        }
        let object = json!({"metadata": {}});
        let bytes = data.write_into(&object);
        assert!(bytes.capacity() >= bytes.len() && bytes.capacity() <= bytes.len() + 128);
    }
}
