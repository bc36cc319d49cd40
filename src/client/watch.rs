//! Watching a kind: a list, then every change, for ever.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::connect::Client;
use super::error::ClientError;
use super::read::{ListQuery, complete, not_json};
use super::refusal::Refusal;
use super::request::{Call, Verb};
use crate::object::Object;
use crate::plan::FailureKind;

/// How long the server may keep a watch open; afterwards it is opened again where it ended.
const WATCH_SECONDS: &str = "290";
/// Servers send a bookmark each minute: two minutes and a half of silence mean that the connection is dead.
const SILENCE: Duration = Duration::from_secs(150);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A kind that need not be there is looked for this often.
const MISSING_PAUSE: Duration = Duration::from_secs(60);

/// What a watch reports, in the server's order.
#[derive(Debug)]
pub enum WatchEvent {
    /// A list begins (again). What is known stays true until [`WatchEvent::ListEnded`].
    ListStarted,
    Listed(Vec<Object>),
    /// The list is whole: what was not in it and is not newer than this version is gone.
    ListEnded {
        resource_version: String,
    },
    Changed(Object),
    Deleted(Object),
    /// The server could not be asked or broke off. The watch goes on by itself after this pause.
    Interrupted {
        error: ClientError,
        pause: Duration,
    },
}

type Lines = Pin<Box<dyn Stream<Item = Result<Bytes, kube::Error>> + Send>>;

/// Where a watch stands.
enum State {
    /// Nothing is known, or too little: list from the start.
    List,
    /// Pages after this token are missing.
    Page {
        next: String,
    },
    /// The list is whole, or a watch ended: go on from this version.
    Open {
        version: String,
    },
    Follow {
        version: String,
        lines: Lines,
    },
}

struct Watch {
    client: Client,
    query: ListQuery,
    state: State,
    /// Of a line that has not ended yet.
    rest: Vec<u8>,
    events: VecDeque<WatchEvent>,
    pause: Duration,
    /// Taken before the next request, after an interruption.
    due: Option<Duration>,
}

#[derive(Deserialize)]
struct WireEvent {
    #[serde(rename = "type")]
    event_type: String,
    object: Value,
}

impl Client {
    /// Watches: the stream never ends, and after an interruption it goes on where it was, or lists again.
    ///
    /// *Effects*: a paged list, then a long GET that is opened again every five minutes. Nothing is sent while the
    /// stream is not polled.
    pub fn watch(&self, query: ListQuery) -> impl Stream<Item = WatchEvent> + Send + use<> {
        let watch = Watch {
            client: self.clone(),
            query,
            state: State::List,
            rest: Vec::new(),
            events: VecDeque::new(),
            pause: FIRST_PAUSE,
            due: None,
        };
        futures::stream::unfold(watch, |mut watch| async move {
            let event = watch.next().await;
            Some((event, watch))
        })
    }
}

