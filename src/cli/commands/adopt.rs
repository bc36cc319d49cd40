//! `adopt`: the records by which clusters of others become a fleet's.

use clap::Args;
use serde_json::json;

use crate::api::fleet::API_VERSION;
use crate::api::fleet_files::{AdoptSource, IfDifferent};
use crate::cli::args::{ClusterName, Hub, cluster_name};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::show::yaml;
use crate::cli::ui::Ui;
use crate::cli::{block_on, hub};
use crate::object::{Object, ObjectId};
use crate::plan;

/// Print the records by which live clusters become those of a fleet; writes nothing
///
/// Put them into a file of the fleet beside those of the clusters, which `export` prints: `plan` shows then what
/// `apply` takes over.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The clusters
    #[arg(value_name = "NAMESPACE/NAME", required = true, value_parser = cluster_name)]
    clusters: Vec<ClusterName>,
    /// Let the files win where the live cluster differs from them; otherwise it is not taken over
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    hub: Hub,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let if_different = if arguments.overwrite {
        IfDifferent::Overwrite
    } else {
        IfDifferent::Fail
    };
    let mut records = Vec::new();
    block_on(async {
        let client = hub::connect(&arguments.hub).await?;
        for cluster in &arguments.clusters {
            let id = cluster.id();
            let Some(live) = client.get(&id).await? else {
                return Err(CliError::failed(format!("there is no {id}")));
            };
            let from = plan::adoptable(&id, &live)
                .map_err(|why| CliError::refused(format!("{id} cannot be adopted: {why}")))?;
            records.push((
                format!("{}/{}", id.namespace, id.name),
                record(&id, &from, if_different),
            ));
        }
        Ok(())
    })?;
    let documents = records.iter().map(|(name, record)| (name.as_str(), record));
    ui.answer(&yaml::documents(documents)?)?;
    Ok(Exit::Success)
}

fn record(id: &ObjectId, from: &AdoptSource, if_different: IfDifferent) -> Object {
    Object(json!({
        "apiVersion": API_VERSION,
        "kind": "Adopt",
        "metadata": { "name": format!("adopt-{}", id.name) },
        "spec": {
            "target": { "namespace": id.namespace, "name": id.name },
            "from": from,
            "ifDifferent": if_different,
        },
    }))
}
