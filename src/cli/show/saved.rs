//! A saved plan, and what moved since.

use serde_json::{Map, Value, json};

use super::markdown::{self, Comment};
use super::text::Detail;
use super::{json, names, text};
use crate::api::fleet::Fleet;
use crate::cli::ui::{COLUMNS, WARNING, wrap};
use crate::diagnostic::visible;
use crate::fleet::{Admission, Hub};
use crate::plan::{SavedPlan, Stale};

/// Returns the plan as text, as it was shown when it was saved.
pub fn text(saved: &SavedPlan, detail: Detail) -> String {
    let (hub, fleet) = (hub(saved), saved.fleet());
    text::plan(&saved.to_plan(), &heading(saved, &hub, fleet.as_ref()), detail)
}

/// Returns the plan as a comment of a pull request.
pub fn markdown(saved: &SavedPlan) -> String {
    let (hub, fleet) = (hub(saved), saved.fleet());
    markdown::comment(&Comment {
        plan: &saved.to_plan(),
        heading: &heading(saved, &hub, fleet.as_ref()),
        admission: &Admission::default(),
        digest: Some(&saved.digest),
    })
}

fn heading<'a>(saved: &'a SavedPlan, hub: &'a Hub, fleet: Option<&'a Fleet>) -> text::Heading<'a> {
    text::Heading {
        fleet,
        revision: saved.revision.as_deref(),
        hub,
        operator: &saved.operator,
        // They were shown when the plan was made, and are judged again when it is done.
        loosened: &[],
    }
}

/// Returns the hub that it is for.
pub fn hub(saved: &SavedPlan) -> Hub {
    Hub {
        server: saved.hub.server.clone(),
        uid: saved.hub.uid.clone(),
    }
}

/// Returns the fields of the document of a plan.
pub fn document(saved: &SavedPlan) -> Map<String, Value> {
    let mut document = json::plan(&saved.to_plan());
    document.insert("fleet".to_owned(), json::fleet(saved.fleet().as_ref()));
    document.insert("hub".to_owned(), json!({ "uid": saved.hub.uid }));
    document.insert("operator".to_owned(), json!(saved.operator));
    document.insert("digest".to_owned(), json!(saved.digest));
    document.insert("tool".to_owned(), json!(saved.tool));
    document
}

/// Returns one entry for each object that moved: field, old and new value, and who wrote it.
pub fn stale(stale: &[Stale]) -> String {
    let mut out = String::new();
    let mut last = None;
    for one in stale {
        if last != Some(&one.object) {
            let name = match &one.object {
                Some(id) => names::name(id),
                None => "the hub".to_owned(),
            };
            out.push_str(&format!(
                "  {WARNING}!{WARNING:#} {name}  {WARNING}stale{WARNING:#}\n"
            ));
            last = Some(&one.object);
        }
        let by = match &one.manager {
            Some(manager) => format!(" (written by {})", visible(manager)),
            None => String::new(),
        };
        let words = format!(
            "{} {} -> {}{by}",
            one.field,
            value(one.old.as_ref()),
            value(one.new.as_ref())
        );
        out.extend(
            wrap(&words, COLUMNS - 6)
                .iter()
                .map(|line| format!("      {line}\n")),
        );
    }
    out
}

/// A value that may be a secret is kept with its digest, and only its mask is shown.
fn value(value: Option<&Value>) -> String {
    let shown = value.map(|value| value.get("shown").unwrap_or(value));
    text::value(shown)
}
