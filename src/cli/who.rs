//! Who runs this program, as other people read it.

use super::error::CliError;
use crate::diagnostic::visible;
use crate::object::hex;

/// Names this run in the lock of a fleet: user, host, process, program, and a word that no other run has.
///
/// *Errors*: the system gives no random bytes.
pub fn holder() -> Result<String, CliError> {
    let user = ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "somebody".to_owned());
    Ok(format!(
        "{}@{}, pid {}, {} {} ({})",
        visible(&user),
        visible(&host_name()),
        std::process::id(),
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        random_word()?
    ))
}

/// Returns the name of this host.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "k0smotron-fleet".to_owned(),
        name => name.to_owned(),
    }
}

/// Returns eight random digits: two lives of one pod, or two runs of one pid, must not look like one holder.
pub fn random_word() -> Result<String, CliError> {
    let mut bytes = [0u8; 4];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| CliError::failed("the system gives no random bytes"))?;
    Ok(hex(&bytes))
}
