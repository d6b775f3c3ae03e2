//! What signals mean: the first one drains, the second one aborts.

use std::time::Duration;

use anyhow::{Context, Result};
use evalcore::runner::Stop;
use futures_util::StreamExt;
use signal_hook_tokio::Signals;

/// Listens for SIGINT and SIGTERM, and for SIGHUP unless it was ignored from the start, as under
/// `nohup`. After `grace`, draining turns into aborting.
pub(crate) fn listen(stop: Stop, grace: Option<Duration>) -> Result<()> {
    let mut wanted = vec![libc::SIGINT, libc::SIGTERM];
    if !is_ignored(libc::SIGHUP) {
        wanted.push(libc::SIGHUP);
    }
    let mut signals = Signals::new(wanted).context("listen for signals")?;
    tokio::spawn(async move {
        while let Some(signal) = signals.next().await {
            if stop.drain.is_cancelled() {
                tracing::warn!("{}: dropping the requests in flight", name(signal));
                stop.abort.cancel();
                continue;
            }
            tracing::warn!(
                "{}: nothing new is sent, waiting for the requests in flight; once more to drop them",
                name(signal)
            );
            stop.drain.cancel();
            if let Some(grace) = grace {
                let abort = stop.abort.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(grace).await;
                    abort.cancel();
                });
            }
        }
    });
    Ok(())
}

fn name(signal: i32) -> &'static str {
    match signal {
        libc::SIGINT => "SIGINT",
        libc::SIGTERM => "SIGTERM",
        _ => "SIGHUP",
    }
}

/// Looks at a signal's disposition without changing it.
#[expect(unsafe_code, reason = "no safe wrapper reads a disposition without setting one")]
fn is_ignored(signal: i32) -> bool {
    // SAFETY: with a null new action sigaction only writes the current one to `action`, which is
    // valid for writes and, as plain data, valid when zeroed.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}
