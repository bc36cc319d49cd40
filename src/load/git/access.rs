//! What is shown to a server that asks who we are, and how we know who the server is.
//!
//! **Invariant:** no program is started (no credential helper, no `GIT_ASKPASS`, no `core.sshCommand`): what they are
//! called is configuration, and configuration can come with a repository. Credentials go to the named host only.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use git2::{CertificateCheckStatus, Cred, ErrorClass, ErrorCode, RemoteCallbacks};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::GitError;
use super::address::RepositoryUrl;
use super::known_hosts::{KnownHosts, Verdict};

/// User of a server over ssh that is named without one, and of a token that is given without one. Servers that take
/// tokens look at the token alone.
const USER: &str = "git";

/// A password or token. Never printed.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Reads a token as it stands in a file or variable, without the white space around it; `None` for nothing.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(Zeroizing::new(text.to_owned())))
    }
}

/// Says nothing about the token.
impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token")
    }
}

/// Whether keys of an ssh agent are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Agent {
    #[default]
    Unused,
    Asked,
}

/// All that may be shown and is known. The default is nothing: only public repositories can then be read.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// For https.
    pub token: Option<Token>,
    /// User that the token belongs to; `git` when unset.
    pub user: Option<String>,
    /// Private key for ssh, without passphrase.
    pub ssh_key: Option<PathBuf>,
    pub agent: Agent,
    pub known_hosts: KnownHosts,
}

/// Why a server was not talked to any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    #[error("the server asks who is there, and no token was given")]
    NoToken,
    #[error("the server refuses the token")]
    TokenRefused,
    #[error("the server asks for an ssh key, and neither a file nor an agent was given")]
    NoKey,
    #[error("the server refuses every ssh key that was offered")]
    KeysRefused,
    #[error("the server asks for credentials of a kind that is not supported")]
    Unsupported,
    #[error("the host `{host}` is not known; it shows the key {fingerprint}")]
    UnknownHost { host: String, fingerprint: String },
    #[error("the host `{host}` is known with a key of another kind; it shows the key {fingerprint}")]
    OtherKind { host: String, fingerprint: String },
    #[error("the host `{host}` shows another key than the known one: {fingerprint}")]
    ChangedHost { host: String, fingerprint: String },
    #[error("the host `{host}` shows a key that was revoked: {fingerprint}")]
    RevokedKey { host: String, fingerprint: String },
}

impl AccessError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoToken => {
                "set K0SMOTRON_FLEET_GIT_TOKEN, or K0SMOTRON_FLEET_GIT_TOKEN_FILE to a file that holds the token"
            }
            Self::TokenRefused => {
                "is the token valid for this repository? some servers want K0SMOTRON_FLEET_GIT_USERNAME too"
            }
            Self::NoKey => "add a key to the ssh agent, or set K0SMOTRON_FLEET_GIT_SSH_KEY to its file",
            Self::KeysRefused => {
                "is the public key known to the server, and does it give access to this repository?"
            }
            Self::Unsupported => "over https give a token, over ssh a key",
            Self::UnknownHost { .. } | Self::OtherKind { .. } => {
                "compare the key with what the host's owner publishes, then add it: `ssh-keyscan HOST >> ~/.ssh/known_hosts`"
            }
            Self::ChangedHost { .. } | Self::RevokedKey { .. } => {
                "somebody may be between you and the host; ask its owner before you change ~/.ssh/known_hosts"
            }
        }
    }
}

/// What was refused while talking, since the library has no word for it.
#[derive(Clone, Default)]
pub(super) struct Refused(Rc<RefCell<Option<AccessError>>>);

impl Refused {
    /// Returns what was refused as the error of talking to an address; `other` when nothing was.
    pub fn or(&self, url: &RepositoryUrl, other: GitError) -> GitError {
        match self.0.borrow_mut().take() {
            Some(source) => GitError::Access {
                url: url.to_string(),
                source,
            },
            None => other,
        }
    }

    fn set(&self, error: AccessError, code: ErrorCode) -> git2::Error {
        let text = error.to_string();
        *self.0.borrow_mut() = Some(error);
        git2::Error::new(code, ErrorClass::Callback, text)
    }
}

/// What is offered to a server over ssh, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    KeyFile,
    Agent,
}

