//! Label selectors as kubectl takes them.

/// All requirements must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    /// Holds also without the label.
    NotIn(String, Vec<String>),
}

impl Selector {
    /// Says whether an object passes, given its labels by key.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let is_one_of = |key: &str, values: &[String]| {
            label(key).is_some_and(|value| values.iter().any(|wanted| wanted == value))
        };
        self.0.iter().all(|requirement| match requirement {
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
            Requirement::In(key, values) => is_one_of(key, values),
            Requirement::NotIn(key, values) => !is_one_of(key, values),
        })
    }
}

/// Reads `a=b,c==d,e!=f,g,!h,i in (x,y),j notin (z)`.
pub fn parse(text: &str) -> Result<Selector, String> {
    let requirements: Result<Vec<_>, _> = parts(text).into_iter().map(requirement).collect();
    match requirements {
        Ok(requirements) if requirements.is_empty() => Err("the selector is empty".to_owned()),
        other => other.map(Selector),
    }
}

/// Splits at commas outside of parentheses.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0usize);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

fn requirement(part: &str) -> Result<Requirement, String> {
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement::Absent(key_of(key)?));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(Requirement::NotIn(key_of(key)?, vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = part.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value).trim();
        return Ok(Requirement::In(key_of(key)?, vec![value.to_owned()]));
    }
    if let Some((head, values)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => Ok(Requirement::In(key_of(key)?, values)),
            (Some(key), Some("notin"), None) => Ok(Requirement::NotIn(key_of(key)?, values)),
            _ => Err(format!("`{part}` is not `key in (a,b)` or `key notin (a,b)`")),
        };
    }
    Ok(Requirement::Exists(key_of(part)?))
}

fn key_of(text: &str) -> Result<String, String> {
    let key = text.trim();
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if key.is_empty() || !key.chars().all(is_key) {
        return Err(format!("`{key}` is not a label key"));
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str) -> bool {
        let labels = [("tier", "prod"), ("site", "berlin")];
        let label = |key: &str| {
            labels
                .iter()
                .find(|(other, _)| *other == key)
                .map(|(_, value)| *value)
        };
        parse(selector).unwrap().matches(label)
    }

    #[test]
    fn requirements_mean_what_kubectl_means() {
        for selector in [
            "tier=prod",
            "tier==prod,site",
            "tier in (lab, prod)",
            "zone!=a",
            "!zone",
            "zone notin (a)",
        ] {
            assert!(matches(selector), "{selector}");
        }
        for selector in [
            "tier=lab",
            "tier=prod,zone",
            "tier notin (prod)",
            "!site",
            "tier!=prod",
            "zone in (a)",
        ] {
            assert!(!matches(selector), "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in ["", ",", "a b=c", "tier within (a)", "=x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
