//! Runs of a whole fleet that are killed, refused in part, or lose their server: what is left is done by the next run,
//! and nothing is done twice.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::cli_fleet::{Fleet, ONE};
use crate::support::{Action, Options, Process, Proxy, Rule, Servers, crds, eventually};

const SOON: Duration = Duration::from_secs(60);
/// Clusters of a run that is killed.
const CLUSTERS: usize = 50;

#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The server never saw the request.
    Before,
    /// The server did it, and the program never heard of it.
    After,
}

/// Uid and version of every cluster: what was not touched has the same.
async fn versions(fleet: &Fleet) -> BTreeMap<String, (Value, Value)> {
    let of = |cluster: Value| {
        let metadata = &cluster["metadata"];
        let name = metadata["name"].as_str().unwrap().to_owned();
        (
            name,
            (metadata["uid"].clone(), metadata["resourceVersion"].clone()),
        )
    };
    fleet.live().await.into_iter().map(of).collect()
}

/// A fleet whose one cluster was applied and has left the files, and of which fifty others are new.
async fn fifty() -> Fleet {
    let fleet = Fleet::new("killed", "").await;
    fleet.cluster("kept", ONE);
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    fleet.remove("kept");
    let rows: Vec<String> = (0..CLUSTERS).map(|number| format!("{number:04}")).collect();
    fleet.stores(&rows);
    fleet
}

fn start(fleet: &Fleet, proxy: &Proxy) -> Process {
    fleet.through(proxy).start(&["apply", "-y"])
}

/// Kills the run at its nth request, runs it again, and compares. Returns whether there was such a request.
async fn survives(nth: usize, moment: Moment) -> bool {
    let fleet = fifty().await;
    let proxy = Proxy::start(fleet.servers).await;
    let process: Arc<OnceLock<Process>> = Arc::default();
    let kill = {
        let process = Arc::clone(&process);
        Arc::new(move || process.wait().kill())
    };
    proxy.add(match moment {
        Moment::Before => Rule::new(Action::Before(kill)).nth(nth),
        Moment::After => Rule::new(Action::After(kill)).nth(nth),
    });
    let process = process.get_or_init(|| start(&fleet, &proxy));
    let status = eventually("the run ends", SOON, async || process.ended()).await;
    let crashed = versions(&fleet).await;
    // A lock that the dead run still holds is waited out by the next one; that takes long, and has a test of its own.
    assert_eq!(fleet.run(&["unlock", "-y"]).await.code, 0);
    let output = fleet.run(&["apply", "-y"]).await;
    assert_eq!(output.code, 0, "{moment:?} {nth}: {}", output.stderr);
    let after = versions(&fleet).await;
    assert_eq!(after.len(), CLUSTERS + 1, "{moment:?} {nth}");
    for (name, version) in &crashed {
        assert_eq!(
            after.get(name),
            Some(version),
            "{name} was written again ({moment:?} {nth})"
        );
    }
    assert_eq!(
        fleet.run(&["plan", "--detailed-exitcode"]).await.code,
        0,
        "{moment:?} {nth}"
    );
    status.code().is_none()
}

