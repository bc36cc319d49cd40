//! The API server's audit log: the witness for how many requests were made, and that nothing was deleted.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kube::Client;
use serde::Deserialize;

use super::wait::eventually;

/// One answered request (for a watch: one that began).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub audit_id: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Path and query.
    pub uri: String,
    pub user: String,
    pub user_agent: String,
    /// Plural resource, empty for requests such as `/version`.
    pub resource: String,
    pub group: String,
    pub namespace: String,
    pub name: String,
    pub subresource: String,
    /// HTTP status.
    pub code: u16,
    /// `ResponseComplete`, `ResponseStarted` for a watch, `Panic`.
    pub stage: String,
    /// RFC 3339, UTC, microseconds: sorts as text.
    pub received: String,
}

impl Event {
    pub fn is_write(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        )
    }

    /// Whether it is about a status or an Event: what a controller says of what it has seen.
    pub fn is_report(&self) -> bool {
        self.resource == "events" || self.subresource == "status"
    }

    /// Returns `verb resource/name`, with the subresource, for messages.
    pub fn summary(&self) -> String {
        let parts = [&self.resource, &self.name, &self.subresource];
        let parts: Vec<&str> = parts
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        let what = if parts.is_empty() {
            self.uri.clone()
        } else {
            parts.join("/")
        };
        format!("{} {what} -> {}", self.verb, self.code)
    }
}

/// A place in the log; what comes after it is asked for with [`AuditLog::since`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

impl Mark {
    pub const BEGINNING: Self = Self(0);
}

/// Reader of one server's log.
pub struct AuditLog {
    path: PathBuf,
}

impl AuditLog {
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns the place behind everything that was answered before this call.
    pub async fn mark(&self, client: &Client) -> Mark {
        self.settle(client).await;
        self.end()
    }

    /// Returns the place behind everything that is in the log now.
    pub fn end(&self) -> Mark {
        Mark(std::fs::metadata(&self.path).map_or(0, |file| file.len()))
    }

    /// Returns the requests after `mark`, one event a request, in the order in which they were received.
    ///
    /// Includes everything that was answered before this call: the log is written after the answer, so this sends a
    /// request of its own, waits until that is in the log, and leaves it out.
    pub async fn since(&self, client: &Client, mark: Mark) -> Vec<Event> {
        self.settle(client).await;
        self.read(mark)
    }

    async fn settle(&self, client: &Client) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let before = self.end();
        let fence = format!(
            "{FENCE}{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let request = http::Request::get(&fence)
            .body(Vec::new())
            .expect("a valid request");
        client
            .request_text(request)
            .await
            .expect("the API server answers");
        eventually(
            "the audit log has the fence",
            Duration::from_secs(20),
            async || self.text(before).contains(&fence).then_some(()),
        )
        .await;
    }

    fn text(&self, mark: Mark) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = std::fs::File::open(&self.path) {
            // The server's write becomes visible page by page, so a mark may lie within a line: what is left of it is
            // of before. From the byte before the mark on, this is the same for a mark between two lines.
            let read = file
                .seek(SeekFrom::Start(mark.0.saturating_sub(1)))
                .and_then(|_| file.read_to_end(&mut bytes));
            read.expect("the audit log is readable");
        }
        let text = String::from_utf8_lossy(&bytes);
        match mark {
            Mark::BEGINNING => text.into_owned(),
            _ => text.split_once('\n').map_or("", |(_, after)| after).to_owned(),
        }
    }

    /// Returns what is in the log after `mark`, in the order in which it was received.
    pub fn read(&self, mark: Mark) -> Vec<Event> {
        let mut events: BTreeMap<String, Event> = BTreeMap::new();
        // The last line may be half written.
        for line in self
            .text(mark)
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            let raw: Raw = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
            let event = raw.into_event();
            // The end of a watch is no request; the beginning, which may lie before the mark, was one.
            let ends_a_watch =
                event.verb == "watch" && event.stage == "ResponseComplete" && event.code == 200;
            if !ends_a_watch && !event.uri.starts_with(FENCE) {
                events.insert(event.audit_id.clone(), event);
            }
        }
        let mut events: Vec<Event> = events.into_values().collect();
        events.sort_by(|left, right| left.received.cmp(&right.received));
        events
    }
}

const FENCE: &str = "/version?fence=";

/// Keeps what one program (by the beginning of its user agent) did.
pub fn by(events: Vec<Event>, user_agent: &str) -> Vec<Event> {
    events
        .into_iter()
        .filter(|event| event.user_agent.starts_with(user_agent))
        .collect()
}

/// Keeps what concerns one namespace.
pub fn within(events: Vec<Event>, namespace: &str) -> Vec<Event> {
    events
        .into_iter()
        .filter(|event| event.namespace == namespace)
        .collect()
}

/// Number of requests, and of writes among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub requests: usize,
    pub writes: usize,
}

pub fn counts(events: &[Event]) -> Counts {
    Counts {
        requests: events.len(),
        writes: events.iter().filter(|event| event.is_write()).count(),
    }
}

/// Waits until the number that `count` gives of the events that `read` finds has stayed the same for this long, and
/// returns the events.
pub async fn quiet(
    pause: Duration,
    deadline: Duration,
    count: impl Fn(&[Event]) -> usize,
    read: impl AsyncFn() -> Vec<Event>,
) -> Vec<Event> {
    let mut last = (usize::MAX, Instant::now());
    eventually("nothing more is asked for", deadline, async || {
        let events = read().await;
        let number = count(&events);
        if number != last.0 {
            last = (number, Instant::now());
        }
        (last.1.elapsed() >= pause).then_some(events)
    })
    .await
}

/// One line an event, for messages of failed assertions.
pub fn summary(events: &[Event]) -> String {
    events.iter().map(Event::summary).collect::<Vec<_>>().join("\n")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(rename = "auditID")]
    audit_id: String,
    stage: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
    response_status: Option<Status>,
    request_received_timestamp: String,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    namespace: String,
    name: String,
    api_group: String,
    subresource: String,
}

impl Raw {
    fn into_event(self) -> Event {
        let object = self.object_ref.unwrap_or_default();
        Event {
            audit_id: self.audit_id,
            verb: self.verb,
            uri: self.request_uri,
            user: self.user.username,
            user_agent: self.user_agent,
            resource: object.resource,
            group: object.api_group,
            namespace: object.namespace,
            name: object.name,
            subresource: object.subresource,
            code: self.response_status.map_or(0, |status| status.code),
            stage: self.stage,
            received: self.request_received_timestamp,
        }
    }
}
