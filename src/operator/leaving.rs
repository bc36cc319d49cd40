//! A cluster that is being deleted: what its policy asks for, then the finalizer goes.

use super::pass::{PassError, Passed, passed_after};
use super::release::{self, Going, has_finalizer, is_going};
use super::{CHILDREN, Operator};
use crate::api::{ClusterSpec, labels};
use crate::client::{ListQuery, chain};
use crate::object::{Kind, Object, ObjectId, Observed, Unreadable, kinds};
use crate::plan;

/// Kinds of which some have no owner reference, or must go before those that have none.
const RELEASED: [Kind; 3] = [kinds::SECRET, kinds::PERSISTENT_VOLUME_CLAIM, kinds::STATEFUL_SET];

impl Operator {
    /// Releases keys and volumes, then takes our finalizer away.
    ///
    /// *Effects*: reads the definition of the kind and lists what may have to go or stay, from the server and not from
    /// the store; then what the plan says.
    pub(super) async fn release(
        &self,
        key: &ObjectId,
        cluster: &Object,
        spec: &ClusterSpec,
    ) -> Result<Passed, PassError> {
        if !has_finalizer(cluster) {
            return Ok(Passed::unchanged());
        }
        let policy = release::policy_of(spec, self.what_is_going().await?);
        let found = self.read_for_release(key).await;
        let plan = release::plan(key, cluster, policy, &found);
        let approved = plan::approve_release(plan, policy);
        let outcome = self.run(&approved).await;
        Ok(passed_after(&approved, &outcome))
    }

    async fn what_is_going(&self) -> Result<Going, PassError> {
        let kind = kinds::K0SMOTRON_CLUSTER;
        let name = format!("{}.{}", kind.plural, kind.group);
        let id = ObjectId::new(kinds::CUSTOM_RESOURCE_DEFINITION, "", name);
        let definition = self.options.client.get_metadata(&id).await;
        match definition.map_err(PassError::Definition)? {
            Some(definition) if !is_going(&definition) => Ok(Going::Cluster),
            Some(_) | None => Ok(Going::Kind),
        }
    }

    async fn read_for_release(&self, key: &ObjectId) -> Observed {
        let mut found = Observed {
            objects: self.store().objects.children_of(key, &CHILDREN).objects,
            unreadable: Vec::new(),
        };
        let selector = format!(
            "{}={},{}={}",
            labels::APP_MANAGED_BY,
            labels::APP_MANAGED_BY_VALUE,
            labels::APP_INSTANCE,
            key.name
        );
        for kind in RELEASED {
            let query = ListQuery::new(kind, &key.namespace)
                .with_labels(&selector)
                .metadata_only();
            match self.options.client.list_all(&query).await {
                Ok(objects) => {
                    let identified = objects
                        .into_iter()
                        .filter_map(|object| Some((object.id()?, object)));
                    for (id, object) in identified {
                        found.objects.insert(id, object);
                    }
                }
                Err(error) => found.unreadable.push(Unreadable {
                    kind,
                    namespace: key.namespace.clone(),
                    reason: chain(&error),
                }),
            }
        }
        found
    }
}
