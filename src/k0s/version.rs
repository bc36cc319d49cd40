//! k0s versions, and which may follow which.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The newest stable version known when this was written.
pub const DEFAULT_VERSION: &str = "v1.36.3+k0s.2";

/// A k0s version. Ordered by release, then by k0s build number.
///
/// Semantic versioning ignores what follows the `+`; k0s numbers its own builds there, and they do follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
    /// The number after `k0s.`.
    pub build: u32,
}

impl Version {
    /// Reads `v1.36.3+k0s.2`, `v1.36.3-k0s.2` (the form of image tags) and `v1.36.3` (which means `+k0s.0`).
    ///
    /// `None` for anything else, pre-releases among it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v')?;
        let (release, build) = match text.split_once(['+', '-']) {
            Some((release, build)) => (release, number(build.strip_prefix("k0s.")?)?),
            None => (text, 0),
        };
        let mut parts = release.split('.');
        let version = Self {
            major: number(parts.next()?)?,
            minor: number(parts.next()?)?,
            patch: number(parts.next()?)?,
            build,
        };
        parts.next().is_none().then_some(version)
    }

    /// Returns `v1.36.3-k0s.2`: a tag cannot hold a `+`.
    pub fn image_tag(&self) -> String {
        self.to_string().replace('+', "-")
    }

    /// Finds the version in an image reference with a tag; `None` without one, or when the tag is no k0s version.
    pub fn of_image(reference: &str) -> Option<Self> {
        let reference = reference.split_once('@').map_or(reference, |(before, _)| before);
        let name = reference.rsplit_once('/').map_or(reference, |(_, name)| name);
        Self::parse(name.split_once(':')?.1)
    }

    /// Returns why a control plane on this version cannot go to `wanted`; `None` when it can.
    ///
    /// Minors come one at a time and never back: the stored objects of a newer minor may not be readable by an older
    /// one. Within a minor every way is open.
    pub fn refusal(&self, wanted: &Self) -> Option<String> {
        if wanted.major != self.major {
            return Some(format!(
                "{self} runs, and {wanted} is another major version; make a new cluster"
            ));
        }
        if wanted.minor < self.minor {
            return Some(format!(
                "{self} runs, and going back to {wanted} is not possible; write v{}.{} with any patch",
                self.major, self.minor
            ));
        }
        (wanted.minor > self.minor + 1).then(|| {
            format!(
                "{self} runs, and minor versions cannot be skipped on the way to {wanted}; write v{}.{} first",
                self.major,
                self.minor + 1
            )
        })
    }
}

/// Digits only: `parse::<u32>` alone would take `+1`.
fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// `v1.36.3+k0s.2`.
impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            major,
            minor,
            patch,
            build,
        } = self;
        write!(formatter, "v{major}.{minor}.{patch}+k0s.{build}")
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format_args!("no k0s version: `{text}`")))
    }
}

/// Why the wanted version is not taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may not follow what runs.
    Skew(String),
    /// The last change has not reached all pods.
    Rolling(String),
}

/// Returns the version to render, and why it is not the wanted one.
///
/// `target` is the version last decided on, `running` the one that last reached all pods. Going back to what runs is
/// always possible; any other new target waits until the last one has been reached, so that no more than two versions
/// ever run side by side.
pub fn choose(
    wanted: Version,
    target: Option<Version>,
    running: Option<Version>,
) -> (Version, Option<Refusal>) {
    let Some(target) = target else {
        return (wanted, None);
    };
    let running = running.unwrap_or(target);
    if wanted == target || wanted == running {
        return (wanted, None);
    }
    if target != running {
        let waiting =
            format!("not all pods run {target} yet; {wanted} follows then, or go back to {running}");
        return (target, Some(Refusal::Rolling(waiting)));
    }
    match running.refusal(&wanted) {
        Some(why) => (target, Some(Refusal::Skew(why))),
        None => (wanted, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn the_three_ways_to_write_a_version_mean_the_same() {
        assert_eq!(version("v1.36.3+k0s.2"), version("v1.36.3-k0s.2"));
        assert_eq!(version("v1.36.3"), version("v1.36.3+k0s.0"));
        assert_eq!(version("v1.36.3-k0s.2").to_string(), "v1.36.3+k0s.2");
        assert_eq!(version("v1.36.3").image_tag(), "v1.36.3-k0s.0");
    }

    #[test]
    fn what_is_no_version_is_not_read_as_one() {
        for text in [
            "",
            "v",
            "1.36.3",
            "v1.36",
            "v1.36.3.4",
            "v1.36.3+k0s",
            "v1.36.3+k0s.",
            "v1.36.3+k0s.x",
            "v1.36.+3",
            "v1.37.0-alpha.1+k0s.0",
            "v1.36.3-rc.0",
            "v1.36.99999999999",
            "latest",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn builds_of_one_release_follow_each_other() {
        assert!(version("v1.36.3+k0s.10") > version("v1.36.3+k0s.9"));
        assert!(version("v1.36.10+k0s.0") > version("v1.36.9+k0s.9"));
    }

    #[test]
    fn the_version_of_an_image_is_its_tag_also_behind_a_port() {
        assert_eq!(
            Version::of_image("registry:5000/k0s:v1.36.3-k0s.2"),
            Some(version("v1.36.3+k0s.2"))
        );
        assert_eq!(
            Version::of_image("quay.io/k0sproject/k0s:v1.35.1-k0s.0@sha256:aa"),
            Some(version("v1.35.1"))
        );
        assert_eq!(Version::of_image("registry:5000/k0s"), None);
        assert_eq!(Version::of_image("k0s@sha256:aa"), None);
    }

    #[test]
    fn minors_come_one_at_a_time_and_never_back() {
        let running = version("v1.35.4+k0s.1");
        for allowed in ["v1.35.9", "v1.35.1", "v1.35.4", "v1.36.0"] {
            assert_eq!(running.refusal(&version(allowed)), None, "{allowed}");
        }
        for (refused, word) in [
            ("v1.37.1", "v1.36 first"),
            ("v1.34.9", "going back"),
            ("v2.0.0", "another major"),
        ] {
            let why = running.refusal(&version(refused)).unwrap();
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn a_new_target_waits_for_the_last_one_and_the_way_back_is_open() {
        let (old, new, next) = (version("v1.35.1"), version("v1.36.1"), version("v1.36.2"));
        assert_eq!(choose(old, Some(new), Some(old)), (old, None));
        assert!(
            matches!(choose(next, Some(new), Some(old)), (chosen, Some(Refusal::Rolling(_))) if chosen == new)
        );
        assert_eq!(choose(next, Some(new), Some(new)), (next, None));
        assert!(
            matches!(choose(old, Some(new), Some(new)), (chosen, Some(Refusal::Skew(_))) if chosen == new)
        );
        assert_eq!(choose(next, None, None), (next, None));
    }

    proptest! {
        #[test]
        fn printed_versions_read_back(major in 0u32..100, minor in 0u32..100, patch in 0u32..100, build in 0u32..100) {
            let version = Version { major, minor, patch, build };
            prop_assert_eq!(Version::parse(&version.to_string()), Some(version));
            prop_assert_eq!(Version::parse(&version.image_tag()), Some(version));
        }

        #[test]
        fn reading_a_version_never_panics(text in "\\PC*") {
            let _ = Version::parse(&text);
            let _ = Version::of_image(&text);
        }
    }
}
