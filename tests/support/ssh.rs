//! A Git server over ssh, as small as one can be: one algorithm of each kind, one key that may read, one repository.
//!
//! It follows RFC 4253 (transport), 4252 (keys) and 4254 (channels) as far as a client gets that fetches. The signature
//! of the client is not verified: what is tested is what the client shows to whom.

use std::io::{Error, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::agreement::{self, ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{AES_256, DecryptionContext, StreamingDecryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::git::{self, Behaviour};

/// Longest time for one read.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of one packet of data.
const CHUNK: usize = 16 * 1024;

/// The server, until the process ends.
pub struct SshServer {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    repository: PathBuf,
    /// The public key that may read, as it is sent.
    client: Vec<u8>,
    host: Mutex<Ed25519KeyPair>,
    /// What clients asked for, in order: `publickey`, commands.
    requests: Mutex<Vec<String>>,
}

impl SshServer {
    /// Serves the bare repository in a folder to who has this key (ECDSA P-256).
    pub fn start(repository: &Path, client: &rcgen::KeyPair) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let mut key = string(b"ecdsa-sha2-nistp256");
        key.extend(string(b"nistp256"));
        key.extend(string(client.public_key_raw()));
        let shared = Arc::new(Shared {
            repository: repository.to_owned(),
            client: key,
            host: Mutex::new(Ed25519KeyPair::generate().expect("the key generator works")),
            requests: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || {
                    // A client that goes away is what many tests are about.
                    let _ = Session::open(stream, &shared).and_then(|session| session.serve(&shared));
                });
            }
        });
        Self { port, shared }
    }

    pub fn url(&self) -> String {
        format!("ssh://git@localhost:{}/acme/fleet.git", self.port)
    }

    /// The line of the known hosts that knows this server.
    pub fn known_host(&self) -> String {
        let host = self.shared.host.lock().expect("nothing panics while it is held");
        format!(
            "[localhost]:{} ssh-ed25519 {}\n",
            self.port,
            STANDARD.encode(public(&host))
        )
    }

    /// Shows another key from now on.
    pub fn change_host_key(&self) {
        let key = Ed25519KeyPair::generate().expect("the key generator works");
        *self.shared.host.lock().expect("nothing panics while it is held") = key;
    }

    /// Takes what was asked since the last time.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(
            &mut *self
                .shared
                .requests
                .lock()
                .expect("nothing panics while it is held"),
        )
    }
}

impl Shared {
    fn note(&self, request: &str) {
        let mut requests = self.requests.lock().expect("nothing panics while it is held");
        requests.push(request.to_owned());
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("texts of a test are short");
    [&length.to_be_bytes(), bytes].concat()
}

/// A positive number without leading zeros.
fn number(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let bytes = &bytes[start..];
    let sign: &[u8] = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
        &[0]
    } else {
        &[]
    };
    string(&[sign, bytes].concat())
}

fn public(host: &Ed25519KeyPair) -> Vec<u8> {
    [string(b"ssh-ed25519"), string(host.public_key().as_ref())].concat()
}

fn failed(what: impl std::fmt::Debug) -> Error {
    Error::other(format!("{what:?}"))
}

/// Reads the fields of a packet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| failed("a short packet"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn integer(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().map_err(failed)?))
    }

    fn string(&mut self) -> Result<&'a [u8]> {
        let length = self.integer()? as usize;
        self.take(length)
    }

    fn boolean(&mut self) -> Result<bool> {
        Ok(self.take(1)? != [0])
    }
}

/// Keys of one direction. In counter mode, encrypting and decrypting are the same.
struct Keys {
    cipher: StreamingDecryptingKey,
    mac: hmac::Key,
}

impl Keys {
    fn apply(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut output = vec![0; bytes.len() + AES_256.block_len()];
        let update = self.cipher.update(bytes, &mut output).map_err(failed)?;
        Ok(update.written().to_vec())
    }

    fn tag(&self, sequence: u32, packet: &[u8]) -> hmac::Tag {
        hmac::sign(&self.mac, &[&sequence.to_be_bytes(), packet].concat())
    }
}

