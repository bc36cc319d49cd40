//! How far a rollout has come, as `rollout` and `status` tell it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{json, names, table};
use crate::api::fleet::Fleet;
use crate::object::ObjectId;
use crate::plan::rollout::{Changed, Phase, Rollout, State};

/// One wave: how many are done, on their way, and failed.
pub type Counts = (usize, usize, usize);

/// Returns the waves that have begun, in order.
pub fn waves(fleet: &Fleet, state: &State) -> Vec<(String, Counts)> {
    let mut counted: BTreeMap<&str, Counts> = BTreeMap::new();
    for (wave, done) in &state.done {
        counted.entry(wave).or_default().0 += done;
    }
    let changed: Vec<_> = state.changed().collect();
    for (_, one) in &changed {
        let counts = counted.entry(&one.wave).or_default();
        match one.failed {
            None => counts.1 += 1,
            Some(_) => counts.2 += 1,
        }
    }
    let rollout = Rollout::of(&fleet.spec);
    let order: Vec<&str> = rollout.iter().flat_map(Rollout::waves).collect();
    let place = |wave: &str| order.iter().position(|name| *name == wave);
    let mut waves: Vec<(String, Counts)> = counted
        .into_iter()
        .map(|(wave, counts)| (wave.to_owned(), counts))
        .collect();
    // A wave that the files do not have any more comes first: it began earlier.
    waves.sort_by_key(|(wave, _)| place(wave));
    waves
}

/// Returns the word for what goes on.
pub fn phase(state: &State) -> &'static str {
    match state.phase {
        Phase::Running if state.is_over() => "nothing on its way",
        phase => phase.as_str(),
    }
}

/// Returns how far it has come as JSON. `add` tells more of a cluster that was changed and is not done.
pub fn document(fleet: &Fleet, state: &State, add: impl Fn(&ObjectId, &mut Value)) -> Value {
    let wave = |(name, (done, on_their_way, failed)): (String, Counts)| json!({ "name": name, "done": done, "onTheirWay": on_their_way, "failed": failed });
    let waves: Vec<Value> = waves(fleet, state).into_iter().map(wave).collect();
    let cluster = |(id, one): (ObjectId, &Changed)| {
        let mut cluster =
            json!({ "object": json::id(&id), "wave": one.wave, "changedAt": one.at, "failed": one.failed });
        add(&id, &mut cluster);
        cluster
    };
    let clusters: Vec<Value> = state.changed().map(cluster).collect();
    json!({
        "phase": state.phase.as_str(),
        "why": state.why,
        "revision": state.revision,
        "waves": waves,
        "clusters": clusters,
    })
}

/// Returns the part of a status that tells of a rollout; empty when nothing is on its way or stopped.
///
/// `is_shown` chooses the clusters.
pub fn section(state: &State, is_shown: impl Fn(&ObjectId) -> bool) -> String {
    if state.is_over() {
        return String::new();
    }
    let mut words = format!("\nRollout: {} (`rollout status` tells more)\n", phase(state));
    if let Some(why) = &state.why {
        words.push_str(&table::indented(why, 6));
    }
    for (id, one) in state.changed().filter(|(id, _)| is_shown(id)) {
        let (symbol, state) = match &one.failed {
            Some(_) => ('!', "failed"),
            None => ('~', "on its way"),
        };
        words.push_str(&format!(
            "  {symbol} {}  wave {}, {state}\n",
            names::name(&id),
            one.wave
        ));
        if let Some(why) = &one.failed {
            words.push_str(&table::indented(why, 6));
        }
    }
    words
}
