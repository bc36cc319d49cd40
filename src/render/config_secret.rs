//! The configuration of a control plane whose access to its data is a secret: a Secret, filled where it is written.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::{Answer, Answers, Desired};
use super::config_map::{
    ENDPOINT_KEY, K0S_KEY, TELEMETRY_KEY, endpoint_manifest, k0s_file, telemetry_manifest, yaml,
};
use super::fill::{Fill, Part, Source, cut};
use super::parts::{Pods, object};
use super::resolved::{DataSource, ResolvedCluster, StoragePlan};
use super::{control_plane, nats};
use crate::api::cluster_status::Endpoint;
use crate::api::{labels, names};
use crate::object::{Object, digest, kinds};

/// Answers for the configuration.
pub(super) fn answer(cluster: &ResolvedCluster, data_source: &DataSource, answers: &mut Answers) {
    let name = names::config(&cluster.name);
    let answer = match (&cluster.endpoint, &cluster.keys_wait, &data_source.source) {
        (Err(waiting_on), ..) | (Ok(_), Some(waiting_on), _) | (Ok(_), None, Err(waiting_on)) => {
            Answer::Keep {
                waiting_on: waiting_on.clone(),
            }
        }
        (Ok(endpoint), None, Ok(source)) => {
            let (secret, fill) = filled(cluster, &name, endpoint, source, data_source);
            Answer::Want(Desired::Filled { secret, fill })
        }
    };
    answers.insert(cluster.id(kinds::SECRET, name), answer);
}

fn filled(
    cluster: &ResolvedCluster,
    name: &str,
    endpoint: &Endpoint,
    source: &Source,
    data_source: &DataSource,
) -> (Object, Fill) {
    let files = files(cluster, endpoint);
    let mut metadata = cluster.owned_metadata(name, Pods::ControlPlane, "cluster-config");
    metadata["annotations"] = json!({
        labels::CONTENT_DIGEST: content_digest(&files),
        labels::SOURCE_VERSION: source.written_version(),
    });
    // Written by whoever fills it; rendered as it is, so that it is no difference.
    if let Some(digest) = data_source
        .filled
        .as_ref()
        .and_then(|filled| filled.source_digest.as_ref())
    {
        metadata["annotations"][labels::SOURCE_DIGEST] = json!(digest);
    }
    let fill = Fill {
        source: source.clone(),
        files,
    };
    (object(kinds::SECRET, metadata, json!({"type": "Opaque"})), fill)
}

fn files(cluster: &ResolvedCluster, endpoint: &Endpoint) -> BTreeMap<String, Vec<Part>> {
    let text = |document: &Value| vec![Part::Text(yaml(document))];
    let mut files = BTreeMap::from([
        (TELEMETRY_KEY.to_owned(), text(&telemetry_manifest())),
        (ENDPOINT_KEY.to_owned(), text(&endpoint_manifest(endpoint))),
    ]);
    let (k0s, marker) = k0s_file(cluster, endpoint);
    files.insert(K0S_KEY.to_owned(), cut(&k0s, &marker, &Part::Quoted));
    let certificates = control_plane::certificates(cluster);
    files.extend(certificates.map(|(file, text)| (file.to_owned(), vec![Part::Text(text.to_owned())])));
    match &cluster.storage {
        StoragePlan::Etcd | StoragePlan::Kine(_) => {}
        StoragePlan::Nats(_) => files.extend(nats::files(cluster)),
    }
    files
}

fn content_digest(files: &BTreeMap<String, Vec<Part>>) -> String {
    digest(&serde_json::to_value(files).expect("text and words are plain data"))
}

/// Returns what the value in the configuration adds to the digest that rolls the pods; `Err` says what is waited for.
///
/// *Shape*: while the configuration is to be filled anew the pods wait, or they would roll twice.
pub(super) fn source_digest(cluster: &ResolvedCluster) -> Result<Option<String>, String> {
    let Some(DataSource { source, filled }) = cluster.storage.data_source() else {
        return Ok(None);
    };
    let waiting = || format!("Secret `{}`", names::config(&cluster.name));
    let filled = filled.as_ref().ok_or_else(waiting)?;
    let digest = filled.source_digest.clone().ok_or_else(waiting)?;
    match source {
        Ok(source) if filled.source_version.as_ref() != Some(&source.written_version()) => Err(waiting()),
        // When the source cannot be used any more, what was filled in goes on.
        Ok(_) | Err(_) => Ok(Some(digest)),
    }
}
