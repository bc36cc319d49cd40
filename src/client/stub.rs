//! Servers for unit tests that answer from a function.

use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;

use super::Client;

/// A request as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub method: Method,
    /// Path and query.
    pub uri: String,
    pub accept: String,
    pub content_type: String,
    /// `Null` when there is none.
    pub body: Value,
}

pub(crate) type Requests = Arc<Mutex<Vec<Asked>>>;

/// Returns a client whose requests are answered by `answer` with a status and a body.
pub(crate) fn server(answer: impl FnMut(&Asked) -> (u16, Value) + Send + 'static) -> (Client, Requests) {
    let requests = Requests::default();
    let (seen, answer) = (Arc::clone(&requests), Mutex::new(answer));
    let client = slow_server(move |asked| {
        let answered = (answer.lock().unwrap())(&asked);
        seen.lock().unwrap().push(asked);
        std::future::ready(Some(answered))
    });
    (client, requests)
}

/// Returns a client whose requests are answered when `answer` ends; with `None` the connection breaks.
pub(crate) fn slow_server<F>(answer: impl Fn(Asked) -> F + Send + Sync + 'static) -> Client
where
    F: Future<Output = Option<(u16, Value)>> + Send + 'static,
{
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = Arc::clone(&answer);
        async move {
            let broken = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
            let (code, body) = answer(read(request).await?).await.ok_or_else(broken)?;
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, tower::BoxError>(Response::builder().status(code).body(body).unwrap())
        }
    });
    Client::stub(kube::Client::new(service, "default"))
}

async fn read(request: Request<Body>) -> Result<Asked, tower::BoxError> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let header = |name| {
        let value = parts.headers.get(name);
        value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    };
    Ok(Asked {
        accept: header(http::header::ACCEPT),
        content_type: header(http::header::CONTENT_TYPE),
        method: parts.method,
        uri: parts.uri.to_string(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}
