//! Whether this run may write beside others that write the same fleet.

use std::path::Path;

use clap::Args;

use super::error::CliError;
use super::ui::Ui;
use crate::api::fleet::Fleet;
use crate::client::Client;
use crate::fleet::{self, FleetError, Followers, Live, Syncs};
use crate::load::git::{self, Descent};

/// Guards against other writers that a person may pass. None of them can come from the environment.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Other writers")]
pub struct Overrides {
    /// Write although a FleetSync of the hub follows the same fleet; it writes its own commit again
    #[arg(long)]
    override_sync: bool,
    /// Write a commit although a later one was applied
    #[arg(long)]
    allow_rewind: bool,
}

/// Which commit is written.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// In the local repository, if there is one.
    pub path: &'a Path,
    /// `None`: the files of the disk, which are taken for those of HEAD.
    pub revision: Option<&'a str>,
}

impl Overrides {
    /// Looks for syncs, unless they do not matter.
    ///
    /// *Effects*: one list of FleetSyncs.
    pub async fn syncs(self, client: &Client) -> Option<Result<Syncs, FleetError>> {
        match self.override_sync {
            true => None,
            false => Some(fleet::syncs(client).await),
        }
    }

    /// Refuses what another writer would undo, or what would undo another writer.
    ///
    /// *Shape*: `syncs` are those of [`Self::syncs`]. Without a `fleet` nothing is written, and nobody is in the way.
    /// *Effects*: reads the local repository.
    pub fn check(
        self,
        syncs: Option<Result<Syncs, FleetError>>,
        fleet: Option<&Fleet>,
        live: &Live,
        written: Written<'_>,
        ui: &mut Ui,
    ) -> Result<(), CliError> {
        let Some(fleet) = fleet else {
            return Ok(());
        };
        if let Some(syncs) = syncs {
            followed(&syncs?, &fleet.spec.id, ui)?;
        }
        let applied = live
            .parent
            .as_ref()
            .and_then(|stored| stored.parent.revision.as_deref());
        match applied {
            Some(applied) if !self.allow_rewind => rewound(written, applied, ui),
            Some(_) | None => Ok(()),
        }
    }
}

fn followed(syncs: &Syncs, fleet_id: &str, ui: &mut Ui) -> Result<(), CliError> {
    match syncs.followers(fleet_id) {
        Followers::Known(syncs) => match syncs.first() {
            None => Ok(()),
            Some(sync) => Err(CliError::refused(format!(
                "nothing was written: the FleetSync {sync} follows the fleet `{fleet_id}` and would undo what differs"
            ))
            .hint("push to its repository, suspend it (spec.suspend), or pass --override-sync")),
        },
        Followers::NotReadable => {
            ui.warning("it is not known whether a FleetSync follows this fleet: they may not be listed");
            Ok(())
        }
    }
}

fn rewound(written: Written<'_>, applied: &str, ui: &mut Ui) -> Result<(), CliError> {
    if written.revision == Some(applied) {
        return Ok(());
    }
    let short = |commit: &str| commit.chars().take(12).collect::<String>();
    let this = match written.revision {
        Some(revision) => format!("commit {}", short(revision)),
        None => "the checked out commit".to_owned(),
    };
    let applied_short = short(applied);
    match git::descent(written.path, written.revision, applied) {
        Some(Descent::Later) => Ok(()),
        Some(Descent::Earlier) => Err(CliError::refused(format!(
            "nothing was written: {this} is older than {applied_short}, which was applied last"
        ))
        .hint("check out or pull the newer one; to go back, commit a revert, or pass --allow-rewind")),
        Some(Descent::Apart) => {
            ui.warning(&format!(
                "{this} does not follow {applied_short}, which was applied last: what that one brought may be undone"
            ));
            Ok(())
        }
        // Without a commit of its own there is nothing to compare.
        None if written.revision.is_none() => Ok(()),
        Some(Descent::Unknown) | None => {
            ui.warning(&format!(
                "whether {this} follows {applied_short}, which was applied last, cannot be told: that one is not in a \
                 repository here"
            ));
            Ok(())
        }
    }
}