impl Watch {
    async fn next(&mut self) -> WatchEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if let Some(pause) = self.due.take() {
                sleep(pause).await;
            }
            if let Err(error) = self.step().await {
                return self.interrupted(error);
            }
        }
    }

    /// Does one thing and queues what it brought.
    async fn step(&mut self) -> Result<(), ClientError> {
        // On an error the state stays what it is put back to here: a list starts again, a watch goes on.
        match std::mem::replace(&mut self.state, State::List) {
            State::List => {
                let page = self.client.page(&self.query, "").await?;
                self.events.push_back(WatchEvent::ListStarted);
                self.listed(page);
            }
            State::Page { next } => {
                let page = self.client.page(&self.query, &next).await?;
                self.listed(page);
            }
            State::Open { version } => match Self::open(&self.client, &self.query, &version).await {
                Ok(lines) => self.state = State::Follow { version, lines },
                Err(error) => return Err(self.resume_unless_gone(version, error)),
            },
            State::Follow { version, mut lines } => match timeout(SILENCE, lines.next()).await {
                Ok(Some(Ok(bytes))) => {
                    self.rest.extend_from_slice(&bytes);
                    match self.read_lines(version) {
                        Ok(version) => self.state = State::Follow { version, lines },
                        Err((version, error)) => return Err(self.resume_unless_gone(version, error)),
                    }
                }
                // The time was up, or the connection is dead: either way the next one begins where this one ended.
                Ok(None) | Err(_) => {
                    self.rest.clear();
                    self.state = State::Open { version };
                }
                Ok(Some(Err(error))) => {
                    let error = self.client.no_answer(&self.query.request(Verb::Watch), error);
                    return Err(self.resume_unless_gone(version, error));
                }
            },
        }
        Ok(())
    }

    fn listed(&mut self, page: super::read::Page) {
        self.events.push_back(WatchEvent::Listed(page.objects));
        if page.next.is_empty() {
            self.pause = FIRST_PAUSE;
            self.events.push_back(WatchEvent::ListEnded {
                resource_version: page.resource_version.clone(),
            });
            self.state = State::Open {
                version: page.resource_version,
            };
        } else {
            self.state = State::Page { next: page.next };
        }
    }

    fn resume_unless_gone(&mut self, version: String, error: ClientError) -> ClientError {
        self.rest.clear();
        self.state = if error.kind() == FailureKind::Gone {
            State::List
        } else {
            State::Open { version }
        };
        error
    }

    fn interrupted(&mut self, error: ClientError) -> WatchEvent {
        // A version that the server has forgotten is everyday life: list again at once.
        let pause = if error.kind() == FailureKind::Gone {
            Duration::ZERO
        } else if self.query.may_be_missing && matches!(error, ClientError::NotInstalled { .. }) {
            // What was known of it is gone with the kind.
            self.state = State::List;
            MISSING_PAUSE
        } else {
            self.pause
        };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.due = Some(pause);
        WatchEvent::Interrupted { error, pause }
    }

    async fn open(client: &Client, watched: &ListQuery, version: &str) -> Result<Lines, ClientError> {
        let name = watched.request(Verb::Watch);
        let mut query = vec![
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", WATCH_SECONDS),
            ("resourceVersion", version),
        ];
        let fields = watched.fields();
        if let Some(fields) = &fields {
            query.push(("fieldSelector", fields.as_str()));
        }
        if let Some(labels) = &watched.labels {
            query.push(("labelSelector", labels.as_str()));
        }
        let call = Call {
            name: name.clone(),
            method: Method::GET,
            query,
            accept: watched.parts.accept(watched.kind),
            body: None,
        };
        let request = client.request(&call)?;
        let response = timeout(client.deadline, client.inner.send(request))
            .await
            .map_err(|_| client.timeout(&name))?
            .map_err(|error| client.no_answer(&name, error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Box::pin(response.into_body().into_data_stream()));
        }
        let body = timeout(client.deadline, response.into_body().collect())
            .await
            .map_err(|_| client.timeout(&name))?
            .map_err(|error| client.no_answer(&name, error))?;
        Err(client.refused(name, status, &body.to_bytes()))
    }

    /// Queues the events of all whole lines; returns the version of the last.
    fn read_lines(&mut self, mut version: String) -> Result<String, (String, ClientError)> {
        let name = self.query.request(Verb::Watch);
        let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else {
            return Ok(version);
        };
        let tail = self.rest.split_off(end + 1);
        let lines = std::mem::replace(&mut self.rest, tail);
        for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let event: WireEvent = match serde_json::from_slice(line) {
                Ok(event) => event,
                Err(error) => return Err((version, not_json(&name, &error))),
            };
            let is_error = event.event_type == "ERROR";
            if is_error {
                let code = event.object.get("code").and_then(Value::as_u64).unwrap_or(500);
                let code = u16::try_from(code).unwrap_or(500);
                let source = Refusal::read(code, event.object.to_string().as_bytes(), self.query.kind);
                let error = if code == StatusCode::FORBIDDEN.as_u16() {
                    ClientError::Forbidden {
                        request: name.into(),
                        source,
                    }
                } else {
                    ClientError::Refused {
                        request: name.into(),
                        source,
                    }
                };
                return Err((version, error));
            }
            let object = complete(self.query.kind, event.object);
            if let Some(newer) = object.resource_version() {
                version = newer.to_owned();
            }
            self.pause = FIRST_PAUSE;
            match event.event_type.as_str() {
                "ADDED" | "MODIFIED" => self.events.push_back(WatchEvent::Changed(object)),
                "DELETED" => self.events.push_back(WatchEvent::Deleted(object)),
                // A bookmark only moves the version; an event type of the future says nothing to us.
                _ => {}
            }
        }
        Ok(version)
    }
}
