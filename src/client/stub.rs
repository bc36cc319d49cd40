//! A server for unit tests that answers from a function and remembers what it was asked.

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
    let (seen, answer) = (Arc::clone(&requests), Arc::new(Mutex::new(answer)));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let header = |name| {
                parts
                    .headers
                    .get(name)
                    .map(|value| value.to_str().unwrap().to_owned())
            };
            let asked = Asked {
                method: parts.method,
                uri: parts.uri.to_string(),
                accept: header(http::header::ACCEPT).unwrap_or_default(),
                content_type: header(http::header::CONTENT_TYPE).unwrap_or_default(),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            };
            let (code, body) = (answer.lock().unwrap())(&asked);
            seen.lock().unwrap().push(asked);
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, kube::Error>(Response::builder().status(code).body(body).unwrap())
        }
    });
    (Client::stub(kube::Client::new(service, "default")), requests)
}