struct Session {
    stream: TcpStream,
    received: u32,
    sent: u32,
    reading: Option<Keys>,
    writing: Option<Keys>,
}

impl Session {
    /// Agrees on keys and shows who the server is.
    fn open(stream: TcpStream, shared: &Shared) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut session = Self {
            stream,
            received: 0,
            sent: 0,
            reading: None,
            writing: None,
        };
        let ours = b"SSH-2.0-test";
        session.stream.write_all(&[&ours[..], b"\r\n"].concat())?;
        let mut theirs = Vec::new();
        while !theirs.ends_with(b"\n") {
            let mut byte = [0];
            session.stream.read_exact(&mut byte)?;
            theirs.push(byte[0]);
        }
        let theirs = theirs.trim_ascii_end();

        let mut offer = vec![20];
        offer.extend([7; 16]);
        for list in [
            "ecdh-sha2-nistp256",
            "ssh-ed25519",
            "aes256-ctr",
            "aes256-ctr",
            "hmac-sha2-256",
            "hmac-sha2-256",
            "none",
            "none",
            "",
            "",
        ] {
            offer.extend(string(list.as_bytes()));
        }
        offer.extend([0; 5]);
        session.send(&offer)?;
        let asked = session.receive()?;
        let begin = session.receive()?;
        let point = Fields(begin.get(1..).unwrap_or_default()).string()?.to_vec();

