//! What is said when a command could not do what was asked.

use std::error::Error;

use super::exit::Exit;
use crate::client::ClientError;
use crate::fleet::FleetError;
use crate::load::git::GitError;

/// What kind of failure it was; the exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    Failed,
    /// A guard said no before the first write.
    Refused,
    InvalidInput,
    /// What a saved plan was made from moved.
    Stale,
    /// Whoever read our output stopped reading: nothing is said, for nobody listens.
    BrokenPipe,
    Interrupted,
}

impl ErrorKind {
    pub fn exit(self) -> Exit {
        match self {
            Self::Failed | Self::BrokenPipe => Exit::Error,
            Self::Refused => Exit::Refused,
            Self::Stale => Exit::StalePlan,
            Self::InvalidInput => Exit::InvalidInput,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}

/// A failure as it is printed: once, message first, then its causes, then what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError {
    pub kind: ErrorKind,
    /// The message, then one cause each; never empty.
    pub chain: Vec<String>,
    pub hints: Vec<String>,
}

impl CliError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            chain: vec![message.into()],
            hints: Vec::new(),
        }
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    /// Adds an error and its sources as causes.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn Error) -> Self {
        self.chain.extend(causes(error));
        self.drop_quoted();
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
        self
    }

    #[must_use]
    pub fn hints(self, hints: impl IntoIterator<Item = String>) -> Self {
        hints.into_iter().fold(self, Self::hint)
    }

    /// Drops a cause that its parent ends with or quotes whole (kube's errors carry their source in their own text).
    fn drop_quoted(&mut self) {
        let mut kept: Vec<String> = Vec::new();
        for cause in self.chain.drain(..) {
            if !kept.iter().any(|parent| parent.contains(&cause)) {
                kept.push(cause);
            }
        }
        self.chain = kept;
    }

    /// Returns the text that goes to stderr, one line each, without the word `error`.
    pub fn lines(&self) -> impl Iterator<Item = (Part, &str)> {
        let message = self
            .chain
            .first()
            .map(|message| (Part::Message, message.as_str()));
        let causes = self
            .chain
            .iter()
            .skip(1)
            .map(|cause| (Part::Cause, cause.as_str()));
        let hints = self.hints.iter().map(|hint| (Part::Hint, hint.as_str()));
        message.into_iter().chain(causes).chain(hints)
    }
}

/// What a line of an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Message,
    Cause,
    Hint,
}

impl Part {
    pub fn heading(self) -> &'static str {
        match self {
            Self::Message => "error",
            Self::Cause => "caused by",
            Self::Hint => "hint",
        }
    }
}

fn causes(error: &dyn Error) -> Vec<String> {
    let mut chain = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        chain.push(cause.to_string());
        next = cause.source();
    }
    chain
}

/// From any error of the library: its own text is the message.
impl<E: Error + 'static> From<E> for CliError {
    fn from(error: E) -> Self {
        let error: &(dyn Error + 'static) = &error;
        let io = error.downcast_ref::<std::io::Error>();
        let kind = match io {
            Some(io) if io.kind() == std::io::ErrorKind::BrokenPipe => ErrorKind::BrokenPipe,
            Some(_) | None => ErrorKind::Failed,
        };
        let mut converted = Self {
            kind,
            chain: causes(error),
            hints: Vec::new(),
        };
        converted.drop_quoted();
        if let Some(fleet) = error.downcast_ref::<FleetError>() {
            if fleet.is_refusal() {
                converted.kind = ErrorKind::Refused;
            }
            return converted.hints(fleet.hint());
        }
        if let Some(git) = error.downcast_ref::<GitError>() {
            return converted.hints(git.hint().map(str::to_owned));
        }
        let client = error.downcast_ref::<ClientError>();
        converted.hints(client.and_then(ClientError::hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Example {
        #[error("cannot list K0smotronClusters")]
        List(#[source] Quoting),
    }

    #[derive(Debug, thiserror::Error)]
    #[error("service error: {0}")]
    struct Quoting(#[source] Root);

    #[derive(Debug, thiserror::Error)]
    #[error("connection refused")]
    struct Root;

    #[test]
    fn a_cause_that_its_parent_quotes_is_not_said_again() {
        let error = CliError::from(Example::List(Quoting(Root))).hint("is the server running?");
        let said: Vec<_> = error
            .lines()
            .map(|(part, text)| format!("{}: {text}", part.heading()))
            .collect();
        assert_eq!(
            said,
            [
                "error: cannot list K0smotronClusters",
                "caused by: service error: connection refused",
                "hint: is the server running?",
            ]
        );
    }

    #[test]
    fn a_reader_who_went_away_is_told_nothing() {
        let error = CliError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(error.kind, ErrorKind::BrokenPipe);
        assert_eq!(error.kind.exit(), Exit::Error);
    }

    #[test]
    fn a_hint_is_given_once() {
        let error = CliError::refused("no").hint("pass `-y`").hint("pass `-y`");
        assert_eq!(error.hints, ["pass `-y`"]);
    }
}
