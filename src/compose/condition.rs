//! `where` of a ClusterSet: a condition in CEL about one row.
//!
//! **Invariant:** what a condition costs is bounded by its text and the row: a text of bounded length and depth, no
//! loop inside of a loop, and only functions whose cost is that of comparing texts. `matches` is not among them: a
//! pattern of a few characters can be compiled into megabytes.

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, ExecutionError, Program, Value};

use crate::diagnostic::quote;
use crate::parse::{Data, Node};

/// Longest text of a condition, in bytes.
const LENGTH_MAX: usize = 1024;
/// Deepest nesting of brackets and `? :`. The reader of conditions calls itself for each.
const DEPTH_MAX: usize = 12;
/// Stack for the reader of conditions. It calls itself for every operator, not only for brackets: sixty `[]` behind
/// each other overflow the 2 MiB of an ordinary thread, and an overflow ends the process. Only what is used is taken.
const STACK_BYTES: usize = 128 * 1024 * 1024;
/// Longest chain of operators, such as `a.b.c` or `a + b + c`. Evaluating calls itself for each, on the stack of
/// whoever asks. `&&` and `||` are balanced by the reader and hardly count.
const CHAIN_MAX: usize = 32;

/// A condition that can be evaluated.
pub(super) struct Condition {
    program: Program,
    /// The functions of CEL. Each row has its columns in a scope of its own below them.
    functions: Context<'static>,
}

const FUNCTIONS: [&str; 28] = [
    "_?_:_",
    "_&&_",
    "_||_",
    "!_",
    "_-_",
    "_+_",
    "_==_",
    "_!=_",
    "_>=_",
    "_<=_",
    "_>_",
    "_<_",
    "-_",
    "_[_]",
    "@in",
    "@not_strictly_false",
    "has",
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "string",
    "int",
    "double",
    "exists",
    "all",
    "filter",
    "map",
];

impl Condition {
    /// Reads a condition.
    ///
    /// *Errors*: what is wrong with it, as a sentence.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > LENGTH_MAX {
            return Err(format!("it is longer than {LENGTH_MAX} bytes"));
        }
        if depth(text) > DEPTH_MAX {
            return Err(format!("it is nested more than {DEPTH_MAX} levels deep"));
        }
        let text = text.to_owned();
        let reader = std::thread::Builder::new().stack_size(STACK_BYTES);
        let reading = reader.spawn(move || Self::compile(&text));
        let reading = reading.map_err(|error| format!("it cannot be read now: {error}"))?;
        reading
            .join()
            .unwrap_or_else(|_| Err("it cannot be read".to_owned()))
    }

    fn compile(text: &str) -> Result<Self, String> {
        let program = Program::compile(text).map_err(|errors| {
            if assigns(text) {
                return "`=` compares nothing; write `==`".to_owned();
            }
            let first = errors.errors.first();
            first.map_or_else(
                || "it is not CEL".to_owned(),
                |error| {
                    let message = error.msg.lines().next().unwrap_or_default();
                    format!("character {}: {message}", error.pos.1.max(0) + 1)
                },
            )
        })?;
        check(program.expression(), 0, 0)?;
        Ok(Self {
            program,
            functions: Context::default(),
        })
    }

    /// Evaluates the condition for a row.
    ///
    /// *Errors*: why there is no answer. That is never the same as no.
    pub fn holds(&self, row: &Node) -> Result<bool, String> {
        let mut context = self.functions.new_inner_scope();
        let mut columns = HashMap::new();
        for entry in row.entries() {
            let value = value(&entry.value);
            if is_identifier(&entry.key) {
                context.add_variable_from_value(entry.key.clone(), value.clone());
            }
            columns.insert(entry.key.clone(), value);
        }
        context.add_variable_from_value("row", Value::from(columns));
        match self.program.execute(&context) {
            Ok(Value::Bool(answer)) => Ok(answer),
            Ok(other) => Err(format!(
                "the answer is of type {}, not true or false",
                other.type_of()
            )),
            Err(ExecutionError::UndeclaredReference(name)) => {
                Err(format!("this row has no {}", quote(&name)))
            }
            Err(error) => Err(quote(&error.to_string())),
        }
    }
}

