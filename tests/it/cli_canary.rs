//! No byte of a secret leaves: canaries in every place that may hold one are in no answer, no error and no plan file.

use crate::cli_fleet::Fleet;
use crate::support::proxy::Seen;
use crate::support::{Action, Output, Proxy, Rule};

const CANARY: &str = "canary-5e1f";

fn spec(replicas: u8, mark: &str) -> String {
    let canary = |place: &str| format!("{CANARY}-{place}-{mark}");
    format!(
        "spec:\n  replicas: {replicas}\n  service: {{type: ClusterIP}}\n  k0sConfig:\n    apiVersion: k0s.k0sproject.io/v1beta1\n    \
         kind: ClusterConfig\n    spec:\n      api:\n        extraArgs: {{oidc-client-secret: {}, v: '2'}}\n      extensions:\n        helm:\n          repositories: [{{name: r, url: 'https://r.example.org', username: u, password: {}}}]\n          \
         charts: [{{name: a, chartname: r/a, namespace: a, values: 'user: x\\npassword: {}\\n'}}]\n",
        canary("args"),
        canary("repository"),
        canary("values"),
    )
}

fn is_clean(what: &str, output: &Output) {
    for (name, text) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        assert!(!text.contains(CANARY), "{name} of {what}: {text}");
    }
}

#[tokio::test]
async fn canaries_in_files_and_errors_of_the_server_come_out_nowhere() {
    let fleet = Fleet::new("canary", "").await;
    fleet.cluster("berlin", &spec(1, "one"));
    let ways: [&[&str]; 8] = [
        &["plan", "--full"],
        &["plan", "-v"],
        &["plan", "-o", "json"],
        &["plan", "-o", "markdown"],
        &["plan", "-o", "github"],
        &["plan", "--children"],
        &["plan", "--children", "-o", "json"],
        &["plan", "--out", "plan.json"],
    ];
    let look = async || {
        for way in ways {
            let output = fleet.run(way).await;
            assert_eq!(output.code, 0, "{way:?}: {}", output.stderr);
            is_clean(&format!("{way:?}"), &output);
        }
        let saved = std::fs::read_to_string(fleet.program.folder().join("plan.json")).unwrap();
        assert!(!saved.contains(CANARY), "{saved}");
        for format in ["text", "json", "markdown", "github"] {
            is_clean(
                "show",
                &fleet.program.run(&["show", "plan.json", "-o", format]).await,
            );
        }
    };
    look().await;
    is_clean("validate", &fleet.program.run(&["validate", "-o", "json"]).await);
    let output = fleet.run(&["apply", "-y", "--first-apply"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    is_clean("apply", &output);
    // Every value changes, and then each is both old and new.
    fleet.cluster("berlin", &spec(3, "two"));
    look().await;

    // The server repeats what it got, and what it has.
    let quoted = format!(
        "K0smotronCluster \"berlin\" is invalid: spec: Invalid value: {{\"values\":\"user: x\\npassword: {CANARY}-values-two\\n\"}}: \
         no, and {CANARY}-args-two and {CANARY}-repository-two are weak"
    );
    let proxy = Proxy::start(fleet.servers).await;
    let through = fleet.through(&proxy);
    for (code, reason) in [
        (422, "Invalid"),
        (403, "Forbidden"),
        (409, "Conflict"),
        (500, "InternalError"),
    ] {
        proxy.clear();
        let refusal = Action::refusal(code, reason, &quoted);
        proxy.add(Rule::new(refusal).writes().path("/berlin"));
        for way in [
            &["plan"][..],
            &["plan", "-o", "json"],
            &["apply", "-y"],
            &["apply", "-y", "-o", "json"],
            &["apply", "plan.json", "--values-from", "."],
        ] {
            let what = format!("{way:?} with {code}");
            proxy.forget();
            let output = through.run(way).await;
            is_clean(&what, &output);
            let seen = proxy.seen();
            let is_refused = |request: &Seen| request.is_write() && request.uri.contains("/berlin");
            assert!(seen.iter().any(is_refused), "{what}: {seen:?}");
            assert_eq!(output.code != 0, way[0] == "apply", "{what}: {}", output.stderr);
        }
    }
    proxy.clear();
    let words = format!("etcd: cannot decode {CANARY}-stored");
    proxy.add(Rule::new(Action::refusal(500, "InternalError", &words)).path("/secrets"));
    for way in [&["plan"][..], &["snapshot", "--out", "live.json"]] {
        proxy.forget();
        let output = through.run(way).await;
        is_clean(&format!("{way:?} without Secrets"), &output);
        let seen = proxy.seen();
        assert!(
            seen.iter().any(|request| request.uri.contains("/secrets")),
            "{way:?}: {seen:?} {}",
            output.stderr
        );
    }
}
