//! What is to be done about one key or certificate.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{Issue, KeyFacts};

/// The decision about one Secret.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a dozen live at a time, and most are of the large kind at first"
)]
pub enum KeyDecision {
    /// It is not there, or must be made anew (never a root): make it.
    Make {
        issue: Issue,
        /// Digest to be written on it.
        content_digest: String,
        why: String,
    },
    /// It is there and right.
    Right { ownership: Ownership },
    /// It is the user's own, in a Secret of the user's: nothing is made, changed or taken.
    Given,
    /// Nothing yet. The text follows "waiting for".
    Wait(String),
    /// Something of that name is there and is not for us to touch.
    Refused { reason: KeyRefusal, message: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefusal {
    /// Made by somebody else.
    Foreign,
    /// Made by us for another cluster of this name, and nothing says that this one is its successor.
    Leftover,
}

impl KeyDecision {
    /// Says whether the Secret will be there once the plan is done.
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Make { .. } | Self::Right { .. } | Self::Given => true,
            Self::Wait(_) | Self::Refused { .. } => false,
        }
    }
}

/// For whom a Secret was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    Ours,
    /// For the cluster object that the pins name and that this one succeeds: its label and owner are rewritten.
    Predecessor,
}

/// What a key should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// `Err` says what is waited for.
    pub issue: Result<Issue, String>,
    pub content_digest: String,
    /// How long before its end it is made anew; `None` for roots, which never are.
    pub renew_before: Option<SignedDuration>,
}

/// Decides about the Secret called `name`.
///
/// *Shape*: `known_uids` are those of the cluster and, after it, of the one that the pins name. A root that exists is
/// never made anew, whatever its annotations say.
pub fn decide(
    name: &str,
    wanted: Wanted,
    found: Option<&KeyFacts>,
    known_uids: &[String],
    now: Timestamp,
) -> KeyDecision {
    let make = |wanted: Wanted, why: &str| match wanted.issue {
        Ok(issue) => KeyDecision::Make {
            issue,
            content_digest: wanted.content_digest,
            why: why.to_owned(),
        },
        Err(waiting_on) => KeyDecision::Wait(waiting_on),
    };
    let Some(found) = found else {
        return make(wanted, "it is not there");
    };
    let ownership = match ownership(name, found, known_uids) {
        Ok(ownership) => ownership,
        Err((reason, message)) => return KeyDecision::Refused { reason, message },
    };
    let Some(renew_before) = wanted.renew_before else {
        return KeyDecision::Right { ownership };
    };
    match reason_to_renew(&wanted, found, renew_before, now) {
        Some(why) => make(wanted, why),
        None => KeyDecision::Right { ownership },
    }
}

/// Says for whom a Secret of ours was made. `Err` when it is not this cluster's to use, with a sentence for people.
pub fn ownership(
    name: &str,
    found: &KeyFacts,
    known_uids: &[String],
) -> Result<Ownership, (KeyRefusal, String)> {
    let Some(uid) = &found.cluster_uid else {
        return Err((
            KeyRefusal::Foreign,
            format!("Secret `{name}` exists and was not made for this cluster; rename or remove it"),
        ));
    };
    match known_uids.iter().position(|known| known == uid) {
        Some(0) if !found.is_retained => Ok(Ownership::Ours),
        Some(_) => Ok(Ownership::Predecessor),
        None => Err((
            KeyRefusal::Leftover,
            format!(
                "Secret `{name}` is left over from another cluster of this name (uid {uid}); remove it if its data is \
                 not needed, or restore the Secrets that belong to it"
            ),
        )),
    }
}

