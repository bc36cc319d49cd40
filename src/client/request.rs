//! One request: its name for people, its path, its deadline, and its answer as bytes.

use std::fmt;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper_util::client::legacy::Error as ConnectionError;
use kube::client::Body;
use tokio::time::{Instant, sleep, timeout_at};

use super::connect::Client;
use super::error::{ClientError, innermost};
use super::kubeconfig;
use super::refusal::Refusal;
use crate::object::{Kind, ObjectId};

/// Statuses with which a server says "not now": tried again within the deadline.
const BUSY: [StatusCode; 3] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];
/// Pauses between the attempts, unless the server names one. Five attempts in 1.5 s bridge an API server that starts
/// its priority levels or changes its etcd leader; whoever called tries again later anyway.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Apply,
    Patch,
    Delete,
}

impl Verb {
    /// For sentences: `cannot apply ...`.
    fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Apply => "apply",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// The verb that a Role must grant.
    fn permission(self) -> &'static str {
        match self {
            Self::Create | Self::Apply | Self::Patch => "patch",
            Self::Get | Self::List | Self::Watch | Self::Delete => self.word(),
        }
    }
}

/// What a request is about, for messages. Displayed as `apply K0smotronCluster tenant-7/edge`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestName {
    pub verb: Verb,
    pub kind: Kind,
    /// Empty: cluster-scoped, or all namespaces.
    pub namespace: String,
    pub name: Option<String>,
    pub subresource: Option<&'static str>,
}

impl RequestName {
    pub(super) fn of(verb: Verb, id: &ObjectId) -> Self {
        Self {
            verb,
            kind: id.kind,
            namespace: id.namespace.clone(),
            name: Some(id.name.clone()),
            subresource: None,
        }
    }

    pub(super) fn collection(verb: Verb, kind: Kind, namespace: &str) -> Self {
        Self {
            verb,
            kind,
            namespace: namespace.to_owned(),
            name: None,
            subresource: None,
        }
    }

    /// Returns `list k0smotronclusters.k0smotron.io in namespace tenant-7`.
    pub(super) fn permission(&self) -> String {
        let place = match (self.kind.is_namespaced, self.namespace.as_str()) {
            (false, _) => "",
            (true, "") => " in all namespaces",
            (true, namespace) => return format!("{} in namespace `{namespace}`", self.permission_anywhere()),
        };
        format!("{}{place}", self.permission_anywhere())
    }

    fn permission_anywhere(&self) -> String {
        let verb = match (self.verb, self.name.is_some()) {
            // A create without a name is an ordinary POST.
            (Verb::Create, false) => "create",
            (verb, _) => verb.permission(),
        };
        format!("{verb} {}", self.resource())
    }

    /// Returns `k0smotronclusters.k0smotron.io`.
    fn resource(&self) -> String {
        let subresource = self
            .subresource
            .map(|part| format!("/{part}"))
            .unwrap_or_default();
        if self.kind.group.is_empty() {
            format!("{}{subresource}", self.kind.plural)
        } else {
            format!("{}.{}{subresource}", self.kind.plural, self.kind.group)
        }
    }

    /// Returns the arguments of `kubectl auth can-i`.
    pub(super) fn can_i(&self) -> String {
        let place = match (self.kind.is_namespaced, self.namespace.as_str()) {
            (false, _) => String::new(),
            (true, "") => " --all-namespaces".to_owned(),
            (true, namespace) => format!(" --namespace {namespace}"),
        };
        format!("{}{place}", self.permission_anywhere())
    }

    /// Returns path and query of the request.
    ///
    /// Names are percent-encoded: one with a slash in it must not reach another resource.
    pub(super) fn uri(&self, query: &[(&str, &str)]) -> String {
        let mut uri = if self.kind.group.is_empty() {
            format!("/api/{}", self.kind.version)
        } else {
            format!("/apis/{}/{}", self.kind.group, self.kind.version)
        };
        if self.kind.is_namespaced && !self.namespace.is_empty() {
            uri.push_str("/namespaces/");
            encode(&mut uri, &self.namespace);
        }
        uri.push('/');
        uri.push_str(self.kind.plural);
        for step in self.name.as_deref().into_iter().chain(self.subresource) {
            uri.push('/');
            encode(&mut uri, step);
        }
        for (index, (key, value)) in query.iter().enumerate() {
            uri.push(if index == 0 { '?' } else { '&' });
            uri.push_str(key);
            uri.push('=');
            encode(&mut uri, value);
        }
        uri
    }
}

