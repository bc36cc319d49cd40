//! A Git server over https, as small as one can be: it serves one repository to readers, or misbehaves in one way.
//!
//! It speaks the smart protocol itself (version 0, no side band), so that nothing but the library is needed and
//! every answer can be spoiled.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use git2::{Oid, Repository};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::certificates::Pair;
use super::tls;

/// Longest time for one read of a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server does with a request.
#[derive(Clone, Debug, Default)]
pub enum Behaviour {
    #[default]
    Serve,
    /// Answers 401 unless these are given, as `user:token`.
    Ask(String),
    /// Lists the references to everybody, and answers 401 when they are fetched.
    AskLater,
    /// Answers every request with a status and this body.
    Status(&'static str, &'static str),
    Redirect(String),
    /// Says that all is well and sends a page.
    Page,
    /// Begins a pack and goes away.
    TruncatedPack,
    /// Promises more objects than there are.
    PackOfManyObjects,
    /// A pack of the right length with other bytes in it.
    SpoiledPack,
    /// A pack in which a file of the commit is not.
    PackWithoutAFile,
    /// A pack whose object says that it has a terabyte.
    PackOfALargeObject,
    /// Lists a reference and has no object for it.
    MissingObject,
    /// Lists nothing.
    Empty,
    /// Sends half a line of the list and goes away.
    HalfAList,
    /// Lists the same branch that many times under other names.
    ManyReferences(usize),
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub target: String,
    pub authorization: Option<String>,
}

/// The server, until it is dropped with the process that runs it.
pub struct GitServer {
    pub port: u16,
    behaviour: Arc<Mutex<Behaviour>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl GitServer {
    /// Serves the bare repository in a folder with this certificate.
    pub fn start(folder: &Path, pair: &Pair) -> Self {
        let config = Arc::new(tls::server(pair).expect("the certificate of a test is one"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let behaviour = Arc::new(Mutex::new(Behaviour::Serve));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (folder, serving) = (folder.to_owned(), (Arc::clone(&behaviour), Arc::clone(&requests)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, folder) = (Arc::clone(&config), folder.clone());
                let (behaviour, requests) = (Arc::clone(&serving.0), Arc::clone(&serving.1));
                std::thread::spawn(move || {
                    // A client that goes away is what many tests are about.
                    let _ = answer(stream, config, &folder, &behaviour, &requests);
                });
            }
        });
        Self {
            port,
            behaviour,
            requests,
        }
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().expect("nothing panics while it is held") = behaviour;
    }

    /// Address of the repository.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/acme/fleet.git", self.port)
    }

    /// Takes the requests that came since the last time.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().expect("nothing panics while it is held"))
    }
}

