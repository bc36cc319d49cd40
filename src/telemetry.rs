//! Logs of a process: lines on stderr, for people or as JSON.
//!
//! **Invariant:** stdout is never written to, it belongs to answers. Messages are static and facts are fields, so that
//! the JSON form can be searched; no field ever holds a Secret.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people. Coloured never: logs are read through pipes.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log filter `{filter}` is not valid")]
    Filter {
        filter: String,
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("the log is set up already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// What is logged when nobody says otherwise: our own lines, and what of the libraries somebody should look at.
pub const DEFAULT_FILTER: &str = "warn,k0smotron_fleet=info";

/// Starts logging to stderr for the whole process.
///
/// *Errors*: a filter that does not parse (`tracing_subscriber::EnvFilter` has the syntax), or a second call.
pub fn start(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let parsed = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| TelemetryError::Filter {
            filter: filter.to_owned(),
            source,
        })?;
    let registry = tracing_subscriber::registry().with(parsed);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry
            .with(lines.json().flatten_event(true).with_span_list(false))
            .try_init(),
    };
    started.map_err(TelemetryError::Twice)
}

/// Returns an error and all its causes in one line, each cause once.
///
/// Some libraries quote a cause in their own text; such a cause is not repeated.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        let own = current.to_string();
        if !text.ends_with(&own) {
            text.push_str(": ");
            text.push_str(&own);
        }
        cause = current.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the file")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("it is not there: {0}")]
    struct Inner(#[source] std::io::Error);

    #[test]
    fn a_cause_that_its_parent_quotes_is_printed_once() {
        let error = Outer(Inner(std::io::Error::other("gone")));
        assert_eq!(chain(&error), "cannot read the file: it is not there: gone");
    }

    #[test]
    fn a_wrong_filter_is_named() {
        let error = start(LogFormat::Text, "k0smotron_fleet=loud").expect_err("no such level");
        assert_eq!(
            error.to_string(),
            "log filter `k0smotron_fleet=loud` is not valid"
        );
    }
}
