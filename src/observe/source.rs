//! A look at the Secret that holds the data source of a cluster.

use crate::client::{Client, ClientError, chain};
use crate::keys;
use crate::object::ObjectId;
use crate::plan::FailureKind;
use crate::render::SourceFacts;

/// Says whether the value of `key` in a Secret can be used, and which version of the Secret that is about: empty when
/// it is not there. The bytes do not leave this function.
///
/// *Effects*: one GET by name.
pub async fn data_source(client: &Client, secret: &ObjectId, key: &str) -> (SourceFacts, String) {
    let read = match client.get_secret(&secret.namespace, &secret.name).await {
        Ok(Some(read)) => read,
        Ok(None) => return (SourceFacts::Absent, String::new()),
        Err(error) => return (SourceFacts::Unreadable { why: why(&error) }, String::new()),
    };
    let version = read.metadata.version();
    let problem = match read.data.get(key) {
        None => Some("the Secret does not have it".to_owned()),
        Some(value) => keys::unusable(value).map(|problem| problem.to_string()),
    };
    let facts = match problem {
        Some(why) => SourceFacts::Unusable { why },
        None => SourceFacts::Usable {
            version: version.clone(),
        },
    };
    (facts, version)
}

fn why(error: &ClientError) -> String {
    match error.kind() {
        FailureKind::Forbidden => "the operator may not read it".to_owned(),
        _ => chain(error),
    }
}
