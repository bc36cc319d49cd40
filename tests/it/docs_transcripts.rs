//! The transcripts of `docs/transcripts`: real commands on real servers, and exactly what they answer.

use k0smotron_fleet::cli::show::table;
use serde_json::json;

use crate::cli_fleet::{Fleet, ONE};
use crate::support::generated::assert_current;
use crate::support::kubelet::Policy;

/// A page that is written while its commands run.
struct Page {
    fleet: Fleet,
    text: String,
}

impl Page {
    fn new(fleet: Fleet, title: &str) -> Self {
        Self {
            fleet,
            text: format!("# {title}\n"),
        }
    }

    fn say(&mut self, words: &str) {
        self.text.push_str(&format!("\n{words}\n"));
    }

    async fn run(&mut self, arguments: &[&str]) {
        let output = self.fleet.run(arguments).await;
        let mut shown = format!("\n    $ k0smotron-fleet {}\n", arguments.join(" "));
        for line in output.stdout.lines().chain(output.stderr.lines()) {
            shown.push_str(format!("    {line}").trim_end());
            shown.push('\n');
        }
        if output.code != 0 {
            shown.push_str(&format!("    (exit {})\n", output.code));
        }
        let uid = self.fleet.hub_uid().await;
        let digest = shown
            .split("(digest ")
            .nth(1)
            .and_then(|rest| rest.get(..12))
            .map(str::to_owned);
        for (word, replacement) in [
            (self.fleet.namespace.name.clone(), "edge"),
            (self.fleet.servers.url(), "https://edge-hub:6443"),
            (format!("{}…", &uid[..8]), "8c1e2f3a…"),
            (digest.unwrap_or_else(|| "no digest".to_owned()), "5d41402abc4b"),
        ] {
            shown = shown.replace(&word, replacement);
        }
        self.text.push_str(&aligned(&shown));
    }

    fn end(&self, name: &str) {
        assert_current(&format!("docs/transcripts/{name}.md"), &self.text);
    }
}

/// Puts the columns of a table of clusters in order again, after endpoints, which the server chose, became others.
fn aligned(shown: &str) -> String {
    let is_head = |line: &&str| line.trim_start().starts_with("NAMESPACE/NAME");
    let Some(head) = shown.lines().position(|line| is_head(&line)) else {
        return shown.to_owned();
    };
    let lines: Vec<&str> = shown.lines().collect();
    let end = lines[head..].iter().position(|line| line.is_empty());
    let end = end.map_or(lines.len(), |length| head + length);
    let rows = lines[head..end].iter().enumerate().map(|(number, line)| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        let cells = cells.map(|cell| match cell.starts_with("https://") {
            true => format!("https://192.0.2.7:{}", 30442 + number),
            false => cell.to_owned(),
        });
        <[String; 5]>::try_from(cells.collect::<Vec<_>>()).unwrap()
    });
    let table = table::aligned(rows);
    let table: Vec<String> = table.lines().map(|line| format!("    {line}")).collect();
    let before = lines[..head].iter().map(|line| (*line).to_owned());
    let after = lines[end..].iter().map(|line| (*line).to_owned());
    let all: Vec<String> = before.chain(table).chain(after).collect();
    all.join("\n") + "\n"
}

