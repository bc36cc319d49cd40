//! The connection: which server, as whom.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderValue;
use http::header::USER_AGENT as USER_AGENT_HEADER;
use kube::Config;
use kube::config::AuthInfo;

use super::error::ClientError;
use super::kubeconfig;
use super::pace::Pace;
use super::read::Parts;
use super::transport;

/// What every request says it comes from.
pub const USER_AGENT: &str = concat!("k0smotron-fleet/", env!("CARGO_PKG_VERSION"));

/// For one request with all its attempts. Longer than the minute-long pauses of no server, shorter than anybody's
/// patience; an API server itself gives up after 60 s.
const DEADLINE: Duration = Duration::from_secs(30);
/// A server that does not even accept a connection is reported soon.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Which API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `None`: `KUBECONFIG`, else `~/.kube/config`, else what a pod is given.
    pub kubeconfig: Option<PathBuf>,
    /// `None`: the current one.
    pub context: Option<String>,
    /// `None`: who the configuration says.
    pub identity: Option<Identity>,
}

/// Somebody else to act as, with their rights and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: String,
    pub groups: Vec<String>,
}

/// A hosted control plane and a client certificate for it.
pub struct HostedServer<'a> {
    /// `https://host:port`.
    pub url: String,
    /// The name its certificate must carry, whatever address is dialled.
    pub server_name: String,
    /// PEM of the only CA that is trusted.
    pub authority: &'a str,
    pub certificate: &'a str,
    pub key: &'a str,
}

/// A connection to one API server as one identity. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    pub(super) inner: kube::Client,
    pub(super) config: Arc<Config>,
    pub(super) server: Arc<str>,
    pub(super) deadline: Duration,
    pub(super) pace: Option<Arc<Pace>>,
    /// How much of an object the answer to an apply holds.
    pub(super) answers: Parts,
}

impl Client {
    /// Reads the configuration and prepares a connection.
    ///
    /// *Effects*: reads files; runs a credential plugin if the kubeconfig names one; sends nothing.
    pub async fn connect(target: &Target) -> Result<Self, ClientError> {
        let mut config = kubeconfig::read(target).await?;
        config.connect_timeout = Some(CONNECT_DEADLINE);
        if let Some(identity) = target.identity.clone() {
            impersonate(&mut config, identity)?;
        }
        Self::from_config(config)
    }

    /// Prepares a connection to a hosted control plane. Nothing but its own CA is trusted; no proxy is used.
    pub fn hosted(server: &HostedServer<'_>, deadline: Duration) -> Result<Self, ClientError> {
        let invalid = |reason: String| ClientError::InvalidKubeconfig {
            origin: format!("the hosted control plane {}", server.url),
            reason,
        };
        let url = server
            .url
            .parse()
            .map_err(|error| invalid(format!("its address is not a URL: {error}")))?;
        let authority = x509_parser::pem::parse_x509_pem(server.authority.as_bytes())
            .map_err(|_| invalid("its CA is not a certificate".to_owned()))?;
        let mut config = Config::new(url);
        config.root_cert = Some(vec![authority.1.contents]);
        config.tls_server_name = Some(server.server_name.clone());
        config.connect_timeout = Some(deadline);
        config.auth_info = AuthInfo {
            client_certificate_data: Some(BASE64.encode(server.certificate)),
            client_key_data: Some(BASE64.encode(server.key).into()),
            ..AuthInfo::default()
        };
        Ok(Self {
            deadline,
            ..Self::from_config(config)?
        })
    }

    fn from_config(mut config: Config) -> Result<Self, ClientError> {
        config.headers.retain(|(name, _)| name != USER_AGENT_HEADER);
        config
            .headers
            .push((USER_AGENT_HEADER, HeaderValue::from_static(USER_AGENT)));
        // Busy answers are repeated in `call`, within the deadline; the layer of the library would go on for minutes.
        config.default_retry = false;
        let server: Arc<str> = config.cluster_url.to_string().trim_end_matches('/').into();
        let inner = transport::client(config.clone()).map_err(|error| ClientError::InvalidKubeconfig {
            origin: format!("the configuration for {server}"),
            reason: kubeconfig::credentials(&error),
        })?;
        Ok(Self {
            inner,
            config: Arc::new(config),
            server,
            deadline: DEADLINE,
            pace: None,
            answers: Parts::Whole,
        })
    }

