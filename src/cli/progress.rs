//! What is done while it is done: a bar on a terminal, a line for each change elsewhere. On stderr.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc::UnboundedReceiver;

use super::show::{names, outcome};
use super::ui::{Ui, Verbosity};
use crate::apply::{Ending, Progress};
use crate::object::ObjectId;
use crate::plan::{Operation, Plan, Verb};

/// Shows events until the sender is gone.
pub async fn show(mut events: UnboundedReceiver<Progress>, plan: &Plan, ui: &mut Ui) {
    let operations: BTreeMap<ObjectId, &'static str> = plan
        .actions()
        .map(|action| (action.id.clone(), done_word(&action.operation)))
        .collect();
    let bar = (ui.stderr_is_terminal() && ui.verbosity() == Verbosity::Normal).then(|| bar(operations.len()));
    let mut ended: u64 = 0;
    let mut last_wait = String::new();
    let mut lines = match ui.verbosity() {
        Verbosity::Verbose => outcome::Lines::all(),
        Verbosity::Normal | Verbosity::Quiet => outcome::Lines::few(),
    };
    while let Some(event) = events.recv().await {
        let (id, ending) = match event {
            Progress::Started { .. } => continue,
            Progress::Ended { id, ending } => (id, ending),
            // Said once, however often it is looked at.
            Progress::Waiting { for_what } if for_what == last_wait => continue,
            Progress::Waiting { for_what } => {
                match &bar {
                    Some(bar) => bar.set_message(for_what.clone()),
                    None => ui.status(&for_what),
                }
                last_wait = for_what;
                continue;
            }
        };
        ended += 1;
        let done = operations.get(&id).copied().unwrap_or("done");
        if let Some(bar) = &bar {
            bar.set_position(ended);
            bar.set_message(names::name(&id));
        }
        let Some(line) = lines.of(&id, done, &ending) else {
            continue;
        };
        match (&bar, ending == Ending::Done) {
            (Some(_), true) => {}
            (Some(bar), false) => bar.suspend(|| ui.say(&line)),
            (None, true) => ui.status(&line),
            (None, false) => ui.say(&line),
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn bar(length: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// The word for an operation that was done.
pub fn done_word(operation: &Operation) -> &'static str {
    match operation.verb() {
        Verb::Create => "created",
        Verb::Change => "changed",
        Verb::Adopt => "adopted",
        Verb::Delete => "deleted",
    }
}
