//! The two streams: stdout is the answer, stderr is everything else.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use super::error::{CliError, ErrorKind, Part};

/// Width of everything that is wrapped. Fixed, so that output is the same everywhere.
pub const COLUMNS: usize = 80;

pub const ERROR: Style = AnsiColor::Red.on_default().bold();
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub const HINT: Style = AnsiColor::Cyan.on_default();
pub const CREATE: Style = AnsiColor::Green.on_default();
pub const CHANGE: Style = AnsiColor::Yellow.on_default();
pub const DELETE: Style = AnsiColor::Red.on_default().bold();
pub const FAINT: Style = Style::new().dimmed();

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors and questions only.
    Quiet,
    Normal,
    Verbose,
}

/// Whether to colour what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// On a terminal that wants it (`NO_COLOR`, `CLICOLOR`, `TERM`).
    Automatic,
    Never,
}

impl Colour {
    pub fn choice(self) -> ColorChoice {
        match self {
            Self::Automatic => ColorChoice::Auto,
            Self::Never => ColorChoice::Never,
        }
    }
}

/// Where a command says things.
pub struct Ui {
    stdout: AutoStream<io::Stdout>,
    stderr: AutoStream<io::Stderr>,
    verbosity: Verbosity,
}

impl Ui {
    pub fn new(colour: Colour, verbosity: Verbosity) -> Self {
        Self {
            stdout: AutoStream::new(io::stdout(), colour.choice()),
            stderr: AutoStream::new(io::stderr(), colour.choice()),
            verbosity,
        }
    }

    pub fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Writes a part of the answer. Styles in it are dropped where they are not wanted.
    pub fn answer(&mut self, text: &str) -> Result<(), CliError> {
        self.stdout.write_all(text.as_bytes())?;
        self.stdout.flush()?;
        Ok(())
    }

    /// Says something on the way, unless `--quiet`.
    pub fn status(&mut self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.say(text);
        }
    }

    pub fn warning(&mut self, text: &str) {
        self.say(&format!("{WARNING}warning{WARNING:#}: {text}"));
    }

    pub fn hint(&mut self, text: &str) {
        self.say(&format!("{HINT}hint{HINT:#}: {text}"));
    }

    /// Writes a line to stderr whatever the verbosity.
    ///
    /// A stderr that is gone is no reason to stop in the middle of writes, so errors are ignored.
    pub fn say(&mut self, text: &str) {
        let _ = writeln!(self.stderr, "{}", text.trim_end_matches('\n'));
        let _ = self.stderr.flush();
    }

    /// Prints a failure, once, at the very end.
    pub fn error(&mut self, error: &CliError) {
        if error.kind == ErrorKind::BrokenPipe {
            return;
        }
        for (part, text) in error.lines() {
            let style = match part {
                Part::Message => ERROR,
                Part::Cause => FAINT,
                Part::Hint => HINT,
            };
            self.say(&format!("{style}{}{style:#}: {text}", part.heading()));
        }
    }

    /// Says whether the source of a file may be shown with the answer: only where a person looks.
    pub fn stdout_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    pub fn stderr_is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    pub fn stdout_has_colour(&self) -> bool {
        self.stdout.current_choice() != ColorChoice::Never
    }

    pub fn stderr_has_colour(&self) -> bool {
        self.stderr.current_choice() != ColorChoice::Never
    }

    /// Says whether a question can be asked at all.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks on stderr and returns the line that was typed, trimmed; empty at the end of input.
    pub fn ask(&mut self, question: &str) -> Result<String, CliError> {
        let _ = write!(self.stderr, "{question} ");
        let _ = self.stderr.flush();
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

/// Breaks text between words so that no line is longer than `width`; words that are get broken themselves.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + rest.len() > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        while used + rest.len() > width {
            let later = rest.split_off(width - used);
            line.extend(rest);
            lines.push(std::mem::take(&mut line));
            (rest, used) = (later, 0);
        }
        used += rest.len();
        line.extend(rest);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a averylongword b", 5), ["a", "avery", "longw", "ord b"]);
        assert_eq!(wrap("", 10), [""]);
    }
}
