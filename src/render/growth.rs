//! Volumes that are to be larger: one claim after the other, then the template they were made from.

use super::facts::{ClaimFacts, Facts, VolumeFacts};
use super::resolved::Growth;
use crate::api::cluster_status::HeldStatus;
use crate::object::quantity;
use serde_json::Value;

pub(super) const DEFAULT_SIZE: &str = "1Gi";

/// The claims that one StatefulSet makes from one template.
pub(super) struct Claims<'a> {
    pub facts: &'a Facts,
    pub stateful_set: &'a str,
    pub template: &'a str,
    /// Path in the spec of what decides about them.
    pub field: &'a str,
}

/// What the template is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub size: String,
    pub storage_class: Option<String>,
}

impl Claims<'_> {
    /// Decides about size and class, and adds to `held` what is not done or waited for, and to `growth` the one claim
    /// that is to grow now.
    ///
    /// *Shape*: the size in effect stays until every claim has the new one. Nothing is touched that cannot be finished:
    /// smaller, another class, and classes that do not expand are refused first.
    pub fn decide(
        &self,
        size: Option<String>,
        storage_class: Option<String>,
        held: &mut Vec<HeldStatus>,
        growth: &mut Growth,
    ) -> Size {
        let Some(live) = self.live() else {
            return Size {
                size: size.unwrap_or_else(|| DEFAULT_SIZE.to_owned()),
                storage_class,
            };
        };
        let mut hold = |what: &str, reason: &str, message: String| {
            held.push(HeldStatus {
                what: format!("{}.{what}", self.field),
                reason: reason.to_owned(),
                message,
            });
        };
        let live_size = live.size.unwrap_or_else(|| DEFAULT_SIZE.to_owned());
        if storage_class.is_some() && storage_class != live.storage_class {
            let class = live.storage_class.as_deref().unwrap_or("the default class");
            hold(
                "storageClass",
                "NotPossible",
                format!("the volumes are of {class}; a volume cannot change its class"),
            );
        }
        let mut decided = Size {
            size: live_size.clone(),
            storage_class: live.storage_class,
        };
        let Some(wanted) = size.filter(|size| !is_same_quantity(size, &live_size)) else {
            return decided;
        };
        if is_less(&wanted, &live_size) {
            let message = format!("the volumes have {live_size}; a volume cannot shrink");
            hold("size", "NotPossible", message);
            return decided;
        }
        match self.next(&wanted) {
            Next::Refused(message) => hold("size", "NotPossible", message),
            Next::Wait(message) => hold("size", "Waiting", message),
            Next::Grow(claim) => {
                hold(
                    "size",
                    "Waiting",
                    format!("PersistentVolumeClaim `{claim}` is to grow to {wanted}"),
                );
                growth.claims.insert(claim, wanted);
            }
            Next::Ask(classes) => {
                let names = classes.join("`, `");
                hold(
                    "size",
                    "Waiting",
                    format!("to know whether volumes of StorageClass `{names}` can grow"),
                );
                growth.ask.extend(classes);
            }
            Next::Done => decided.size = wanted,
        }
        decided
    }

    /// What the template says; when the StatefulSet is not there at the moment, what the claims say.
    fn live(&self) -> Option<ClaimFacts> {
        let template = self
            .facts
            .stateful_sets
            .get(self.stateful_set)
            .and_then(|pods| pods.claims.get(self.template).cloned());
        let of_claims = || {
            let (_, largest) = self
                .volumes()
                .into_iter()
                .max_by_key(|(_, volume)| volume.requested.as_deref().and_then(amount))?;
            Some(ClaimFacts {
                size: Some(largest.requested.clone()?),
                storage_class: largest.storage_class.clone(),
            })
        };
        match self.facts.stateful_sets.contains_key(self.stateful_set) {
            true => template,
            false => of_claims(),
        }
    }

    /// Claims in the order of their pods.
    fn volumes(&self) -> Vec<(&String, &VolumeFacts)> {
        let prefix = format!("{}-{}-", self.template, self.stateful_set);
        let mut volumes: Vec<(u16, &String, &VolumeFacts)> = self
            .facts
            .volumes
            .iter()
            .filter_map(|(name, volume)| Some((name.strip_prefix(&prefix)?.parse().ok()?, name, volume)))
            .collect();
        volumes.sort_by_key(|(ordinal, _, _)| *ordinal);
        volumes
            .into_iter()
            .map(|(_, name, volume)| (name, volume))
            .collect()
    }

    fn next(&self, wanted: &str) -> Next {
        let volumes = self.volumes();
        let is_behind = |volume: &VolumeFacts| {
            !has(volume.requested.as_deref(), wanted) || !has(volume.capacity.as_deref(), wanted)
        };
        let mut unknown = Vec::new();
        for (name, volume) in volumes.iter().filter(|(_, volume)| is_behind(volume)) {
            let Some(class) = &volume.storage_class else {
                return Next::Refused(format!(
                    "PersistentVolumeClaim `{name}` has no StorageClass, so nothing grows it"
                ));
            };
            match self.facts.storage_classes.get(class) {
                Some(true) => {}
                Some(false) => {
                    return Next::Refused(format!(
                        "StorageClass `{class}` does not allow volumes to grow (allowVolumeExpansion is not true)"
                    ));
                }
                None => unknown.push(class.clone()),
            }
        }
        if !unknown.is_empty() {
            unknown.sort();
            unknown.dedup();
            return Next::Ask(unknown);
        }
        // Until this one has its size, no other is touched: a driver that stops pods must not stop all of them.
        match volumes.iter().find(|(_, volume)| is_behind(volume)) {
            None => Next::Done,
            Some((name, volume)) if !volume.is_bound => Next::Wait(format!(
                "PersistentVolumeClaim `{name}` is not bound to a volume yet"
            )),
            Some((name, volume)) if has(volume.requested.as_deref(), wanted) => Next::Wait(format!(
                "PersistentVolumeClaim `{name}` has not grown to {wanted} yet"
            )),
            Some((name, _)) => Next::Grow((*name).clone()),
        }
    }
}

enum Next {
    Refused(String),
    Wait(String),
    Ask(Vec<String>),
    /// Name of the claim.
    Grow(String),
    Done,
}

fn amount(text: &str) -> Option<i128> {
    quantity::billionths(&Value::String(text.to_owned()))
}

/// `1024Mi` is `1Gi`: the API server keeps what was written first.
fn is_same_quantity(one: &str, other: &str) -> bool {
    one == other || (amount(one).is_some() && amount(one) == amount(other))
}

fn is_less(one: &str, other: &str) -> bool {
    matches!((amount(one), amount(other)), (Some(one), Some(other)) if one < other)
}

fn has(size: Option<&str>, wanted: &str) -> bool {
    size.is_some_and(|size| !is_less(size, wanted))
}
