//! The members of a hosted etcd, through its own API.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::future::join_all;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::client::{Client, ClientError, GatewayError, HostedServer, SecretBody, chain, resolves};
use crate::etcd::{Answer, Change, Listed, Member, MemberChange, Place, expectation};
use crate::keys;

/// For one question. A member that needs longer to read one key is not healthy.
const DEADLINE: Duration = Duration::from_secs(5);

/// What came of a change of membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    Done,
    /// Nothing was asked for, or etcd refuses for now: the next look decides again.
    NotNow {
        because: String,
    },
    /// It was asked for and nobody answered.
    Unknown {
        why: String,
    },
}

/// Why an etcd could not be asked at all.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("the names of its members do not resolve here; an operator inside the cluster can reach them")]
    Names,
    #[error("Secret `{secret}` cannot be read")]
    Read { secret: String, source: ClientError },
    #[error("Secret `{secret}` has no certificate or key for it")]
    Incomplete { secret: String },
    #[error("the connection to {host} cannot be prepared")]
    Prepare { host: String, source: ClientError },
}

/// Asks the members of an etcd who they are and how they are.
///
/// Never fails. *Effects*: look-ups of their names; when one resolves, two GETs of Secrets and up to three questions to
/// each member.
pub async fn members(client: &Client, place: &Place) -> Answer {
    match Members::connect(client, place).await {
        Ok(members) => members.look().await,
        Err(error @ ConnectError::Names) => Answer::Unreachable { why: chain(&error) },
        Err(
            error @ (ConnectError::Read { .. }
            | ConnectError::Incomplete { .. }
            | ConnectError::Prepare { .. }),
        ) => Answer::Silent { why: chain(&error) },
    }
}

/// Changes who is a member, if the members are still those that the change was decided on.
///
/// Never fails. *Effects*: as [`members`], and one request that changes, sent once.
pub async fn change_members(client: &Client, place: &Place, change: &Change) -> Changed {
    let not_now = |because: String| Changed::NotNow { because };
    let members = match Members::connect(client, place).await {
        Ok(members) => members,
        Err(error) => return not_now(chain(&error)),
    };
    let listed = match members.look().await {
        Answer::Listed { members } => members,
        Answer::Silent { why } | Answer::Unreachable { why } => return not_now(why),
    };
    if expectation(&listed) != change.expected {
        return not_now("the members have changed since this was planned".to_owned());
    }
    let (method, message) = match &change.change {
        MemberChange::Add { peer_url } => (
            "/v3/cluster/member/add",
            json!({"peerURLs": [peer_url], "isLearner": true}),
        ),
        MemberChange::Promote { id } => ("/v3/cluster/member/promote", json!({"ID": id})),
        MemberChange::Remove { id } => ("/v3/cluster/member/remove", json!({"ID": id})),
    };
    let leaving = match &change.change {
        MemberChange::Remove { id } | MemberChange::Promote { id } => Some(id.as_str()),
        MemberChange::Add { .. } => None,
    };
    let Some(spokesman) = members.spokesman(&listed, leaving) else {
        return not_now("no other member can be asked".to_owned());
    };
    match spokesman.call_etcd(method, &message).await {
        Ok(_) => Changed::Done,
        Err(GatewayError::Refused { why }) => not_now(format!("etcd refuses for now: {why}")),
        Err(GatewayError::NoAnswer { why }) => Changed::Unknown { why },
    }
}

/// Connections to all members that there may be.
struct Members {
    all: Vec<(Member, Client)>,
}

/// What one member says of itself.
struct Word {
    id: String,
    leader: String,
    reads_with_quorum: bool,
}

impl Members {
    async fn connect(client: &Client, place: &Place) -> Result<Self, ConnectError> {
        let members = place.members();
        let resolved = join_all(members.iter().map(|member| resolves(&member.host))).await;
        // A member without a pod has no name even where names resolve.
        if !resolved.contains(&true) {
            return Err(ConnectError::Names);
        }
        let authority = secret(client, place, &place.authority).await?;
        let identity = secret(client, place, &place.identity).await?;
        let authority = text(&authority, keys::CERTIFICATE, &place.authority)?;
        let certificate = text(&identity, keys::CERTIFICATE, &place.identity)?;
        let key = text(&identity, keys::PRIVATE_KEY, &place.identity)?;
        let mut all = Vec::new();
        for member in members {
            let server = HostedServer {
                url: member.client_url(),
                server_name: member.host.clone(),
                authority: &authority,
                certificate: &certificate,
                key: &key,
            };
            let connection = Client::hosted(&server, DEADLINE).map_err(|source| ConnectError::Prepare {
                host: member.host.clone(),
                source,
            })?;
            all.push((member, connection));
        }
        Ok(Self { all })
    }

