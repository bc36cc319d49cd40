//! Codes of findings as the page that lists them all.

use std::fmt::Write as _;

use crate::diagnostic::Code;
use crate::diagnostic::codes::Example;

const HEAD: &str = "# Findings\n\nEvery problem of a file has a code that never changes its meaning. `k0smotron-fleet explain CODE` \
    prints\nwhat stands here. While any file has an error, the run deletes nothing anywhere.\n";

/// Families of codes, by their first two digits.
const FAMILIES: [(&str, &str); 6] = [
    ("01", "Documents"),
    ("02", "YAML"),
    ("03", "Files"),
    ("04", "Several documents together"),
    ("05", "Sets of clusters"),
    ("06", "Conversion"),
];

/// Returns `docs/reference/findings.md`.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n| code | | what |\n|---|---|---|\n");
    for code in Code::ALL {
        let anchor = code.as_str().to_lowercase();
        let _ = writeln!(
            page,
            "| [{code}](#{anchor}) | {} | {} |",
            code.severity().as_str(),
            code.title()
        );
    }
    let mut family = "";
    for code in Code::ALL {
        let digits = &code.as_str()["FLT".len()..][..2];
        if digits != family {
            family = digits;
            let title = FAMILIES.iter().find(|(digits, _)| *digits == family);
            let _ = write!(page, "\n## {}\n", title.map_or(family, |(_, title)| title));
        }
        let _ = write!(
            page,
            "\n### {code}\n\n**{}** ({}). {}\n",
            capital(code.title()),
            code.severity().as_str(),
            code.rule()
        );
        example(&mut page, "Bad", code.bad());
        example(&mut page, "Good", code.good());
    }
    page
}

fn example(page: &mut String, heading: &str, example: Example) {
    match example {
        Example::Told(words) => {
            let _ = write!(page, "\n{heading}: {words}.\n");
        }
        Example::Files(files) => {
            for (path, text) in files {
                let _ = write!(page, "\n{heading}, `{path}`:\n\n```\n{}\n```\n", text.trim_end());
            }
        }
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}
