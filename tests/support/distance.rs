//! A hub that is far away: what goes to it and comes from it arrives later, as much of it as before.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::Servers;

/// The way to a far hub; it is gone when this is dropped.
pub struct Distance {
    kubeconfig: PathBuf,
    accepting: JoinHandle<()>,
}

impl Distance {
    /// Opens a way to the API server on which an answer comes at least `round_trip` after its question.
    pub async fn to(servers: &Servers, round_trip: Duration) -> Self {
        let text = std::fs::read_to_string(servers.kubeconfig()).expect("the kubeconfig is readable");
        let mut file: Value = serde_json::from_str(&text).expect("kubeconfigs of the test support are JSON");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        file["clusters"][0]["cluster"]["server"] = format!("https://127.0.0.1:{port}").into();
        let kubeconfig = servers.folder().join(format!("far-{port}.kubeconfig"));
        std::fs::write(&kubeconfig, file.to_string()).expect("the folder is writable");
        let server = ("127.0.0.1", servers.port);
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(server).await else {
                    continue;
                };
                for stream in [&near, &far] {
                    stream.set_nodelay(true).expect("a connection takes its settings");
                }
                let (near_reads, near_writes) = near.into_split();
                let (far_reads, far_writes) = far.into_split();
                tokio::spawn(carry(near_reads, far_writes, round_trip / 2));
                tokio::spawn(carry(far_reads, near_writes, round_trip / 2));
            }
        });
        Self {
            kubeconfig,
            accepting,
        }
    }

    /// Returns the kubeconfig that leads this way.
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone()
    }
}

impl Drop for Distance {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Hands on each piece when its time has come; more pieces may be under way meanwhile.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    delay: Duration,
) {
    let (sender, mut under_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((arrives, piece)) = under_way.recv().await {
            sleep_until(arrives).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
    let mut piece = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if sender
            .send((Instant::now() + delay, piece[..length].to_vec()))
            .is_err()
        {
            return;
        }
    }
}