        let private = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).map_err(failed)?;
        let own_point = private.compute_public_key().map_err(failed)?.as_ref().to_vec();
        let peer = UnparsedPublicKey::new(&ECDH_P256, &point);
        let secret =
            agreement::agree_ephemeral(private, peer, failed("no agreement"), |secret| Ok(number(secret)))?;
        let answer = {
            let host = shared.host.lock().expect("nothing panics while it is held");
            let exchanged = [
                string(theirs),
                string(ours),
                string(&asked),
                string(&offer),
                string(&public(&host)),
                string(&point),
                string(&own_point),
                secret.clone(),
            ];
            let hash = Sha256::digest(exchanged.concat());
            let signature = [string(b"ssh-ed25519"), string(host.sign(&hash).as_ref())].concat();
            (
                hash,
                [
                    vec![31],
                    string(&public(&host)),
                    string(&own_point),
                    string(&signature),
                ]
                .concat(),
            )
        };
        let (hash, answer) = answer;
        session.send(&answer)?;
        session.send(&[21])?;
        session.receive()?;
        let derived = |letter: u8| {
            let parts = [&secret, &hash[..], &[letter], &hash[..]];
            Sha256::digest(parts.concat())
        };
        let keys = |iv: u8, key: u8, mac: u8| -> Result<Keys> {
            let iv: [u8; 16] = derived(iv)[..16].try_into().map_err(failed)?;
            let key = UnboundCipherKey::new(&AES_256, &derived(key)).map_err(failed)?;
            let context = DecryptionContext::Iv128(FixedLength::from(iv));
            Ok(Keys {
                cipher: StreamingDecryptingKey::ctr(key, context).map_err(failed)?,
                mac: hmac::Key::new(hmac::HMAC_SHA256, &derived(mac)),
            })
        };
        session.reading = Some(keys(b'A', b'C', b'E')?);
        session.writing = Some(keys(b'B', b'D', b'F')?);
        Ok(session)
    }

    fn send(&mut self, payload: &[u8]) -> Result<()> {
        let block = 16;
        let padding = block - (payload.len() + 5) % block
            + if (payload.len() + 5) % block > block - 4 {
                block
            } else {
                0
            };
        let length = u32::try_from(payload.len() + padding + 1).map_err(failed)?;
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(u8::try_from(padding).map_err(failed)?);
        packet.extend(payload);
        packet.resize(packet.len() + padding, 0);
        let bytes = match &mut self.writing {
            None => packet,
            Some(keys) => {
                let tag = keys.tag(self.sent, &packet);
                [keys.apply(&packet)?, tag.as_ref().to_vec()].concat()
            }
        };
        self.sent = self.sent.wrapping_add(1);
        self.stream.write_all(&bytes)
    }

    fn receive(&mut self) -> Result<Vec<u8>> {
        let mut head = vec![0; 16];
        self.stream.read_exact(&mut head)?;
        if let Some(keys) = &mut self.reading {
            head = keys.apply(&head)?;
        }
        let length = Fields(&head).integer()? as usize;
        if !(12..1 << 18).contains(&length) {
            return Err(failed("a packet of no length"));
        }
        let mut rest = vec![0; length + 4 - head.len()];
        self.stream.read_exact(&mut rest)?;
        if let Some(keys) = &mut self.reading {
            rest = keys.apply(&rest)?;
        }
        let packet = [head, rest].concat();
        if let Some(keys) = &self.reading {
            let mut tag = [0; 32];
            self.stream.read_exact(&mut tag)?;
            if keys.tag(self.received, &packet).as_ref() != tag {
                return Err(failed("another tag"));
            }
        }
        self.received = self.received.wrapping_add(1);
        let padding = usize::from(packet[4]);
        let end = packet
            .len()
            .checked_sub(padding)
            .ok_or_else(|| failed("padding"))?;
        Ok(packet.get(5..end).unwrap_or_default().to_vec())
    }

    /// Answers until the client is gone.
    fn serve(mut self, shared: &Shared) -> Result<()> {
        let mut peer = 0;
        let mut asked = Vec::new();
        loop {
            let packet = self.receive()?;
            let Some((kind, fields)) = packet.split_first() else {
                continue;
            };
            let mut fields = Fields(fields);
            match kind {
                // Which service, and who is there.
                5 => self.send(&[vec![6], string(fields.string()?)].concat())?,
                50 => self.authenticate(fields, shared)?,
                // A channel, and what is to run in it.
                90 => {
                    fields.string()?;
                    peer = fields.integer()?;
                    let numbers = [peer, 0, 1 << 30, 1 << 15].map(u32::to_be_bytes);
                    self.send(&[vec![91], numbers.concat()].concat())?;
                }
                98 => {
                    fields.integer()?;
                    let is_command = fields.string()? == b"exec";
                    let wants_answer = fields.boolean()?;
                    if wants_answer {
                        let answer = if is_command { 99 } else { 100 };
                        self.send(&[vec![answer], peer.to_be_bytes().to_vec()].concat())?;
                    }
                    if is_command {
                        shared.note(&String::from_utf8_lossy(fields.string()?));
                        let list = git::references(&shared.repository).map_err(failed)?;
                        self.data(peer, &list)?;
                    }
                }
                94 => {
                    fields.integer()?;
                    asked.extend_from_slice(fields.string()?);
                    if asked == b"0000" {
                        return self.close(peer);
                    }
                    if asked.ends_with(b"done\n") || asked.ends_with(b"done") {
                        let pack =
                            git::pack(&shared.repository, &asked, &Behaviour::Serve).map_err(failed)?;
                        self.data(peer, &pack)?;
                        return self.close(peer);
                    }
                }
                // Leaves.
                1 => return Ok(()),
                _ => {}
            }
        }
    }

    fn authenticate(&mut self, mut fields: Fields<'_>, shared: &Shared) -> Result<()> {
        let (_user, _service) = (fields.string()?, fields.string()?);
        let method = fields.string()?;
        shared.note(&String::from_utf8_lossy(method));
        if method == b"publickey" {
            let is_signed = fields.boolean()?;
            let (algorithm, key) = (fields.string()?, fields.string()?);
            if key == shared.client {
                return if is_signed {
                    self.send(&[52])
                } else {
                    self.send(&[vec![60], string(algorithm), string(key)].concat())
                };
            }
        }
        self.send(&[vec![51], string(b"publickey"), vec![0]].concat())
    }

    fn data(&mut self, peer: u32, bytes: &[u8]) -> Result<()> {
        for chunk in bytes.chunks(CHUNK) {
            self.send(&[vec![94], peer.to_be_bytes().to_vec(), string(chunk)].concat())?;
        }
        Ok(())
    }

    fn close(mut self, peer: u32) -> Result<()> {
        for end in [96, 97] {
            self.send(&[vec![end], peer.to_be_bytes().to_vec()].concat())?;
        }
        // Until the client has read it all and goes.
        while self.receive().is_ok() {}
        Ok(())
    }
}
