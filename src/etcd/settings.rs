//! Settings of etcd that a user may choose.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::api::duration::GoDuration;

/// What a setting takes in etcd's configuration file.
#[derive(Clone, Copy)]
enum Type {
    Switch,
    /// Zero or more.
    Count,
    /// Written `100ms`; the file has nanoseconds.
    Time,
    Text,
    /// Written with commas between the items.
    List,
    OneOf(&'static [&'static str]),
}

use Type::*;

/// Settings by the names of etcd's configuration file. etcd ignores a name that it does not know, so only these are
/// taken.
const SETTINGS: &[(&str, Type)] = &[
    ("auto-compaction-mode", OneOf(&["periodic", "revision"])),
    ("auto-compaction-retention", Text),
    ("backend-batch-interval", Time),
    ("backend-batch-limit", Count),
    ("backend-bbolt-freelist-type", OneOf(&["array", "map"])),
    ("bootstrap-defrag-threshold-megabytes", Count),
    ("cipher-suites", List),
    ("compact-hash-check-time", Time),
    ("compaction-batch-limit", Count),
    ("compaction-sleep-interval", Time),
    ("corrupt-check-time", Time),
    ("distributed-tracing-address", Text),
    ("distributed-tracing-instance-id", Text),
    ("distributed-tracing-sampling-rate", Count),
    ("distributed-tracing-service-name", Text),
    ("downgrade-check-time", Time),
    ("election-timeout", Count),
    ("enable-distributed-tracing", Switch),
    ("enable-pprof", Switch),
    ("feature-gates", Text),
    ("grpc-keepalive-interval", Time),
    ("grpc-keepalive-min-time", Time),
    ("grpc-keepalive-timeout", Time),
    ("heartbeat-interval", Count),
    ("log-format", OneOf(&["json", "console"])),
    (
        "log-level",
        OneOf(&["debug", "info", "warn", "error", "panic", "fatal"]),
    ),
    ("max-concurrent-streams", Count),
    ("max-learners", Count),
    ("max-request-bytes", Count),
    ("max-snapshots", Count),
    ("max-txn-ops", Count),
    ("max-wals", Count),
    ("metrics", OneOf(&["basic", "extensive"])),
    ("pre-vote", Switch),
    ("quota-backend-bytes", Count),
    ("snapshot-catchup-entries", Count),
    ("snapshot-count", Count),
    ("tls-max-version", OneOf(&["TLS1.2", "TLS1.3"])),
    ("tls-min-version", OneOf(&["TLS1.2", "TLS1.3"])),
    ("warning-apply-duration", Time),
    ("warning-unary-request-duration", Time),
    ("watch-progress-notify-interval", Time),
];

/// First parts of what the operator writes itself, or what would break what it does with members.
const OURS: &[&str] = &[
    "advertise-",
    "auto-tls",
    "cert-",
    "client-",
    "config-file",
    "data-dir",
    "discovery",
    "enable-grpc-gateway",
    "enable-v2",
    "force-new-cluster",
    "initial-",
    "key-file",
    "listen-",
    "log-outputs",
    "name",
    "peer-",
    "proxy",
    "self-signed-cert-validity",
    "strict-reconfig-check",
    "trusted-ca-file",
    "unsafe-",
    "wal-dir",
];

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingRefusal {
    pub name: String,
    /// What to do, as a phrase that follows a semicolon.
    pub what_to_do: String,
}

/// Returns what belongs into the configuration file of every member, with the types that etcd reads.
///
/// *Errors*: the first setting, by name, that is the operator's, is not known, or has a value of another type.
pub fn settings(written: &BTreeMap<String, String>) -> Result<Map<String, Value>, SettingRefusal> {
    written
        .iter()
        .map(|(name, text)| match setting(name, text) {
            Ok(value) => Ok((name.clone(), value)),
            Err(what_to_do) => Err(SettingRefusal {
                name: name.clone(),
                what_to_do,
            }),
        })
        .collect()
}