impl Access {
    /// Returns callbacks for one connection, and where they say why they refused.
    pub(super) fn callbacks<'a>(&'a self, url: &'a RepositoryUrl) -> (RemoteCallbacks<'a>, Refused) {
        let refused = Refused::default();
        let mut callbacks = RemoteCallbacks::new();
        let said = refused.clone();
        let mut is_token_used = false;
        let mut offers: Vec<Offer> = self.offers().into_iter().rev().collect();
        let has_offers = !offers.is_empty();
        callbacks.credentials(move |asking, user, kinds| {
            let auth = |error| said.set(error, ErrorCode::Auth);
            if kinds.is_user_pass_plaintext() && asking.starts_with("https://") {
                let Some(token) = &self.token else {
                    return Err(auth(AccessError::NoToken));
                };
                // Asked again: the first answer was wrong, and would be for ever.
                if std::mem::replace(&mut is_token_used, true) {
                    return Err(auth(AccessError::TokenRefused));
                }
                return Cred::userpass_plaintext(self.user.as_deref().unwrap_or(USER), &token.0);
            }
            let user = user.unwrap_or(USER);
            if kinds.is_username() {
                return Cred::username(user);
            }
            if !kinds.is_ssh_key() {
                return Err(auth(AccessError::Unsupported));
            }
            match (offers.pop(), &self.ssh_key) {
                (Some(Offer::KeyFile), Some(key)) => Cred::ssh_key(user, None, key, None),
                (Some(Offer::KeyFile | Offer::Agent), _) => Cred::ssh_key_from_agent(user),
                (None, _) if has_offers => Err(auth(AccessError::KeysRefused)),
                (None, _) => Err(auth(AccessError::NoKey)),
            }
        });
        let said = refused.clone();
        callbacks.certificate_check(move |certificate, _| {
            let Some((host, port)) = url.ssh_host() else {
                // TLS: the library has verified the chain and the name, and its verdict stands.
                return Ok(CertificateCheckStatus::CertificatePassthrough);
            };
            let key = certificate
                .as_hostkey()
                .and_then(git2::cert::CertHostkey::hostkey);
            match self.judge(host, port, key.unwrap_or_default()) {
                None => Ok(CertificateCheckStatus::CertificateOk),
                Some(error) => Err(said.set(error, ErrorCode::Certificate)),
            }
        });
        (callbacks, refused)
    }

    fn offers(&self) -> Vec<Offer> {
        let file = self.ssh_key.as_ref().map(|_| Offer::KeyFile);
        let agent = match self.agent {
            Agent::Asked => Some(Offer::Agent),
            Agent::Unused => None,
        };
        file.into_iter().chain(agent).collect()
    }

    /// Says why the key that a host shows is not trusted; `None` when it is.
    fn judge(&self, host: &str, port: u16, key: &[u8]) -> Option<AccessError> {
        let verdict = self.known_hosts.judge(host, port, key);
        let (host, fingerprint) = (host.to_owned(), fingerprint(key));
        match verdict {
            Verdict::Known => None,
            Verdict::UnknownHost => Some(AccessError::UnknownHost { host, fingerprint }),
            Verdict::OtherKind => Some(AccessError::OtherKind { host, fingerprint }),
            Verdict::Changed => Some(AccessError::ChangedHost { host, fingerprint }),
            Verdict::Revoked => Some(AccessError::RevokedKey { host, fingerprint }),
        }
    }
}

/// `SHA256:` and what `ssh-keygen -l` prints.
fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_a_known_key_is_refused_with_what_it_shows() {
        let error = Access::default().judge("git.example.org", 22, b"key").unwrap();
        assert_eq!(
            error.to_string(),
            "the host `git.example.org` is not known; it shows the key \
             SHA256:LHDhK3oGRvkiefQnx7OOczTY5Tic/xZ6HcMOc/gmtoM"
        );
        assert!(error.hint().contains("known_hosts"));
    }

    #[test]
    fn a_token_is_never_shown() {
        let access = Access {
            token: Token::new(" hunter2\n"),
            ..Access::default()
        };
        assert_eq!(&*access.token.as_ref().unwrap().0, "hunter2");
        assert!(!format!("{access:?}").contains("hunter2"));
        assert!(Token::new(" \n").is_none());
    }

    #[test]
    fn the_key_that_was_named_is_offered_before_those_of_the_agent() {
        let access = Access {
            ssh_key: Some("/key".into()),
            agent: Agent::Asked,
            ..Access::default()
        };
        assert_eq!(access.offers(), [Offer::KeyFile, Offer::Agent]);
        assert!(Access::default().offers().is_empty());
    }
}