/// Every request with `FAULTS=whole`, otherwise some of each phase.
async fn survive_all(moment: Moment) {
    let is_whole = std::env::var("FAULTS").is_ok_and(|faults| faults == "whole");
    let chosen: Vec<usize> = if is_whole {
        (1..=CLUSTERS + 12).collect()
    } else {
        vec![5, 7, 30, CLUSTERS + 7]
    };
    let killed: Vec<bool> = futures::stream::iter(chosen)
        .map(|nth| survives(nth, moment))
        .buffer_unordered(2)
        .collect()
        .await;
    let count = killed.iter().filter(|killed| **killed).count();
    assert!(
        count + 6 >= killed.len() && count > 1,
        "the run has fewer requests than were to be killed: {count}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_killed_before_a_request_is_finished_by_the_next() {
    survive_all(Moment::Before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_killed_after_a_request_is_finished_by_the_next_and_does_nothing_twice() {
    survive_all(Moment::After).await;
}

/// The summary and the exit code of a run of which some writes were refused.
fn assert_partial(output: &crate::support::Output, summary: &str) {
    assert_eq!(output.code, 5, "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains(summary), "{}", output.stdout);
}

#[tokio::test]
async fn a_quota_that_is_used_up_stops_the_rest_and_the_next_run_goes_on() {
    let fleet = Fleet::new("quota", "").await;
    let namespace = fleet.namespace.name.as_str();
    let quota = |hard: u8| {
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "clusters", "namespace": namespace},
            "spec": {"hard": {"count/k0smotronclusters.k0smotron.io": hard.to_string()}}})
        .to_string()
    };
    let kubeconfig = fleet.servers.kubeconfig();
    let apply = ["apply", "-f", "-"];
    fleet
        .servers
        .kubectl_with(&kubeconfig, &apply, &quota(4))
        .await
        .success();
    eventually("the quota is counted", SOON, async || {
        // The controller counts a kind that it has not yet discovered only when the quota changes after that.
        for hard in [5, 4] {
            let written = fleet
                .servers
                .kubectl_with(&kubeconfig, &apply, &quota(hard))
                .await;
            written.success();
        }
        let get = ["get", "resourcequota", "clusters", "-n", namespace, "-o", "json"];
        let quota: Value = serde_json::from_str(&fleet.servers.kubectl(&get).await.success()).unwrap();
        quota
            .pointer("/status/used/count~1k0smotronclusters.k0smotron.io")
            .map(|_| ())
    })
    .await;
    let rows: Vec<String> = (0..7).map(|number| format!("{number:04}")).collect();
    fleet.stores(&rows);
    let output = fleet.run(&["apply", "-y", "--first-apply"]).await;
    assert_partial(&output, "Applied: 4 created, 0 changed, 0 deleted, 3 failed");
    assert_eq!(
        output.stdout.matches("exceeded quota: clusters").count(),
        3,
        "{}",
        output.stdout
    );
    assert_eq!(fleet.names().await.len(), 4);
    fleet
        .servers
        .kubectl_with(&kubeconfig, &apply, &quota(20))
        .await
        .success();
    eventually("the rest is done", SOON, async || {
        let output = fleet.run(&["apply", "-y"]).await;
        if output.code == 0 {
            Ok(())
        } else {
            Err(output.stdout)
        }
    })
    .await;
    assert_eq!(fleet.names().await.len(), 7);
}

#[tokio::test]
async fn what_admission_rejects_is_named_and_the_rest_goes_on() {
    let fleet = Fleet::new("rejects", "").await;
    let namespace = fleet.namespace.name.as_str();
    let policy = format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: {namespace}}}\n\
         spec:\n  matchConstraints:\n    resourceRules:\n      - {{apiGroups: [k0smotron.io], apiVersions: ['*'], \
         resources: [k0smotronclusters], operations: [CREATE]}}\n  validations:\n    - expression: object.metadata.name != 'paris'\n      \
         message: no cluster may be called paris\n---\n\
         apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {{name: {namespace}}}\n\
         spec:\n  policyName: {namespace}\n  validationActions: [Deny]\n  matchResources:\n    namespaceSelector: \
         {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}\n"
    );
    let kubeconfig = fleet.servers.kubeconfig();
    fleet
        .servers
        .kubectl_with(&kubeconfig, &["create", "-f", "-"], &policy)
        .await
        .success();
    for name in ["berlin", "paris", "rome"] {
        fleet.cluster(name, ONE);
    }
    eventually("the policy works", SOON, async || {
        let output = fleet.run(&["plan"]).await;
        let is_denied = output.stdout.contains("no cluster may be called paris")
            || output.stderr.contains("no cluster may be called paris");
        if is_denied {
            Ok(())
        } else {
            Err(output.stdout + &output.stderr)
        }
    })
    .await;
    let output = fleet.run(&["apply", "-y", "--first-apply"]).await;
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        fleet
            .servers
            .kubectl(&["delete", kind, namespace])
            .await
            .success();
    }
    assert_partial(&output, "Applied: 2 created, 0 changed, 0 deleted, 1 failed");
    assert!(
        output.stdout.contains("no cluster may be called paris"),
        "{}",
        output.stdout
    );
    assert_eq!(fleet.names().await, ["berlin", "rome"]);
}

