//! Limits and rules of a [`super::FleetSyncSpec`], in the order of its fields.

use super::rules::*;

/// Returns everything the API server refuses about the spec of a FleetSync.
pub(super) fn constraints() -> Vec<Constraint> {
    let mut all = git();
    all.extend([
        duration(
            "interval",
            ">= duration('1s')",
            "not an interval; write a duration of 1s or more, for example 5m",
        ),
        duration(
            "timeout",
            ">= duration('1s')",
            "not a time limit; write a duration of 1s or more, for example 5m",
        ),
        object_name("serviceAccountName"),
        at("limits.fleetId").limit("maxLength", 253).limit("minLength", 1),
        at("limits.namespaces").limit("maxItems", 1024),
        label_name("limits.namespaces[]"),
        at("limits.maxDeletions.count").limit("minimum", 0),
        at("limits.maxDeletions.percent")
            .limit("minimum", 0)
            .limit("maximum", 100),
    ]);
    all
}

fn git() -> Vec<Constraint> {
    const REFERENCE: &str =
        "not the name of a branch or tag; write it without `refs/heads/`, spaces and `..`";
    let reference = |path| {
        at(path).limit("maxLength", 255).rule(
            "self.matches('^[A-Za-z0-9_][-A-Za-z0-9_./+@]*$') && !self.matches('[.][.]|//|@[{]|/$|[.]lock$|^refs/')",
            REFERENCE,
        )
    };
    vec![
        at("source.git.url").limit("maxLength", 2048).rule(
            "self.matches('^(https://[^/@ ]+/|ssh://([^/@: ]+@)?[^/@ ]+/|file:///)[^ ]+$')",
            "not the address of a repository; write https://host/path, ssh://git@host/path or file:///path, without \
             a password",
        ),
        at("source.git.ref").rule(
            "[has(self.branch), has(self.tag), has(self.semver), has(self.commit)].filter(is, is).size() == 1",
            "not one reference; write exactly one of branch, tag, semver and commit",
        ),
        reference("source.git.ref.branch"),
        reference("source.git.ref.tag"),
        at("source.git.ref.semver").limit("maxLength", 128).rule(
            "self.matches('^[0-9<>=~^*v]')",
            "not a range of versions; write for example `>=1.2.0 <2.0.0`",
        ),
        at("source.git.ref.commit").limit("maxLength", 64).rule(
            "self.matches('^([0-9a-f]{40}|[0-9a-f]{64})$')",
            "not a whole commit id; write all 40 hexadecimal digits",
        ),
        at("source.git.path").limit("maxLength", 1024).rule(
            "self.matches('^[^/]') && !self.matches('(^|/)[.][.](/|$)')",
            "not a path inside the repository; write it without `/` at its begin and without `..`",
        ),
        object_name("source.git.secretRef.name"),
        object_name("source.git.verify.secretRef.name"),
    ]
}
