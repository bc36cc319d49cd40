//! A cluster as the only one of a fleet: planned and applied by the engine itself.

use k0smotron_fleet::api::fleet::FleetSpec;
use k0smotron_fleet::api::fleet_sync::Deletions;
use k0smotron_fleet::api::labels;
use k0smotron_fleet::apply::{self, KeySource};
use k0smotron_fleet::object::ObjectId;
use k0smotron_fleet::plan::{self, Approval, Budget, Consent, EmptySet, Files, FleetPolicy, Plan};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::fields::cases::Answers;
use crate::fields::world::{Standing, World};

const FLEET: &str = "truth";

pub struct Member {
    pub id: ObjectId,
    /// As the files have it.
    pub object: Value,
}

impl Member {
    pub fn new(id: ObjectId, spec: Value) -> Self {
        let object = json!({
            "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": { "name": id.name, "namespace": id.namespace }, "spec": spec,
        });
        Self { id, object }
    }

    /// An object of that name with what makes it one of the fleet, as the plan adds it.
    pub fn tracked(&self, object: &Value) -> Value {
        let mut object = object.clone();
        object["metadata"]["labels"][labels::FLEET_ID] = json!(FLEET);
        let tracking = format!("{FLEET}/{}/{}", self.id.namespace, self.id.name);
        object["metadata"]["annotations"][labels::TRACKING] = json!(tracking);
        object["metadata"]["annotations"][labels::SOURCE] = json!("cluster.yaml");
        object
    }

    /// Plans; `None`: it left the files.
    pub async fn plan(&self, world: &World<'_>, desired: Option<&Value>) -> Plan {
        let spec = FleetSpec {
            id: FLEET.to_owned(),
            deletions: Some(Deletions::Omission),
            ..FleetSpec::default()
        };
        let policy = FleetPolicy {
            budget: Budget {
                count: 10,
                percent: 100,
            },
            empty_set: EmptySet::Allowed,
            ..FleetPolicy::of(Some(&spec), Files::Sound)
        };
        world.plan(&self.id, desired, &policy).await
    }

    /// Executes a plan as it is.
    pub async fn apply(&self, world: &World<'_>, plan: Plan) -> Result<(), String> {
        let all = Approval {
            writes: Consent::Given,
            deletions: Consent::Given,
            data_loss: Consent::Given,
        };
        let approved = plan::approve(plan, &all).map_err(|refusal| refusal.to_string())?;
        let how = apply::Options {
            manager: labels::FLEET_MANAGER,
            parallelism: 1,
            deadline: None,
        };
        let (keys, stop) = (KeySource::at(Timestamp::now()), CancellationToken::new());
        let outcome = apply::run(&world.client, &approved, &how, keys, None, &stop).await;
        if outcome.is_complete() {
            Ok(())
        } else {
            Err(format!("not applied: {:?}", outcome.results))
        }
    }

    /// Waits until the operator has nothing to do any more.
    pub async fn rest(&self, world: &World<'_>) -> Result<Standing, String> {
        let generation = world.bench.cluster(&self.id.name).await.metadata.generation;
        // Behind the hosts of an Ingress nobody answers here.
        let answers = Answers::Nobody;
        world
            .rest(&self.id, generation.unwrap_or_default(), answers)
            .await
    }
}