/// Says whether a lone `=` stands in a text, outside of what is in quotes.
fn assigns(text: &str) -> bool {
    let mut quote = None;
    let (mut before, mut characters) = (' ', text.chars().peekable());
    while let Some(character) = characters.next() {
        match quote {
            Some(end) if character == end => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None => {
                let is_alone = !matches!(before, '=' | '!' | '<' | '>') && characters.peek() != Some(&'=');
                if character == '=' && is_alone {
                    return true;
                }
            }
        }
        before = character;
    }
    false
}

/// How deep brackets and conditions are nested, counted generously: whatever is in quotes counts as well.
fn depth(text: &str) -> usize {
    let (mut deepest, mut open, mut others) = (0usize, 0usize, 0usize);
    let mut run = 0usize;
    for character in text.chars() {
        match character {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '?' => others += 1,
            _ => {}
        }
        run = if matches!(character, '!' | '-') {
            run + 1
        } else {
            0
        };
        deepest = deepest.max(open + others + run / 2);
    }
    deepest
}

fn check(node: &IdedExpr, loops: usize, level: usize) -> Result<(), String> {
    if level > CHAIN_MAX {
        return Err(format!("more than {CHAIN_MAX} operators hang on each other"));
    }
    let level = level + 1;
    match &node.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Ok(()),
        Expr::Call(call) => {
            if !FUNCTIONS.contains(&call.func_name.as_str()) {
                return Err(match call.func_name.as_str() {
                    "matches" => {
                        "`matches` is not available; compare with `==`, `in`, `startsWith`, `endsWith` or \
                                  `contains`"
                            .to_owned()
                    }
                    name => format!("`{name}` is not available"),
                });
            }
            call.target
                .iter()
                .try_for_each(|target| check(target, loops, level))?;
            call.args
                .iter()
                .try_for_each(|argument| check(argument, loops, level))
        }
        Expr::Comprehension(comprehension) => {
            if loops > 0 {
                return Err("it loops inside of a loop".to_owned());
            }
            check(&comprehension.iter_range, loops, level)?;
            let inner = [
                &comprehension.accu_init,
                &comprehension.loop_cond,
                &comprehension.loop_step,
                &comprehension.result,
            ];
            inner
                .into_iter()
                .try_for_each(|part| check(part, loops + 1, level))
        }
        Expr::List(list) => list
            .elements
            .iter()
            .try_for_each(|element| check(element, loops, level)),
        Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
            EntryExpr::StructField(field) => check(&field.value, loops, level),
            EntryExpr::MapEntry(entry) => {
                check(&entry.key, loops, level)?;
                check(&entry.value, loops, level)
            }
        }),
        Expr::Select(select) => check(&select.operand, loops, level),
        Expr::Struct(_) => Err("it makes an object".to_owned()),
    }
}

/// Names that CEL can read as a variable. All others are reached through `row`.
fn is_identifier(name: &str) -> bool {
    const WORDS: [&str; 5] = ["in", "true", "false", "null", "row"];
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
        && !WORDS.contains(&name)
}