    async fn look(&self) -> Answer {
        let words = join_all(self.all.iter().map(|(_, connection)| word(connection))).await;
        let mut why = "it has no members".to_owned();
        for ((member, connection), said) in self.all.iter().zip(&words) {
            match said {
                Ok(said) if said.reads_with_quorum => {
                    // With a quorum, too: not what this member happened to know last.
                    let list = json!({"linearizable": true});
                    match connection.call_etcd("/v3/cluster/member/list", &list).await {
                        Ok(answer) => return self.listed(&answer, &words),
                        Err(
                            GatewayError::NoAnswer { why: because } | GatewayError::Refused { why: because },
                        ) => {
                            why = format!("{}: {because}", member.pod);
                        }
                    }
                }
                Ok(_) => why = format!("{}: it has no quorum", member.pod),
                Err(because) => why = format!("{}: {because}", member.pod),
            }
        }
        Answer::Silent { why }
    }

    fn listed(&self, answer: &Value, words: &[Result<Word, String>]) -> Answer {
        let members = answer
            .get("members")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let text = |member: &Value, key: &str| {
            member
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let members = members.map(|member| {
            let urls = member
                .get("peerURLs")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let peer_urls: Vec<String> = urls.filter_map(Value::as_str).map(str::to_owned).collect();
            let id = text(member, "ID");
            let is_learner = member
                .get("isLearner")
                .and_then(Value::as_bool)
                .unwrap_or_default();
            let said = self
                .all
                .iter()
                .zip(words)
                .find(|((known, _), _)| peer_urls.contains(&known.peer_url()))
                .and_then(|(_, said)| said.as_ref().ok())
                // Whoever still runs there as what it was before is not this member.
                .filter(|said| said.id == id && said.leader != "0");
            Listed {
                name: text(member, "name"),
                peer_urls,
                is_learner,
                is_healthy: said.is_some_and(|said| said.reads_with_quorum || is_learner),
                is_leader: said.is_some_and(|said| said.leader == id),
                id,
            }
        });
        Answer::Listed {
            members: members.collect(),
        }
    }

    /// A healthy voter to be asked for a change; not the one that it concerns, if there is another.
    fn spokesman(&self, listed: &[Listed], concerned: Option<&str>) -> Option<&Client> {
        let mut healthy: Vec<&Listed> = listed
            .iter()
            .filter(|listed| listed.is_healthy && !listed.is_learner)
            .collect();
        healthy.sort_by_key(|listed| (concerned == Some(listed.id.as_str()), !listed.is_leader));
        let chosen = healthy.first()?;
        let found = self
            .all
            .iter()
            .find(|(member, _)| chosen.peer_urls.contains(&member.peer_url()));
        found.map(|(_, connection)| connection)
    }
}

/// Asks a member for its state, and whether it can read with a quorum. Learners do not serve reads.
async fn word(connection: &Client) -> Result<Word, String> {
    let why = |error: GatewayError| match error {
        GatewayError::NoAnswer { why } | GatewayError::Refused { why } => why,
    };
    let key = BASE64.encode("health");
    let status = connection
        .call_etcd("/v3/maintenance/status", &json!({}))
        .await
        .map_err(why)?;
    let read = json!({"key": key, "keys_only": true, "limit": "1"});
    let reads_with_quorum = connection.call_etcd("/v3/kv/range", &read).await.is_ok();
    let text = |pointer: &str| {
        status
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("0")
            .to_owned()
    };
    Ok(Word {
        id: text("/header/member_id"),
        leader: text("/leader"),
        reads_with_quorum,
    })
}

async fn secret(client: &Client, place: &Place, name: &str) -> Result<SecretBody, ConnectError> {
    let found = client.get_secret(&place.namespace, name).await;
    found
        .map_err(|source| ConnectError::Read {
            secret: name.to_owned(),
            source,
        })?
        .ok_or_else(|| ConnectError::Incomplete {
            secret: name.to_owned(),
        })
}

fn text(body: &SecretBody, key: &str, secret: &str) -> Result<Zeroizing<String>, ConnectError> {
    let bytes = body.data.get(key);
    bytes
        .map(|bytes| Zeroizing::new(String::from_utf8_lossy(bytes).into_owned()))
        .ok_or_else(|| ConnectError::Incomplete {
            secret: secret.to_owned(),
        })
}
