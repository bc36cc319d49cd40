//! Commands that see other files than this process does: another `/etc/hosts`, or another root.
//!
//! Both need root, or a system that gives everybody user namespaces.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Starts a command line in which arguments may follow: `program` with `hosts` in place of `/etc/hosts`.
///
/// The process that the caller starts becomes the program itself, so killing it kills the program.
pub fn with_hosts(hosts: &Path, program: &Path) -> Command {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.arg("--map-root-user");
    }
    let script = r#"mount --bind "$1" /etc/hosts && shift && exec "$@""#;
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(hosts)
        .arg(program);
    command
}

/// Starts a command line in which arguments may follow: `program` (a path in `root`) with `root` as its root folder.
pub fn with_root(root: &Path, program: &str) -> Command {
    if is_root() {
        let mut command = Command::new("chroot");
        command.arg(root).arg(program);
        return command;
    }
    let mut command = Command::new("unshare");
    command
        .arg("--map-root-user")
        .arg(format!("--root={}", root.display()))
        .arg(program);
    command
}
