//! Objects without noise, and the values they have in common written once.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Shorter values cost less than a reference to them.
const WORTH_SHARING: usize = 80;
const REFERENCE: &str = "$";

/// Moves values that occur more than once into a table, and leaves their number.
pub(super) fn pack(objects: &mut [Value]) -> Vec<Value> {
    let mut counts = BTreeMap::new();
    for object in objects.iter() {
        count(object, &mut counts);
    }
    let mut shared = Table::default();
    for object in objects {
        *object = shared.replace(object, &counts, None);
    }
    shared.values
}

fn count(value: &Value, counts: &mut BTreeMap<String, usize>) {
    let text = value.to_string();
    if text.len() < WORTH_SHARING {
        return;
    }
    let seen = counts.entry(text).or_default();
    *seen += 1;
    // What is in a shared value is shared with it.
    if *seen == 1 {
        children(value).for_each(|child| count(child, counts));
    }
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Object(fields) => Box::new(fields.values()),
        Value::Array(items) => Box::new(items.iter()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Box::new(std::iter::empty()),
    }
}

#[derive(Default)]
struct Table {
    numbers: BTreeMap<String, usize>,
    values: Vec<Value>,
}

impl Table {
    fn replace(&mut self, value: &Value, counts: &BTreeMap<String, usize>, within: Option<&str>) -> Value {
        let text = value.to_string();
        let is_shared = counts.get(&text).is_some_and(|&count| count > 1) && within != Some(&text);
        if is_shared {
            let number = match self.numbers.get(&text) {
                Some(number) => *number,
                None => {
                    let packed = self.replace(value, counts, Some(&text));
                    self.values.push(packed);
                    self.numbers.insert(text, self.values.len() - 1);
                    self.values.len() - 1
                }
            };
            return json!({ REFERENCE: number });
        }
        match value {
            Value::Object(fields) => {
                let field =
                    |(name, field): (&String, &Value)| (name.clone(), self.replace(field, counts, None));
                Value::Object(fields.iter().map(field).collect::<Map<_, _>>())
            }
            Value::Array(items) => items
                .iter()
                .map(|item| self.replace(item, counts, None))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
}

/// Puts the values of the table back into their places.
pub(super) fn unpack(value: &Value, shared: &[Value]) -> Value {
    match value {
        Value::Object(fields) => match fields.get(REFERENCE).and_then(Value::as_u64) {
            Some(number) => unpack(&shared[usize::try_from(number).unwrap()], shared),
            None => {
                let field = |(name, field): (&String, &Value)| (name.clone(), unpack(field, shared));
                Value::Object(fields.iter().map(field).collect::<Map<_, _>>())
            }
        },
        Value::Array(items) => items.iter().map(|item| unpack(item, shared)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[test]
fn what_is_packed_comes_back() {
    let long = "x".repeat(WORTH_SHARING);
    let original = vec![
        json!({"a": {"b": [long, {"c": long}]}, "d": 1}),
        json!({"e": {"b": [long, {"c": long}]}, "f": [null]}),
    ];
    let mut packed = original.clone();
    let shared = pack(&mut packed);
    assert!(json!([packed, shared]).to_string().len() < json!(original).to_string().len());
    let unpacked: Vec<Value> = packed.iter().map(|object| unpack(object, &shared)).collect();
    assert_eq!(unpacked, original);
}
