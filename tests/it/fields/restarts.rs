//! `docs/reference/restarts.md` says what was seen on running clusters.

use std::fmt::Write as _;

use super::walk::{Effect, Walked, everything};
use crate::support::generated::assert_current;

const HEAD: &str = "\
# What a change restarts

Seen on running clusters, by the test that writes this page: every field was written into the spec of a cluster that ran
without it, then changed, then removed. *Control plane* and *etcd* say whose pods are replaced; a dash says that no pod
is. Pods that are added or stopped because `replicas` or `paused` say so are not meant.

- **held**: not done, and `status.held` says why.
- **refused**: by the API server, in words.
- **stalled**: the operator applies nothing of that generation, and the condition `Stalled` has the reason.

The plan of a fleet says the same about each change before it is made; the same test compares.

| field | written | changed | removed |
|---|---|---|---|
";

fn cell(effect: &Effect) -> String {
    match effect {
        Effect::Rolls { control_plane, etcd } => match (control_plane, etcd) {
            (false, false) => "–".to_owned(),
            (true, false) => "control plane".to_owned(),
            (false, true) => "etcd".to_owned(),
            (true, true) => "control plane, etcd".to_owned(),
        },
        Effect::Held => "held".to_owned(),
        Effect::Refused => "refused".to_owned(),
        Effect::Stalled(reason) => format!("stalled: `{reason}`"),
        Effect::AtCreation => "at creation".to_owned(),
        Effect::NotTried => String::new(),
    }
}

fn page(walked: &[Walked]) -> String {
    let mut text = HEAD.to_owned();
    for field in walked {
        let cells = [&field.written, &field.changed, &field.removed].map(cell);
        let _ = writeln!(text, "| `{}` | {} |", field.row, cells.join(" | "));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_restarts_is_what_is_seen() {
    let walked = everything().await;
    if std::env::var_os("FIELD").is_some() {
        println!("{}", page(walked));
        return;
    }
    assert_current("docs/reference/restarts.md", &page(walked));
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_service_metadata_and_kubeconfig_restart_nothing() {
    const QUIET: [&str; 4] = [
        "metadata.",
        "service.labels",
        "service.annotations",
        "kubeconfig.",
    ];
    let nothing = Effect::Rolls {
        control_plane: false,
        etcd: false,
    };
    for field in everything().await {
        if QUIET.iter().any(|quiet| field.row.starts_with(quiet)) {
            let seen = [&field.written, &field.changed, &field.removed];
            assert!(
                seen.iter().all(|effect| **effect == nothing),
                "{}: {seen:?}",
                field.row
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_comes_changes_and_goes_leaves_nothing_behind() {
    let faults: Vec<String> = everything()
        .await
        .iter()
        .flat_map(|field| {
            field
                .faults
                .iter()
                .map(|fault| format!("`{}`: {fault}", field.row))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_foresees_every_restart() {
    let unforeseen: Vec<String> = everything()
        .await
        .iter()
        .flat_map(|field| field.unforeseen.clone())
        .collect();
    assert!(unforeseen.is_empty(), "{}", unforeseen.join("\n"));
}