fn reason_to_renew(
    wanted: &Wanted,
    found: &KeyFacts,
    renew_before: SignedDuration,
    now: Timestamp,
) -> Option<&'static str> {
    if found.content_digest.as_ref() != Some(&wanted.content_digest) {
        return Some("it was made for other names or another address");
    }
    let issuer = wanted.issue.as_ref().ok()?.issuer()?;
    if found.issuer != issuer.fingerprint {
        return Some("another CA signed it");
    }
    let end: Option<Timestamp> = found.not_after.as_ref().and_then(|text| text.parse().ok());
    match end {
        None => Some("its end is not known"),
        Some(end) if end.duration_since(now) <= renew_before => Some("it ends soon"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::cluster_parts::KeyAlgorithm;
    use crate::pki::{Issuer, KeyPurpose, root};

    const NOW: &str = "2030-01-01T00:00:00Z";

    fn leaf() -> Wanted {
        Wanted {
            issue: Ok(Issue::Kubeconfig {
                issuer: Issuer {
                    secret: "edge-ca".into(),
                    fingerprint: Some("ca-1".into()),
                },
                cluster: "edge-k0s".into(),
                server: "https://edge.example:6443".into(),
                user: "edge-admin".into(),
                group: "system:masters".into(),
                algorithm: KeyAlgorithm::EcdsaP256,
                lifetime_seconds: 3600,
            }),
            content_digest: "digest-1".into(),
            renew_before: Some(SignedDuration::from_hours(24)),
        }
    }

    fn good() -> KeyFacts {
        KeyFacts {
            uid: "secret-uid".into(),
            cluster_uid: Some("uid-2".into()),
            issuer: Some("ca-1".into()),
            content_digest: Some("digest-1".into()),
            not_after: Some("2030-01-03T00:00:00Z".into()),
            ..KeyFacts::default()
        }
    }

    fn decision(wanted: Wanted, found: Option<KeyFacts>) -> KeyDecision {
        let known = ["uid-2".to_owned(), "uid-1".to_owned()];
        decide(
            "edge-kubeconfig",
            wanted,
            found.as_ref(),
            &known,
            NOW.parse().unwrap(),
        )
    }

    fn authority() -> Wanted {
        Wanted {
            issue: Ok(root(KeyPurpose::Ca, KeyAlgorithm::EcdsaP256).unwrap()),
            content_digest: "digest-ca".into(),
            renew_before: None,
        }
    }

    #[test]
    fn what_is_missing_is_made() {
        assert!(matches!(decision(leaf(), None), KeyDecision::Make { .. }));
        assert!(matches!(decision(authority(), None), KeyDecision::Make { .. }));
    }

    #[test]
    fn a_right_one_is_left_alone() {
        let right = KeyDecision::Right {
            ownership: Ownership::Ours,
        };
        assert_eq!(decision(leaf(), Some(good())), right);
    }

    #[test]
    fn other_content_another_ca_or_a_near_end_make_a_leaf_anew() {
        let changes: [fn(&mut KeyFacts); 5] = [
            |found| found.content_digest = Some("digest-0".into()),
            |found| found.content_digest = None,
            |found| found.issuer = Some("ca-0".into()),
            |found| found.not_after = Some("2030-01-01T23:59:59Z".into()),
            |found| found.not_after = Some("soon".into()),
        ];
        for change in changes {
            let mut found = good();
            change(&mut found);
            assert!(
                matches!(decision(leaf(), Some(found.clone())), KeyDecision::Make { .. }),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_root_that_exists_is_never_made_anew() {
        let bare = KeyFacts {
            uid: "secret-uid".into(),
            cluster_uid: Some("uid-2".into()),
            not_after: Some("2000-01-01T00:00:00Z".into()),
            ..KeyFacts::default()
        };
        assert!(matches!(
            decision(authority(), Some(bare)),
            KeyDecision::Right { .. }
        ));
    }

    #[test]
    fn the_keys_of_the_predecessor_are_taken_over_and_those_of_others_are_not() {
        let of = |uid: Option<&str>| KeyFacts {
            cluster_uid: uid.map(str::to_owned),
            ..good()
        };
        assert_eq!(
            decision(leaf(), Some(of(Some("uid-1")))),
            KeyDecision::Right {
                ownership: Ownership::Predecessor
            }
        );
        for (uid, expected) in [(None, KeyRefusal::Foreign), (Some("uid-0"), KeyRefusal::Leftover)] {
            for wanted in [leaf(), authority()] {
                let KeyDecision::Refused { reason, message } = decision(wanted, Some(of(uid))) else {
                    panic!("{uid:?} is not refused")
                };
                assert_eq!(reason, expected);
                assert!(message.contains("`edge-kubeconfig`"), "{message}");
            }
        }
    }

    #[test]
    fn nothing_is_made_while_something_is_waited_for() {
        let waiting = Wanted {
            issue: Err("an address".into()),
            ..leaf()
        };
        assert_eq!(
            decision(waiting.clone(), None),
            KeyDecision::Wait("an address".into())
        );
        assert!(!decision(waiting, None).is_settled());
    }
}
