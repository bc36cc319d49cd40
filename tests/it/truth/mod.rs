//! What a plan says a change does to running control planes is what the change does.
//!
//! Clusters of every shape go through random changes, several fields at once, on real servers: each is planned, applied
//! as planned, and left to the operator until nothing is to be done any more. The pods that were made anew, added and
//! taken away are those that the plan named; what it calls safe disturbs none; data and keys go exactly where it says
//! `data-loss`. `TRUTH_CHANGES` says how many changes (`make test-truth`: 320), `TRUTH_SEED` which ones.

mod chain;
mod changes;
mod member;
mod quiet;
mod seen;

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;

use crate::fields::world::World;
use crate::operator::Bench;
use crate::support::audit::Mark;
use crate::support::kubelet::Policy;
use crate::support::{Options, Servers};
use chain::{Chain, Told};

/// As many as two cores keep busy.
const AT_ONCE: usize = 12;
/// Refused statuses of one StatefulSet: going in circles it has ten a second.
const REFUSED_MAX: usize = 10;

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plan_says_a_change_does_is_what_it_does() {
    let (seed, count) = (number("TRUTH_SEED", 6), number("TRUTH_CHANGES", 40));
    println!("{count} changes of seed {seed}");
    let servers = Servers::start(Options::default()).await;
    let world = World::new(Bench::on(&servers, "truth", Policy::Ready).await).await;
    let shapes = changes::shapes();
    let each = usize::try_from(count).unwrap().div_ceil(shapes.len());
    let chains = shapes.into_iter().enumerate().map(|(number, shape)| {
        let chain = Chain::new(&world, number, shape, seed);
        chain.walk(each)
    });
    let told: Vec<Vec<Told>> = futures::stream::iter(chains)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let told: Vec<Told> = told.into_iter().flatten().collect();
    let missed: BTreeSet<&str> = told
        .iter()
        .filter(|told| !told.misses.is_empty())
        .map(|told| told.cluster.as_str())
        .collect();
    // Of many ways one needs to read only those that went wrong.
    for one in &told {
        if missed.is_empty() || missed.contains(one.cluster.as_str()) {
            println!("{one}");
        }
    }
    println!("{} changes, {} clusters with misses", told.len(), missed.len());
    assert!(missed.is_empty(), "seed {seed}: {missed:?}");
    // The StatefulSet controller counts wrongly when a change comes while pods roll: one status is refused. Many are how
    // it shows that it makes and deletes the same pod over and over.
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    for event in servers.audit.read(Mark::BEGINNING) {
        if event.resource == "statefulsets" && event.code == 422 {
            *refused.entry(event.summary()).or_default() += 1;
        }
    }
    refused.retain(|_, count| *count > REFUSED_MAX);
    assert!(refused.is_empty(), "seed {seed}: {refused:?}");
}
