//! What one more cluster of a fleet costs to read, counted: from text to checked objects.
//!
//! Counts are the same on every machine and under any load, which times are not. Nothing else may run in this process,
//! so there is one test.

#[path = "support/trees.rs"]
mod trees;

use std::alloc::System;

use k0smotron_fleet::compose::{self, Reading};
use k0smotron_fleet::diagnostic::SourceTree;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What a cluster may cost. A change that stays a tenth below all of them may lower them; one that needs more says why.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Cost {
    /// How often memory is asked for, growing of what is there included.
    allocations: usize,
    /// All bytes asked for, those given back included.
    bytes: usize,
    /// Bytes that the result holds.
    kept: usize,
}

type Form = (&'static str, fn(usize) -> SourceTree, Cost);

const FORMS: [Form; 2] = [
    (
        "a row of a table",
        trees::table,
        Cost {
            allocations: 450,
            bytes: 52_000,
            kept: 8_900,
        },
    ),
    (
        "a file",
        trees::files,
        Cost {
            allocations: 450,
            bytes: 69_000,
            kept: 8_900,
        },
    ),
];

#[test]
fn one_more_cluster_costs_no_more_than_it_should_however_many_there_are() {
    let mut over = Vec::new();
    for (form, tree, most) in FORMS {
        // Schemas and rules are made ready once.
        read(&tree(10));
        let [first, second, third] = [100, 200, 300].map(|count| cost(&tree(count), count));
        let (small, large) = (each(first, second), each(second, third));
        println!("{form}: {small:?}, and in a larger fleet {large:?}");
        for one in [small, large] {
            let is_over =
                one.allocations > most.allocations || one.bytes > most.bytes || one.kept > most.kept;
            if is_over {
                over.push(format!("{form}: {one:?} is more than {most:?}"));
            }
        }
    }
    assert_eq!(over, [""; 0]);
}

/// Returns the cost of one of the hundred clusters between two fleets.
fn each(smaller: Cost, larger: Cost) -> Cost {
    let part = |smaller: usize, larger: usize| larger.saturating_sub(smaller) / 100;
    Cost {
        allocations: part(smaller.allocations, larger.allocations),
        bytes: part(smaller.bytes, larger.bytes),
        kept: part(smaller.kept, larger.kept),
    }
}

fn cost(tree: &SourceTree, count: usize) -> Cost {
    let region = Region::new(ALLOCATOR);
    let reading = read(tree);
    let stats = region.change();
    assert_eq!(reading.clusters.len(), count);
    Cost {
        allocations: stats.allocations + stats.reallocations,
        bytes: stats.bytes_allocated,
        kept: stats.bytes_allocated.saturating_sub(stats.bytes_deallocated),
    }
}

fn read(tree: &SourceTree) -> Reading {
    let reading = compose::read(tree);
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
    reading
}
