//! What an operator makes of what watches tell, without a server.

use std::sync::OnceLock;

use serde_json::json;

use super::*;
use crate::client::stub::{Requests, server};

use crate::render::SourceFacts;

fn operator(client: Client) -> Arc<Operator> {
    Operator::new(OperatorOptions {
        client,
        namespaces: Vec::new(),
        settings: Settings::standard(),
        reach: Reach::Outside,
        concurrency: 1,
        instance: "test".to_owned(),
    })
}

fn key(name: &str) -> ObjectId {
    ObjectId::new(kinds::K0SMOTRON_CLUSTER, "tenant-7", name)
}

#[tokio::test]
async fn a_secret_that_changes_while_it_is_read_is_read_again() {
    let this: Arc<OnceLock<Arc<Operator>>> = Arc::default();
    let mut reads = 0;
    let asking = Arc::clone(&this);
    let (client, requests): (_, Requests) = server(move |_| {
        reads += 1;
        let version = reads.min(2);
        // The watch is faster than the answer.
        asking.get().unwrap().sources.note(&key("edge"), "uid-db/2");
        (
            200,
            json!({"metadata": {"name": "db", "uid": "uid-db", "resourceVersion": version.to_string()},
                "data": {"url": "cG9zdGdyZXM6Ly9kYg=="}}),
        )
    });
    let operator = operator(client);
    assert!(this.set(Arc::clone(&operator)).is_ok());
    let spec = serde_json::from_value(json!({"storage": {"type": "kine",
        "kine": {"dataSourceSecretName": "db", "dataSourceSecretKey": "url"}}}))
    .unwrap();
    for expected in [1, 2, 2] {
        operator.look_at_source(&key("edge"), &spec).await;
        assert_eq!(requests.lock().unwrap().len(), expected);
    }
    let Some(SourceFacts::Usable { version }) = operator.source(&key("edge")) else {
        panic!("{:?}", operator.source(&key("edge")))
    };
    assert_eq!(version, "uid-db/2");
}
