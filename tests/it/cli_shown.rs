//! Plans as they are shown: grouped, with children, as comments and annotations, and for another renderer.

use serde_json::Value;

use crate::cli::{assert_fits, program, transcript, write};
use crate::cli_fleet::Fleet;
use crate::operator::Bench;

#[tokio::test]
async fn equal_changes_are_told_once_in_every_format() {
    let fleet = Fleet::new("equal", "").await;
    let version = |version: &str| {
        format!(
            "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterDefaults\nspec: {{version: {version}, service: {{type: ClusterIP}}}}\n"
        )
    };
    fleet.write("defaults.yaml", &version("v1.35.7+k0s.0"));
    for name in ["berlin", "madrid", "paris", "rome", "tokyo"] {
        fleet.cluster(name, "spec: {replicas: 3}\n");
    }
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    fleet.write("defaults.yaml", &version("v1.35.8+k0s.0"));
    // How names are wrapped depends on the namespace.
    let plan = fleet.transcript(&["plan"]).await;
    let plan = plan.split_whitespace().collect::<Vec<_>>().join(" ");
    let block = "~ 5 clusters safe names NS/berlin, NS/madrid, NS/paris, NS/rome, NS/tokyo at defaults.yaml:3:8 \
                 spec.version v1.35.7+k0s.0 -> v1.35.8+k0s.0 Plan: 0 to create, 5 to change (5 safe), 0 to DELETE";
    assert!(plan.contains(block), "{plan}");
    let full = fleet.transcript(&["plan", "--full"]).await;
    assert_eq!(
        full.matches("v1.35.7+k0s.0 -> v1.35.8+k0s.0").count(),
        5,
        "{full}"
    );
    insta::assert_snapshot!(fleet.transcript(&["plan", "--compact"]).await, @r"
    --- stdout
    Fleet acme hub SERVER (HUB)
      operator unknown, defaults assumed
      ~ 5 clusters  safe
    Plan: 0 to create, 5 to change (5 safe), 0 to DELETE
    --- exit 0
    ");
    let markdown = fleet.run(&["plan", "-o", "markdown"]).await;
    assert!(
        markdown
            .stdout
            .replace(&fleet.namespace.name, "NS")
            .contains("5 clusters: `NS/berlin`, `NS/madrid`"),
        "{}",
        markdown.stdout
    );
    let annotations = fleet.run(&["plan", "-o", "github"]).await;
    let annotations = annotations.stdout.replace(&fleet.namespace.name, "NS");
    insta::assert_snapshot!(annotations, @r"
    ::notice file=defaults.yaml,line=3,col=8,title=change NS/berlin%2C NS/madrid%2C NS/paris%2C NS/rome%2C NS/tokyo (safe)::spec.version: v1.35.7+k0s.0 -> v1.35.8+k0s.0
    ::notice title=k0smotron-fleet plan::Plan: 0 to create, 5 to change (5 safe), 0 to DELETE
    ");
}

#[tokio::test]
async fn children_and_another_renderer_revision_are_shown_before_anything_happens() {
    let bench = Bench::new("children").await;
    let namespace = bench.namespace.name.clone();
    let _controller = bench.controller().await;
    let program = program().kubeconfig(&bench.servers.kubeconfig());
    let cluster = |name: &str, spec: &str| {
        let text = format!(
            "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {{name: {name}, namespace: {namespace}}}\n{spec}"
        );
        write(&program, &[(&format!("{name}.yaml"), &text)]);
    };
    let config = |values: &str| {
        format!(
            "spec:\n  replicas: 3\n  updatePolicy: Always\n  service: {{type: ClusterIP}}\n  k0sConfig:\n    apiVersion: k0s.k0sproject.io/v1beta1\n    \
             kind: ClusterConfig\n    spec:\n      extensions:\n        helm:\n          charts: [{{name: a, chartname: a/a, namespace: a, values: '{values}'}}]\n"
        )
    };
    cluster("berlin", &config("password: canary-one"));
    cluster("paris", "spec: {replicas: 3, service: {type: ClusterIP}}\n");
    assert_eq!(program.run(&["apply", "-y"]).await.code, 0);
    for name in ["berlin", "paris"] {
        bench.until(name, "UpToDate", "True", "UpToDate").await;
    }
    let output = program.run(&["plan", "--renderer-revision", "1000001"]).await;
    assert_fits(&output);
    insta::assert_snapshot!(transcript(&output, &[(&namespace, "NS")]), @r"
    --- stdout
    Operator at renderer revision 1000001 (now 1), files unchanged:
      ~ NS/berlin  rolling
          StatefulSets   kmc-berlin, kmc-berlin-etcd
          effect         3 pods kmc-berlin-{0..2} replaced one by one
                         etcd not restarted; kubeconfig and tokens stay valid
      ! NS/paris  held
          why            revision 1000001 is there and 1 is in use; it is taken up
                         when the pods roll for another reason
    Plan: nothing to do, 2 unchanged
    --- exit 0
    ");
    let output = program
        .run(&["plan", "--renderer-revision", "1000001", "-o", "json"])
        .await;
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        document["upgrade"]["clusters"][0]["statefulSets"],
        serde_json::json!(["kmc-berlin", "kmc-berlin-etcd"])
    );
    assert_eq!(program.run(&["plan", "--renderer-revision", "77"]).await.code, 1);

    cluster(
        "berlin",
        &config("password: canary-two").replace("replicas: 3", "replicas: 3\n  version: v1.36.1+k0s.0"),
    );
    cluster("paris", "spec: {replicas: 1, service: {type: ClusterIP}}\n");
    let output = program.run(&["plan", "--children"]).await;
    assert_fits(&output);
    let all = output.stdout.clone() + &output.stderr;
    assert!(!all.contains("canary-"), "{all}");
    assert!(
        all.contains("~ StatefulSet kmc-paris  rolling") && all.contains("spec.replicas  3 -> 1"),
        "{all}"
    );
    let output = program.run(&["plan", "--children", "-o", "json"]).await;
    assert!(!output.stdout.contains("canary-"), "{}", output.stdout);
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(document["children"][1]["object"]["name"], "paris");
}
