//! `install`: prints everything that runs the controller in a cluster.

use clap::Args;
use serde_json::Value;

use crate::api::crd;
use crate::cli::args::HubProtection;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::ui::Ui;

/// Image that is installed unless another is named.
pub const DEFAULT_IMAGE: &str = concat!("k0smotron-fleet:v", env!("CARGO_PKG_VERSION"));

const IMAGE: &str = "${image}";
const NAMESPACE: &str = include_str!("../../../deploy/parts/namespace.yaml");
const RBAC: &str = include_str!("../../../deploy/parts/rbac.yaml");
const POLICIES: &str = include_str!("../../../deploy/parts/policies.yaml");
const SETTINGS: &str = include_str!("../../../deploy/parts/settings.yaml");
const SETTINGS_POLICY: &str = include_str!("../../../deploy/parts/settings-policy.yaml");
const DEPLOYMENT: &str = include_str!("../../../deploy/parts/deployment.yaml");

/// Print namespace, CRDs, rights, policies and Deployment as YAML, for `kubectl apply --server-side -f -`
#[derive(Debug, Args)]
pub struct Arguments {
    /// Image of the controller
    #[arg(long, value_name = "IMAGE", env = "K0SMOTRON_FLEET_IMAGE", default_value = DEFAULT_IMAGE, value_parser = image)]
    image: String,
    #[command(flatten)]
    protection: HubProtection,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    ui.answer(&manifests(&arguments.image, &arguments.protection))?;
    Ok(Exit::Success)
}

/// Returns all manifests, in the order in which they can be applied in one go.
pub fn manifests(image: &str, protection: &HubProtection) -> String {
    let definitions = crd::all_yaml();
    let settings = settings(protection);
    let deployment = DEPLOYMENT.replace(IMAGE, image);
    format!(
        "# Made by `k0smotron-fleet install`.\n---\n{NAMESPACE}{definitions}---\n{settings}---\n{RBAC}---\n\
         {POLICIES}---\n{SETTINGS_POLICY}---\n{deployment}"
    )
}

/// Returns the ConfigMap that both the controller and the policy read: what one allows the other does.
fn settings(protection: &HubProtection) -> String {
    let quoted = |value: &str| Value::from(value).to_string();
    let word = |is_set: bool| if is_set { "true" } else { "false" };
    SETTINGS
        .replace("${allow-host-path}", &quoted(word(protection.allow_host_path)))
        .replace("${allowed-images}", &quoted(&protection.images().join(",")))
        .replace(
            "${allowed-service-accounts}",
            &quoted(&protection.service_accounts().join(",")),
        )
        .replace("${network-policies}", &quoted(word(protection.network_policies)))
}

/// Accepts what an image reference can be made of; anything else could be more YAML than one value.
fn image(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "./:@_-".contains(c);
    if text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(is_allowed)
        && !text.ends_with(':')
    {
        Ok(text.to_owned())
    } else {
        Err("write it as REPOSITORY:TAG or REPOSITORY@DIGEST".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_one_yaml_value() {
        assert!(image("registry.example.com:5000/fleet/k0smotron-fleet:v1.2.3").is_ok());
        assert!(image("a@sha256:0123").is_ok());
        for text in ["a: b", "a #b", "\"a\"", "", "a\nb", "[a]", "a:"] {
            assert!(image(text).is_err(), "{text:?}");
        }
    }
}
