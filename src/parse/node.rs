//! A value with its place, and finding places by JSON pointer.

use serde_json::{Map, Number, Value};

use crate::diagnostic::Span;
use crate::object::pointer;

/// What a document says at one place.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Sequence(Vec<Node>),
    /// Keys are unique, in the order of the file.
    Mapping(Vec<Entry>),
}

/// One value of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub data: Data,
    /// The value as written. For a value that came through an alias, the place of the anchor's value.
    pub span: Span,
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: Node,
}

/// Where a JSON pointer leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// `None` for the root and for items of a sequence.
    pub key: Option<Span>,
    pub value: Span,
}

impl Place {
    /// Returns the place to say where something was written: the key, else the value.
    pub fn name(&self) -> Span {
        self.key.unwrap_or(self.value)
    }
}

impl Entry {
    /// Makes an entry with a text that stands at one place with its key.
    pub fn text(key: &str, text: impl Into<String>, span: Span) -> Self {
        Self {
            key: key.to_owned(),
            key_span: span,
            value: Node {
                data: Data::Text(text.into()),
                span,
            },
        }
    }
}

impl Node {
    /// Makes a mapping. The keys are unique.
    pub fn mapping(entries: Vec<Entry>, span: Span) -> Self {
        Self {
            data: Data::Mapping(entries),
            span,
        }
    }

    /// Returns the entries of a mapping; none for everything else.
    pub fn entries(&self) -> &[Entry] {
        if let Data::Mapping(entries) = &self.data {
            entries
        } else {
            &[]
        }
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub fn text(&self) -> Option<&str> {
        if let Data::Text(text) = &self.data {
            Some(text)
        } else {
            None
        }
    }

    pub fn is_null(&self) -> bool {
        self.data == Data::Null
    }

    /// Returns the place of a JSON pointer, or `None` when the document has nothing there.
    pub fn place(&self, pointer: &str) -> Option<Place> {
        self.find(pointer).map(|(_, place)| place)
    }

    /// Returns the value of a JSON pointer with its place.
    pub fn find(&self, pointer: &str) -> Option<(&Self, Place)> {
        let mut node = self;
        let mut key = None;
        for step in pointer::steps(pointer) {
            match &node.data {
                Data::Mapping(entries) => {
                    let entry = entries.iter().find(|entry| entry.key == step)?;
                    (node, key) = (&entry.value, Some(entry.key_span));
                }
                Data::Sequence(items) => (node, key) = (items.get(step.parse::<usize>().ok()?)?, None),
                Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) => return None,
            }
        }
        Some((
            node,
            Place {
                key,
                value: node.span,
            },
        ))
    }

    /// Returns the place of the nearest thing on the way to a JSON pointer that is in the document.
    pub fn nearest_place(&self, pointer: &str) -> Place {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.place(pointer) {
                return place;
            }
            match pointer.rsplit_once('/') {
                Some((parent, _)) => pointer = parent,
                None => {
                    return Place {
                        key: None,
                        value: self.span,
                    };
                }
            }
        }
    }

    /// Returns the value as JSON. Keys that are null are left out: null means unset, and a null that is sent is owned.
    pub fn to_json(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.clone()),
            Data::Sequence(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Data::Mapping(entries) => {
                let set = entries.iter().filter(|entry| !entry.value.is_null());
                Value::Object(
                    set.map(|entry| (entry.key.clone(), entry.value.to_json()))
                        .collect::<Map<_, _>>(),
                )
            }
        }
    }
}