fn value(node: &Node) -> Value {
    match &node.data {
        Data::Null => Value::Null,
        Data::Bool(value) => Value::Bool(*value),
        Data::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::Float(number.as_f64().unwrap_or_default()), Value::Int),
        Data::Text(text) => Value::String(Arc::new(text.clone())),
        Data::Sequence(items) => Value::List(Arc::new(items.iter().map(value).collect())),
        Data::Mapping(entries) => {
            let fields: HashMap<String, Value> = entries
                .iter()
                .map(|entry| (entry.key.clone(), value(&entry.value)))
                .collect();
            Value::from(fields)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::diagnostic::SourceTree;
    use crate::parse;

    fn row() -> Node {
        let text =
            "{site: berlin, tier: prod, size: 3, active: true, zone: null, tags: [a, b], store-id: \"0042\"}";
        let (mut documents, _) = parse::documents(&SourceTree::from_texts([("a.yaml", text)]));
        documents.remove(0).root
    }

    #[rstest]
    #[case("site = 'a'", true)]
    #[case("a == 'b' && c=d", true)]
    #[case("=", true)]
    #[case("a == b || c != d && e <= f && g >= h", false)]
    #[case("site == 'a = b' && tier == \"=\"", false)]
    #[case("", false)]
    fn a_lone_equals_sign_is_seen_outside_of_quotes(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(assigns(text), expected);
    }

    #[rstest]
    #[case("tier == 'prod'", true)]
    #[case("row.tier == 'lab'", false)]
    #[case("row['store-id'] == '0042'", true)]
    #[case("size >= 3 && active", true)]
    #[case("zone == null", true)]
    #[case("zone == 'eu'", false)]
    #[case("site in ['paris', 'berlin']", true)]
    #[case("!site.startsWith('b') || site.endsWith('x')", false)]
    #[case("tags.exists(tag, tag == 'b')", true)]
    #[case("has(row.zone) && !has(row.nothing)", true)]
    #[case("size > 2 ? true : false", true)]
    fn conditions_are_answered(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(Condition::read(text).unwrap().holds(&row()), Ok(expected));
    }

    #[rstest]
    #[case("nothing == 'x'")]
    #[case("row.nothing == 'x'")]
    #[case("site > 3")]
    #[case("size + 9223372036854775807 > 0")]
    #[case("site")]
    #[case("zone.startsWith('a')")]
    #[case("tags[7] == 'a'")]
    fn no_answer_is_never_a_no(#[case] text: &str) {
        assert!(Condition::read(text).unwrap().holds(&row()).is_err(), "{text}");
    }

    #[rstest]
    #[case("tier ==", "")]
    #[case("site.matches('(a{99}){99}')", "`matches` is not available")]
    #[case("[1].all(a, [2].all(b, a == b))", "it loops inside of a loop")]
    #[case("duration('1h') == duration('1h')", "`duration` is not available")]
    fn what_is_no_condition_or_could_cost_too_much_is_refused(#[case] text: &str, #[case] message: &str) {
        let refused = Condition::read(text).err().unwrap();
        assert!(refused.contains(message), "{refused}");
        assert!(Condition::read(&"(".repeat(20)).err().unwrap().contains("nested"));
        assert!(
            Condition::read(&"a".repeat(1025))
                .err()
                .unwrap()
                .contains("longer")
        );
    }

    #[rstest]
    #[case("[] ".repeat(341))]
    #[case("a".to_owned() + &"[0]".repeat(300))]
    #[case("a".to_owned() + &".a".repeat(500))]
    #[case("a".to_owned() + &"+a".repeat(500))]
    #[case("a".to_owned() + &"==a".repeat(340))]
    #[case("a".to_owned() + &"()".repeat(500))]
    #[case("-".repeat(1024))]
    fn a_long_chain_is_refused_and_overflows_no_stack(#[case] text: String) {
        assert!(Condition::read(&text).is_err());
    }

    #[test]
    fn many_alternatives_are_no_chain() {
        let text = (0..60)
            .map(|number| format!("size == {number}"))
            .collect::<Vec<_>>()
            .join(" || ");
        assert_eq!(Condition::read(&text).unwrap().holds(&row()), Ok(true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_text_is_read_without_panic(text in "[a-c0-9().\\[\\]'\"!=<>&|?:+\\- {},]{0,60}") {
            if let Ok(condition) = Condition::read(&text) {
                let _ = condition.holds(&row());
            }
        }
    }
}
