//! Words of users inside of messages: shown safely, and the word they may have meant.

/// What to do where a list is wanted.
pub const WRITE_A_LIST: &str = "write a list: `[...]`, or one entry a line that begins with `- `";
/// What to do where a mapping is wanted.
pub const WRITE_FIELDS: &str = "write its fields below it, each one as `field: value`";

/// Longest piece of a user's text that a message repeats. Keeps a message on one line and out of a status object's
/// size limit.
const QUOTED_CHARS_MAX: usize = 60;

/// Returns a user's text for a message, in backticks: one line, cut, with everything invisible written as an escape.
pub fn quote(text: &str) -> String {
    let mut shown = String::from("`");
    for (count, character) in text.chars().enumerate() {
        if count == QUOTED_CHARS_MAX {
            shown.push('…');
            break;
        }
        if is_hidden(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown.push('`');
    shown
}

/// Returns a user's text with everything invisible written as an escape, and nothing else changed.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Tells whether a character would move the cursor, turn the direction of text, or not be seen.
pub(super) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns the candidate that a mistyped word most likely means, or `None` when none is near.
///
/// *Shape*: near is at most a third of the word's characters changed, swapped, missing or too many; letter case and
/// `-`, `_` count nothing. Of equally near ones the first in alphabetical order.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| -> Vec<char> {
        let word = text.chars().filter(|character| !matches!(character, '-' | '_'));
        word.flat_map(char::to_lowercase).collect()
    };
    let word = plain(word);
    // Longer words are nobody's typing mistake, and the comparison is quadratic.
    if word.is_empty() || word.len() > 64 {
        return None;
    }
    let near = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = plain(candidate);
            (other.len() <= word.len() + near).then(|| (distance(&word, &other), candidate))
        })
        // Less than all of it: words of one letter have nothing in common.
        .filter(|&(distance, _)| distance <= near && distance < word.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// Number of single-character edits (swapping two neighbours is one) between two words.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before_previous = vec![0; other.len() + 1];
    let mut previous: Vec<usize> = (0..=other.len()).collect();
    for (row, left) in one.iter().enumerate() {
        let mut current = vec![row + 1; other.len() + 1];
        for (column, right) in other.iter().enumerate() {
            let replaced = previous[column] + usize::from(left != right);
            let mut best = replaced.min(previous[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *left == other[column - 1] && one[row - 1] == *right {
                best = best.min(before_previous[column - 1] + 1);
            }
            current[column + 1] = best;
        }
        before_previous = std::mem::replace(&mut previous, current);
    }
    previous[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_finds_its_neighbour_and_a_strange_one_finds_none() {
        let fields = ["replicas", "version", "externalAddress", "ttl", "paused"];
        let of = |word| nearest(word, fields);
        assert_eq!(of("repicas"), Some("replicas"));
        assert_eq!(of("verison"), Some("version"));
        assert_eq!(of("external-address"), Some("externalAddress"));
        assert_eq!(of("Replicas"), Some("replicas"));
        assert_eq!(of("tl"), Some("ttl"));
        assert_eq!(of("nodeSelector"), None);
        assert_eq!(of(""), None);
        assert_eq!(nearest("|", [",", ";"]), None);
    }

    #[test]
    fn what_cannot_be_seen_is_shown_as_an_escape() {
        assert_eq!(quote("a\u{1b}[31m\n"), "`a\\u{1b}[31m\\u{a}`");
        assert_eq!(quote("ab\u{202e}cd"), "`ab\\u{202e}cd`");
        assert_eq!(quote(&"x".repeat(100)), format!("`{}…`", "x".repeat(60)));
    }
}
