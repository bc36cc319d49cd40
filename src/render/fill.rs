//! What a Secret of ours is filled with where it is written: text, and values of other Secrets between it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::storage_plan::DATA_SOURCE_KEY;
use crate::pki::TOKEN;

/// The data of a Secret, without the values that must not be known before they are written.
///
/// *Shape*: by key of the Secret. All values come from `source`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fill {
    pub source: Source,
    pub files: BTreeMap<String, Vec<Part>>,
}

/// A value in a Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    pub secret: String,
    pub key: String,
    /// The very content that is meant; another one makes it a matter of the next pass.
    pub version: SourceVersion,
}

impl Source {
    /// The text that is written on what was made of it: another value of the same Secret is another source.
    pub(super) fn written_version(&self) -> String {
        let version = match &self.version {
            SourceVersion::Object(version) | SourceVersion::Fingerprint(version) => version,
        };
        // The usual keys were not written by earlier versions, and nothing is made anew for that.
        match [DATA_SOURCE_KEY, TOKEN].contains(&self.key.as_str()) {
            true => version.clone(),
            false => format!("{version}/{}", self.key),
        }
    }
}

/// How a version of a Secret is told from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceVersion {
    /// Uid and resource version of a Secret that is not ours.
    Object(String),
    /// Fingerprint on a key of ours.
    Fingerprint(String),
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    Text(String),
    /// The value as a quoted string, of YAML and of JSON alike: any character survives.
    Quoted,
    /// The value as it is: for one that consists of letters and digits.
    Plain,
}

/// Cuts a text where `marker` stands in it.
///
/// *Shape*: without empty texts; the whole text when the marker is not there.
pub(super) fn cut(text: &str, marker: &str, hole: &Part) -> Vec<Part> {
    let mut parts = Vec::new();
    for (index, piece) in text.split(marker).enumerate() {
        if index > 0 {
            parts.push(hole.clone());
        }
        if !piece.is_empty() {
            parts.push(Part::Text(piece.to_owned()));
        }
    }
    parts
}
