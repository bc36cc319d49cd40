//! Membership of etcd on real etcd processes: the operator runs where the members' names resolve, as in a cluster.

mod changes;
mod load;
mod sizes;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use k0smotron_fleet::api::K0smotronCluster;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::cli::{controller, program};
use crate::support::certificates::Pair;
use crate::support::kubelet::{RealPods, is_ready};
use crate::support::{Namespace, Process, Servers, crds, eventually, hosting, tls};
use load::Etcd;

/// Several changes of membership, each of which etcd lets happen when all members have been connected for 5 s.
pub const SOON: Duration = Duration::from_secs(150);
const NAME: &str = "oslo";
const ETCD: &str = "kmc-oslo-etcd";
/// Crashes for this long count as broken here; everything else about it is as it always is.
const BROKEN_AFTER_SECONDS: &str = "3";

/// A pod of a member, as it was seen once.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub uid: String,
    /// Of the template.
    pub revision: String,
    pub is_ready: bool,
    pub is_going: bool,
}

/// A namespace with one cluster, whose members run for real, and the operator beside them.
pub struct Bench {
    pub servers: &'static Servers,
    pub namespace: Namespace,
    pub controller: Process,
    pub pods: RealPods,
}

impl Bench {
    pub async fn start(hint: &str, spec: Value) -> Self {
        let servers = Servers::shared().await;
        let client = servers.client().await;
        crds::install(&client).await;
        hosting::node(&client, "members-node", servers.node_address.into()).await;
        let namespace = servers.namespace(hint).await;
        let pods = RealPods::start_members(servers, &namespace.name, NAME).await;
        let program = program().hosts(&pods.hosts());
        let more = ["--replace-member-after", BROKEN_AFTER_SECONDS];
        let bench = Self {
            controller: controller(&program, &servers.kubeconfig(), &namespace.name, &more),
            servers,
            namespace,
            pods,
        };
        bench.apply(spec).await;
        bench
    }

    pub async fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.servers.client().await, &self.namespace.name)
    }

    pub async fn apply(&self, spec: Value) {
        let object = json!({
            "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": { "name": NAME, "namespace": self.namespace.name }, "spec": spec,
        });
        let how = PatchParams::apply("test-user").force();
        let clusters = self.api::<K0smotronCluster>().await;
        clusters.patch(NAME, &how, &Patch::Apply(object)).await.unwrap();
    }

    pub async fn want(&self, members: usize) {
        self.apply(json!({ "storage": { "etcd": { "members": members } } }))
            .await;
    }

    /// A client of this etcd.
    pub async fn etcd(&self) -> Etcd {
        let secrets = self.api::<Secret>().await;
        let text = async |name: &str, key: &str| {
            eventually(&format!("Secret {name}"), SOON, async || {
                let secret = secrets.get(&format!("{NAME}-{name}")).await.ok()?;
                Some(String::from_utf8(secret.data?.remove(key)?.0).expect("PEM"))
            })
            .await
        };
        let identity = Pair {
            certificate: text("apiserver-etcd-client", "tls.crt").await,
            key: text("apiserver-etcd-client", "tls.key").await,
        };
        let authority = text("etcd", "tls.crt").await;
        let namespace = &self.namespace.name;
        let members = (0..5).map(|member| {
            let address: IpAddr = self.pods.member_address(member);
            (format!("{ETCD}-{member}.{ETCD}.{namespace}.svc"), address)
        });
        Etcd {
            connector: tls::connector(&authority, Some(&identity)).expect("the certificates are whole"),
            members: members.collect(),
        }
    }

    pub async fn replicas(&self) -> i32 {
        let sets = self.api::<StatefulSet>().await;
        let set = sets.get_opt(ETCD).await.ok().flatten();
        set.and_then(|set| set.spec?.replicas).unwrap_or_default()
    }

    /// The members' pods, by number.
    pub async fn members(&self) -> Vec<Seen> {
        let pods = self.api::<Pod>().await;
        let selector = ListParams::default().labels("component=etcd");
        let mut pods = pods
            .list(&selector)
            .await
            .map(|list| list.items)
            .unwrap_or_default();
        pods.sort_by_key(|pod| pod.metadata.name.clone());
        let seen = |pod: Pod| {
            let is_ready = is_ready(&pod);
            let labels = pod.metadata.labels.unwrap_or_default();
            Seen {
                uid: pod.metadata.uid.unwrap_or_default(),
                revision: labels
                    .get("controller-revision-hash")
                    .cloned()
                    .unwrap_or_default(),
                is_ready,
                is_going: pod.metadata.deletion_timestamp.is_some(),
            }
        };
        pods.into_iter().map(seen).collect()
    }

    pub async fn status(&self) -> Value {
        let clusters = self.api::<K0smotronCluster>().await;
        let cluster = clusters.get(NAME).await.ok();
        json!(cluster.and_then(|cluster| cluster.status))
    }

    /// Waits until exactly these members are there, have a vote and a ready pod, and the operator says that it is done.
    pub async fn settled(&self, etcd: &Etcd, count: usize) {
        self.settled_while(etcd, count, async |_| {}).await;
    }

    /// As [`Bench::settled`]; `at_each_step` hears of every list of members that was not seen right before.
    pub async fn settled_while(
        &self,
        etcd: &Etcd,
        count: usize,
        mut at_each_step: impl AsyncFnMut(&BTreeSet<String>),
    ) {
        let all: BTreeSet<String> = (0..count).map(|member| member.to_string()).collect();
        let mut last = BTreeSet::new();
        eventually(&format!("{count} members"), SOON, async || {
            let listed = etcd.list().await?;
            let replicas = self.replicas().await;
            let known = usize::try_from(replicas).unwrap_or_default();
            if listed != last {
                assert!(
                    listed.len().abs_diff(known) <= 1,
                    "{listed:?} are members, and {known} pods are wanted"
                );
                last = listed.clone();
                at_each_step(&listed).await;
            }
            let pods = self.members().await;
            let status = self.status().await;
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            // The control plane does not run here.
            let is_busy = conditions
                .iter()
                .any(|one| one["message"].as_str().is_some_and(|text| text.contains("etcd:")));
            let is_done = listed == all
                && known == count
                && pods.len() == count
                && pods.iter().all(|pod| pod.is_ready && !pod.is_going);
            if is_done && !is_busy && status["etcd"]["readyMembers"] == count {
                return Ok(());
            }
            Err(format!(
                "{listed:?} of {replicas}: {pods:#?}\n{conditions:#?}\nheld: {}\n{:#?}\nlog: {}",
                status["held"],
                self.pods.problems(),
                self.controller.log_tail(20)
            ))
        })
        .await;
    }
}
