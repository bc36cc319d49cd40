//! Kubernetes Events.

use http::Method;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::connect::Client;
use super::error::ClientError;
use super::read::JSON;
use super::request::{Call, RequestName, Verb};
use crate::object::{Kind, ObjectId};

/// Only ever created, so it is not one of the kinds that are compared.
const EVENT: Kind = Kind {
    group: "events.k8s.io",
    kind: "Event",
    version: "v1",
    plural: "events",
    is_namespaced: true,
};
/// What the server accepts for `note` and `reason`.
const NOTE_MAX: usize = 1024;
const NAME_MAX: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Normal,
    Warning,
}

/// One event about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    pub regarding: &'a ObjectId,
    pub uid: &'a str,
    pub event_type: EventType,
    /// One word, stable.
    pub reason: &'a str,
    /// One word: what was done or tried.
    pub action: &'a str,
    /// For people; cut at 1,024 bytes.
    pub note: &'a str,
}

impl Client {
    /// Writes an event.
    ///
    /// *Effects*: one POST; repeating writes a second event. `instance` is the name of this process.
    pub async fn create_event(
        &self,
        note: &Note<'_>,
        instance: &str,
        now: Timestamp,
    ) -> Result<(), ClientError> {
        let id = note.regarding;
        let namespace = if id.namespace.is_empty() {
            "default"
        } else {
            &id.namespace
        };
        let body = json!({
            "apiVersion": EVENT.api_version(),
            "kind": EVENT.kind,
            "metadata": { "generateName": format!("{}-", cut(&id.name, NAME_MAX).trim_end_matches('.')), "namespace": namespace },
            "eventTime": format!("{now:.6}"),
            "reportingController": "k0smotron-fleet",
            "reportingInstance": cut(instance, 128),
            "type": match note.event_type { EventType::Normal => "Normal", EventType::Warning => "Warning" },
            "reason": cut(note.reason, 128),
            "action": cut(note.action, 128),
            "note": cut(note.note, NOTE_MAX),
            "regarding": {
                "apiVersion": id.kind.api_version(),
                "kind": id.kind.kind,
                "namespace": id.namespace,
                "name": id.name,
                "uid": note.uid,
            },
        });
        let call = Call {
            name: RequestName::collection(Verb::Create, EVENT, namespace),
            method: Method::POST,
            query: Vec::new(),
            accept: JSON,
            body: Some((JSON, body.to_string().into())),
        };
        self.call(call).await.map(drop)
    }
}

/// Cuts at a character boundary.
fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}
