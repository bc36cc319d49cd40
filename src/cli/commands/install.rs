//! `install`: prints everything that runs the controller in a cluster.

use clap::Args;

use crate::api::crd;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::ui::Ui;

/// Image that is installed unless another is named.
pub const DEFAULT_IMAGE: &str = concat!("k0smotron-fleet:v", env!("CARGO_PKG_VERSION"));

const IMAGE: &str = "${image}";
const NAMESPACE: &str = include_str!("../../../deploy/parts/namespace.yaml");
const RBAC: &str = include_str!("../../../deploy/parts/rbac.yaml");
const POLICIES: &str = include_str!("../../../deploy/parts/policies.yaml");
const DEPLOYMENT: &str = include_str!("../../../deploy/parts/deployment.yaml");

/// Print namespace, CRDs, rights, policies and Deployment as YAML, for `kubectl apply --server-side -f -`
#[derive(Debug, Args)]
pub struct Arguments {
    /// Image of the controller
    #[arg(long, value_name = "IMAGE", env = "K0SMOTRON_FLEET_IMAGE", default_value = DEFAULT_IMAGE, value_parser = image)]
    image: String,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    ui.answer(&manifests(&arguments.image))?;
    Ok(Exit::Success)
}

/// Returns all manifests, in the order in which they can be applied in one go.
pub fn manifests(image: &str) -> String {
    format!(
        "# Made by `k0smotron-fleet install`.\n---\n{NAMESPACE}{}---\n{RBAC}---\n{POLICIES}---\n{}",
        crd::all_yaml(),
        DEPLOYMENT.replace(IMAGE, image)
    )
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