    /// Returns a connection to the same server that acts as a service account, with its rights and no others.
    ///
    /// *Errors*: [`ClientError::BlankIdentity`] before anything is sent: a blank identity would mean no impersonation,
    /// that is, all the rights of this process.
    pub fn as_service_account(&self, namespace: &str, name: &str) -> Result<Self, ClientError> {
        for (text, missing) in [(namespace, "namespace"), (name, "name")] {
            if text.trim().is_empty() {
                return Err(ClientError::BlankIdentity { missing });
            }
        }
        let mut config = Config::clone(&self.config);
        let identity = Identity {
            user: format!("system:serviceaccount:{namespace}:{name}"),
            groups: Vec::new(),
        };
        impersonate(&mut config, identity)?;
        Ok(Self {
            deadline: self.deadline,
            pace: self.pace.clone(),
            answers: self.answers,
            ..Self::from_config(config)?
        })
    }

    /// Returns the same connection with another deadline for each request.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            deadline,
            ..self.clone()
        }
    }

    /// Returns the same connection that sends at most so many requests a second, together with all its clones.
    ///
    /// *Shape*: to be called inside of a runtime, whose clock it reads.
    #[must_use]
    pub fn with_pace(&self, requests_per_second: NonZeroU32) -> Self {
        Self {
            pace: Some(Arc::new(Pace::new(requests_per_second))),
            ..self.clone()
        }
    }

    /// Returns the same connection that is told nothing but the metadata of what it applies, and not who owns its fields:
    /// of thousands of objects the rest would be read and kept for nobody.
    #[must_use]
    pub fn with_short_answers(&self) -> Self {
        Self {
            answers: Parts::Metadata,
            ..self.clone()
        }
    }

    /// Returns `https://host:port` of the server, for messages.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Returns the namespace of the chosen context, `default` when it names none.
    pub fn default_namespace(&self) -> &str {
        &self.config.default_namespace
    }

    #[cfg(test)]
    pub(crate) fn stub(inner: kube::Client) -> Self {
        Self {
            inner,
            config: Arc::new(Config::new("https://edge-hub:6443".parse().unwrap())),
            server: "https://edge-hub:6443".into(),
            deadline: Duration::from_secs(5),
            pace: None,
            answers: Parts::Whole,
        }
    }
}

/// Replaces every part of another identity.
fn impersonate(config: &mut Config, identity: Identity) -> Result<(), ClientError> {
    let Identity { user, groups } = identity;
    if user.trim().is_empty() {
        return Err(ClientError::BlankIdentity { missing: "user" });
    }
    config.auth_info.impersonate = Some(user);
    config.auth_info.impersonate_groups = (!groups.is_empty()).then_some(groups);
    config.auth_info.impersonate_uid = None;
    config.auth_info.impersonate_user_extra = None;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offline() -> Client {
        Client::from_config(Config::new("https://edge-hub:6443".parse().unwrap())).unwrap()
    }

    #[tokio::test]
    async fn a_blank_identity_is_refused_before_any_request() {
        for (namespace, name) in [
            ("", "sync"),
            ("tenant-7", ""),
            ("tenant-7", " \t"),
            ("\n", "sync"),
        ] {
            let Err(error) = offline().as_service_account(namespace, name) else {
                panic!("{namespace:?}/{name:?} is an identity");
            };
            assert!(matches!(error, ClientError::BlankIdentity { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn a_service_account_replaces_every_part_of_another_identity() {
        let mut config = Config::new("https://edge-hub:6443".parse().unwrap());
        config.auth_info.impersonate = Some("root".to_owned());
        config.auth_info.impersonate_groups = Some(vec!["system:masters".to_owned()]);
        let client = Client::from_config(config).unwrap();
        let client = client.as_service_account("tenant-7", "sync").unwrap();
        assert_eq!(
            client.config.auth_info.impersonate.as_deref(),
            Some("system:serviceaccount:tenant-7:sync")
        );
        assert_eq!(client.config.auth_info.impersonate_groups, None);
    }
}
