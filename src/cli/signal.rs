//! Ctrl-C and SIGTERM while something is being written.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::error::CliError;

/// Cancels `stop` at the first SIGINT or SIGTERM; the returned token tells whether one came. A second one ends the
/// program at once.
pub fn cancel_on_interrupt(stop: &CancellationToken) -> Result<CancellationToken, CliError> {
    let failed = |error| CliError::failed("cannot take over signals").caused_by(&error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let came = CancellationToken::new();
    let (came_inside, stop) = (came.clone(), stop.clone());
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        came_inside.cancel();
        stop.cancel();
        next().await;
        std::process::exit(i32::from(super::exit::Exit::Interrupted.code()));
    });
    Ok(came)
}
