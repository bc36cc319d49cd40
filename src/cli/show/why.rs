//! Where the values of a field came from, for people and for programs.

use serde_json::{Value, json};

use super::json::place;
use super::{names, table, text};
use crate::compose::{Composed, Origin, Said, Why};
use crate::diagnostic::{SourceTree, Span};

/// Returns the origins of each cluster: the field with its value, and below it all that is said, the winner first.
pub fn text(clusters: &[&Composed], why: &Why, field: &str, tree: &SourceTree) -> String {
    let blocks = clusters.iter().map(|cluster| {
        let mut block = format!("{}\n", names::name(&cluster.id()));
        let origins = of(cluster, why);
        if origins.is_empty() {
            block.push_str(&format!("  {field}: (unset), no file says it\n"));
        }
        for origin in origins {
            let value = text::value(origin.value.as_ref());
            block.push_str(&format!("  {}: {value}\n", origin.field));
            let rows = origin.said.iter().enumerate();
            let rows = rows.flat_map(|(index, said)| rows_of(index, said, tree));
            let rows = table::aligned(rows);
            block.extend(rows.lines().map(|row| format!("  {row}\n")));
        }
        block
    });
    blocks.collect::<Vec<_>>().join("\n")
}

/// One row for what is said, and one for the template that puts it in.
fn rows_of(index: usize, said: &Said, tree: &SourceTree) -> impl Iterator<Item = [String; 4]> {
    let sign = if index == 0 { "  >" } else { "" };
    let value = match &said.value {
        Some(value) => text::value(Some(value)),
        None => "null: nothing is inherited".to_owned(),
    };
    let row = |sign: &str, layer: &str, place: Span, value: String| {
        [
            sign.to_owned(),
            layer.to_owned(),
            tree.position(place).to_string(),
            value,
        ]
    };
    let template = said
        .template
        .map(|template| row("", "template", template, "(refers to it)".to_owned()));
    std::iter::once(row(sign, said.layer.as_str(), said.place, value)).chain(template)
}

/// Returns the origins of each cluster by namespace and name.
pub fn document(clusters: &[&Composed], why: &Why, field: &str, tree: &SourceTree) -> Value {
    let one = |said: &Said| {
        json!({
            "layer": said.layer.as_str(),
            "place": place(said.place, tree),
            "template": said.template.map(|template| place(template, tree)),
            "value": said.value,
        })
    };
    let field_of = |origin: &Origin| {
        let said: Vec<Value> = origin.said.iter().map(one).collect();
        json!({ "field": origin.field, "value": origin.value, "said": said })
    };
    let clusters: Vec<Value> = clusters
        .iter()
        .map(|cluster| {
            let fields: Vec<Value> = of(cluster, why).iter().map(field_of).collect();
            json!({ "namespace": cluster.namespace, "name": cluster.name, "fields": fields })
        })
        .collect();
    json!({ "asked": field, "clusters": clusters })
}

fn of<'a>(cluster: &Composed, why: &'a Why) -> &'a [Origin] {
    let key = (cluster.namespace.clone(), cluster.name.clone());
    why.get(&key).map(Vec::as_slice).unwrap_or_default()
}
