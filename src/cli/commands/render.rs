//! `render`: the clusters as they are composed from the files, where their values came from, and what is made of them.

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::args::{Selection, Source};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::show::{children, json, why, yaml};
use crate::cli::source::{self, Files, OnErrors};
use crate::cli::ui::Ui;
use crate::compose::{self, Composed, Why};
use crate::diagnostic::{nearest, quote};
use crate::object::pointer;
use crate::render::{self, Imagined, Settings};
use crate::validate;

/// Print the clusters as they are composed from the files
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    selection: Selection,
    /// Say where this field came from: every file that speaks of it, and which one won, for example `spec.version`
    #[arg(long, value_name = "FIELD", env = "K0SMOTRON_FLEET_RENDER_WHY", value_parser = field)]
    why: Option<Field>,
    /// Print the objects that the operator makes of each cluster, as if nothing of it were there yet
    #[arg(long, env = "K0SMOTRON_FLEET_RENDER_CHILDREN", conflicts_with = "why", value_parser = FalseyValueParser::new())]
    children: bool,
    /// Print the valid clusters although others have errors; the exit code is then 5
    #[arg(long, env = "K0SMOTRON_FLEET_KEEP_GOING", value_parser = FalseyValueParser::new())]
    keep_going: bool,
    /// Format of the answer
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        env = "K0SMOTRON_FLEET_RENDER_OUTPUT",
        default_value = "yaml"
    )]
    output: RenderFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RenderFormat {
    /// One document a cluster or object, for people and kubectl; with `--why`, text
    Yaml,
    /// One documented document, for programs
    Json,
}

/// A field of a cluster as it was written, and as a JSON pointer.
#[derive(Clone, Debug)]
struct Field {
    written: String,
    pointer: String,
}

fn field(text: &str) -> Result<Field, String> {
    let pointer = pointer::from_field_path(text).filter(|pointer| {
        ["spec", "metadata"].contains(&pointer::steps(pointer).next().as_deref().unwrap_or(""))
    });
    match pointer {
        Some(pointer) => Ok(Field {
            written: text.to_owned(),
            pointer,
        }),
        None => Err("write it like `spec.version` or `metadata.labels[site]`".to_owned()),
    }
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let (files, origins) = read(arguments)?;
    source::report(&files, OnErrors::of(arguments.keep_going), ui)?;
    let filter = arguments.selection.filter();
    let selected: Vec<&Composed> = files
        .reading
        .clusters
        .iter()
        .filter(|cluster| files.tree.selects(&cluster.source_path))
        .filter(|cluster| filter.matches(&cluster.id(), Some(&cluster.object)))
        .collect();
    let mut is_whole = !files.reading.findings.has_errors();
    let answer = match (&origins, arguments.children) {
        (Some((field, origins)), _) => {
            check_field(field, origins)?;
            of_why(arguments.output, &selected, origins, field, &files)
        }
        (None, true) => {
            let made = made(&selected, ui);
            is_whole &= made.len() == selected.len();
            of_children(arguments.output, &made)?
        }
        (None, false) => of_clusters(arguments.output, &selected)?,
    };
    ui.answer(&answer)?;
    Ok(if is_whole { Exit::Success } else { Exit::Partial })
}

/// Reads the files, and where the field came from that was asked for.
fn read(arguments: &Arguments) -> Result<(Files, Option<(Field, Why)>), CliError> {
    let Some(field) = &arguments.why else {
        return Ok((source::read(&arguments.source)?, None));
    };
    let tree = source::tree(&arguments.source)?;
    let (reading, why) = compose::read_with_why(&tree, &field.pointer);
    Ok((Files { tree, reading }, Some((field.clone(), why))))
}

/// Refuses a field that no cluster can have, unless something says it all the same.
fn check_field(field: &Field, why: &Why) -> Result<(), CliError> {
    let is_said = why.values().any(|origins| !origins.is_empty());
    let Err(unknown) = validate::find_field(&field.pointer) else {
        return Ok(());
    };
    if is_said {
        return Ok(());
    }
    let known = unknown.known.iter().map(String::as_str);
    let error = CliError::failed(format!("a cluster has no field {}", quote(&field.written)));
    Err(match nearest(&unknown.step, known) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("the fields there are {}", unknown.known.join(", "))),
    })
}

/// Makes each cluster where there is none, and says which the operator would not make.
fn made<'a>(clusters: &[&'a Composed], ui: &mut Ui) -> Vec<(&'a Composed, Imagined)> {
    let settings = Settings::of_another_process();
    let mut made = Vec::new();
    for cluster in clusters {
        match render::imagine(&cluster.object, &settings) {
            Ok(imagined) => made.push((*cluster, imagined)),
            Err(stalled) => ui.warning(&format!(
                "{}/{} would not be made: {}",
                cluster.namespace, cluster.name, stalled.message
            )),
        }
    }
    made
}

fn of_clusters(format: RenderFormat, clusters: &[&Composed]) -> Result<String, CliError> {
    match format {
        RenderFormat::Yaml => {
            let objects = clusters.iter();
            yaml::documents(objects.map(|cluster| (cluster.source_path.as_str(), &*cluster.object)))
        }
        RenderFormat::Json => {
            let one =
                |cluster: &&Composed| json!({ "source": cluster.source_path, "object": *cluster.object });
            let clusters: Vec<Value> = clusters.iter().map(one).collect();
            Ok(json::document("render", json!({ "clusters": clusters })))
        }
    }
}

fn of_why(
    format: RenderFormat,
    clusters: &[&Composed],
    origins: &Why,
    field: &Field,
    files: &Files,
) -> String {
    match format {
        RenderFormat::Yaml => why::text(clusters, origins, &field.written, &files.tree),
        RenderFormat::Json => json::document(
            "why",
            why::document(clusters, origins, &field.written, &files.tree),
        ),
    }
}

fn of_children(format: RenderFormat, made: &[(&Composed, Imagined)]) -> Result<String, CliError> {
    match format {
        RenderFormat::Yaml => children::documents(made),
        RenderFormat::Json => Ok(json::document("children", children::document(made))),
    }
}