fn setting(name: &str, text: &str) -> Result<Value, String> {
    let Some((_, kind)) = SETTINGS.iter().find(|(known, _)| *known == name) else {
        let is_ours = OURS.iter().any(|ours| match ours.strip_suffix('-') {
            Some(_) => name.starts_with(ours),
            None => name == *ours || name.starts_with(&format!("{ours}-")),
        });
        return Err(if is_ours {
            "leave it out, the operator decides it".to_owned()
        } else {
            "leave it out, no setting of that name is known".to_owned()
        });
    };
    let read = match kind {
        Switch => text.parse::<bool>().ok().map(Value::from),
        Count => text
            .parse::<u32>()
            .map(u64::from)
            .ok()
            .or_else(|| bytes(name, text))
            .map(Value::from),
        Time => nanoseconds(text).map(Value::from),
        Text => Some(Value::from(text)),
        List => Some(text.split(',').map(str::trim).map(Value::from).collect()),
        OneOf(words) => words.contains(&text).then(|| Value::from(text)),
    };
    read.ok_or_else(|| match kind {
        Switch => "write \"true\" or \"false\"".to_owned(),
        Count => "write a whole number from 0 up, for example \"8589934592\"".to_owned(),
        Time => "write a duration, for example \"100ms\"".to_owned(),
        Text | List => "write a text".to_owned(),
        OneOf(words) => format!("write one of {}", words.join(", ")),
    })
}

/// The quota alone is a 64-bit number everywhere.
fn bytes(name: &str, text: &str) -> Option<u64> {
    let number = text.parse::<u64>().ok()?;
    (name == "quota-backend-bytes" && i64::try_from(number).is_ok()).then_some(number)
}

fn nanoseconds(text: &str) -> Option<u64> {
    let duration: Duration = GoDuration(text.to_owned()).to_duration()?;
    // etcd's own type is signed.
    i64::try_from(duration.as_nanos()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn one(name: &str, text: &str) -> Result<Value, String> {
        let written = BTreeMap::from([(name.to_owned(), text.to_owned())]);
        settings(&written)
            .map(|settings| settings[name].clone())
            .map_err(|refusal| refusal.what_to_do)
    }

    #[rstest]
    #[case("quota-backend-bytes", "8589934592", json!(8_589_934_592_u64))]
    #[case("snapshot-count", "5000", json!(5000))]
    #[case("backend-batch-interval", "100ms", json!(100_000_000))]
    #[case("pre-vote", "false", json!(false))]
    #[case("cipher-suites", "TLS_A, TLS_B", json!(["TLS_A", "TLS_B"]))]
    #[case("auto-compaction-retention", "1000", json!("1000"))]
    #[case("log-level", "debug", json!("debug"))]
    fn a_value_has_the_type_that_etcd_reads(#[case] name: &str, #[case] text: &str, #[case] value: Value) {
        assert_eq!(one(name, text), Ok(value));
    }

    #[rstest]
    #[case("snapshot-count", "many", "whole number")]
    #[case("max-txn-ops", "8589934592", "whole number")]
    #[case("max-txn-ops", "-1", "whole number")]
    #[case("backend-batch-interval", "100", "duration")]
    #[case("pre-vote", "yes", "true")]
    #[case("tls-min-version", "TLS1.0", "TLS1.2")]
    #[case("data-dir", "/tmp", "the operator decides it")]
    #[case("initial-cluster-state", "existing", "the operator decides it")]
    #[case("peer-transport-security", "{}", "the operator decides it")]
    #[case("force-new-cluster", "true", "the operator decides it")]
    #[case("unsafe-no-fsync", "true", "the operator decides it")]
    #[case("qouta-backend-bytes", "1", "no setting of that name")]
    fn what_cannot_be_used_is_refused_with_what_to_do(
        #[case] name: &str,
        #[case] text: &str,
        #[case] words: &str,
    ) {
        let refused = one(name, text).unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }

    #[test]
    fn no_setting_is_both_the_users_and_the_operators() {
        for (name, _) in SETTINGS {
            let is_ours = OURS
                .iter()
                .any(|ours| name == ours || name.starts_with(&format!("{ours}-")));
            assert!(!is_ours, "{name}");
        }
    }
}
