//! Giving up what lives on at providers.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Prepared, records};
use crate::providers::{self, Asked, Endpoint};
use crate::task::ModelConfig;

/// Longest time for one request.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Cancels every background response that the journals know of and that has no answer yet, and notes in the journal that it
/// will never have an answer. Gives how many there were.
///
/// # Errors
///
/// A provider that cannot be asked, or a journal that cannot be written; those cancelled before
/// stay noted.
pub async fn cancel_remote(
    prepared: Prepared,
    endpoint: impl Fn(&ModelConfig) -> Result<Endpoint>,
) -> Result<usize> {
    let mut n_cancelled = 0;
    for (mut work, (path, mut journal)) in prepared.work.into_iter().zip(prepared.journals) {
        while let Some((number, trail)) = work.samples.take_next(true)? {
            let Some(pending) = trail.pending else {
                continue;
            };
            let config = work.config_of(pending.slot);
            let endpoint = endpoint(config)?;
            let found = providers::retrieve(&endpoint, config, &pending.id, TIMEOUT).await;
            if let Ok(Asked::Reply(_)) = found {
                // It has an answer, which is paid for: the next run fetches it.
                continue;
            }
            providers::cancel(&endpoint, config, &pending.id, TIMEOUT).await.map_err(
                |failure| anyhow::anyhow!("cancel response `{}`: {failure}", pending.id),
            )?;
            let line = records::lost(work.key(number), pending.slot, "cancelled by the user");
            journal
                .write_all(&line)
                .and_then(|()| journal.sync_data())
                .with_context(|| format!("write journal `{}`", path.display()))?;
            n_cancelled += 1;
        }
    }
    Ok(n_cancelled)
}
