//! Exit codes, in one place.

use std::process::ExitCode;

/// How the program ended. Scripts rely on these numbers, so none ever gets another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    Success,
    /// Also wrong usage: 2 must never come from a typing mistake.
    Error,
    Changes,
    StalePlan,
    Refused,
    Partial,
    InvalidInput,
    /// 128 + SIGINT, as shells count.
    Interrupted,
}

impl Exit {
    pub const ALL: [Self; 8] = [
        Self::Success,
        Self::Error,
        Self::Changes,
        Self::StalePlan,
        Self::Refused,
        Self::Partial,
        Self::InvalidInput,
        Self::Interrupted,
    ];

    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Error => 1,
            Self::Changes => 2,
            Self::StalePlan => 3,
            Self::Refused => 4,
            Self::Partial => 5,
            Self::InvalidInput => 6,
            Self::Interrupted => 130,
        }
    }

    /// Returns what the code means, as the help and the reference say it.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => {
                "success; with --detailed-exitcode: apply would write nothing (held and protected entries are shown \
                 and counted, and are no changes)"
            }
            Self::Error => "error, wrong usage included",
            Self::Changes => "with --detailed-exitcode: apply would write something now",
            Self::StalePlan => "the saved plan is stale; nothing was written",
            Self::Refused => {
                "a requested action was refused by a guard before the first write; also when a question could not be \
                 asked for want of a terminal and -y was not given"
            }
            Self::Partial => {
                "partial: some clusters were skipped or failed, or with --wait were not ready in time"
            }
            Self::InvalidInput => "the input is invalid (positions are printed); nothing was written",
            Self::Interrupted => "interrupted; the state is consistent, and how to resume is printed",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Returns the reference page about exit codes.
pub fn reference() -> String {
    let mut page = String::from(
        "# Exit codes\n\nOne list for all commands; what a command cannot mean, it does not return.\n\n\
         | code | meaning |\n|--:|---|\n",
    );
    for exit in Exit::ALL {
        page.push_str(&format!("| {} | {} |\n", exit.code(), exit.meaning()));
    }
    page
}
