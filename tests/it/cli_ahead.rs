//! The hub is looked at while the files are read: nobody notices but by the time it takes.

use std::time::Duration;

use crate::cli_fleet::{Fleet, ONE};
use crate::support::{Action, Output, Proxy, Rule, eventually};

const SOON: Duration = Duration::from_secs(30);
const LIST: &str = "/k0smotronclusters?";

/// A fleet with one cluster that the hub remembers, and a proxy that has seen nothing yet.
async fn known(hint: &str) -> (Fleet, Proxy) {
    let fleet = Fleet::new(hint, "").await;
    fleet.cluster("berlin", ONE);
    let output = fleet.run(&["apply", "-y", "--first-apply"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let proxy = Proxy::start(fleet.servers).await;
    (fleet, proxy)
}

async fn plan(fleet: &Fleet, proxy: &Proxy) -> Output {
    fleet.through(proxy).run(&["plan", "--detailed-exitcode"]).await
}

/// Returns how often something was asked.
fn asked(proxy: &Proxy, text: &str) -> usize {
    let seen = proxy.seen().into_iter();
    seen.filter(|seen| seen.uri.contains(text)).count()
}

#[tokio::test]
async fn what_was_seen_ahead_is_not_asked_again() {
    let (fleet, proxy) = known("ahead").await;
    let output = plan(&fleet, &proxy).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let parent = format!("/configmaps/k0smotron-fleet-{}", fleet.namespace.name);
    assert_eq!((asked(&proxy, &parent), asked(&proxy, LIST)), (1, 1));
}

#[tokio::test]
async fn a_namespace_that_the_hub_does_not_remember_is_looked_at_all_the_same() {
    let (fleet, proxy) = known("remembered").await;
    let other = fleet.servers.namespace("forgotten").await;
    let there = format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {{name: paris, namespace: {}}}\n{ONE}",
        other.name
    );
    // Somebody has made a cluster there already.
    let kubeconfig = fleet.servers.kubeconfig();
    let made = fleet
        .servers
        .kubectl_with(&kubeconfig, &["create", "-f", "-"], &there);
    made.await.success();
    fleet.write("clusters/paris.yaml", &there);
    let output = plan(&fleet, &proxy).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let foreign = format!("! {}/paris  foreign", other.name);
    assert!(output.stdout.contains(&foreign), "{}", output.stdout);
    assert!(output.stdout.contains("= 1 unchanged"), "{}", output.stdout);
}

#[tokio::test]
async fn a_look_ahead_that_fails_is_repeated_and_what_fails_then_is_told() {
    let (fleet, proxy) = known("again").await;
    proxy.add(
        Rule::new(Action::answer(500, "InternalError"))
            .path(LIST)
            .first(1),
    );
    let output = plan(&fleet, &proxy).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert_eq!(asked(&proxy, LIST), 2);
    proxy.add(Rule::new(Action::answer(500, "InternalError")).path(LIST));
    let output = plan(&fleet, &proxy).await;
    assert_eq!(output.code, 1, "{}{}", output.stdout, output.stderr);
    assert!(
        output.stderr.contains("cannot read the clusters on the hub"),
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn errors_in_the_files_are_told_at_once_however_slow_the_hub_is() {
    let (fleet, proxy) = known("slow").await;
    fleet.cluster("paris", "spec: {replicas: many}\n");
    proxy.add(Rule::new(Action::Hold).path(LIST));
    let process = fleet.through(&proxy).start(&["plan", "--timeout", "10m"]);
    let status = eventually("it ends", SOON, async || process.ended()).await;
    let log = process.log();
    assert_eq!(status.code(), Some(6), "{log}");
    assert!(log.contains("1 error in the files"), "{log}");
}

#[tokio::test]
async fn at_another_hub_nothing_of_the_fleet_is_asked() {
    let (fleet, proxy) = known("wrong").await;
    let text = std::fs::read_to_string(fleet.program.folder().join("fleet.yaml")).unwrap();
    let bound = format!("{text}  hub: {{uid: 8c1e0000-0000-4000-8000-000000000000}}\n");
    fleet.write("fleet.yaml", &bound);
    let output = plan(&fleet, &proxy).await;
    assert_eq!(output.code, 4, "{}{}", output.stdout, output.stderr);
    let parent = format!("/configmaps/k0smotron-fleet-{}", fleet.namespace.name);
    assert_eq!((asked(&proxy, &parent), asked(&proxy, LIST)), (0, 0));
}

#[tokio::test]
async fn a_fleet_whose_file_has_another_name_is_planned_as_any_other() {
    let (fleet, proxy) = known("named").await;
    let folder = fleet.program.folder();
    std::fs::rename(folder.join("fleet.yaml"), folder.join("acme.yaml")).unwrap();
    let output = plan(&fleet, &proxy).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert_eq!(asked(&proxy, LIST), 1);
}

#[tokio::test]
async fn that_nobody_knows_who_else_writes_the_fleet_keeps_those_alone_who_write() {
    let (fleet, proxy) = known("unwritten").await;
    proxy.add(Rule::new(Action::answer(500, "InternalError")).path("/fleetsyncs?"));
    let through = fleet.through(&proxy);
    let output = through.run(&["apply", "-y"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    fleet.cluster("paris", ONE);
    let output = through.run(&["apply", "-y"]).await;
    assert_eq!(output.code, 1, "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("/paris  create"), "{}", output.stdout);
    assert_eq!(fleet.names().await, ["berlin"]);
    assert_eq!(through.run(&["apply", "-y", "--override-sync"]).await.code, 0);
}
