//! The part of a Fleet that says in which order running control planes are changed, and when to go on.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster_parts::word_enum;
use super::duration::GoDuration;
use super::selector::Selector;

/// Name of the wave that goes first.
pub const CANARY: &str = "canary";
/// Name of the wave of all clusters that no other wave chooses.
pub const REST: &str = "rest";

/// Names of the waves that wait for nothing.
pub const NAMESPACES: &str = "namespaces";
pub const CHANGES: &str = "changes";
pub const DELETIONS: &str = "deletions";

/// Longest name of a wave.
pub const WAVE_NAME_MAX: usize = 40;

/// Waves for changes that restart control planes. Creations and changes that restart nothing go at once.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollout {
    /// The clusters that are changed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// One after another; a cluster is in the first that chooses it, and in a last one when none does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub waves: Vec<RolloutWave>,
    /// Most clusters that may be unavailable at the same time because of the rollout: a number, or a part of the
    /// fleet such as `5%`. Unset: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<Amount>,
    /// Changed clusters that may fail before the rollout halts. Unset: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<u32>,
    /// How long a changed cluster must have been up to date and available before it counts as done. Unset: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_success_time: Option<GoDuration>,
    /// A cluster that is not up to date this long after its change has failed. Unset: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_deadline: Option<GoDuration>,
    /// What too many failures do. `Pause` waits for `rollout resume`; `Abort` ends the rollout of these files. Unset:
    /// Pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
}

/// The clusters that are changed before all others.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Canary {
    /// By their labels.
    pub selector: Selector,
    /// Most clusters that are being changed at the same time. Unset: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<Amount>,
}

/// Clusters that are changed together.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutWave {
    /// For plans and `rollout status`.
    pub name: String,
    /// By their labels.
    pub selector: Selector,
    /// Most clusters of the wave that are being changed at the same time: a number, or a part of the wave such as
    /// `10%`. Unset: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<Amount>,
}

word_enum!(OnFailure { Pause => "Pause", Abort => "Abort" });

/// A number of clusters, or a part of them in percent, which is rounded up.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(untagged)]
pub enum Amount {
    Count(u32),
    Percent(String),
}

impl Amount {
    /// Returns the number that is meant of so many clusters: at least one, or a rollout would never end.
    pub fn of(&self, total: usize) -> usize {
        let amount = match self {
            Self::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
            Self::Percent(text) => {
                let percent: usize = text.trim_end_matches('%').parse().unwrap_or_default();
                total.saturating_mul(percent).div_ceil(100)
            }
        };
        amount.max(1)
    }
}

impl Rollout {
    pub fn max_failures(&self) -> usize {
        self.max_failures
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or_default()
    }

    pub fn min_success_time(&self) -> Duration {
        duration(self.min_success_time.as_ref()).unwrap_or_default()
    }

    pub fn progress_deadline(&self) -> Duration {
        duration(self.progress_deadline.as_ref()).unwrap_or(Duration::from_secs(600))
    }

    pub fn on_failure(&self) -> OnFailure {
        self.on_failure.unwrap_or(OnFailure::Pause)
    }
}

fn duration(written: Option<&GoDuration>) -> Option<Duration> {
    written.and_then(GoDuration::to_duration)
}

/// Adds to the schema of a rollout what its types do not say.
pub(super) fn refine(rollout: &mut Value) {
    let properties = &mut rollout["properties"];
    for pointer in [
        "/maxUnavailable",
        "/canary/properties/maxConcurrent",
        "/waves/items/properties/maxConcurrent",
    ] {
        if let Some(amount) = properties.pointer_mut(pointer) {
            let description = amount["description"].take();
            *amount = json!({
                "type": ["integer", "string"],
                "minimum": 1,
                "pattern": "^([1-9][0-9]?|100)%$",
                "patternErrorMessage": "write a number of clusters, or a part of them from `1%` to `100%`",
                "description": description,
            });
        }
    }
    for name in ["minSuccessTime", "progressDeadline"] {
        properties[name]["pattern"] = json!("^([0-9]+([.][0-9]+)?(ms|s|m|h))+$");
        properties[name]["patternErrorMessage"] = json!("write a duration such as `90s`, `10m` or `1h30m`");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_rounded_up_and_never_nothing() {
        let percent = |text: &str, total| Amount::Percent(text.to_owned()).of(total);
        assert_eq!(
            (percent("10%", 25), percent("100%", 7), percent("1%", 0)),
            (3, 7, 1)
        );
        assert_eq!((Amount::Count(5).of(2), Amount::Count(0).of(2)), (5, 1));
    }

    #[test]
    fn an_unset_rollout_waits_for_each_wave_and_forgives_no_failure() {
        let rollout = Rollout::default();
        assert_eq!(rollout.max_failures(), 0);
        assert_eq!(rollout.min_success_time(), Duration::ZERO);
        assert_eq!(rollout.progress_deadline(), Duration::from_secs(600));
        assert_eq!(rollout.on_failure(), OnFailure::Pause);
    }
}
