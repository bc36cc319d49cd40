//! What the operator counts. Labels are of bounded size: a cluster's name is never one.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// How a pass over one object ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Ended {
    /// Nothing differed, nothing was sent.
    Unchanged,
    Changed,
    Failed,
    Panicked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PassLabels {
    pub result: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabels {
    pub kind: &'static str,
}

/// Counters and gauges; clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub passes: Family<PassLabels, Counter>,
    pub pass_seconds: Histogram,
    pub writes: Family<KindLabels, Counter>,
    pub watch_errors: Family<KindLabels, Counter>,
    pub queue_length: Gauge,
    pub clusters: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            passes: Family::default(),
            // 1 ms (nothing to do) to 65 s (every request of a new cluster at its deadline).
            pass_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 17)),
            writes: Family::default(),
            watch_errors: Family::default(),
            queue_length: Gauge::default(),
            clusters: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Puts everything into a registry; the names are part of the product.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "fleet_operator_passes",
            "Passes over one object, by how they ended",
            self.passes.clone(),
        );
        registry.register(
            "fleet_operator_pass_seconds",
            "Time one pass took",
            self.pass_seconds.clone(),
        );
        registry.register(
            "fleet_operator_writes",
            "Writes sent, by kind of object",
            self.writes.clone(),
        );
        registry.register(
            "fleet_operator_watch_errors",
            "Watches that failed or could not begin, by kind of object",
            self.watch_errors.clone(),
        );
        registry.register(
            "fleet_operator_queue_length",
            "Objects that wait for a pass or have one",
            self.queue_length.clone(),
        );
        registry.register(
            "fleet_operator_clusters",
            "K0smotronClusters known",
            self.clusters.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_those_that_are_documented() {
        let (metrics, mut registry) = (Metrics::default(), Registry::default());
        metrics.register(&mut registry);
        metrics
            .passes
            .get_or_create(&PassLabels {
                result: Ended::Unchanged,
            })
            .inc();
        metrics
            .writes
            .get_or_create(&KindLabels { kind: "Secret" })
            .inc_by(8);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "fleet_operator_passes_total{result=\"Unchanged\"} 1",
            "fleet_operator_writes_total{kind=\"Secret\"} 8",
            "fleet_operator_queue_length 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
