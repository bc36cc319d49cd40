//! Health and metrics over plain HTTP: `/healthz`, `/readyz`, `/metrics`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the answers are made of.
#[derive(Clone)]
pub struct Probes {
    /// True once everything that decides has read what it decides from.
    pub is_ready: watch::Receiver<bool>,
    pub registry: Arc<Mutex<Registry>>,
}

/// Binds the address; the error is the operating system's.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop`, then lets open requests end.
pub async fn serve(listener: TcpListener, probes: Probes, stop: CancellationToken) -> std::io::Result<()> {
    let router = router(probes);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

fn router(probes: Probes) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(probes)
}

async fn readyz(State(probes): State<Probes>) -> (StatusCode, &'static str) {
    if *probes.is_ready.borrow() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the caches are not filled yet\n")
    }
}

async fn metrics(State(probes): State<Probes>) -> impl IntoResponse {
    let mut body = String::new();
    let registry = probes.registry.lock().unwrap_or_else(PoisonError::into_inner);
    match text::encode(&mut body, &registry) {
        Ok(()) => (StatusCode::OK, [(header::CONTENT_TYPE, METRICS_TYPE)], body),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain")],
            "the metrics cannot be written\n".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(probes: &Probes, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router(probes.clone()).oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_is_said_only_once_it_is_true() {
        let (ready, is_ready) = watch::channel(false);
        let registry = Arc::default();
        let probes = Probes { is_ready, registry };
        assert_eq!(ask(&probes, "/healthz").await.0, StatusCode::OK);
        assert_eq!(ask(&probes, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        ready.send(true).unwrap();
        assert_eq!(ask(&probes, "/readyz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn metrics_are_served_as_text() {
        let (_ready, is_ready) = watch::channel(false);
        let registry: Arc<Mutex<Registry>> = Arc::default();
        let passes: Counter = Counter::default();
        passes.inc();
        registry
            .lock()
            .unwrap()
            .register("fleet_operator_passes", "Passes", passes);
        let (status, body) = ask(&Probes { is_ready, registry }, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("fleet_operator_passes_total 1"), "{body}");
    }
}
