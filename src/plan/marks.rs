//! The labels and annotations by which tools know what they look after.

use crate::api::labels;
use crate::object::{Object, pointer};

/// A tool that writes Kubernetes objects and remembers which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    ArgoCd,
    Flux,
    Helm,
    RancherFleet,
}

impl Tool {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ArgoCd => "Argo CD",
            Self::Flux => "Flux",
            Self::Helm => "Helm",
            Self::RancherFleet => "Rancher Fleet",
        }
    }
}

/// One key by which a tool knows its objects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub tool: Tool,
    is_annotation: bool,
    key: &'static str,
}

impl Mark {
    const fn annotation(tool: Tool, key: &'static str) -> Self {
        Self {
            tool,
            is_annotation: true,
            key,
        }
    }

    const fn label(tool: Tool, key: &'static str) -> Self {
        Self {
            tool,
            is_annotation: false,
            key,
        }
    }

    pub(super) fn pointer(&self) -> String {
        let part = if self.is_annotation {
            "/metadata/annotations"
        } else {
            "/metadata/labels"
        };
        pointer::push(part, self.key)
    }
}

const MARKS: [Mark; 6] = [
    Mark::annotation(Tool::ArgoCd, "argocd.argoproj.io/tracking-id"),
    Mark::label(Tool::ArgoCd, "argocd.argoproj.io/instance"),
    Mark::label(Tool::Flux, "kustomize.toolkit.fluxcd.io/name"),
    Mark::label(Tool::Flux, "helm.toolkit.fluxcd.io/name"),
    Mark::annotation(Tool::Helm, "meta.helm.sh/release-name"),
    Mark::label(Tool::RancherFleet, "objectset.rio.cattle.io/hash"),
];

/// Domains of keys that say how a tool handles an object, and nothing about the object.
const DOMAINS: [&str; 9] = [
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "helm.sh/",
    "objectset.rio.cattle.io/",
    "fleet.cattle.io/",
    "kubectl.kubernetes.io/",
    "fleet.k0smotron.io/",
];

/// Says whether a label or annotation is one that a tool (fleets of this program too) writes for itself.
pub fn is_of_a_tool(key: &str, value: &str) -> bool {
    DOMAINS.iter().any(|domain| key.starts_with(domain)) || key == labels::APP_MANAGED_BY && value == "Helm"
}

/// Returns the marks that a live object carries, each with what it says.
pub(super) fn marks(live: &Object) -> impl Iterator<Item = (Mark, Option<&str>)> {
    let found = MARKS.iter().filter_map(|mark| {
        let value = if mark.is_annotation {
            live.annotation(mark.key)
        } else {
            live.label(mark.key)
        };
        Some((*mark, Some(value?)))
    });
    let is_helms = live.label(labels::APP_MANAGED_BY) == Some("Helm");
    let helms = Mark::label(Tool::Helm, labels::APP_MANAGED_BY);
    found.chain(is_helms.then_some((helms, None)))
}