#[tokio::test]
async fn a_store_is_closed() {
    let fleet = Fleet::called("docs", "").await;
    fleet.stores(&["0001", "0002", "0042"]);
    fleet.publish(|_| {}).await;
    let mut page = Page::new(fleet, "A store is closed");
    page.say(
        "Three stores are rows of `sets/stores.csv`, and their clusters run. Store 0042 closes, and its row is taken out.\n\
         A row that is missing deletes nothing by itself:",
    );
    assert_eq!(page.fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    page.fleet.stores(&["0001", "0002"]);
    page.run(&["plan"]).await;
    page.say("It is meant, so the deletion is planned, with what it takes away, and the plan is kept:");
    page.run(&["plan", "--prune", "--out", "close-0042.json"]).await;
    page.say(
        "Somebody else reads it and applies exactly that. In the meantime a colleague changed the policy of the cluster,\n\
         so that its keys and volumes would go too. That is not what was read, and nothing is done:",
    );
    let by_hand = ["--field-manager=kubectl-edit"];
    let policy = |policy: Option<&str>| json!({"spec": {"deletionPolicy": policy}});
    let fleet = &page.fleet;
    fleet.patch("store-0042", &by_hand, policy(Some("Delete"))).await;
    page.run(&["apply", "close-0042.json"]).await;
    page.say("The policy is put back, and the same plan is done:");
    page.fleet.patch("store-0042", &by_hand, policy(None)).await;
    page.run(&["apply", "close-0042.json"]).await;
    page.end("store-closed");
}

#[tokio::test]
async fn a_rename_goes_wrong() {
    let fleet = Fleet::called(
        "docu",
        "  deletions: Omission\n  maxDeletions: {count: 1, percent: 50}\n",
    )
    .await;
    for name in ["berlin", "munich", "paris"] {
        fleet.cluster(name, ONE);
    }
    fleet.publish(|_| {}).await;
    let mut page = Page::new(fleet, "A rename goes wrong");
    page.say(
        "Three clusters run, in a fleet that deletes what leaves its files (`deletions: Omission`), one at a time. Somebody\n\
         likes the names of cities better in their own language, and renames two of them. A name is what a cluster *is*:\n\
         another name is another cluster, with other keys. The plan says so, and the budget holds both deletions:",
    );
    assert_eq!(page.fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    page.fleet.remove("munich");
    page.fleet.remove("paris");
    page.fleet.cluster("muenchen", ONE);
    page.fleet.cluster("parigi", ONE);
    page.run(&["plan"]).await;
    page.say("It was not meant. The files get their old names back, and nothing has happened:");
    for name in ["muenchen", "parigi"] {
        page.fleet.remove(name);
    }
    for name in ["munich", "paris"] {
        page.fleet.cluster(name, ONE);
    }
    page.run(&["plan"]).await;
    page.say("Moving a file is no rename: the identity of a cluster is its namespace and name, wherever it is written.");
    let folder = page.fleet.program.folder().to_owned();
    std::fs::create_dir(folder.join("south")).unwrap();
    std::fs::rename(
        folder.join("clusters/munich.yaml"),
        folder.join("south/munich.yaml"),
    )
    .unwrap();
    page.run(&["plan"]).await;
    page.say("The new path is noted on the cluster when something of it changes next.");
    page.end("rename-gone-wrong");
}

#[tokio::test]
async fn a_version_goes_out_in_waves() {
    let rollout = "  rollout:\n    canary: {selector: {matchLabels: {stage: canary}}}\n    \
                   waves: [{name: prod, selector: {matchLabels: {stage: prod}}, maxConcurrent: 2}]\n    \
                   progressDeadline: 15s\n";
    let fleet = Fleet::called("docw", rollout).await;
    let (bench, _controller) = fleet.hosted().await;
    let version = |fleet: &Fleet, version: &str| {
        let defaults = format!(
            "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterDefaults\nspec: {{replicas: 1, version: {version}}}\n"
        );
        fleet.write("defaults.yaml", &defaults);
    };
    version(&fleet, "v1.36.2+k0s.0");
    let clusters = [
        ("lab", "canary"),
        ("berlin", "prod"),
        ("paris", "prod"),
        ("rome", "prod"),
        ("vienna", "prod"),
    ];
    for (name, stage) in clusters {
        fleet.labelled(name, &format!("{{stage: {stage}}}"), "");
    }
    let mut page = Page::new(fleet, "A version goes out in waves");
    page.say(
        "Five clusters run. `fleet.yaml` has a rollout: the cluster `lab` is the canary, and two of the others may be on\n\
         their way at the same time. One line of `defaults.yaml` gives all of them another version, and the plan splits it:",
    );
    assert_eq!(page.fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    for (name, _) in clusters {
        bench.until_ready(name).await;
    }
    version(&page.fleet, "v1.36.3+k0s.2");
    page.run(&["plan"]).await;
    page.say(
        "The new pod of the canary does not become ready. After `progressDeadline` the rollout halts, and nothing else was\n\
         touched:",
    );
    bench.kubelet.set(Policy::Leave);
    page.run(&["apply", "-y", "-q"]).await;
    page.run(&["status"]).await;
    page.run(&["rollout", "status"]).await;
    page.say("The cause is found (an image that could not be pulled), and the pod comes up. Somebody lets the rollout go on:");
    bench.kubelet.set(Policy::Ready);
    bench.until_ready("lab").await;
    assert_eq!(page.fleet.run(&["rollout", "resume"]).await.code, 0);
    page.run(&["apply", "-y", "-q"]).await;
    for (name, _) in clusters {
        bench.until_ready(name).await;
    }
    page.run(&["plan"]).await;
    page.end("version-in-waves");
}
