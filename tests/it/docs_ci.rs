//! The workflows of `docs/ci` run as they are written, with `gh` and `curl` replaced by scripts that keep what they get.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::cli_fleet::{Fleet, ONE};
use crate::support::process;

fn workflow(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci").join(name);
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A fleet in `fleet/` that this hub knows, with a change to plan.
async fn checkout(hint: &str) -> Fleet {
    let fleet = Fleet::new(hint, "").await;
    let folder = fleet.program.folder().to_owned();
    fleet.cluster("berlin", ONE);
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    fleet.cluster("berlin", &ONE.replace("replicas: 1", "replicas: 3"));
    fleet.cluster("paris", ONE);
    std::fs::create_dir(folder.join("fleet")).unwrap();
    for part in ["fleet.yaml", "clusters"] {
        std::fs::rename(folder.join(part), folder.join("fleet").join(part)).unwrap();
    }
    std::fs::create_dir(folder.join("bin")).unwrap();
    for tool in ["gh", "curl"] {
        let path = folder.join("bin").join(tool);
        std::fs::write(&path, "#!/bin/sh\necho \"$@\" > posted\ncp plan.md posted.md\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    fleet
}

async fn run(fleet: &Fleet, script: &str) -> String {
    let folder = fleet.program.folder();
    let program = Path::new(env!("CARGO_BIN_EXE_k0smotron-fleet")).parent().unwrap();
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args(["-e", "-c", script])
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env(
            "PATH",
            format!(
                "{}:{}:/usr/bin:/bin",
                program.display(),
                folder.join("bin").display()
            ),
        )
        .env("KUBECONFIG", fleet.servers.kubeconfig())
        .env("K0SMOTRON_FLEET_PARENT_NAMESPACE", &fleet.namespace.name)
        .env("PULL_REQUEST", "7");
    process::run(command, b"").await.success()
}

async fn is_posted_and_applied(fleet: &Fleet, plan: &[String], apply: &[String]) {
    let folder = fleet.program.folder();
    let mut said = String::new();
    for script in plan {
        said.push_str(&run(fleet, script).await);
    }
    let posted = std::fs::read_to_string(folder.join("posted.md")).unwrap();
    assert!(
        posted.starts_with("### Plan: 1 to create, 1 to change (1 safe), 0 to DELETE"),
        "{posted}"
    );
    assert_eq!(fleet.names().await, ["berlin"], "{said}");
    for script in apply {
        run(fleet, script).await;
    }
    assert_eq!(fleet.names().await, ["berlin", "paris"]);
    assert_eq!(fleet.live().await[0]["spec"]["replicas"], 3);
}

#[tokio::test]
async fn the_workflow_for_github_posts_the_plan_and_applies_it() {
    let fleet = checkout("github").await;
    let workflow = workflow("github-actions.yaml");
    let scripts = |job: &str| -> Vec<String> {
        let steps = workflow["jobs"][job]["steps"].as_array().unwrap();
        let runs = steps.iter().filter(|step| step["name"] != "Kubeconfig");
        runs.filter_map(|step| step["run"].as_str().map(str::to_owned))
            .collect()
    };
    is_posted_and_applied(&fleet, &scripts("plan"), &scripts("apply")).await;
    let posted = std::fs::read_to_string(fleet.program.folder().join("posted")).unwrap();
    assert!(posted.starts_with("pr comment 7 --body-file plan.md"), "{posted}");
}

#[tokio::test]
async fn the_job_for_gitlab_posts_the_plan_and_applies_it() {
    let fleet = checkout("gitlab").await;
    let workflow = workflow("gitlab-ci.yaml");
    let scripts = |job: &str| -> Vec<String> {
        let lines = workflow[job]["script"].as_array().unwrap();
        lines
            .iter()
            .map(|line| line.as_str().unwrap().to_owned())
            .collect()
    };
    is_posted_and_applied(&fleet, &scripts("fleet-plan"), &scripts("fleet-apply")).await;
}
