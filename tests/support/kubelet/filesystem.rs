//! The root folder of a pod: what its volumes and mounts make of Secrets and ConfigMaps.
//!
//! Files lie where the pod sees them, so a program with this folder as its root runs with exactly the arguments of
//! the pod. Volumes that can be written lie in `.volumes` and are linked to relatively, which holds inside and outside.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::core::v1::{ConfigMap, Container, KeyToPath, Pod, Secret, Volume};
use kube::api::Api;
use kube::{Client, ResourceExt as _};

/// Folder, in the root of a pod, of the volumes that can be written.
const VOLUMES: &str = ".volumes";

/// Makes the root folder of a pod anew; claims keep what is in them.
///
/// Errors when a Secret or ConfigMap is not there (a kubelet waits for it), or a volume is of a kind that is not played.
pub async fn build(client: &Client, pod: &Pod, root: &Path) -> Result<(), String> {
    let spec = pod.spec.as_ref().ok_or("a pod without spec")?;
    let mut contents: BTreeMap<&str, Content> = BTreeMap::new();
    for volume in spec.volumes.iter().flatten() {
        contents.insert(&volume.name, content(client, pod, volume).await?);
    }
    clear(root, &contents).map_err(|error| format!("clear {}: {error}", root.display()))?;
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let mut mounts: Vec<_> = containers
        .flat_map(|container| container.volume_mounts.iter().flatten())
        .collect();
    // Outer folders first; two containers may have the same mount.
    mounts.sort_by_key(|mount| (mount.mount_path.clone(), mount.name.clone()));
    mounts.dedup_by_key(|mount| (mount.mount_path.clone(), mount.name.clone()));
    for mount in mounts {
        let content = contents
            .get(mount.name.as_str())
            .ok_or(format!("no volume {}", mount.name))?;
        let done = place(root, &mount.mount_path, mount.sub_path.as_deref(), content);
        done.map_err(|error| format!("mount {}: {error}", mount.mount_path))?;
    }
    Ok(())
}

enum Content {
    /// Relative path -> bytes.
    Files(BTreeMap<String, Vec<u8>>),
    /// A folder in `.volumes`, empty for every pod.
    Scratch(String),
    /// A folder in `.volumes` that outlives pods.
    Claim(String),
}

async fn content(client: &Client, pod: &Pod, volume: &Volume) -> Result<Content, String> {
    let namespace = pod.namespace().unwrap_or_default();
    if volume.empty_dir.is_some() {
        return Ok(Content::Scratch(volume.name.clone()));
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        return Ok(Content::Claim(claim.claim_name.clone()));
    }
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.clone().unwrap_or_default();
        return Ok(Content::Files(pick(
            secret_of(client, &namespace, &name).await?,
            secret.items.as_deref(),
        )?));
    }
    if let Some(map) = &volume.config_map {
        return Ok(Content::Files(pick(
            map_of(client, &namespace, &map.name).await?,
            map.items.as_deref(),
        )?));
    }
    let Some(projected) = &volume.projected else {
        return Err(format!(
            "volume {} is of a kind that is not played here",
            volume.name
        ));
    };
    let mut files = BTreeMap::new();
    for source in projected.sources.iter().flatten() {
        if let Some(secret) = &source.secret {
            files.extend(pick(
                secret_of(client, &namespace, &secret.name).await?,
                secret.items.as_deref(),
            )?);
        } else if let Some(map) = &source.config_map {
            files.extend(pick(
                map_of(client, &namespace, &map.name).await?,
                map.items.as_deref(),
            )?);
        } else {
            return Err(format!("volume {} projects what is not played here", volume.name));
        }
    }
    Ok(Content::Files(files))
}

async fn secret_of(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let secret = Api::<Secret>::namespaced(client.clone(), namespace)
        .get(name)
        .await;
    let secret = secret.map_err(|error| format!("Secret {name}: {error}"))?;
    Ok(secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.0))
        .collect())
}

async fn map_of(client: &Client, namespace: &str, name: &str) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let map = Api::<ConfigMap>::namespaced(client.clone(), namespace)
        .get(name)
        .await;
    let map = map.map_err(|error| format!("ConfigMap {name}: {error}"))?;
    let text = map
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.into_bytes()));
    let binary = map
        .binary_data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.0));
    Ok(text.chain(binary).collect())
}

fn pick(
    mut all: BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let Some(items) = items else { return Ok(all) };
    let one = |item: &KeyToPath| {
        Ok((
            item.path.clone(),
            all.remove(&item.key).ok_or(format!("no key {}", item.key))?,
        ))
    };
    items.iter().map(one).collect()
}

