//! Reading one object, and lists page by page.

use std::panic::resume_unwind;

use http::Method;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::connect::Client;
use super::error::ClientError;
use super::request::{Call, RequestName, Verb};
use crate::object::{Kind, Object, ObjectId, kinds};

pub(super) const JSON: &str = "application/json";
/// Asks for the metadata of an object alone; what the server then sends holds neither spec nor data.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// Objects a page. API servers have the first page in memory; for those after it they read and decode every object of
/// the store again once nobody has written for a while, which takes four times as long. So most fleets are one page, and
/// one of large clusters is still not too much for a slow line within the time of a request.
const PAGE: &str = "2000";

/// How much of each object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// The object; of a Secret its metadata all the same.
    Whole,
    Metadata,
}

impl Parts {
    fn of(self, kind: Kind) -> Self {
        if kind == kinds::SECRET {
            Self::Metadata
        } else {
            self
        }
    }

    pub(super) fn accept(self, kind: Kind) -> &'static str {
        match self.of(kind) {
            Self::Whole => JSON,
            Self::Metadata => METADATA,
        }
    }

    fn accept_list(self, kind: Kind) -> &'static str {
        match self.of(kind) {
            Self::Whole => JSON,
            Self::Metadata => METADATA_LIST,
        }
    }
}

/// Which objects to list or watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    pub kind: Kind,
    /// Empty: all namespaces.
    pub namespace: String,
    pub labels: Option<String>,
    /// Only the object of this name.
    pub name: Option<String>,
    pub parts: Parts,
    /// Whether the server may lack the kind as a matter of course.
    pub may_be_missing: bool,
}

impl ListQuery {
    /// All objects of a kind; empty `namespace` means all namespaces.
    pub fn new(kind: Kind, namespace: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            labels: None,
            name: None,
            parts: Parts::Whole,
            may_be_missing: false,
        }
    }

    /// For kinds that few servers have: a watch looks seldom whether they have come.
    #[must_use]
    pub fn may_be_missing(mut self) -> Self {
        self.may_be_missing = true;
        self
    }

    #[must_use]
    pub fn with_labels(mut self, selector: impl Into<String>) -> Self {
        self.labels = Some(selector.into());
        self
    }

    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// The field selector, if one is needed.
    pub(super) fn fields(&self) -> Option<String> {
        self.name.as_ref().map(|name| format!("metadata.name={name}"))
    }

    #[must_use]
    pub fn metadata_only(mut self) -> Self {
        self.parts = Parts::Metadata;
        self
    }

    pub(super) fn request(&self, verb: Verb) -> RequestName {
        RequestName::collection(verb, self.kind, &self.namespace)
    }
}

/// The end of a list that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEnd {
    /// The moment all pages describe; a watch goes on from here.
    pub resource_version: String,
    pub received: usize,
}

/// One page as the server sends it.
pub(super) struct Page {
    pub objects: Vec<Object>,
    pub resource_version: String,
    /// Empty after the last page.
    pub next: String,
}

#[derive(Deserialize)]
struct WireList {
    metadata: WireListMetadata,
    items: Option<Vec<Value>>,
}

/// A page without its objects: whether another one comes.
#[derive(Deserialize)]
struct WireEnd {
    metadata: WireListMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireListMetadata {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: String,
}

impl Client {
    /// Reads one object; `None` when it is not there. A Secret comes without its data.
    ///
    /// *Effects*: one GET by name.
    pub async fn get(&self, id: &ObjectId) -> Result<Option<Object>, ClientError> {
        self.get_parts(id, Parts::Whole).await
    }

    /// Reads the metadata of one object; `None` when it is not there.
    ///
    /// *Effects*: one GET by name.
    pub async fn get_metadata(&self, id: &ObjectId) -> Result<Option<Object>, ClientError> {
        self.get_parts(id, Parts::Metadata).await
    }