fn answer(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    folder: &Path,
    behaviour: &Mutex<Behaviour>,
    requests: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let length = header("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let target = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let request = Request {
        target: target.clone(),
        authorization: header("authorization"),
    };
    let authorization = request.authorization.clone();
    requests
        .lock()
        .expect("nothing panics while it is held")
        .push(request);
    let behaviour = behaviour.lock().expect("nothing panics while it is held").clone();
    let response = match (&behaviour, target.contains("/info/refs")) {
        (Behaviour::Ask(expected), _) if !is_given(authorization.as_deref(), expected) => response(
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=\"git\"\r\n",
            b"who is there?",
        ),
        (Behaviour::AskLater, false) => response(
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=\"git\"\r\n",
            b"not any more",
        ),
        (Behaviour::Status(status, body), _) => response(status, "", body.as_bytes()),
        (Behaviour::Redirect(location), _) => {
            response("302 Found", &format!("Location: {location}{target}\r\n"), b"")
        }
        (Behaviour::Page, _) => response(
            "200 OK",
            "Content-Type: text/html\r\n",
            b"<html>Please log in</html>",
        ),
        (_, true) => {
            let list = list(folder, &behaviour).map_err(std::io::Error::other)?;
            let list = [line("# service=git-upload-pack\n"), b"0000".to_vec(), list].concat();
            response(
                "200 OK",
                "Content-Type: application/x-git-upload-pack-advertisement\r\n",
                &list,
            )
        }
        (_, false) => {
            let pack = pack(folder, &body, &behaviour).map_err(std::io::Error::other)?;
            response(
                "200 OK",
                "Content-Type: application/x-git-upload-pack-result\r\n",
                &pack,
            )
        }
    };
    stream.write_all(&response)?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn is_given(authorization: Option<&str>, expected: &str) -> bool {
    let encoded = base64::engine::general_purpose::STANDARD.encode(expected);
    authorization == Some(format!("Basic {encoded}").as_str())
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn line(text: &str) -> Vec<u8> {
    format!("{:04x}{text}", text.len() + 4).into_bytes()
}

/// Returns the references of a repository as they are listed.
pub fn references(folder: &Path) -> Result<Vec<u8>, git2::Error> {
    list(folder, &Behaviour::Serve)
}

fn list(folder: &Path, behaviour: &Behaviour) -> Result<Vec<u8>, git2::Error> {
    let repository = Repository::open_bare(folder)?;
    let mut lines = Vec::new();
    if let Ok(head) = repository.head().and_then(|head| head.peel_to_commit()) {
        lines.push(format!("{} HEAD", head.id()));
    }
    for reference in repository.references()? {
        let reference = reference?;
        let Ok(name) = reference.name().map(str::to_owned) else {
            continue;
        };
        let Some(id) = reference.target() else { continue };
        lines.push(format!("{id} {name}"));
        let peeled = reference.peel_to_commit()?.id();
        if peeled != id {
            lines.push(format!("{peeled} {name}^{{}}"));
        }
    }
    match behaviour {
        Behaviour::Empty => lines.clear(),
        Behaviour::MissingObject => lines = vec![format!("{} refs/heads/main", "1".repeat(40))],
        Behaviour::ManyReferences(count) => {
            let id = lines[0].split(' ').next().unwrap_or_default().to_owned();
            lines.extend((0..*count).map(|number| format!("{id} refs/heads/{number:07}")));
        }
        _ => {}
    }
    let mut bytes = Vec::new();
    let head = repository.find_reference("HEAD")?;
    let target = head.symbolic_target().ok().flatten().unwrap_or("refs/heads/main");
    let capabilities = format!("\0symref=HEAD:{target} allow-tip-sha1-in-want allow-reachable-sha1-in-want");
    for (number, text) in lines.iter().enumerate() {
        bytes.extend(line(&format!(
            "{text}{}\n",
            if number == 0 { capabilities.as_str() } else { "" }
        )));
    }
    if lines.is_empty() {
        bytes.extend(line(&format!(
            "{} capabilities^{{}}{capabilities}\n",
            "0".repeat(40)
        )));
    }
    bytes.extend(b"0000");
    if matches!(behaviour, Behaviour::HalfAList) {
        bytes.truncate(bytes.len() - 20);
    }
    Ok(bytes)
}

/// Returns the answer to what a client wants, or that it is heard when it has not said all.
pub fn pack(folder: &Path, body: &[u8], behaviour: &Behaviour) -> Result<Vec<u8>, git2::Error> {
    let repository = Repository::open_bare(folder)?;
    let text = String::from_utf8_lossy(body);
    let mut answer = line("NAK\n");
    if !text.contains("done") {
        return Ok(answer);
    }
    let mut walk = repository.revwalk()?;
    for wanted in text.split("want ").skip(1) {
        let id = wanted.get(..40).and_then(|id| Oid::from_str(id).ok());
        if let Some(id) = id.filter(|id| repository.find_commit(*id).is_ok()) {
            walk.push(id)?;
        }
    }
    let mut builder = repository.packbuilder()?;
    if let Behaviour::PackWithoutAFile = behaviour {
        for commit in walk.by_ref() {
            let commit = repository.find_commit(commit?)?;
            builder.insert_object(commit.id(), None)?;
            builder.insert_object(commit.tree_id(), None)?;
            commit.tree()?.walk(git2::TreeWalkMode::PreOrder, |_, entry| {
                let is_folder = entry.kind() == Some(git2::ObjectType::Tree);
                let is_in = !is_folder || builder.insert_object(entry.id(), None).is_ok();
                if is_in {
                    git2::TreeWalkResult::Ok
                } else {
                    git2::TreeWalkResult::Abort
                }
            })?;
        }
    }
    builder.insert_walk(&mut walk)?;
    let mut buffer = git2::Buf::new();
    builder.write_buf(&mut buffer)?;
    let mut pack = buffer.to_vec();
    match behaviour {
        Behaviour::TruncatedPack => pack.truncate(pack.len() / 2),
        Behaviour::PackOfManyObjects => pack[8..12].copy_from_slice(&1_000_000_000u32.to_be_bytes()),
        Behaviour::PackOfALargeObject => pack = pack_of_a_large_object(),
        Behaviour::SpoiledPack => {
            let middle = pack.len() / 2;
            pack[middle..middle + 8].copy_from_slice(b"spoiled!");
        }
        _ => {}
    }
    answer.extend(pack);
    Ok(answer)
}

/// A pack of one file that says it has a terabyte, of which a few bytes are there.
fn pack_of_a_large_object() -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02\0\0\0\x01".to_vec();
    // A file, whose size is written in seven bits a byte: the last four of 2^40, and the rest of it.
    pack.extend([0xb0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02]);
    // An empty stream of zlib, and no checksum that fits.
    pack.extend([0x78, 0x9c, 0x03, 0, 0, 0, 0, 1]);
    pack.extend([0; 20]);
    pack
}

/// A bare repository with a commit of these files on the branch `main`, and another commit for each further call.
pub fn commit(folder: &Path, files: &[(&str, &str)]) -> Result<Oid, git2::Error> {
    let repository = Repository::open_bare(folder).or_else(|_| Repository::init_bare(folder))?;
    repository.set_head("refs/heads/main")?;
    let mut index = git2::Index::new()?;
    for (path, content) in files {
        index.add(&git2::IndexEntry {
            ctime: git2::IndexTime::new(0, 0),
            mtime: git2::IndexTime::new(0, 0),
            dev: 0,
            ino: 0,
            mode: 0o100_644,
            uid: 0,
            gid: 0,
            file_size: 0,
            id: repository.blob(content.as_bytes())?,
            flags: 0,
            flags_extended: 0,
            path: path.as_bytes().to_vec(),
        })?;
    }
    let tree = repository.find_tree(index.write_tree_to(&repository)?)?;
    let who = git2::Signature::new("tenant", "tenant@example.org", &git2::Time::new(0, 0))?;
    let parent = repository.head().and_then(|head| head.peel_to_commit()).ok();
    let parents: Vec<_> = parent.iter().collect();
    repository.commit(Some("refs/heads/main"), &who, &who, "change", &tree, &parents)
}

/// Writes a PEM file and returns its path.
pub fn pem(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the folder of a test can be written");
    path
}
