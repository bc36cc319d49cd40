//! `init`: begins a fleet, and registers it on a hub.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::api::fleet::FLEET_ID_MAX;
use crate::cli::args::Hub;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::hub;
use crate::cli::new_file::{make_directory, write_new};
use crate::cli::source;
use crate::cli::ui::Ui;
use crate::fleet;
use crate::load::FLEET_FILE;

/// Begin a fleet: write fleet.yaml with a new id, and an example cluster; files that exist are left as they are
#[derive(Debug, Args)]
pub struct Arguments {
    /// Directory of the fleet; it is made if it is missing [default: .]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// Name of the fleet [default: name of the directory]
    #[arg(long, value_name = "NAME", env = "K0SMOTRON_FLEET_NAME", value_parser = name)]
    name: Option<String>,
    /// Also register the fleet on the hub, so that `apply` needs no --first-apply there
    #[arg(long)]
    hub: bool,
    #[command(flatten)]
    connection: Hub,
}

const EXAMPLE: &str = "clusters/example.yaml";

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let directory = arguments.path.clone().unwrap_or_else(|| PathBuf::from("."));
    make_directory(&directory)?;
    refuse_nested(&directory)?;
    if arguments.hub {
        return crate::cli::block_on(with_hub(arguments, &directory, ui));
    }
    scaffold(arguments, &directory, None, ui)?;
    ui.hint("next: `k0smotron-fleet validate`, then `plan`, then `apply --first-apply`");
    Ok(Exit::Success)
}

async fn with_hub(arguments: &Arguments, directory: &Path, ui: &mut Ui) -> Result<Exit, CliError> {
    // The hub first: when it cannot be reached, no file is written either.
    let client = hub::connect(&arguments.connection).await?;
    let found = fleet::identify(&client).await?;
    scaffold(arguments, directory, found.uid.as_deref(), ui)?;
    let files = source::read_disk(directory)?;
    let Some(fleet) = &files.reading.fleet else {
        source::report(&files, source::OnErrors::Stop, ui)?;
        return Err(CliError::failed(format!(
            "there is no Fleet in `{}`",
            directory.display()
        )));
    };
    fleet::check_hub(Some(fleet), &found)?;
    let namespace = &arguments.connection.parent_namespace;
    let registered = fleet::register(&client, &fleet::Parent::new(fleet), namespace).await?;
    let parent = fleet::parent::id(namespace, &fleet.spec.id);
    ui.answer(&match registered {
        Some(_) => format!("registered: {parent} on {}\n", found.server),
        None => format!("registered already: {parent} on {}\n", found.server),
    })?;
    if let (None, Some(uid)) = (&fleet.spec.hub.uid, &found.uid) {
        ui.hint(&format!(
            "to bind the fleet to this hub, write `hub: {{uid: {uid}}}` into its spec"
        ));
    }
    Ok(Exit::Success)
}

/// Writes what is missing and says what it did.
fn scaffold(arguments: &Arguments, directory: &Path, hub: Option<&str>, ui: &mut Ui) -> Result<(), CliError> {
    let fleet_file = directory.join(FLEET_FILE);
    if fleet_file.exists() {
        ui.answer(&format!("unchanged {}\n", fleet_file.display()))?;
        return Ok(());
    }
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => name_of(directory),
    };
    let is_empty = crate::load::directory(directory)?.is_empty();
    write_new(&fleet_file, &fleet_yaml(&name, &new_id(&name)?, hub))?;
    ui.answer(&format!("created {}\n", fleet_file.display()))?;
    if is_empty {
        let example = directory.join(EXAMPLE);
        make_directory(&directory.join("clusters"))?;
        write_new(&example, EXAMPLE_YAML)?;
        ui.answer(&format!("created {}\n", example.display()))?;
    }
    Ok(())
}

const EXAMPLE_YAML: &str = "\
# One hosted control plane. Every field of spec has a default; `kubectl explain k0smotroncluster.spec` lists them.
apiVersion: k0smotron.io/v1beta1
kind: K0smotronCluster
metadata:
  name: example
  namespace: default
spec:
  replicas: 1
  service:
    type: NodePort
";

