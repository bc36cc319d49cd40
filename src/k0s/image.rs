//! References of images.

use super::Version;

pub const DEFAULT_IMAGE: &str = "quay.io/k0sproject/k0s";

/// Returns the reference of the k0s image.
///
/// *Shape*: `repository` is without tag, and may have a registry with a port; a digest in it wins over the version.
/// `prefix` stands in for the registry of the default image only.
pub fn reference(repository: Option<&str>, prefix: Option<&str>, version: Version) -> String {
    let repository = match repository {
        Some(repository) => repository.to_owned(),
        None => with_repository(DEFAULT_IMAGE, prefix),
    };
    if repository.contains('@') {
        repository
    } else {
        format!("{repository}:{}", version.image_tag())
    }
}

/// Puts `prefix` where the registry of a default image stands: `quay.io/a/b:c` becomes `<prefix>/a/b:c`.
pub fn with_repository(image: &str, prefix: Option<&str>) -> String {
    match (prefix, image.split_once('/')) {
        (Some(prefix), Some((_, path))) => format!("{}/{path}", prefix.trim_end_matches('/')),
        (Some(prefix), None) => format!("{}/{image}", prefix.trim_end_matches('/')),
        (None, _) => image.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(repository: Option<&str>, prefix: Option<&str>) -> String {
        reference(repository, prefix, Version::parse("v1.29.4").unwrap())
    }

    #[test]
    fn the_tag_is_the_version_with_its_build() {
        assert_eq!(of(None, None), "quay.io/k0sproject/k0s:v1.29.4-k0s.0");
        assert_eq!(
            of(Some("registry:5000/k0s"), None),
            "registry:5000/k0s:v1.29.4-k0s.0"
        );
    }

    #[test]
    fn a_digest_wins_over_the_version() {
        assert_eq!(
            of(Some("registry:5000/k0s@sha256:ab"), None),
            "registry:5000/k0s@sha256:ab"
        );
    }

    #[test]
    fn the_prefix_is_for_default_images_only() {
        assert_eq!(
            of(None, Some("mirror:5000/quay/")),
            "mirror:5000/quay/k0sproject/k0s:v1.29.4-k0s.0"
        );
        assert_eq!(of(Some("own/k0s"), Some("mirror")), "own/k0s:v1.29.4-k0s.0");
        assert_eq!(with_repository("etcd:v3", Some("mirror")), "mirror/etcd:v3");
    }
}