#[tokio::test]
async fn a_namespace_that_may_not_be_written_is_named_and_the_others_go_on() {
    let fleet = Fleet::new("forbidden", "").await;
    let other = fleet.servers.namespace("closed").await;
    let (own, closed) = (fleet.namespace.name.as_str(), other.name.as_str());
    let kubeconfig = fleet.servers.service_account(own, "tenant").await;
    let account = format!("--serviceaccount={own}:tenant");
    let resources = "--resource=k0smotronclusters.k0smotron.io,configmaps,leases.coordination.k8s.io";
    for (namespace, verbs) in [(own, "--verb=get,list,create,patch"), (closed, "--verb=get,list")] {
        let role = ["create", "role", "writer", "-n", namespace, verbs, resources];
        fleet.servers.kubectl(&role).await.success();
        let bind = [
            "create",
            "rolebinding",
            "writer",
            "--role=writer",
            "-n",
            namespace,
            &account,
        ];
        fleet.servers.kubectl(&bind).await.success();
    }
    fleet.cluster("berlin", ONE);
    fleet.cluster("rome", ONE);
    let paris = format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {{name: paris, namespace: {closed}}}\n{ONE}"
    );
    fleet.write("clusters/paris.yaml", &paris);
    let tenant = fleet.program.clone().kubeconfig(&kubeconfig);
    let run = async |arguments: &[&str]| {
        tenant
            .run(&[arguments, &["--parent-namespace", own]].concat())
            .await
    };
    eventually("the rights are known", SOON, async || {
        let output = run(&["plan"]).await;
        if output.stdout.contains("3 to create") {
            Ok(())
        } else {
            Err(output.stderr)
        }
    })
    .await;
    let output = run(&["apply", "-y", "--first-apply"]).await;
    assert_partial(&output, "Applied: 2 created, 0 changed, 0 deleted, 1 failed");
    assert!(
        output.stdout.contains(&format!("! {closed}/paris  failed")),
        "{}",
        output.stdout
    );
    assert!(
        output.stderr.contains("whether a FleetSync follows this fleet"),
        "what it may not see is said: {}",
        output.stderr
    );
    assert_eq!(fleet.names().await, ["berlin", "rome"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_restarts_in_the_middle_costs_a_second_run() {
    // A private set: nobody else may lose it.
    let servers: &'static Servers = Box::leak(Box::new(Servers::start(Options::default()).await));
    crds::install(&servers.client().await).await;
    let fleet = Fleet::on(servers, "restart", "").await;
    let rows: Vec<String> = (0..40).map(|number| format!("{number:04}")).collect();
    fleet.stores(&rows);
    let proxy = Proxy::start(servers).await;
    let restart = Arc::new(|| servers.api_server.restart());
    let rule = Rule::new(Action::After(restart))
        .writes()
        .path("k0smotronclusters")
        .nth(10);
    proxy.add(rule);
    let through = fleet.through(&proxy);
    let arguments = ["apply", "-y", "--first-apply", "--parallelism", "4", "-o", "json"];
    let output = through.run(&arguments).await;
    assert_eq!(output.code, 5, "{}{}", output.stdout, output.stderr);
    servers.wait_until_ready().await.unwrap();
    let live: Vec<String> = fleet.names().await;
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    let results = document["results"].as_array().unwrap();
    assert_eq!(results.len(), 40);
    for result in results {
        let name = result["object"]["name"].as_str().unwrap().to_owned();
        match result["result"].as_str().unwrap() {
            "done" => assert!(live.contains(&name), "{name}"),
            "failed" => assert!(!live.contains(&name), "{name}"),
            "unknown" => {}
            other => panic!("{name}: {other}"),
        }
    }
    assert!(
        results.iter().any(|result| result["result"] == "unknown"),
        "the answer that was lost"
    );
    eventually("the rest is done", SOON, async || {
        let output = fleet.run(&["apply", "-y", "--lock-timeout", "20s"]).await;
        if output.code == 0 {
            Ok(())
        } else {
            Err(output.stderr)
        }
    })
    .await;
    assert_eq!(fleet.names().await.len(), 40);
    servers.api_server.kill();
    servers.etcd.kill();
}
