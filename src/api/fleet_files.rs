//! The kinds of fleet files beside the Fleet itself. They are read from files only and never stored.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cluster_parts::{FreeForm, word_enum};
use super::selector::Selector;
use super::{crd, schema};

/// Many clusters of one form: each row of a generator is one.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSetSpec {
    /// Where the rows come from; all generators together.
    #[schemars(length(min = 1, max = 32))]
    pub generators: Vec<Generator>,
    /// The column that tells rows apart: every row has it, and no two rows have the same.
    pub key: String,
    /// Types of columns. Cells of a table without one are text, so that `0042` stays `0042`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, ColumnType>,
    /// A condition in CEL about `row` and its columns. Unset: all rows.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// How many clusters there must be. Outside of it, none of the set is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// The cluster, with `${column}` where a value of the row stands.
    pub template: Template,
}

/// One source of rows: exactly one of csv, list and files.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generator {
    /// A table whose first line names the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvGenerator>,
    /// Rows written here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Vec<FreeForm>>,
    /// YAML or JSON files, each document of which is a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesGenerator>,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsvGenerator {
    /// The file, relative to this one.
    pub path: String,
    /// What stands between cells. Unset: a comma.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Delimiter>,
}

word_enum!(Delimiter { Comma => ",", Semicolon => ";", Tab => "\t" });

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilesGenerator {
    /// Path relative to this file; `*` stands for any part of a name, `**` for any number of directories.
    pub path: String,
}

word_enum!(ColumnType {
    String => "string", Integer => "integer", Number => "number", Boolean => "boolean"
});

/// Bounds of a number of clusters, both inclusive.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expect {
    /// At least so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 20000))]
    pub min: Option<u32>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 20000))]
    pub max: Option<u32>,
}

/// A cluster that is not complete before references are replaced.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Template {
    /// `name`, `namespace`, `labels` and `annotations`.
    pub metadata: FreeForm,
    /// As the spec of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<FreeForm>,
}

/// A cluster by name.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// Namespace of the cluster.
    pub namespace: String,
    /// Name of the cluster.
    pub name: String,
}

/// The record that a cluster was taken out of the files on purpose.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemovedSpec {
    pub target: Target,
    /// What happens to the cluster. `Orphan` lets it run without the fleet.
    pub policy: RemovalPolicy,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

word_enum!(RemovalPolicy { Delete => "Delete", Orphan => "Orphan" });

/// The record that a cluster which somebody else made is this fleet's from now on.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdoptSpec {
    pub target: Target,
    /// Whose it was.
    pub from: AdoptFrom,
    /// What to do when the live cluster differs from the files. Unset: Fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_different: Option<IfDifferent>,
}

/// Exactly one of the two.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdoptFrom {
    /// Id of another fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<String>,
    /// Field manager that made it, for example `kubectl-client-side-apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
}

word_enum!(IfDifferent { Fail => "Fail", Overwrite => "Overwrite" });

/// Whose a cluster was, read.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum AdoptSource {
    /// Id of another fleet.
    Fleet(String),
    /// Field manager that made it.
    Manager(String),
}

impl AdoptFrom {
    /// Returns the one that is named; `None` for both and for none.
    pub fn source(self) -> Option<AdoptSource> {
        match (self.fleet, self.manager) {
            (Some(fleet), None) => Some(AdoptSource::Fleet(fleet)),
            (None, Some(manager)) => Some(AdoptSource::Manager(manager)),
            (Some(_), Some(_)) | (None, None) => None,
        }
    }
}

impl Delimiter {
    pub fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }
}

/// Returns the JSON Schema of the spec of a ClusterDefaults: that of a cluster with nothing required.
pub fn spec_part_schema() -> Value {
    schema::partial(crd::cluster_schema()["properties"]["spec"].take())
}

/// Returns the JSON Schema of the spec of a ClusterSet.
pub fn set_schema() -> Value {
    schema::of::<ClusterSetSpec>()
}

/// Returns the JSON Schema of the spec of a Removed.
pub fn removed_schema() -> Value {
    schema::of::<RemovedSpec>()
}

/// Returns the JSON Schema of the spec of an Adopt.
pub fn adopt_schema() -> Value {
    schema::of::<AdoptSpec>()
}

/// Returns the JSON Schema of a selector.
pub fn selector_schema() -> Value {
    schema::of::<Selector>()
}
