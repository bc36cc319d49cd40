//! A namespace of its own for each test.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use k8s_openapi::api::core::v1::Namespace as Object;
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};

use super::servers::client_of;

/// A namespace that is deleted when this is dropped (the deletion is asked for, not awaited).
pub struct Namespace {
    pub name: String,
    kubeconfig: PathBuf,
}

impl Namespace {
    pub(super) async fn create(kubeconfig: PathBuf, client: Client, hint: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self::named(
            kubeconfig,
            client,
            format!("{hint}-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        )
        .await
    }

    pub(super) async fn named(kubeconfig: PathBuf, client: Client, name: String) -> Self {
        let mut object = Object::default();
        object.metadata.name = Some(name.clone());
        let created = Api::all(client).create(&PostParams::default(), &object).await;
        created.unwrap_or_else(|error| panic!("cannot create namespace {name}: {error}"));
        Self { name, kubeconfig }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The runtime of the test may be ending, so the request gets one of its own. A test that fails because the
        // servers are gone must not fail again here, so what comes of it is ignored.
        let (name, kubeconfig) = (self.name.clone(), self.kubeconfig.clone());
        let request = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok()?;
            runtime.block_on(async {
                let namespaces: Api<Object> = Api::all(client_of(&kubeconfig, "test-support").await);
                let how = DeleteParams::default();
                let delete = namespaces.delete(&name, &how);
                tokio::time::timeout(std::time::Duration::from_secs(5), delete)
                    .await
                    .ok()
            })
        };
        let _ = std::thread::spawn(request).join();
    }
}
