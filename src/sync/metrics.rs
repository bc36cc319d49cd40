//! What syncs count. Labels are of bounded size: the name of a sync is never one.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// How one look at a source ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Ended {
    /// Commit and FleetSync are those of the last look: nothing was asked or sent.
    Unchanged,
    /// Planned, and nothing differed.
    Planned,
    Applied,
    SourceFailed,
    Failed,
    Stalled,
    Suspended,
    Panicked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PollLabels {
    pub result: Ended,
}

/// Counters and gauges; clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub polls: Family<PollLabels, Counter>,
    pub poll_seconds: Histogram,
    pub writes: Counter,
    pub write_failures: Counter,
    pub watch_errors: Counter,
    pub syncs: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            polls: Family::default(),
            // 1 ms (a local repository that did not change) to 65 s (a large fleet, applied).
            poll_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 17)),
            writes: Counter::default(),
            write_failures: Counter::default(),
            watch_errors: Counter::default(),
            syncs: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Puts everything into a registry; the names are part of the product.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "fleet_sync_polls",
            "Looks at a source, by how they ended",
            self.polls.clone(),
        );
        registry.register(
            "fleet_sync_poll_seconds",
            "Time one look took",
            self.poll_seconds.clone(),
        );
        registry.register("fleet_sync_writes", "Clusters written", self.writes.clone());
        registry.register(
            "fleet_sync_write_failures",
            "Clusters that could not be written",
            self.write_failures.clone(),
        );
        registry.register(
            "fleet_sync_watch_errors",
            "Watches that failed or could not begin",
            self.watch_errors.clone(),
        );
        registry.register("fleet_sync_syncs", "FleetSyncs known", self.syncs.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_those_that_are_documented() {
        let (metrics, mut registry) = (Metrics::default(), Registry::default());
        metrics.register(&mut registry);
        let result = Ended::SourceFailed;
        metrics.polls.get_or_create(&PollLabels { result }).inc();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "fleet_sync_polls_total{result=\"SourceFailed\"} 1",
            "fleet_sync_writes_total 0",
            "fleet_sync_syncs 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
