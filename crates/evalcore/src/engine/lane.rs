//! A lane: what only the requests to one model at one endpoint have in common.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Class, Patience, backoff, classify};
use crate::providers::{self, Asked, Endpoint, Failure, Reply};
use crate::sample::Message;
use crate::task::ModelConfig;

/// One model at one endpoint.
#[derive(Debug)]
pub struct Lane {
    endpoint: Endpoint,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The server asked for quiet until then.
    quiet_until: Option<Instant>,
    /// Why no request will succeed any more.
    dead: Option<String>,
}

/// One request, to be made good.
#[derive(Debug)]
pub struct Call {
    /// What requests carry.
    pub config: Arc<ModelConfig>,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Names the request to the server.
    pub request_id: String,
}

/// An answer, and what it took.
#[derive(Debug)]
pub struct Answer {
    /// The answer.
    pub reply: Reply,
    /// Requests sent, the successful one included.
    pub attempts: u32,
    /// Time from sending the successful request to its answer.
    pub latency: Duration,
    /// The request's place among those in flight: kept until the answer is on disk, so that what
    /// a crash can lose is never more than what was in flight.
    pub permit: OwnedSemaphorePermit,
}

/// Why there is no answer.
#[derive(Debug, PartialEq)]
pub enum Unanswered {
    /// The request failed for good, or too often.
    GaveUp(String),
    /// The whole lane is dead, see [`Lane::dead`].
    LaneDead,
    /// The run was stopped before the request was sent again.
    Stopped,
}

impl Lane {
    /// A lane with nothing known against it.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            state: Mutex::default(),
        }
    }

    /// Why no request will succeed any more; none while the lane is alive.
    pub fn dead(&self) -> Option<String> {
        self.state().dead.clone()
    }

    /// Asks until there is an answer or patience ends. A permit is held while a request is in
    /// flight, never while waiting.
    ///
    /// # Errors
    ///
    /// Why there is no answer, see [`Unanswered`].
    pub async fn call(
        &self,
        call: &Call,
        permits: &Arc<Semaphore>,
        patience: &Patience,
        stop: &CancellationToken,
    ) -> Result<Answer, Unanswered> {
        let mut attempts = 0;
        loop {
            let permit = self.turn(permits, stop).await?;
            attempts += 1;
            let sent = Instant::now();
            let Call {
                config,
                messages,
                request_id,
            } = call;
            let failure = match providers::ask(
                &self.endpoint,
                config,
                messages,
                request_id,
                patience.timeout,
            )
            .await
            {
                Ok(Asked::Pending { .. }) => {
                    let why = "background mode is not there yet";
                    return Err(Unanswered::GaveUp(why.into()));
                }
                Ok(Asked::Reply(reply)) => {
                    return Ok(Answer {
                        reply,
                        attempts,
                        latency: sent.elapsed(),
                        permit,
                    });
                }
                Err(failure) => failure,
            };
            drop(permit);
            self.wait(call, failure, attempts, patience, stop).await?;
        }
    }

    /// Waits for a place among the requests in flight, at a time when the server wants requests.
    async fn turn(
        &self,
        permits: &Arc<Semaphore>,
        stop: &CancellationToken,
    ) -> Result<OwnedSemaphorePermit, Unanswered> {
        loop {
            let quiet_until = self.state().quiet_until;
            if let Some(until) = quiet_until.filter(|until| *until > Instant::now()) {
                tokio::select! {
                    () = stop.cancelled() => return Err(Unanswered::Stopped),
                    () = tokio::time::sleep_until(until) => {}
                }
            }
            let permit = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Unanswered::Stopped),
                permit = permits.clone().acquire_owned() => permit.expect("semaphore is never closed"),
            };
            let state = self.state();
            if state.dead.is_some() {
                return Err(Unanswered::LaneDead);
            }
            if state
                .quiet_until
                .is_none_or(|until| until <= Instant::now())
            {
                return Ok(permit);
            }
        }
    }

    /// Acts on a failure: waits until the request may be sent again, or says why it will not be.
    async fn wait(
        &self,
        call: &Call,
        failure: Failure,
        attempts: u32,
        patience: &Patience,
        stop: &CancellationToken,
    ) -> Result<(), Unanswered> {
        let class = classify(&failure);
        tracing::debug!(request = call.request_id, attempts, ?class, "{failure}");
        let told = match class {
            Class::StopLane => {
                self.state().dead.get_or_insert(failure.to_string());
                return Err(Unanswered::LaneDead);
            }
            Class::GiveUp => return Err(Unanswered::GaveUp(failure.to_string())),
            Class::Retry(told) => told,
        };
        if attempts > patience.max_retries {
            return Err(Unanswered::GaveUp(format!(
                "after {attempts} attempts: {failure}"
            )));
        }
        if let Some(told) = told {
            let mut state = self.state();
            let until = Instant::now() + told;
            state.quiet_until = Some(state.quiet_until.map_or(until, |before| before.max(until)));
        }
        let wait = told.unwrap_or_else(|| backoff(attempts - 1, fastrand::f64()));
        tokio::select! {
            () = stop.cancelled() => Err(Unanswered::Stopped),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    /// A lock that no panic can be holding: nothing inside it panics.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