impl fmt::Display for RequestName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ", self.verb.word())?;
        if let Some(subresource) = self.subresource {
            write!(formatter, "the {subresource} of ")?;
        }
        match (&self.name, self.namespace.as_str()) {
            (Some(name), "") => write!(formatter, "{} {name}", self.kind),
            (Some(name), namespace) => write!(formatter, "{} {namespace}/{name}", self.kind),
            (None, "") => write!(formatter, "{}", self.kind.plural),
            (None, namespace) => write!(formatter, "{} in namespace `{namespace}`", self.kind.plural),
        }
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn encode(target: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            target.push(char::from(byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// A request without the parts that are the same for all.
pub(super) struct Call<'a> {
    pub name: RequestName,
    pub method: Method,
    pub query: Vec<(&'a str, &'a str)>,
    pub accept: &'static str,
    /// Content type and content.
    pub body: Option<(&'static str, Bytes)>,
}

/// A success: its status and its body.
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Client {
    /// Sends a request and reads the whole answer, all within the deadline.
    ///
    /// *Effects*: one request; up to four more while the server says that it is busy. Waiting for a turn is not a part of
    /// the deadline.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answer, ClientError> {
        let mut end = Instant::now() + self.deadline;
        let mut pauses = PAUSES.into_iter();
        loop {
            if let Some(pace) = &self.pace {
                end += pace.turn().await;
            }
            let timed_out = |_| self.timeout(&call.name);
            let response = timeout_at(end, self.inner.send(self.request(&call)?))
                .await
                .map_err(timed_out)?
                .map_err(|error| self.no_answer(&call.name, error))?;
            let status = response.status();
            let retry_after = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(Duration::from_secs);
            let body = timeout_at(end, response.into_body().collect())
                .await
                .map_err(timed_out)?
                .map_err(|error| self.no_answer(&call.name, error))?
                .to_bytes();
            if status.is_success() {
                return Ok(Answer { status, body });
            }
            let pause = pauses.next().map(|pause| retry_after.unwrap_or(pause));
            match pause {
                Some(pause) if BUSY.contains(&status) && Instant::now() + pause < end => sleep(pause).await,
                Some(_) | None => return Err(self.refused(call.name, status, &body)),
            }
        }
    }

    pub(super) fn request(&self, call: &Call<'_>) -> Result<Request<Body>, ClientError> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(call.name.uri(&call.query))
            .header(ACCEPT, call.accept);
        let mut content = Body::empty();
        if let Some((content_type, bytes)) = &call.body {
            request = request.header(CONTENT_TYPE, *content_type);
            content = Body::from(bytes.clone());
        }
        request.body(content).map_err(|error| ClientError::Answer {
            request: call.name.clone().into(),
            reason: format!("it cannot be asked for: {error}"),
        })
    }

    pub(super) fn timeout(&self, request: &RequestName) -> ClientError {
        ClientError::Timeout {
            request: request.clone().into(),
            seconds: self.deadline.as_secs(),
        }
    }

    /// Classifies a request that got no answer: never sent, or sent and lost.
    pub(super) fn no_answer(&self, request: &RequestName, error: kube::Error) -> ClientError {
        let is_connect = match &error {
            kube::Error::Service(cause) => cause
                .downcast_ref::<ConnectionError>()
                .is_some_and(ConnectionError::is_connect),
            // A credential plugin or a token file failed: nothing was sent.
            kube::Error::Auth(_) => true,
            _ => false,
        };
        let source = match &error {
            kube::Error::Auth(_) => kubeconfig::credentials(&error),
            other => innermost(other),
        };
        let source = source.into();
        if is_connect {
            ClientError::Connect {
                server: self.server.to_string(),
                source,
            }
        } else {
            ClientError::Broken {
                request: request.clone().into(),
                source,
            }
        }
    }

    pub(super) fn refused(&self, request: RequestName, status: StatusCode, body: &[u8]) -> ClientError {
        let source = Refusal::read(status.as_u16(), body, request.kind);
        let request = Box::new(request);
        match status {
            StatusCode::UNAUTHORIZED => ClientError::Unauthorized {
                server: self.server.to_string(),
            },
            StatusCode::FORBIDDEN => ClientError::Forbidden { request, source },
            _ if source.is_unknown_resource() && request.kind.group.is_empty() => {
                ClientError::NotKubernetes {
                    server: self.server.to_string(),
                }
            }
            _ if source.is_unknown_resource() => ClientError::NotInstalled { kind: request.kind },
            _ if source.is_missing_namespace() => ClientError::NoNamespace { request },
            _ => ClientError::Refused { request, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kinds;

    #[test]
    fn a_name_cannot_leave_its_place_in_the_path() {
        let id = ObjectId::new(kinds::SECRET, "tenant-7", "../../nodes?x=1");
        assert_eq!(
            RequestName::of(Verb::Get, &id).uri(&[("labelSelector", "a=b,c in (d)")]),
            "/api/v1/namespaces/tenant-7/secrets/..%2F..%2Fnodes%3Fx%3D1?labelSelector=a%3Db%2Cc%20in%20%28d%29"
        );
    }

    #[test]
    fn requests_are_named_for_people_and_for_roles() {
        let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, "tenant-7", "edge");
        let mut request = RequestName::of(Verb::Apply, &id);
        assert_eq!(request.to_string(), "apply K0smotronCluster tenant-7/edge");
        assert_eq!(
            request.permission(),
            "patch k0smotronclusters.k0smotron.io in namespace `tenant-7`"
        );
        request.subresource = Some("status");
        assert_eq!(
            request.can_i(),
            "patch k0smotronclusters.k0smotron.io/status --namespace tenant-7"
        );
        let list = RequestName::collection(Verb::List, kinds::NODE, "");
        assert_eq!(
            (list.to_string(), list.permission()),
            ("list nodes".into(), "list nodes".into())
        );
        let list = RequestName::collection(Verb::List, kinds::SERVICE, "");
        assert_eq!(list.permission(), "list services in all namespaces");
    }
}