/// Removes everything but the claims, and makes the folders of the volumes.
fn clear(root: &Path, contents: &BTreeMap<&str, Content>) -> std::io::Result<()> {
    let volumes = root.join(VOLUMES);
    fs::create_dir_all(&volumes)?;
    let claims: Vec<&String> = contents
        .values()
        .filter_map(|content| match content {
            Content::Claim(name) => Some(name),
            Content::Files(_) | Content::Scratch(_) => None,
        })
        .collect();
    for entry in fs::read_dir(root)?.chain(fs::read_dir(&volumes)?) {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_claim = path.parent() == Some(volumes.as_path()) && claims.contains(&&name);
        if path == volumes || is_claim {
            continue;
        }
        let removed = match path.is_dir() && !path.is_symlink() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        removed?;
    }
    for content in contents.values() {
        match content {
            Content::Scratch(name) | Content::Claim(name) => fs::create_dir_all(volumes.join(name))?,
            Content::Files(_) => {}
        }
    }
    fs::create_dir_all(root.join("tmp"))
}

fn place(root: &Path, mount: &str, sub_path: Option<&str>, content: &Content) -> std::io::Result<()> {
    let target = inside(root, mount);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    match content {
        Content::Files(files) => match sub_path {
            Some(key) => {
                let bytes = files
                    .get(key)
                    .ok_or_else(|| std::io::Error::other(format!("no key {key}")))?;
                fs::write(&target, bytes)
            }
            None => {
                for (path, bytes) in files {
                    let file = target.join(path);
                    fs::create_dir_all(file.parent().unwrap_or(&target))?;
                    fs::write(file, bytes)?;
                }
                fs::create_dir_all(&target)
            }
        },
        Content::Scratch(name) | Content::Claim(name) => {
            let mut folder = Path::new(VOLUMES).join(name);
            if let Some(part) = sub_path {
                folder.push(part);
            }
            fs::create_dir_all(root.join(&folder))?;
            // The parent may itself be reached through a link into `.volumes`.
            let parent = fs::canonicalize(target.parent().unwrap_or(root))?;
            let depth = parent
                .strip_prefix(fs::canonicalize(root)?)
                .map_or(0, |path| path.components().count());
            let mut link: PathBuf = std::iter::repeat_n("..", depth).collect();
            link.push(folder);
            if target.is_dir() && !target.is_symlink() {
                // `/tmp` is there before anything is mounted on it.
                fs::remove_dir(&target)?;
            }
            symlink(link, target)
        }
    }
}

/// Returns the path outside of a path that the pod sees.
pub fn inside(root: &Path, path: &str) -> PathBuf {
    let parts = Path::new(path)
        .components()
        .filter(|part| matches!(part, Component::Normal(_)));
    parts.fold(root.to_owned(), |all, part| all.join(part))
}

/// Variables of a container, and the references to them (`$(NAME)`) in its arguments resolved.
pub struct Call {
    pub environment: BTreeMap<String, String>,
    /// Command and arguments; the command may be empty (the image's own).
    pub argv: Vec<String>,
}

pub fn call(pod: &Pod, container: &Container, address: &str) -> Call {
    let mut environment: BTreeMap<String, String> = BTreeMap::new();
    for variable in container.env.iter().flatten() {
        let field = variable
            .value_from
            .as_ref()
            .and_then(|from| from.field_ref.as_ref());
        let value = match field.map(|field| field.field_path.as_str()) {
            Some("metadata.name") => pod.name_any(),
            Some("metadata.namespace") => pod.namespace().unwrap_or_default(),
            Some("status.podIP") => address.to_owned(),
            _ => expand(variable.value.as_deref().unwrap_or_default(), &environment),
        };
        environment.insert(variable.name.clone(), value);
    }
    let words = container
        .command
        .iter()
        .flatten()
        .chain(container.args.iter().flatten());
    let argv = words.map(|word| expand(word, &environment)).collect();
    Call { environment, argv }
}

fn expand(text: &str, environment: &BTreeMap<String, String>) -> String {
    environment.iter().fold(text.to_owned(), |text, (key, value)| {
        text.replace(&format!("$({key})"), value)
    })
}

/// Runs an init container that moves files: its program comes from this machine, its paths lead into the pod.
pub async fn run_init(pod: &Pod, container: &Container, root: &Path) -> Result<(), String> {
    let argv = call(pod, container, "").argv;
    let (program, arguments) = argv
        .split_first()
        .ok_or(format!("init container {} has no argv", container.name))?;
    let program = Path::new(program)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if !["cp", "install", "mkdir", "chmod", "chown"].contains(&program.as_str()) {
        return Err(format!(
            "init container {}: `{program}` is not played here",
            container.name
        ));
    }
    let mut command = Command::new(program);
    for argument in arguments {
        match argument.strip_prefix('/') {
            // `/certs/.` is not the same to cp as `/certs`, so the text is kept.
            Some(rest) => command.arg(format!("{}/{rest}", root.display())),
            None => command.arg(argument),
        };
    }
    let output = super::super::process::run(command, b"").await;
    if output.code == 0 {
        Ok(())
    } else {
        Err(format!("init container {}: {}", container.name, output.stderr))
    }
}
