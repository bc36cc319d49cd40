//! Addresses of repositories, and of a directory in one, as a person writes them.

use super::GitError;

const SSH_PORT: u16 = 22;

/// Whether repositories on the local disk may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSources {
    Refused,
    Allowed,
}

/// A repository address that was checked: https, ssh, or a local one where that is allowed, with no secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryUrl(String);

impl RepositoryUrl {
    /// Checks an address.
    ///
    /// *Errors*: [`GitError::Url`] with what to write instead.
    pub fn parse(url: &str, files: FileSources) -> Result<Self, GitError> {
        let refuse = |reason: &'static str| Err(GitError::Url { reason });
        let Some((scheme, rest)) = url.split_once("://") else {
            return refuse("it has no scheme; write `https://host/path`");
        };
        if url
            .chars()
            .any(|character| character.is_control() || character.is_whitespace())
        {
            return refuse("it contains white space or control characters");
        }
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        match scheme {
            "https" if authority.contains('@') => {
                refuse("it contains credentials, which belong elsewhere: addresses are shown and stored")
            }
            "ssh" if user.contains(':') => refuse("it contains a password; ssh is used with keys"),
            "ssh" if user.contains('@') || user.starts_with('-') || host.starts_with('-') => {
                refuse("its user or host cannot be one")
            }
            "https" | "ssh" if host.is_empty() || host.starts_with(':') => refuse("it names no host"),
            "https" | "ssh" if port(host).is_none() => refuse("its port is not a number"),
            "https" | "ssh" => Ok(Self(url.to_owned())),
            "file" => match files {
                FileSources::Allowed if rest.starts_with('/') => Ok(Self(url.to_owned())),
                FileSources::Allowed => refuse("a local repository is written `file:///absolute/path`"),
                FileSources::Refused => refuse("local repositories are only read with --allow-file-sources"),
            },
            "http" => refuse("without encryption anybody on the way can change the fleet; write `https://`"),
            _ => refuse("only https and ssh are supported"),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Name and port of the host, as known hosts are written; `None` for a local repository.
    pub(super) fn ssh_host(&self) -> Option<(&str, u16)> {
        let rest = self.0.strip_prefix("ssh://")?;
        let authority = rest.split(['/', '?', '#', '\\']).next()?;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let port = port(host)?.unwrap_or(SSH_PORT);
        let name = match host.strip_prefix('[') {
            Some(address) => address.split(']').next()?,
            None => host.split(':').next()?,
        };
        Some((name, port))
    }
}

impl std::fmt::Display for RepositoryUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Reads the port behind a host: `None` when it is not a number, `Some(None)` when there is none.
fn port(host: &str) -> Option<Option<u16>> {
    let rest = match host.strip_prefix('[') {
        Some(address) => address.split_once(']')?.1,
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    match rest.strip_prefix(':') {
        None => rest.is_empty().then_some(None),
        Some(port) => port.parse().ok().filter(|port| *port != 0).map(Some),
    }
}

/// A directory or file of a repository at a revision: `https://host/repository.git//path?ref=main`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub url: RepositoryUrl,
    /// In the repository, with `/`; empty for its root.
    pub path: String,
    /// A branch, a tag or a whole commit id; `None` for what the server calls its head.
    pub revision: Option<String>,
}

impl Address {
    /// Reads what a person wrote for PATH; `None` when it is a path of the local disk.
    ///
    /// *Errors*: [`GitError::Url`] with what to write instead.
    pub fn parse(text: &str) -> Option<Result<Self, GitError>> {
        let before_colon = text.split_once(':').map_or("", |(before, _)| before);
        if text.contains("://") {
            Some(Self::read(text))
        } else if before_colon.contains('@') && !before_colon.contains('/') {
            Some(Err(GitError::Url {
                reason: "it has no scheme; write `ssh://git@host/path`",
            }))
        } else {
            None
        }
    }

    fn read(text: &str) -> Result<Self, GitError> {
        let refuse = |reason: &'static str| Err(GitError::Url { reason });
        let (place, query) = match text.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (text, None),
        };
        let revision = match query.map(|query| query.strip_prefix("ref=")) {
            None => None,
            Some(Some(revision)) if is_revision(revision) => Some(revision.to_owned()),
            Some(Some(_)) => return refuse("what follows `ref=` is no branch, tag or commit"),
            Some(None) => return refuse("behind `?` there can only be `ref=`"),
        };
        // The two slashes of the scheme are not the ones that part the path from the repository.
        let start = place.find("://").map_or(0, |at| at + 3);
        let (url, path) = match place[start..].find("//") {
            Some(at) => (
                &place[..start + at],
                place[start + at + 2..].trim_end_matches('/'),
            ),
            None => (place, ""),
        };
        if path.split('/').any(|step| step == ".." || step == ".") || path.contains(['\\', '\0']) {
            return refuse("its path is not below the repository");
        }
        Ok(Self {
            // A person at a terminal may read what is on their own disk.
            url: RepositoryUrl::parse(url, FileSources::Allowed)?,
            path: path.to_owned(),
            revision,
        })
    }
}

/// Says whether a text can be the name of a branch or tag, or a commit id.
///
/// *Source*: git-check-ref-format(1).
fn is_revision(text: &str) -> bool {
    let is_allowed = |character: char| !character.is_control() && !" ~^:?*[\\&#".contains(character);
    !text.is_empty()
        && text.chars().all(is_allowed)
        && !text.starts_with(['-', '/', '.'])
        && !text.ends_with(['/', '.'])
        && !text.contains("..")
        && !text.contains("//")
        && !text.contains("@{")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://host/a/fleet.git", "https://host/a/fleet.git", "", None)]
    #[case("https://host:8443/fleet.git//", "https://host:8443/fleet.git", "", None)]
    #[case(
        "https://host/fleet.git//prod/eu/?ref=v1",
        "https://host/fleet.git",
        "prod/eu",
        Some("v1")
    )]
    #[case(
        "ssh://git@host:2222/fleet//a.yaml?ref=feature/x",
        "ssh://git@host:2222/fleet",
        "a.yaml",
        Some("feature/x")
    )]
    #[case("file:///srv/fleet.git//a", "file:///srv/fleet.git", "a", None)]
    #[case("https://[::1]:80/x", "https://[::1]:80/x", "", None)]
    fn an_address_is_repository_path_and_revision(
        #[case] text: &str,
        #[case] url: &str,
        #[case] path: &str,
        #[case] revision: Option<&str>,
    ) {
        let address = Address::parse(text).unwrap().unwrap();
        assert_eq!((address.url.as_str(), address.path.as_str()), (url, path));
        assert_eq!(address.revision.as_deref(), revision);
    }

    #[rstest]
    #[case("fleet")]
    #[case(".")]
    #[case("-")]
    #[case("/srv/fleet")]
    #[case("./git@host:x")]
    #[case("a:b")]
    fn paths_of_the_disk_are_no_addresses(#[case] text: &str) {
        assert!(Address::parse(text).is_none());
    }

    #[rstest]
    #[case("git@host:repo.git", "it has no scheme; write `ssh://git@host/path`")]
    #[case(
        "http://host/repo.git",
        "without encryption anybody on the way can change the fleet; write `https://`"
    )]
    #[case(
        "https://user:secret@host/repo.git",
        "it contains credentials, which belong elsewhere: addresses are shown and stored"
    )]
    #[case("https:///repo.git", "it names no host")]
    #[case("https://:80/repo.git", "it names no host")]
    #[case("https://host:x/repo.git", "its port is not a number")]
    #[case("https://host:70000/repo.git", "its port is not a number")]
    #[case("https://host/repo .git", "it contains white space or control characters")]
    #[case("https://host\n/repo.git", "it contains white space or control characters")]
    #[case("ssh://git:secret@host/x", "it contains a password; ssh is used with keys")]
    #[case("ssh://-oProxyCommand=x/y", "its user or host cannot be one")]
    #[case("ssh://git@-oProxyCommand=x/y", "its user or host cannot be one")]
    #[case("ext://sh/c", "only https and ssh are supported")]
    #[case("git://host/repo", "only https and ssh are supported")]
    #[case("file://srv/x", "a local repository is written `file:///absolute/path`")]
    #[case("https://host/repo?depth=1", "behind `?` there can only be `ref=`")]
    #[case("https://host/repo?ref=", "what follows `ref=` is no branch, tag or commit")]
    #[case("https://host/repo?ref=-x", "what follows `ref=` is no branch, tag or commit")]
    #[case(
        "https://host/repo?ref=a..b",
        "what follows `ref=` is no branch, tag or commit"
    )]
    #[case(
        "https://host/repo?ref=a&b=c",
        "what follows `ref=` is no branch, tag or commit"
    )]
    #[case("https://host/repo//../x", "its path is not below the repository")]
    #[case("https://host/repo//a\\..\\x", "its path is not below the repository")]
    fn what_cannot_be_used_is_said_without_repeating_it(#[case] text: &str, #[case] expected: &str) {
        let error = Address::parse(text).unwrap().unwrap_err();
        assert!(
            matches!(&error, GitError::Url { reason } if *reason == expected),
            "{error}"
        );
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn hosts_are_named_as_in_known_hosts() {
        let host = |url| RepositoryUrl::parse(url, FileSources::Refused).unwrap();
        assert_eq!(host("ssh://git@host/x").ssh_host(), Some(("host", 22)));
        assert_eq!(host("ssh://host:2222/x").ssh_host(), Some(("host", 2222)));
        assert_eq!(host("ssh://git@[::1]:2222/x").ssh_host(), Some(("::1", 2222)));
        assert_eq!(host("https://host/x").ssh_host(), None);
    }
}
