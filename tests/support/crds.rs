//! The CustomResourceDefinitions of the product, installed on test servers.

use std::time::Duration;

use k0smotron_fleet::api::crd;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt as _};

use super::eventually;

/// Installs all CRDs and waits until they are served. Repeating it changes nothing.
pub async fn install(client: &Client) {
    for definition in crd::all() {
        install_one(client, &definition).await;
    }
}

/// Installs one CRD and waits until its names are accepted and it is served.
pub async fn install_one(client: &Client, definition: &CustomResourceDefinition) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = definition.name_any();
    let how = PatchParams::apply("test-support").force();
    let applied = api.patch(&name, &how, &Patch::Apply(definition)).await;
    applied.unwrap_or_else(|error| panic!("cannot install {name}: {error}"));
    eventually(&format!("{name} served"), Duration::from_secs(30), async || {
        let conditions = api
            .get(&name)
            .await
            .map_err(|error| error.to_string())?
            .status
            .unwrap_or_default()
            .conditions;
        let is_true = |kind: &str| {
            conditions
                .iter()
                .flatten()
                .any(|condition| condition.type_ == kind && condition.status == "True")
        };
        if is_true("Established") && is_true("NamesAccepted") {
            Ok(())
        } else {
            Err(format!("{conditions:?}"))
        }
    })
    .await;
}
