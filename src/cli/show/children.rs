//! The objects that the operator makes of clusters that nobody has made yet, for people and for programs.

use serde_json::{Value, json};

use super::json::id;
use super::{names, yaml};
use crate::cli::error::CliError;
use crate::compose::Composed;
use crate::render::{Child, Imagined};

/// Returns one YAML document for each object, below one of comments for each cluster.
pub fn documents(clusters: &[(&Composed, Imagined)]) -> Result<String, CliError> {
    let mut answer = String::new();
    for (cluster, imagined) in clusters {
        let name = names::name(&cluster.id());
        answer.push_str(&format!("---\n# {name} ({})\n", cluster.source_path));
        let assumed = imagined.assumed.iter().map(|words| ("assumed", words.clone()));
        let held = imagined.held.iter();
        let held = held.map(|held| ("held", format!("{}: {}", held.what, held.message)));
        let waiting = imagined.waiting.iter();
        let waiting = waiting.map(|(id, waits)| ("not made", format!("{id}, waiting for {waits}")));
        for (word, words) in assumed.chain(held).chain(waiting) {
            answer.push_str(&format!("# {word}: {words}\n"));
        }
        for Child { object, data } in imagined.children.values() {
            let data = data.as_ref().map(|data| format!("; data is {data}"));
            let heading = format!("{name}{}", data.unwrap_or_default());
            answer.push_str(&yaml::documents([(heading.as_str(), object)].into_iter())?);
        }
    }
    Ok(answer)
}

/// Returns the objects of each cluster by namespace and name.
pub fn document(clusters: &[(&Composed, Imagined)]) -> Value {
    let child = |child: &Child| json!({ "object": child.object, "data": child.data });
    let of_cluster = |(cluster, imagined): &(&Composed, Imagined)| {
        let waiting = imagined.waiting.iter();
        let waiting = waiting.map(|(object, waits)| json!({ "object": id(object), "waitingOn": waits }));
        json!({
            "namespace": cluster.namespace,
            "name": cluster.name,
            "assumed": imagined.assumed,
            "held": imagined.held,
            "notMade": waiting.collect::<Vec<_>>(),
            "children": imagined.children.values().map(child).collect::<Vec<_>>(),
        })
    };
    json!({ "clusters": clusters.iter().map(of_cluster).collect::<Vec<_>>() })
}
