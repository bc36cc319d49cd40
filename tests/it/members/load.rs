//! Clients of an etcd: one that writes all the time and remembers what was acknowledged, and one that asks.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::support::tls;

/// Longer than an election; a write that takes longer was not acknowledged.
const DEADLINE: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(20);

/// Where members are, and who asks.
#[derive(Clone)]
pub struct Etcd {
    pub connector: TlsConnector,
    /// Name and address of every member there may be.
    pub members: Vec<(String, IpAddr)>,
}

impl Etcd {
    /// Calls a method at one member.
    pub async fn call(&self, member: usize, method: &str, message: &Value) -> Result<Value, String> {
        tokio::time::timeout(DEADLINE, self.exchange(member, method, message))
            .await
            .unwrap_or_else(|_| Err("no answer".to_owned()))
    }

    async fn exchange(&self, member: usize, method: &str, message: &Value) -> Result<Value, String> {
        let (host, address) = &self.members[member];
        let mut stream = tls::connect_to(&self.connector, (*address, 2379), host).await?;
        let body = message.to_string();
        let request = format!(
            "POST {method} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        stream
            .write_all(request.as_bytes())
            .await
            .map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        stream
            .read_to_end(&mut answer)
            .await
            .map_err(|error| error.to_string())?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("half an answer")?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(body.to_owned());
        }
        // A chunked answer has the one JSON object between its sizes.
        let json = body.find('{').zip(body.rfind('}')).ok_or("no JSON")?;
        serde_json::from_str(&body[json.0..=json.1]).map_err(|error| format!("{error}: {body}"))
    }

    /// Calls a method at any member that answers.
    pub async fn ask(&self, method: &str, message: &Value) -> Result<Value, String> {
        let mut last = String::new();
        for member in 0..self.members.len() {
            match self.call(member, method, message).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Numbers of the members as a quorum lists them; a learner with `~`.
    pub async fn list(&self) -> Result<BTreeSet<String>, String> {
        let answer = self
            .ask("/v3/cluster/member/list", &json!({"linearizable": true}))
            .await?;
        let members = answer["members"].as_array().cloned().unwrap_or_default();
        let number = |member: &Value| {
            let url = member["peerURLs"][0].as_str().unwrap_or_default().to_owned();
            let at = self.members.iter().position(|(host, _)| url.contains(host));
            let learner = if member["isLearner"] == true { "~" } else { "" };
            format!("{learner}{}", at.expect("every member is one of ours"))
        };
        Ok(members.iter().map(number).collect())
    }

    async fn put(&self, member: usize, key: &str) -> Result<(), String> {
        let message = json!({"key": BASE64.encode(key), "value": BASE64.encode(key)});
        self.call(member, "/v3/kv/put", &message).await.map(|_| ())
    }

    /// All keys.
    pub async fn keys(&self) -> BTreeSet<String> {
        let all =
            json!({"key": BASE64.encode("load/"), "range_end": BASE64.encode("load0"), "keys_only": true});
        let answer = self.ask("/v3/kv/range", &all).await.expect("etcd answers");
        let keys = answer["kvs"].as_array().cloned().unwrap_or_default();
        let text = |one: &Value| {
            let key = BASE64.decode(one["key"].as_str().unwrap_or_default());
            String::from_utf8(key.expect("base64")).expect("text")
        };
        keys.iter().map(text).collect()
    }
}

#[derive(Default)]
struct Written {
    acknowledged: BTreeSet<String>,
    last: Option<Instant>,
    /// Longest time between two acknowledged writes.
    longest_gap: Duration,
}

/// Writes one key after another until it is stopped.
pub struct Load {
    written: Arc<Mutex<Written>>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Load {
    pub fn start(etcd: Etcd) -> Self {
        let written: Arc<Mutex<Written>> = Arc::default();
        let stop: Arc<AtomicBool> = Arc::default();
        let task = tokio::spawn(run(etcd, written.clone(), stop.clone()));
        Self { written, stop, task }
    }

    /// Ends it; returns the longest time without an acknowledged write. Panics when one of them is lost.
    pub async fn end(self, etcd: &Etcd) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("the load does not panic");
        let (acknowledged, gap) = {
            let written = self.written.lock().expect("the load does not panic");
            (written.acknowledged.clone(), written.longest_gap)
        };
        let keys = etcd.keys().await;
        let lost: Vec<&String> = acknowledged.difference(&keys).collect();
        assert!(
            lost.is_empty(),
            "of {} acknowledged writes are lost: {lost:?}",
            acknowledged.len()
        );
        assert!(acknowledged.len() > 20, "only {} writes", acknowledged.len());
        eprintln!("{} writes acknowledged, longest gap {gap:?}", acknowledged.len());
        gap
    }
}

async fn run(etcd: Etcd, written: Arc<Mutex<Written>>, stop: Arc<AtomicBool>) {
    let mut member = 0;
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let key = format!("load/{number:06}");
        number += 1;
        match etcd.put(member, &key).await {
            Ok(()) => {
                let mut written = written.lock().expect("nothing panics with it");
                let now = Instant::now();
                let gap = written.last.map_or(Duration::ZERO, |last| now - last);
                written.longest_gap = written.longest_gap.max(gap);
                written.last = Some(now);
                written.acknowledged.insert(key);
            }
            // It is gone, or has no vote: the next one.
            Err(_) => member = (member + 1) % etcd.members.len(),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