fn fleet_yaml(name: &str, id: &str, hub: Option<&str>) -> String {
    let hub = match hub {
        Some(uid) => format!(
            "  # The only hub it may be applied to: uid of its namespace kube-system.\n  hub:\n    uid: {uid}\n"
        ),
        None => String::new(),
    };
    format!(
        "# What belongs together: all clusters in the files beside and below this one.\n\
         apiVersion: fleet.k0smotron.io/v1alpha1\n\
         kind: Fleet\n\
         metadata:\n  name: {name}\n\
         spec:\n  \
           # Names this fleet on every hub. Never change it: clusters of another id are not ours to delete.\n  \
           id: {id}\n{hub}  \
           # What happens to a cluster that leaves the files: Never (kept, shown), Omission (deleted).\n  \
           deletions: Never\n  \
           # Most deletions of one run. Both hold.\n  \
           maxDeletions:\n    count: 10\n    percent: 10\n"
    )
}

/// A fleet inside of a fleet would take its clusters away from it, and the outer one would call them removed.
fn refuse_nested(directory: &Path) -> Result<(), CliError> {
    if directory.join(FLEET_FILE).exists() {
        return Ok(());
    }
    let real = std::fs::canonicalize(directory).map_err(|error| {
        CliError::failed(format!("cannot read `{}`", directory.display())).caused_by(&error)
    })?;
    match real
        .ancestors()
        .skip(1)
        .find(|above| above.join(FLEET_FILE).exists())
    {
        Some(above) => Err(CliError::refused(format!(
            "`{}` is part of the fleet in `{}`",
            directory.display(),
            above.display()
        ))
        .hint("put cluster files here; they belong to that fleet")),
        None => Ok(()),
    }
}

fn name_of(directory: &Path) -> String {
    let real = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let words = real.file_name().map(|name| name.to_string_lossy().to_lowercase());
    let mut name = String::new();
    for character in words.unwrap_or_default().chars() {
        if character.is_ascii_alphanumeric() {
            name.push(character);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name: String = name.chars().take(FLEET_ID_MAX - SUFFIX).collect();
    match name.trim_matches('-') {
        "" => "fleet".to_owned(),
        name => name.to_owned(),
    }
}

/// Characters of `-` and six hexadecimal digits.
const SUFFIX: usize = 7;

/// Makes an id that no other fleet has, so that two fleets of one name can share a hub.
fn new_id(name: &str) -> Result<String, CliError> {
    let mut bytes = [0u8; 3];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| CliError::failed("the system gives no random bytes"))?;
    Ok(format!("{name}-{:02x}{:02x}{:02x}", bytes[0], bytes[1], bytes[2]))
}

fn name(text: &str) -> Result<String, String> {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = !text.is_empty()
        && text.len() <= FLEET_ID_MAX - SUFFIX
        && text.chars().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "use at most {} lower-case letters, digits and `-`",
            FLEET_ID_MAX - SUFFIX
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose;
    use crate::diagnostic::SourceTree;

    #[test]
    fn what_is_written_is_a_valid_fleet() {
        for hub in [None, Some("8c1e0000-0000-4000-8000-000000000000")] {
            let fleet = fleet_yaml("acme", &new_id("acme").unwrap(), hub);
            let tree = SourceTree::from_texts([(FLEET_FILE, fleet.as_str()), (EXAMPLE, EXAMPLE_YAML)]);
            let reading = compose::read(&tree);
            assert!(reading.findings.is_empty(), "{:#?}", reading.findings);
            assert_eq!(reading.clusters.len(), 1);
            let fleet = reading.fleet.unwrap();
            assert_eq!(
                (fleet.name.as_str(), fleet.spec.hub.uid.as_deref()),
                ("acme", hub)
            );
        }
    }

    #[test]
    fn a_name_is_made_of_any_directory() {
        assert_eq!(name_of(Path::new("/nowhere/My Fleet_2")), "my-fleet-2");
        assert_eq!(name_of(Path::new("/nowhere/---")), "fleet");
        assert!(name_of(Path::new(&format!("/nowhere/{}", "a".repeat(90)))).len() + SUFFIX <= FLEET_ID_MAX);
        assert!(name("acme-2").is_ok() && name("Acme").is_err() && name("").is_err());
    }
}
