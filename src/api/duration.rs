//! Durations as Kubernetes users write them: Go's syntax (`1h30m`, `500ms`, `0s`).

use std::borrow::Cow;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A duration as written, with its meaning checked by [`GoDuration::to_duration`].
///
/// *Shape*: the text is kept so that what a user wrote is what is shown and compared; the rules of each field (and a
/// better message than a pattern gives) come with its CRD. *Units*: `h`, `m`, `s`, `ms`.
/// *Source*: Go `time.ParseDuration`, without signs, `us` and `ns`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub struct GoDuration(pub String);

impl GoDuration {
    /// Returns the duration, or `None` when the text is not one or does not fit 64 bits of milliseconds.
    pub fn to_duration(&self) -> Option<Duration> {
        let mut rest = self.0.as_str();
        let mut milliseconds = 0f64;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
            let number: f64 = rest[..digits].parse().ok()?;
            rest = &rest[digits..];
            let (unit_milliseconds, unit_length) = match rest.as_bytes() {
                [b'm', b's', ..] => (1f64, 2),
                [b'h', ..] => (3_600_000f64, 1),
                [b'm', ..] => (60_000f64, 1),
                [b's', ..] => (1_000f64, 1),
                _ => return None,
            };
            milliseconds += number * unit_milliseconds;
            rest = &rest[unit_length..];
        }
        // 2^53 ms are 285,000 years: exact in f64, and far from Duration's end.
        (milliseconds <= 9_007_199_254_740_992f64).then(|| Duration::from_millis(milliseconds as u64))
    }
}

impl JsonSchema for GoDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_reads_them() {
        let seconds = |text: &str| {
            GoDuration(text.into())
                .to_duration()
                .map(|duration| duration.as_millis())
        };
        assert_eq!(seconds("1h30m"), Some(5_400_000));
        assert_eq!(seconds("500ms"), Some(500));
        assert_eq!(seconds("1.5h"), Some(5_400_000));
        assert_eq!(seconds("0s"), Some(0));
        for wrong in ["", "h", "10", "1d", "1h30", "-1h", "1.2.3s"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
