//! Where each value of an object was written.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::diagnostic::Span;
use crate::object::pointer;
use crate::parse::{Data, Node};

/// Where each key, and each entry of a list, was written, by JSON pointer into the object.
///
/// As small as it can be: there are as many places as values in a fleet, and hardly one is ever asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Provenance {
    /// The last steps of all pointers, escaped, one behind the other.
    steps: String,
    /// What is around a value comes before the value; the first is the object itself.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    /// Index of what is around it.
    around: usize,
    /// Where its step ends, which begins where that of the place before ends.
    end: usize,
    span: Span,
}

impl Provenance {
    /// Notes where the values of a document were written. Null is not written.
    pub(super) fn of(root: &Node, beginning: Span) -> Self {
        let mut provenance = Self {
            steps: String::new(),
            places: Vec::new(),
        };
        provenance.note(0, beginning);
        provenance.add_below(root, 0);
        provenance.steps.shrink_to_fit();
        provenance.places.shrink_to_fit();
        provenance
    }

    /// Returns where the object itself begins.
    pub fn beginning(&self) -> Option<Span> {
        self.nearest("")
    }

    /// Returns where the value at a JSON pointer was written, or the nearest value around it.
    pub fn nearest(&self, pointer: &str) -> Option<Span> {
        let mut steps = pointer.split('/');
        steps.next().filter(|before| before.is_empty())?;
        let mut at = 0;
        for step in steps {
            let is_wanted = |index: &usize| self.places[*index].around == at && self.step(*index) == step;
            match (at + 1..self.places.len()).find(is_wanted) {
                Some(below) => at = below,
                None => break,
            }
        }
        Some(self.places.get(at)?.span)
    }

    /// Returns all places, by pointer.
    pub fn by_pointer(&self) -> BTreeMap<String, Span> {
        let mut pointers: Vec<String> = Vec::with_capacity(self.places.len());
        for (index, place) in self.places.iter().enumerate() {
            let around = pointers
                .get(place.around)
                .map(|around| format!("{around}/{}", self.step(index)));
            pointers.push(around.unwrap_or_default());
        }
        let spans = self.places.iter().map(|place| place.span);
        pointers.into_iter().zip(spans).collect()
    }

    fn step(&self, index: usize) -> &str {
        let begin = index.checked_sub(1).map_or(0, |before| self.places[before].end);
        &self.steps[begin..self.places[index].end]
    }

    /// Notes the place whose step was written last, and returns its index.
    fn note(&mut self, around: usize, span: Span) -> usize {
        self.places.push(Place {
            around,
            end: self.steps.len(),
            span,
        });
        self.places.len() - 1
    }

    fn add_below(&mut self, node: &Node, around: usize) {
        match &node.data {
            Data::Mapping(entries) => {
                for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
                    self.steps.push_str(&pointer::escaped(&entry.key));
                    let (key, value) = (entry.key_span, entry.value.span);
                    let here = self.note(around, if is_put_in(key, value) { value } else { key });
                    self.add_below(&entry.value, here);
                }
            }
            Data::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    write!(self.steps, "{index}").expect("a string takes everything");
                    let here = self.note(around, item.span);
                    self.add_below(item, here);
                }
            }
            Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) => {}
        }
    }
}

/// Tells whether a value stands elsewhere than its key: in front of it or in another file. It was put in from a row, or
/// through an alias.
pub(super) fn is_put_in(key: Span, value: Span) -> bool {
    key.file != value.file || value.start < key.start
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceTree;
    use crate::parse;

    #[test]
    fn a_place_is_found_by_its_pointer_alone_and_among_all() {
        let text = "a: 1\nx/y~z: {a: [b, {a: c}], none: null}\n";
        let tree = SourceTree::from_texts([("file.yaml", text)]);
        let (documents, _) = parse::documents(&tree);
        let provenance = Provenance::of(&documents[0].root, documents[0].beginning());
        let all = provenance.by_pointer();
        let pointers: Vec<&str> = all.keys().map(String::as_str).collect();
        let escaped = "/x~1y~0z";
        let below = ["/a", "/a/0", "/a/1", "/a/1/a"].map(|end| format!("{escaped}{end}"));
        let mut expected = vec!["", "/a", escaped];
        expected.extend(below.iter().map(String::as_str));
        assert_eq!(pointers, expected);
        for (pointer, span) in &all {
            assert_eq!(provenance.nearest(pointer), Some(*span), "{pointer}");
        }
        let written = |pointer: &str| {
            provenance
                .nearest(pointer)
                .map(|span| &text[span.start..span.end])
        };
        assert_eq!(written("/a"), Some("a"));
        assert_eq!(written(&below[1]), Some("b"));
        for (absent, around) in [("/b", ""), ("/a/0", "/a"), ("/x~1y~0z/none", escaped)] {
            assert!(!all.contains_key(absent), "{absent}");
            assert_eq!(provenance.nearest(absent), all.get(around).copied(), "{absent}");
        }
        assert_eq!(written("a"), None, "no pointer");
        assert_eq!(provenance.beginning(), Some(documents[0].beginning()));
    }
}
