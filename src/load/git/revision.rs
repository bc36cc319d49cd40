//! What a branch, tag or nothing at all means, among what a server says it has.

use git2::{Oid, RemoteHead};

use super::{GitError, Reference, RepositoryUrl};

const BRANCHES: &str = "refs/heads/";
const TAGS: &str = "refs/tags/";

/// A reference as the server lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advertised {
    pub name: String,
    pub id: Oid,
    /// What a symbolic one stands for, where the server says so.
    pub target: Option<String>,
}

impl From<&RemoteHead<'_>> for Advertised {
    fn from(head: &RemoteHead<'_>) -> Self {
        Self {
            name: head.name().to_owned(),
            id: head.oid(),
            target: head.symref_target().map(str::to_owned),
        }
    }
}

/// Why a revision means no commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoChoice {
    Empty,
    Nothing,
    Ambiguous,
}

impl NoChoice {
    pub fn error(self, url: &RepositoryUrl, revision: Option<&str>) -> GitError {
        let (url, revision) = (url.to_string(), revision.unwrap_or("HEAD").to_owned());
        match self {
            Self::Empty => GitError::Empty { url },
            Self::Nothing => GitError::NoRevision { url, revision },
            Self::Ambiguous => GitError::Ambiguous { url, revision },
        }
    }
}

/// Returns the commit of a whole reference name. A tag that is an object of its own is listed a second time, peeled.
pub(super) fn commit_of(heads: &[Advertised], name: &str) -> Option<Oid> {
    let peeled = format!("{name}^{{}}");
    let find = |name: &str| heads.iter().find(|head| head.name == name).map(|head| head.id);
    find(&peeled).or_else(|| find(name))
}

/// Chooses what a person meant; `None` is the head of the repository.
pub(super) fn choose(heads: &[Advertised], revision: Option<&str>) -> Result<(Reference, Oid), NoChoice> {
    if heads.is_empty() {
        return Err(NoChoice::Empty);
    }
    let Some(revision) = revision else {
        return head(heads).ok_or(NoChoice::Nothing);
    };
    let branch_name = revision.strip_prefix(BRANCHES);
    let tag_name = revision.strip_prefix(TAGS);
    let is_short = branch_name.is_none() && tag_name.is_none();
    let short = is_short.then_some(revision);
    let branch = branch_name.or(short).and_then(|name| branch(heads, name));
    let tag = tag_name.or(short).and_then(|name| {
        let id = commit_of(heads, &format!("{TAGS}{name}"))?;
        Some((Reference::Tag(name.to_owned()), id))
    });
    match (branch, tag) {
        (Some((_, one)), Some((_, other))) if one != other => Err(NoChoice::Ambiguous),
        (Some(found), _) | (None, Some(found)) => Ok(found),
        (None, None) => Err(NoChoice::Nothing),
    }
}

fn branch(heads: &[Advertised], name: &str) -> Option<(Reference, Oid)> {
    let id = commit_of(heads, &format!("{BRANCHES}{name}"))?;
    Some((Reference::Branch(name.to_owned()), id))
}

/// The branch that HEAD stands for: as the server says, else one with the same commit.
fn head(heads: &[Advertised]) -> Option<(Reference, Oid)> {
    let head = heads.iter().find(|head| head.name == "HEAD")?;
    let target = head
        .target
        .as_deref()
        .and_then(|target| target.strip_prefix(BRANCHES));
    let others = heads
        .iter()
        .filter(|other| other.id == head.id)
        .filter_map(|other| other.name.strip_prefix(BRANCHES));
    let mut names = target.into_iter().chain(others);
    names.find_map(|name| branch(heads, name).filter(|(_, id)| *id == head.id))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn id(digit: u8) -> Oid {
        Oid::from_bytes(&[digit; 20]).unwrap()
    }

    fn heads() -> Vec<Advertised> {
        let head = |name: &str, digit| Advertised {
            name: name.to_owned(),
            id: id(digit),
            target: (name == "HEAD").then(|| "refs/heads/trunk".to_owned()),
        };
        vec![
            head("HEAD", 1),
            head("refs/heads/another", 1),
            head("refs/heads/both", 2),
            head("refs/heads/same", 3),
            head("refs/heads/trunk", 1),
            head("refs/tags/both", 4),
            head("refs/tags/same", 3),
            head("refs/tags/v1", 5),
            head("refs/tags/v1^{}", 6),
        ]
    }

    #[rstest]
    #[case(None, Reference::Branch("trunk".into()), 1)]
    #[case(Some("another"), Reference::Branch("another".into()), 1)]
    #[case(Some("v1"), Reference::Tag("v1".into()), 6)]
    #[case(Some("same"), Reference::Branch("same".into()), 3)]
    #[case(Some("refs/heads/both"), Reference::Branch("both".into()), 2)]
    #[case(Some("refs/tags/both"), Reference::Tag("both".into()), 4)]
    fn a_revision_is_a_branch_or_a_tag(
        #[case] revision: Option<&str>,
        #[case] reference: Reference,
        #[case] digit: u8,
    ) {
        assert_eq!(choose(&heads(), revision), Ok((reference, id(digit))));
    }

    #[test]
    fn what_means_two_commits_or_none_is_not_guessed() {
        assert_eq!(choose(&heads(), Some("both")), Err(NoChoice::Ambiguous));
        assert_eq!(choose(&heads(), Some("gone")), Err(NoChoice::Nothing));
        assert_eq!(choose(&heads(), Some("refs/heads/v1")), Err(NoChoice::Nothing));
        assert_eq!(choose(&[], None), Err(NoChoice::Empty));
        let mut detached = heads();
        detached[0] = Advertised {
            id: id(9),
            target: None,
            ..detached[0].clone()
        };
        assert_eq!(
            choose(&detached, None),
            Err(NoChoice::Nothing),
            "HEAD is on no branch"
        );
    }

    #[test]
    fn a_server_that_does_not_say_where_its_head_is_means_a_branch_with_that_commit() {
        let mut heads = heads();
        heads[0].target = None;
        assert_eq!(
            choose(&heads, None),
            Ok((Reference::Branch("another".into()), id(1)))
        );
    }
}
