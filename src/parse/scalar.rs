//! What a plain (unquoted) scalar means, by the core schema of YAML 1.2, and where YAML 1.1 would disagree.
//!
//! *Source*: YAML 1.2.2 section 10.3.2; YAML 1.1 types bool, int, float; and what go-yaml, the reader of kubectl,
//! makes of them.

use serde_json::Number;

/// The meaning of a plain scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    Text,
    /// Text here, a boolean or a base-60 number in YAML 1.1. Holds what the other reader makes of it.
    AmbiguousWord(&'static str),
    /// A number that two readers give different values.
    AmbiguousNumber(AmbiguousNumber),
    /// A number that neither 64 bits nor a 64-bit float hold.
    OutOfRange,
    /// `.inf`, `.nan`.
    NotJson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AmbiguousNumber {
    /// `0755`: octal in YAML 1.1.
    LeadingZero,
    /// `1_000`: underscores are ignored in YAML 1.1.
    Underscore,
    /// `0o17`, `0b11`: known to one of the two only.
    Prefix,
}

/// Reads a number that every reader reads alike.
pub fn number(text: &str) -> Option<Number> {
    match plain(text) {
        Scalar::Number(number) => Some(number),
        Scalar::Null
        | Scalar::Bool(_)
        | Scalar::Text
        | Scalar::AmbiguousWord(_)
        | Scalar::AmbiguousNumber(_)
        | Scalar::OutOfRange
        | Scalar::NotJson => None,
    }
}

/// Reads a plain scalar. Never fails.
pub(super) fn plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Scalar::AmbiguousWord("true"),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Scalar::AmbiguousWord("false"),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let bytes = unsigned.as_bytes();
    if !bytes
        .first()
        .is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.')
    {
        return Scalar::Text;
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Scalar::NotJson;
    }
    if let Some(digits) = unsigned.strip_prefix("0x") {
        return hexadecimal(text, unsigned, digits);
    }
    for (prefix, alphabet) in [("0o", "01234567_"), ("0b", "01_")] {
        if let Some(digits) = unsigned.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|digit| alphabet.contains(digit))
        {
            return Scalar::AmbiguousNumber(AmbiguousNumber::Prefix);
        }
    }
    if is_base_60(unsigned) {
        return Scalar::AmbiguousWord("a number to the base 60");
    }
    if unsigned.contains('_') {
        let is_number = bytes[0].is_ascii_digit() && is_decimal(&unsigned.replace('_', ""));
        return if is_number {
            Scalar::AmbiguousNumber(AmbiguousNumber::Underscore)
        } else {
            Scalar::Text
        };
    }
    if bytes.len() > 1 && bytes[0] == b'0' && bytes.iter().all(u8::is_ascii_digit) {
        return Scalar::AmbiguousNumber(AmbiguousNumber::LeadingZero);
    }
    if bytes.iter().all(u8::is_ascii_digit) {
        integer(text)
    } else {
        decimal(text, unsigned)
    }
}

fn integer(text: &str) -> Scalar {
    // i64 and not u64: Kubernetes integers are signed.
    text.strip_prefix('+')
        .unwrap_or(text)
        .parse::<i64>()
        .map_or(Scalar::OutOfRange, |value| Scalar::Number(value.into()))
}

fn hexadecimal(text: &str, unsigned: &str, digits: &str) -> Scalar {
    if digits.contains('_')
        && digits
            .chars()
            .all(|digit| digit.is_ascii_hexdigit() || digit == '_')
    {
        return Scalar::AmbiguousNumber(AmbiguousNumber::Underscore);
    }
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return Scalar::Text;
    }
    if unsigned.len() != text.len() {
        // The core schema of 1.2 has no sign in front of 0x; 1.1 has.
        return Scalar::AmbiguousNumber(AmbiguousNumber::Prefix);
    }
    i64::from_str_radix(digits, 16).map_or(Scalar::OutOfRange, |value| Scalar::Number(value.into()))
}

