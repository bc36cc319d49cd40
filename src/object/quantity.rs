//! Quantities as Kubernetes writes them: `1000m` is `1`, `1Gi` is `1073741824`.

use serde_json::Value;

/// Returns a quantity in billionths, rounded up as the API server does; `None` when it is none or does not fit.
///
/// *Source*: `k8s.io/apimachinery/pkg/api/resource`: a decimal number, then a decimal or binary suffix or an exponent.
pub fn billionths(quantity: &Value) -> Option<i128> {
    match quantity {
        Value::String(text) => parse(text),
        Value::Number(number) => parse(&number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn parse(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(digits.len());
    let (number, suffix) = digits.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (base, exponent) = scale(suffix)?;
    // mantissa * 10^(9 - fraction digits) * base^exponent, exact until the one division.
    let mut numerator = mantissa;
    let mut denominator: i128 = 1;
    let mut multiply = |base: i128, exponent: i32| -> Option<()> {
        let power = base.checked_pow(exponent.unsigned_abs())?;
        let side = if exponent < 0 {
            &mut denominator
        } else {
            &mut numerator
        };
        *side = side.checked_mul(power)?;
        Some(())
    };
    multiply(10, 9 - i32::try_from(fraction.len()).ok()?)?;
    multiply(base, exponent)?;
    let rounds_up = numerator % denominator != 0;
    Some(sign * (numerator / denominator + i128::from(rounds_up)))
}

fn scale(suffix: &str) -> Option<(i128, i32)> {
    Some(match suffix {
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "" => (10, 0),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (2, 10),
        "Mi" => (2, 20),
        "Gi" => (2, 30),
        "Ti" => (2, 40),
        "Pi" => (2, 50),
        "Ei" => (2, 60),
        exponent => {
            let exponent: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            (-30..=30).contains(&exponent).then_some((10, exponent))?
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_that_mean_the_same_are_the_same() {
        for (one, other) in [
            (json!("1000m"), json!("1")),
            (json!("1Gi"), json!("1073741824")),
            (json!("1024Mi"), json!("1Gi")),
            (json!(2), json!("2")),
            (json!("0.5"), json!("500m")),
            (json!("1e3"), json!("1k")),
            (json!("1E"), json!("1e18")),
            (json!("+1"), json!("1.0")),
            (json!("0.0000000001"), json!("1n")),
        ] {
            assert!(billionths(&one).is_some(), "{one}");
            assert_eq!(billionths(&one), billionths(&other), "{one} {other}");
        }
        assert_ne!(billionths(&json!("1G")), billionths(&json!("1Gi")));
        assert_eq!(billionths(&json!("-1")), Some(-1_000_000_000));
    }

    #[test]
    fn what_is_no_quantity_has_no_value() {
        let long = "9".repeat(60);
        for text in [
            "",
            "Gi",
            "1.2.3",
            "1Xi",
            "--1",
            "1 Gi",
            "1e99",
            ".",
            long.as_str(),
            "1mm",
        ] {
            assert_eq!(billionths(&json!(text)), None, "{text}");
        }
        assert_eq!(billionths(&json!(true)), None);
    }
}
