//! Where the address and the credentials of an API server come from.

use std::path::{Path, PathBuf};

use kube::Config;
use kube::client::AuthError;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::connect::Target;
use super::error::ClientError;

/// Reads the configuration: the file that was named, else `KUBECONFIG`, else `~/.kube/config` where there is one, else
/// what a pod is given.
pub(super) async fn read(target: &Target) -> Result<Config, ClientError> {
    let paths = match &target.kubeconfig {
        Some(path) => vec![path.clone()],
        None => from_environment(),
    };
    let paths = match (paths.is_empty(), default_path()) {
        (true, Some(path)) if path.exists() => vec![path],
        (_, _) => paths,
    };
    if paths.is_empty() {
        return inside();
    }
    let origin = origin(&paths);
    let invalid = |error| invalid(&origin, error);
    let mut merged = Kubeconfig::default();
    for path in &paths {
        merged = merged.merge(read_one(path, &origin)?).map_err(invalid)?;
    }
    let known = merged
        .contexts
        .iter()
        .map(|context| context.name.clone())
        .collect();
    let options = KubeConfigOptions {
        context: target.context.clone(),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(merged, &options)
        .await
        .map_err(|error| match error {
            KubeconfigError::LoadContext(context) => ClientError::UnknownContext {
                origin: origin.clone(),
                context,
                known,
            },
            KubeconfigError::CurrentContextNotSet => ClientError::NoContext {
                origin: origin.clone(),
            },
            other => invalid(other),
        })
}

fn from_environment() -> Vec<PathBuf> {
    let value = std::env::var_os("KUBECONFIG").unwrap_or_default();
    std::env::split_paths(&value)
        .filter(|path| !path.as_os_str().is_empty())
        .collect()
}

fn default_path() -> Option<PathBuf> {
    Some(std::env::home_dir()?.join(".kube").join("config"))
}

fn inside() -> Result<Config, ClientError> {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        return Err(ClientError::NoConfiguration);
    }
    Config::incluster().map_err(|error| ClientError::InvalidKubeconfig {
        origin: "the service account of this pod".to_owned(),
        reason: error.to_string(),
    })
}

fn origin(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    format!("kubeconfig {}", names.join(", "))
}

fn read_one(path: &Path, origin: &str) -> Result<Kubeconfig, ClientError> {
    Kubeconfig::read_from(path).map_err(|error| match error {
        KubeconfigError::ReadConfig(source, path) => ClientError::ReadKubeconfig { path, source },
        other => invalid(origin, other),
    })
}

/// Says what is wrong with a file without quoting it: the line at fault may be a key.
fn invalid(origin: &str, error: KubeconfigError) -> ClientError {
    let reason = match error {
        KubeconfigError::Parse(error) => match error.location() {
            Some(place) => format!(
                "it is not a kubeconfig at line {}, column {}",
                place.line(),
                place.column()
            ),
            None => "it is not a kubeconfig".to_owned(),
        },
        other => other.to_string(),
    };
    ClientError::InvalidKubeconfig {
        origin: origin.to_owned(),
        reason,
    }
}

/// Says why credentials could not be prepared, without what a credential plugin printed: that may be a token.
pub(super) fn credentials(error: &kube::Error) -> String {
    match error {
        kube::Error::Auth(AuthError::AuthExecRun { cmd, out }) => {
            format!("the credential plugin `{cmd}` ended with {}", out.status)
        }
        kube::Error::Auth(AuthError::AuthExecParse(_)) => {
            "the credential plugin did not print an ExecCredential".to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::client::chain;

    async fn error_of(text: &str, context: Option<&str>) -> ClientError {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, text).unwrap();
        let target = Target {
            kubeconfig: Some(path),
            context: context.map(str::to_owned),
            identity: None,
        };
        read(&target).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_missing_kubeconfig_is_named() {
        let target = Target {
            kubeconfig: Some("/nowhere/edge-hub.yaml".into()),
            context: None,
            identity: None,
        };
        let error = read(&target).await.unwrap_err();
        assert_eq!(
            chain(&error),
            "cannot read kubeconfig `/nowhere/edge-hub.yaml`: No such file or directory (os error 2)"
        );
        assert!(error.hint().unwrap().contains("--kubeconfig"));
    }

    #[tokio::test]
    async fn a_broken_kubeconfig_is_not_quoted() {
        let error = error_of("apiVersion: v1\nusers: [token: hunter2, {]\n", None).await;
        let text = format!("{} {error:?}", chain(&error));
        assert!(text.contains("line 2"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[tokio::test]
    async fn an_unknown_context_is_answered_with_the_known_ones() {
        let text =
            "apiVersion: v1\nkind: Config\ncontexts:\n- name: edge-hub\n  context: {cluster: c, user: u}\n";
        let error = error_of(text, Some("edgehub")).await;
        assert!(
            chain(&error).ends_with("has no context `edgehub`"),
            "{}",
            chain(&error)
        );
        assert_eq!(error.hint().unwrap(), "it has: edge-hub");
        assert!(matches!(
            error_of(text, None).await,
            ClientError::NoContext { .. }
        ));
    }
}