fn decimal(text: &str, unsigned: &str) -> Scalar {
    if !is_decimal(unsigned) {
        return Scalar::Text;
    }
    let value = text
        .strip_prefix('+')
        .unwrap_or(text)
        .parse::<f64>()
        .ok()
        .and_then(Number::from_f64);
    value.map_or(Scalar::OutOfRange, Scalar::Number)
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        ),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digit = !whole.is_empty() || !fraction.is_empty();
    has_digit
        && digits(whole)
        && digits(fraction)
        && exponent.is_none_or(|text| !text.is_empty() && digits(text))
}

/// `[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`
fn is_base_60(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let is_first = first.starts_with(|digit: char| ('1'..='9').contains(&digit))
        && first.chars().all(|digit| digit.is_ascii_digit() || digit == '_');
    let mut count = 0;
    let is_rest = parts.all(|part| {
        count += 1;
        part.len() <= 2 && part.parse::<u8>().is_ok_and(|value| value < 60) && !part.starts_with('+')
    });
    is_first
        && is_rest
        && count > 0
        && fraction
            .chars()
            .all(|digit| digit.is_ascii_digit() || digit == '_')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn number(json: &str) -> Scalar {
        Scalar::Number(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn words_and_numbers_of_the_core_schema_are_read() {
        assert_eq!(plain("~"), Scalar::Null);
        assert_eq!(plain("True"), Scalar::Bool(true));
        assert_eq!(plain("-12"), number("-12"));
        assert_eq!(plain("+12"), number("12"));
        assert_eq!(plain("0"), number("0"));
        assert_eq!(plain("0x1F"), number("31"));
        assert_eq!(plain("1.30"), number("1.3"));
        assert_eq!(plain("1e3"), number("1000.0"));
        assert_eq!(plain(".5"), number("0.5"));
        assert_eq!(plain("9223372036854775807"), number("9223372036854775807"));
    }

    #[rstest]
    fn what_only_looks_like_a_number_is_text(
        #[values(
            "v1.36.3",
            "1.36.3",
            "12a",
            "0xZZ",
            "-",
            ".",
            "+",
            "1e",
            "2026-11-26",
            "10.0.0.1",
            "::1",
            "500m",
            "1:2:x",
            "_1",
            "e5",
            "tRUE"
        )]
        text: &str,
    ) {
        assert_eq!(plain(text), Scalar::Text);
    }

    #[rstest]
    fn words_that_kubectl_reads_as_something_else_are_ambiguous(
        #[values("no", "yes", "on", "Off", "y", "N", "12:30", "12:30:45", "1:30.5")] text: &str,
    ) {
        assert!(matches!(plain(text), Scalar::AmbiguousWord(_)), "{text}");
    }

    #[rstest]
    #[case("0755", AmbiguousNumber::LeadingZero)]
    #[case("-0899", AmbiguousNumber::LeadingZero)]
    #[case("00", AmbiguousNumber::LeadingZero)]
    #[case("1_000", AmbiguousNumber::Underscore)]
    #[case("1_000.5", AmbiguousNumber::Underscore)]
    #[case("0x1_0", AmbiguousNumber::Underscore)]
    #[case("0o17", AmbiguousNumber::Prefix)]
    #[case("0b11", AmbiguousNumber::Prefix)]
    fn numbers_that_two_readers_read_differently_are_ambiguous(
        #[case] text: &str,
        #[case] why: AmbiguousNumber,
    ) {
        assert_eq!(plain(text), Scalar::AmbiguousNumber(why));
    }

    #[rstest]
    #[case("9223372036854775808", Scalar::OutOfRange)]
    #[case("123456789012345678901234567890", Scalar::OutOfRange)]
    #[case("1e999", Scalar::OutOfRange)]
    #[case("0xFFFFFFFFFFFFFFFF", Scalar::OutOfRange)]
    #[case("-.inf", Scalar::NotJson)]
    #[case(".nan", Scalar::NotJson)]
    fn numbers_that_json_cannot_hold_are_refused(#[case] text: &str, #[case] expected: Scalar) {
        assert_eq!(plain(text), expected);
    }
}