    async fn get_parts(&self, id: &ObjectId, parts: Parts) -> Result<Option<Object>, ClientError> {
        let name = RequestName::of(Verb::Get, id);
        let call = Call {
            name: name.clone(),
            method: Method::GET,
            query: Vec::new(),
            accept: parts.accept(id.kind),
            body: None,
        };
        match self.call(call).await {
            Ok(answer) => read_object(&name, &answer.body).map(Some),
            Err(ClientError::Refused { source, .. }) if source.is_missing_object() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists, calling `page` with each page as it comes.
    ///
    /// *Shape*: in the server's order; nothing may be called absent before this returns `Ok`.
    /// *Errors*: [`ClientError::ListBrokeOff`] when a later page than the first failed.
    /// *Effects*: one GET for each 2,000 objects.
    pub async fn list(
        &self,
        query: &ListQuery,
        mut page: impl FnMut(Vec<Object>),
    ) -> Result<ListEnd, ClientError> {
        let mut received = 0;
        let name = query.request(Verb::List);
        let mut body = self.page_bytes(query, "").await?;
        loop {
            let end: WireEnd = serde_json::from_slice(&body).map_err(|error| not_json(&name, &error))?;
            if end.metadata.next.is_empty() {
                let last = read_page(query.kind, &name, &body)?;
                received += last.objects.len();
                page(last.objects);
                return Ok(ListEnd {
                    resource_version: last.resource_version,
                    received,
                });
            }
            // Reading a page takes as long as being sent the next one.
            let (kind, asked) = (query.kind, name.clone());
            let read = tokio::task::spawn_blocking(move || read_page(kind, &asked, &body));
            let (read, following) = tokio::join!(read, self.page_bytes(query, &end.metadata.next));
            let read = read.unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(error) => Err(ClientError::Answer {
                    request: name.clone().into(),
                    reason: format!("it was not read: {error}"),
                }),
            })?;
            received += read.objects.len();
            page(read.objects);
            body = following.map_err(|error| ClientError::ListBrokeOff {
                request: name.clone().into(),
                received,
                source: Box::new(error),
            })?;
        }
    }

    /// Lists into one vector.
    ///
    /// *Errors* and *Effects*: as [`Client::list`].
    pub async fn list_all(&self, query: &ListQuery) -> Result<Vec<Object>, ClientError> {
        let mut all = Vec::new();
        self.list(query, |page| all.extend(page)).await?;
        Ok(all)
    }

    /// Reads one page; `next` is empty for the first.
    pub(super) async fn page(&self, query: &ListQuery, next: &str) -> Result<Page, ClientError> {
        let body = self.page_bytes(query, next).await?;
        read_page(query.kind, &query.request(Verb::List), &body)
    }

    async fn page_bytes(&self, query: &ListQuery, next: &str) -> Result<Bytes, ClientError> {
        let name = query.request(Verb::List);
        let fields = query.fields();
        let mut parameters = vec![("limit", PAGE)];
        if let Some(fields) = &fields {
            parameters.push(("fieldSelector", fields.as_str()));
        }
        if let Some(labels) = &query.labels {
            parameters.push(("labelSelector", labels.as_str()));
        }
        if !next.is_empty() {
            parameters.push(("continue", next));
        }
        let call = Call {
            name,
            method: Method::GET,
            query: parameters,
            accept: query.parts.accept_list(query.kind),
            body: None,
        };
        Ok(self.call(call).await?.body)
    }
}

fn read_page(kind: Kind, request: &RequestName, body: &[u8]) -> Result<Page, ClientError> {
    let list: WireList = serde_json::from_slice(body).map_err(|error| not_json(request, &error))?;
    let objects = list.items.unwrap_or_default();
    Ok(Page {
        objects: objects.into_iter().map(|item| complete(kind, item)).collect(),
        resource_version: list.metadata.resource_version,
        next: list.metadata.next,
    })
}

/// Reads an object from an answer. Its kind comes from the request: metadata answers have one of their own.
pub(super) fn read_object(request: &RequestName, body: &[u8]) -> Result<Object, ClientError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| not_json(request, &error))?;
    if !value.is_object() {
        return Err(ClientError::Answer {
            request: request.clone().into(),
            reason: "it is not an object".to_owned(),
        });
    }
    Ok(complete(request.kind, value))
}

/// Writes the kind into an object of a list or a metadata answer, which lack it, and drops bytes of Secrets should a
/// server have sent them unasked.
pub(super) fn complete(kind: Kind, mut value: Value) -> Object {
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), kind.api_version().into());
        fields.insert("kind".to_owned(), kind.kind.into());
        if kind == kinds::SECRET {
            fields.remove("data");
            fields.remove("stringData");
        }
    }
    Object(value)
}

pub(super) fn remove_managed_fields(object: &mut Object) {
    if let Some(metadata) = object.0.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

/// What serde quotes of an answer may be a value of it, so only the place is told.
pub(super) fn not_json(request: &RequestName, error: &serde_json::Error) -> ClientError {
    ClientError::Answer {
        request: request.clone().into(),
        reason: format!(
            "it cannot be read at line {}, column {}",
            error.line(),
            error.column()
        ),
    }
}
