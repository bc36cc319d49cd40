//! Null is the same as unset, also for a field that was written before.

use k0smotron_fleet::api::K0smotronCluster;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::cases::{self, Case, From, Removed};
use crate::support::{Servers, crds};

/// A cluster as its file says, which nobody runs.
struct Written<'a> {
    clusters: &'a Api<K0smotronCluster>,
    name: String,
}

impl Written<'_> {
    /// Applies a spec; `Err` has the words of the API server.
    async fn apply(&self, spec: &Value) -> Result<Value, String> {
        let object = json!({
            "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": {"name": self.name}, "spec": spec,
        });
        let text = object.to_string().replace("{address}", "127.0.0.9");
        let object: Value = serde_json::from_str(&text).unwrap();
        let how = PatchParams::apply("test-user").force();
        match self
            .clusters
            .patch(&self.name, &how, &Patch::Apply(&object))
            .await
        {
            Ok(cluster) => Ok(json!(cluster.spec)),
            Err(kube::Error::Api(status)) => Err(status.message.clone()),
            Err(error) => panic!("cannot apply {object}: {error}"),
        }
    }

    /// Merges a patch, as `kubectl patch` does.
    async fn merge(&self, spec: &Value) -> Result<Value, String> {
        let patch = Patch::Merge(json!({"spec": spec}));
        let how = PatchParams::default();
        said(self.clusters.patch(&self.name, &how, &patch).await)
    }

    /// Writes a field, takes it away with null at `place`, and goes on. Returns what is wrong, as a sentence.
    async fn walk(&self, case: &Case, place: &str) -> Result<(), String> {
        let with = case.spec(Some(&case.first()));
        let before = self.apply(&with).await?;
        // The server takes no null where it applies, and nothing is different after that.
        let mut with_null = with.clone();
        cases::set(&mut with_null, place, Some(&Value::Null));
        if self.apply(&with_null).await.is_ok() {
            return Err("a null is applied".to_owned());
        }
        if self.apply(&with).await? != before {
            return Err("a null that was refused has changed something".to_owned());
        }
        let null = |place: &str| {
            let mut spec = json!({});
            cases::set(&mut spec, place, Some(&Value::Null));
            spec
        };
        let after = match self.merge(&null(place)).await {
            Err(_) if case.removed() == Removed::Refused => return Ok(()),
            after => after?,
        };
        let left = after.pointer(&format!("/{}", case.field.replace('.', "/")));
        if let Some(left) = left.filter(|left| !is_nothing(left)) {
            return Err(format!("null leaves {left}"));
        }
        self.apply(&case.spec(None)).await?;
        self.apply(&with).await?;
        // An empty mapping that a patch left behind belongs to whoever patched, and goes with a patch.
        let outermost = place.split('.').next().unwrap_or(place);
        if case.base.get(outermost).is_none() {
            self.merge(&null(outermost)).await?;
            self.apply(&with).await?;
            self.apply(&case.spec(None)).await?;
        }
        Ok(())
    }
}

/// The spec of a cluster that was written, or the words of the API server.
fn said(written: Result<K0smotronCluster, kube::Error>) -> Result<Value, String> {
    match written {
        Ok(cluster) => Ok(json!(cluster.spec)),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("cannot write a cluster: {error}"),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The field, and what is around it as far as it is there for the field alone.
fn places(case: &Case) -> Vec<&str> {
    let ends = case.field.match_indices('.').map(|(end, _)| end);
    let all = ends.chain([case.field.len()]).map(|end| &case.field[..end]);
    let is_of_base = |place: &str| {
        let pointer = format!("/{}", place.replace('.', "/"));
        place != case.field && case.base.pointer(&pointer).is_some()
    };
    all.filter(|place| !is_of_base(place)).collect()
}

#[tokio::test]
async fn a_field_that_is_taken_away_with_null_is_as_if_it_was_never_written() {
    let servers = Servers::shared().await;
    let client = servers.client().await;
    crds::install(&client).await;
    let namespace = servers.namespace("nulls").await;
    let clusters = Api::namespaced(client, &namespace.name);
    let mut faults = Vec::new();
    for (number, case) in cases::all().iter().enumerate() {
        // What has a default or cannot be changed later is no matter of nulls.
        if case.field.starts_with("metadata.") || case.field == "replicas" || case.from == From::Creation {
            continue;
        }
        for place in places(case) {
            let written = Written {
                clusters: &clusters,
                name: format!("n-{number}-{}", place.len()),
            };
            if let Err(fault) = written.walk(case, place).await {
                faults.push(format!("`{}` with null at `{place}`: {fault}", case.row()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
