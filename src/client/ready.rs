//! Asking a server whether it is ready.

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use tokio::time::timeout;

use super::connect::Client;
use super::error::innermost;

/// What a server says of itself, or why it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// It answers and is not ready: the checks that fail, or the status.
    NotReady {
        why: String,
    },
    /// It does not accept the credentials: a client certificate of another CA, or an expired one.
    CredentialsRefused,
    /// Somebody answers who cannot prove to be that server.
    Untrusted {
        why: String,
    },
    /// Nobody answers.
    NoAnswer {
        why: String,
    },
}

impl Client {
    /// Asks the server for its readiness.
    ///
    /// Never fails. *Effects*: one GET of `/readyz`, within the deadline, not repeated; redirects are not followed.
    pub async fn readiness(&self) -> Readiness {
        let request = Request::builder()
            .method(Method::GET)
            .uri("/readyz?verbose")
            .body(Body::empty());
        let Ok(request) = request else {
            return Readiness::NoAnswer {
                why: "the address is not one".to_owned(),
            };
        };
        let exchange = async {
            let response = self.inner.send(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, kube::Error>((status, body))
        };
        match timeout(self.deadline, exchange).await {
            Err(_) => Readiness::NoAnswer {
                why: format!("no answer within {} s", self.deadline.as_secs()),
            },
            Ok(Err(error)) => match untrusted(&error) {
                Some(why) => Readiness::Untrusted { why },
                None => Readiness::NoAnswer {
                    why: innermost(&error),
                },
            },
            Ok(Ok((status, _))) if status.is_success() => Readiness::Ready,
            Ok(Ok((StatusCode::UNAUTHORIZED, _))) => Readiness::CredentialsRefused,
            Ok(Ok((status, body))) => Readiness::NotReady {
                why: failing(&String::from_utf8_lossy(&body))
                    .unwrap_or_else(|| format!("it answers with status {}", status.as_u16())),
            },
        }
    }
}

/// Returns the names of the checks that fail: lines such as `[-]etcd failed: reason withheld`.
fn failing(body: &str) -> Option<String> {
    let checks: Vec<&str> = body
        .lines()
        .filter_map(|line| line.strip_prefix("[-]")?.split_whitespace().next())
        .filter(|name| {
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || "/-._".contains(c))
        })
        .take(5)
        .collect();
    (!checks.is_empty()).then(|| format!("not ready yet: {}", checks.join(", ")))
}

/// Looks for a refused certificate among the causes.
fn untrusted(error: &kube::Error) -> Option<String> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        // The standard library skips what an I/O error wraps when it names its source.
        let inner = cause
            .downcast_ref::<std::io::Error>()
            .and_then(|error| error.get_ref())
            .map(|inner| inner as &(dyn std::error::Error + 'static));
        for candidate in [Some(cause), inner].into_iter().flatten() {
            if let Some(rustls::Error::InvalidCertificate(why)) = candidate.downcast_ref() {
                return Some(format!("its certificate is refused: {why}"));
            }
        }
        next = inner.or_else(|| cause.source());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_that_fail_are_named_and_nothing_else_of_the_answer() {
        let body =
            "[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/rbac failed: x\n[-]<b>no</b>\n";
        assert_eq!(failing(body).unwrap(), "not ready yet: etcd, poststarthook/rbac");
        assert_eq!(failing("Service Unavailable"), None);
    }
}
