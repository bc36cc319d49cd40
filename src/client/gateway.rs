//! Questions to an etcd: its API as JSON over HTTPS.

use http::header::CONTENT_TYPE;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde_json::Value;
use tokio::time::{Duration, timeout};

use super::connect::Client;
use super::error::innermost;

/// A name that is not known is answered at once by a name server that works.
const LOOK_UP: Duration = Duration::from_secs(2);
/// Lists of members and states are a few kilobytes.
const MOST_BYTES: usize = 1 << 20;

/// Why an etcd did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayError {
    /// Nobody answers, or nothing that could be an etcd's word: what was asked may have been done all the same.
    NoAnswer { why: String },
    /// It says no.
    Refused { why: String },
}

/// Says whether a name leads anywhere, from where this process runs.
///
/// *Effects*: a look-up, given up after two seconds.
pub async fn resolves(host: &str) -> bool {
    let found = timeout(LOOK_UP, tokio::net::lookup_host((host, 0))).await;
    found.is_ok_and(|found| found.is_ok_and(|mut addresses| addresses.next().is_some()))
}

impl Client {
    /// Calls a method of etcd, such as `/v3/cluster/member/list`.
    ///
    /// *Effects*: one POST, within the deadline, not repeated.
    pub async fn call_etcd(&self, method: &'static str, message: &Value) -> Result<Value, GatewayError> {
        let no_answer = |why: String| GatewayError::NoAnswer { why };
        let request = Request::builder()
            .method(Method::POST)
            .uri(method)
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(message.to_string().into_bytes()))
            .map_err(|error| no_answer(error.to_string()))?;
        let exchange = async {
            let response = self
                .inner
                .send(request)
                .await
                .map_err(|error| innermost(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MOST_BYTES);
            let body = body.collect().await.map_err(|error| error.to_string())?;
            Ok::<_, String>((status, body.to_bytes()))
        };
        let (status, body) = match timeout(self.deadline, exchange).await {
            Err(_) => {
                return Err(no_answer(format!(
                    "no answer within {} s",
                    self.deadline.as_secs()
                )));
            }
            Ok(Err(why)) => return Err(no_answer(why)),
            Ok(Ok(answer)) => answer,
        };
        let answer = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        if status.is_success() && answer.is_object() {
            return Ok(answer);
        }
        match answer.get("message").and_then(Value::as_str) {
            Some(message) => Err(GatewayError::Refused {
                why: message.to_owned(),
            }),
            None => Err(no_answer(format!("it answers with status {}", status.as_u16()))),
        }
    }
}
