//! Join tokens: nothing makes them yet, and that is said on the object itself.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::Operator;
use super::events::{Note, Tone};
use super::metrics::Ended;
use super::pass::{PassError, Passed};
use crate::api::JoinTokenStatus;
use crate::api::condition::READY;
use crate::object::{Object, ObjectId};
use crate::queue::Next;

const REASON: &str = "NotSupported";
const MESSAGE: &str =
    "this version makes no join tokens yet; make one with `k0s token create` in a control-plane pod";

impl Operator {
    /// *Effects*: a status and an Event, once for each generation.
    pub(super) async fn reconcile_token(&self, key: &ObjectId) -> Result<Passed, PassError> {
        let Some(token) = self.store().objects.get(key) else {
            return Ok(Passed {
                next: Next::Forget,
                ended: Ended::Unchanged,
            });
        };
        let Some(status) = not_supported(&token, Timestamp::now()) else {
            return Ok(Passed {
                next: Next::Rest,
                ended: Ended::Unchanged,
            });
        };
        self.write_status(&token, &json!(status)).await?;
        let note = Note {
            tone: Tone::Warning,
            reason: REASON.to_owned(),
            message: MESSAGE.to_owned(),
        };
        self.write_events(&token, &[note]).await;
        Ok(Passed {
            next: Next::Rest,
            ended: Ended::Changed,
        })
    }
}

/// Returns the status that says so; `None` when it is there for this generation.
fn not_supported(token: &Object, now: Timestamp) -> Option<JoinTokenStatus> {
    let generation = token.integer("/metadata/generation");
    let live = token.0.get("status").cloned().unwrap_or_default();
    let live: JoinTokenStatus = serde_json::from_value(live).unwrap_or_default();
    let is_said = live.observed_generation == generation
        && live
            .conditions
            .iter()
            .any(|condition| (condition.type_.as_str(), condition.reason.as_str()) == (READY, REASON));
    (!is_said).then(|| JoinTokenStatus {
        observed_generation: generation,
        conditions: vec![Condition {
            type_: READY.to_owned(),
            status: "False".to_owned(),
            reason: REASON.to_owned(),
            message: MESSAGE.to_owned(),
            observed_generation: generation,
            last_transition_time: Time(now),
        }],
        ..JoinTokenStatus::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_for_each_generation() {
        let mut token = Object(json!({ "metadata": { "generation": 1 } }));
        let status = not_supported(&token, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(status.conditions[0].status, "False");
        token.0["status"] = json!(status);
        assert_eq!(not_supported(&token, Timestamp::UNIX_EPOCH), None);
        token.0["metadata"]["generation"] = json!(2);
        assert!(not_supported(&token, Timestamp::UNIX_EPOCH).is_some());
    }
}
