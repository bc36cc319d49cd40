//! The fields that k0s knows, as a tree.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What k0s knows about one place of its configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    pub shape: Shape,
    /// First minor release of k0s 1 that knows it.
    pub since: Option<u32>,
    pub is_required: bool,
    pub is_filled: bool,
    pub one_of: Vec<&'static str>,
    pub minimum: Option<i64>,
    pub maximum: Option<i64>,
    /// Most characters.
    pub longest: Option<usize>,
}

#[derive(Clone, Debug, Default)]
pub(super) enum Shape {
    #[default]
    Any,
    Text,
    Number,
    Truth,
    TextOrNumber,
    Texts,
    /// Text by key.
    Words,
    Mapping(BTreeMap<&'static str, Field>),
    /// Of mappings.
    List(BTreeMap<&'static str, Field>),
}

/// The fields of `spec`.
pub(super) static SPEC: LazyLock<BTreeMap<&'static str, Field>> =
    LazyLock::new(|| read(include_str!("fields.txt")).expect("the table is ours, and a test reads it"));

/// Reads the table. `Err` names the line that cannot be read.
fn read(table: &'static str) -> Result<BTreeMap<&'static str, Field>, &'static str> {
    let mut root = BTreeMap::new();
    for line in table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let mut words = line.split(' ');
        let (Some(path), Some(kind)) = (words.next(), words.next()) else {
            return Err(line);
        };
        let mut field = Field {
            shape: shape(kind).ok_or(line)?,
            ..Field::default()
        };
        for word in words {
            demand(&mut field, word).ok_or(line)?;
        }
        let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
        let mut siblings = &mut root;
        for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
            let parent: &mut Field = siblings.get_mut(parent.trim_end_matches("[]")).ok_or(line)?;
            siblings = match &mut parent.shape {
                Shape::Mapping(fields) | Shape::List(fields) => fields,
                Shape::Any
                | Shape::Text
                | Shape::Number
                | Shape::Truth
                | Shape::TextOrNumber
                | Shape::Texts
                | Shape::Words => return Err(line),
            };
        }
        if siblings.insert(name, field).is_some() {
            return Err(line);
        }
    }
    Ok(root)
}

fn shape(kind: &str) -> Option<Shape> {
    let text = || Field {
        shape: Shape::Text,
        ..Field::default()
    };
    let required = |shape| Field {
        shape,
        is_required: true,
        ..Field::default()
    };
    Some(match kind {
        "any" => Shape::Any,
        "text" => Shape::Text,
        "number" => Shape::Number,
        "truth" => Shape::Truth,
        "text-or-number" => Shape::TextOrNumber,
        "texts" => Shape::Texts,
        "words" => Shape::Words,
        "mapping" => Shape::Mapping(BTreeMap::new()),
        "list" => Shape::List(BTreeMap::new()),
        "image" => Shape::Mapping(BTreeMap::from([("image", text()), ("version", text())])),
        "patches" => {
            let patch = BTreeMap::from([
                ("content", required(Shape::Text)),
                (
                    "type",
                    Field {
                        one_of: vec!["JSON", "StrategicMergePatch", "MergePatch"],
                        ..required(Shape::Text)
                    },
                ),
            ]);
            let target = BTreeMap::from([
                ("kind", required(Shape::Text)),
                ("name", required(Shape::Text)),
                ("namespace", text()),
            ]);
            Shape::List(BTreeMap::from([
                ("patch", required(Shape::Mapping(patch))),
                ("target", required(Shape::Mapping(target))),
            ]))
        }
        _ => return None,
    })
}

fn demand(field: &mut Field, word: &'static str) -> Option<()> {
    match word.split_once('=') {
        None if word == "required" => field.is_required = true,
        None if word == "filled" => field.is_filled = true,
        Some(("min", number)) => field.minimum = Some(number.parse().ok()?),
        Some(("max", number)) => field.maximum = Some(number.parse().ok()?),
        Some(("longest", number)) => field.longest = Some(number.parse().ok()?),
        Some(("since", version)) => field.since = Some(version.strip_prefix("1.")?.parse().ok()?),
        Some(("one-of", words)) => field.one_of = words.split('|').collect(),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_and_its_parents_come_first() {
        assert_eq!(read(include_str!("fields.txt")).err(), None);
        assert!(matches!(SPEC["api"].shape, Shape::Mapping(ref fields) if fields.len() == 9));
    }

    #[test]
    fn a_line_that_means_nothing_is_named() {
        for wrong in ["api.port number", "api", "api strange", "api text mni=1"] {
            assert_eq!(read(wrong).err(), Some(wrong));
        }
    }
}
