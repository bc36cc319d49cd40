//! What a running controller answers to whoever looks after it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use k0smotron_fleet::client::{Client, Target};
use k0smotron_fleet::hosted::Reach;
use k0smotron_fleet::render::Settings;
use k0smotron_fleet::server::{ControllerOptions, ServerError, run_until};
use tokio_util::sync::CancellationToken;

use crate::cli::{controller, program};
use crate::support::{Options, Servers, crds, eventually, ports};

async fn options(servers: &Servers, listen: SocketAddr) -> ControllerOptions {
    let target = Target {
        kubeconfig: Some(servers.kubeconfig()),
        context: None,
        identity: None,
    };
    ControllerOptions {
        client: Client::connect(&target)
            .await
            .expect("the kubeconfig is complete"),
        election: None,
        namespaces: Vec::new(),
        listen: Some(listen),
        settings: Settings::standard(),
        reach: Reach::Outside,
        concurrency: None,
        instance: "test".to_owned(),
        syncs: None,
        directory: None,
        parent_namespace: "k0smotron-fleet".to_owned(),
        published_in: None,
    }
}

async fn ask(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let http: HttpClient<_, Empty<Bytes>> = HttpClient::builder(TokioExecutor::new()).build_http();
    let url = format!("http://{address}{path}")
        .parse()
        .expect("a valid address");
    let answer = http.get(url).await.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    let body = answer
        .into_body()
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
}

#[tokio::test]
async fn a_controller_is_ready_once_everything_has_been_read() {
    // Without the definitions nothing can be read, so this needs servers of its own.
    let servers = Servers::start(Options::default()).await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    let stop = CancellationToken::new();
    let running = tokio::spawn(run_until(options(&servers, address).await, stop.clone()));
    let deadline = Duration::from_secs(60);
    eventually("it lives", deadline, async || {
        let (status, _) = ask(address, "/healthz").await.ok()?;
        (status == 200).then_some(())
    })
    .await;
    assert_eq!(ask(address, "/readyz").await.unwrap().0, 503);

    crds::install(&servers.client().await).await;
    eventually("it is ready", deadline, async || {
        let (status, _) = ask(address, "/readyz").await.ok()?;
        (status == 200).then_some(())
    })
    .await;
    let (status, metrics) = ask(address, "/metrics").await.unwrap();
    assert_eq!(status, 200);
    assert!(metrics.contains("fleet_operator_watch_errors_total"), "{metrics}");
    stop.cancel();
    running.await.unwrap().expect("a clean end");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let servers = Servers::shared().await;
    let taken = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let address = taken.local_addr().unwrap();
    let ended = run_until(options(servers, address).await, CancellationToken::new()).await;
    assert!(
        matches!(&ended, Err(ServerError::Listen { address: named, .. }) if *named == address),
        "{ended:?}"
    );
}

#[tokio::test]
async fn sigterm_ends_the_program_well() {
    let servers = Servers::shared().await;
    crds::install(&servers.client().await).await;
    let namespace = servers.namespace("signal").await;
    let as_json = ["--log-format", "json"];
    let process = controller(&program(), &servers.kubeconfig(), &namespace.name, &as_json);
    let deadline = Duration::from_secs(30);
    eventually("it has read everything", deadline, async || {
        let log = process.log();
        if log.contains("everything has been read") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert_eq!(process.terminate(deadline).code(), Some(0), "{}", process.log());
    for line in process.log().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}
