//! One etcd member on loopback: where its names lead, and its configuration with the addresses it can have here.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use serde_json::Value;

use super::super::certificates::Pair;
use super::super::tls;
use super::filesystem::inside;

/// More than a cluster ever has.
pub const MEMBERS: usize = 8;

/// Names of members and of their Service, and where they lead.
pub struct Names {
    service: String,
    namespace: String,
    addresses: Vec<Ipv4Addr>,
}

impl Names {
    pub fn new(service: &str, namespace: &str, addresses: Vec<Ipv4Addr>) -> Self {
        Self {
            service: service.to_owned(),
            namespace: namespace.to_owned(),
            addresses,
        }
    }

    pub fn address(&self, member: usize) -> Option<Ipv4Addr> {
        self.addresses.get(member).copied()
    }

    fn forms(&self, name: &str) -> String {
        let namespace = &self.namespace;
        format!("{name} {name}.{namespace} {name}.{namespace}.svc {name}.{namespace}.svc.cluster.local")
    }

    fn of_members(&self) -> impl Iterator<Item = (Ipv4Addr, String)> {
        let name = |member: usize| self.forms(&format!("{0}-{member}.{0}", self.service));
        self.addresses
            .iter()
            .enumerate()
            .map(move |(member, address)| (*address, name(member)))
    }

    /// `/etc/hosts` for whoever talks to the members.
    pub fn hosts(&self) -> String {
        let mut text = "127.0.0.1 localhost\n".to_owned();
        for (address, names) in self.of_members() {
            text.push_str(&format!(
                "{address} {names}\n{address} {}\n",
                self.forms(&self.service)
            ));
        }
        text
    }

    /// `/etc/hosts` for the members themselves.
    ///
    /// A member looks up the names in the certificate of a peer that calls, and wants to find the address that the
    /// call comes from. On loopback every call comes from 127.0.0.1, so the names lead there too, as second choice.
    pub fn hosts_of_members(&self) -> String {
        let more: Vec<String> = self
            .of_members()
            .map(|(_, names)| format!("127.0.0.1 {names}\n"))
            .collect();
        self.hosts() + &more.concat()
    }
}

/// Puts the address of a member where its configuration says "all interfaces" or "this pod".
pub fn settle(config: &mut Value, address: IpAddr) {
    for key in ["listen-client-urls", "listen-peer-urls", "listen-metrics-urls"] {
        let Some(Value::String(urls)) = config.get(key) else {
            continue;
        };
        let mut settled: Vec<String> = Vec::new();
        for url in urls.split(',') {
            let scheme = url.split("://").next().unwrap_or("https");
            let port = url.rsplit(':').next().unwrap_or_default();
            let url = format!("{scheme}://{address}:{port}");
            if !settled.contains(&url) {
                settled.push(url);
            }
        }
        config[key] = Value::String(settled.join(","));
    }
}

/// Reads the configuration file of a member, settles it, and writes it back.
pub fn settle_file(root: &Path, path: &str, address: IpAddr) -> Result<Value, String> {
    let mut config = super::control_plane::read(root, path)?;
    settle(&mut config, address);
    fs::write(inside(root, path), config.to_string()).map_err(|error| format!("{path}: {error}"))?;
    Ok(config)
}

/// Asks a member for its health with its own certificate as the client's, under the name that it advertises.
pub async fn ask(root: &Path, config: &Value, address: IpAddr) -> Result<(), String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let text = |path: &str| {
        config
            .pointer(path)
            .and_then(Value::as_str)
            .ok_or(format!("no {path}"))
    };
    let read =
        |path: &str| fs::read_to_string(inside(root, path)).map_err(|error| format!("{path}: {error}"));
    let security = "/client-transport-security";
    let authority = read(text(&format!("{security}/trusted-ca-file"))?)?;
    let certificate = read(text(&format!("{security}/cert-file"))?)?;
    let key = read(text(&format!("{security}/key-file"))?)?;
    let connector = tls::connector(&authority, Some(&Pair { certificate, key }))?;
    let url = text("/advertise-client-urls")?
        .split(',')
        .next()
        .unwrap_or_default();
    let (name, port) = url
        .split("://")
        .nth(1)
        .and_then(|rest| rest.rsplit_once(':'))
        .ok_or("no port to ask")?;
    let port: u16 = port
        .trim_end_matches('/')
        .parse()
        .map_err(|error| format!("{url}: {error}"))?;
    let mut stream = tls::connect_to(&connector, (address, port), name).await?;
    let request = format!("GET /health HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .map_err(|error| error.to_string())?;
    if answer.contains(r#""health":"true""#) {
        Ok(())
    } else {
        Err(answer)
    }
}
