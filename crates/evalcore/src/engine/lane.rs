//! A lane: what only the requests to one model at one endpoint have in common.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pace::Ticket;
use super::window::Place as Seat;
use super::{Admit, Pace, PerMinute, Shared, Unanswered, Window, Word};
use crate::providers::{ApiError, Endpoint, Failure, RateLimits};

/// Between two warnings of a lane that its requests are tried again.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// One model at one endpoint.
#[derive(Debug)]
pub struct Lane {
    endpoint: Endpoint,
    model: String,
    began: Instant,
    /// Held by the one request that waits for its turn; the others queue in order.
    gate: tokio::sync::Mutex<()>,
    /// Told when the window has room again.
    room: Notify,
    /// Cancelled when the lane dies.
    death: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    window: Window,
    pace: Pace,
    has_answered: bool,
    /// Why no request will succeed any more.
    dead: Option<String>,
    /// What went wrong last, and until when requests wait for that reason.
    trouble: Option<(Instant, String)>,
    warned: Option<Instant>,
}

/// A request's turn to be sent; goes back with what came of it.
#[derive(Debug)]
pub(super) struct Turn {
    seat: Seat,
    ticket: Ticket,
}

impl Lane {
    /// A lane with nothing known about the server, for at most `max` requests in flight.
    pub fn new(endpoint: Endpoint, model: String, max: u32, by_hand: PerMinute) -> Self {
        let state = State {
            window: Window::new(max, max),
            pace: Pace::new(by_hand),
            has_answered: false,
            dead: None,
            trouble: None,
            warned: None,
        };
        Self {
            endpoint,
            model,
            began: Instant::now(),
            gate: tokio::sync::Mutex::default(),
            room: Notify::new(),
            death: CancellationToken::new(),
            state: Mutex::new(state),
        }
    }

    /// Why no request will succeed any more; none while the lane is alive.
    pub fn dead(&self) -> Option<String> {
        self.state().dead.clone()
    }

    /// What requests wait for just now, for people: `m: waiting 34 s: HTTP 429 …`.
    pub fn waiting(&self) -> Option<String> {
        let state = self.state();
        let (until, why) = state.trouble.as_ref()?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero())
            .then(|| format!("{}: waiting {} s: {why}", self.model, left.as_secs_f64().ceil()))
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether the server has ever answered a request of this lane.
    pub fn has_answered(&self) -> bool {
        self.state().has_answered
    }

    /// Marks the lane as dead and wakes all that wait in it.
    pub(super) fn die(&self, failure: &Failure) -> Unanswered {
        self.state().dead.get_or_insert_with(|| failure.to_string());
        self.death.cancel();
        Unanswered::LaneDead
    }

    /// Waits for a turn: room in the window, a moment that suits the pace, and a place in flight,
    /// which may be brought along. Whoever has to wait gives the place back meanwhile.
    pub(super) async fn turn(
        &self,
        mut permit: Option<OwnedSemaphorePermit>,
        tokens: u64,
        shared: &Shared,
    ) -> Result<(OwnedSemaphorePermit, Turn), Unanswered> {
        let give_back = |permit: Option<OwnedSemaphorePermit>| {
            if permit.is_some() {
                drop(permit);
                shared.freed.notify_one();
            }
        };
        let _gate = match self.gate.try_lock() {
            Ok(gate) => gate,
            Err(_) => {
                give_back(permit.take());
                self.unless_over(shared, self.gate.lock()).await?
            }
        };
        loop {
            let held = match permit.take() {
                Some(held) => held,
                None => self.permit(shared).await?,
            };
            let room = self.room.notified();
            let wait = match self.take_turn(tokens)? {
                Ok(turn) => return Ok((held, turn)),
                Err(wait) => wait,
            };
            give_back(Some(held));
            match wait {
                Some(wait) => self.unless_over(shared, tokio::time::sleep(wait)).await?,
                None => self.unless_over(shared, room).await?,
            }
        }
    }

    /// A turn, or how long to wait for one; none is until the window has room.
    fn take_turn(&self, tokens: u64) -> Result<Result<Turn, Option<Duration>>, Unanswered> {
        let now = self.began.elapsed();
        let mut state = self.state();
        if state.dead.is_some() {
            return Err(Unanswered::LaneDead);
        }
        let Some(seat) = state.window.enter() else {
            return Ok(Err(None));
        };
        Ok(match state.pace.admit(now, tokens) {
            Admit::Now(ticket) => Ok(Turn { seat, ticket }),
            Admit::Wait(wait) => {
                state.window.leave(now, seat, Word::Nothing);
                Err(Some(wait))
            }
        })
    }

    /// A place in flight.
    pub(super) async fn permit(&self, shared: &Shared) -> Result<OwnedSemaphorePermit, Unanswered> {
        let permit = shared.permits.clone().acquire_owned();
        Ok(self.unless_over(shared, permit).await?.expect("semaphore is never closed"))
    }

    /// Waits before a request is sent again.
    pub(super) async fn sleep(
        &self,
        wait: Duration,
        failure: &Failure,
        shared: &Shared,
    ) -> Result<(), Unanswered> {
        {
            let mut state = self.state();
            let now = Instant::now();
            let until = now + wait;
            if state.trouble.as_ref().is_none_or(|(before, _)| *before < until) {
                state.trouble = Some((until, failure.to_string()));
            }
            let is_due = |warned: Instant| now.duration_since(warned) >= WARNING_INTERVAL;
            if state.warned.is_none_or(is_due) {
                state.warned = Some(now);
                let Self { model, endpoint, .. } = self;
                tracing::warn!("{model} at {}: trying again: {failure}", endpoint.base_url);
            }
        }
        self.unless_over(shared, tokio::time::sleep(wait)).await
    }

    /// Waits, unless the lane dies; a stop does not end it.
    pub(super) async fn rest(&self, wait: Duration) -> Result<(), Unanswered> {
        tokio::select! {
            biased;
            () = self.death.cancelled() => Err(Unanswered::LaneDead),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    async fn unless_over<T>(
        &self,
        shared: &Shared,
        wait: impl Future<Output = T>,
    ) -> Result<T, Unanswered> {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => Err(Unanswered::Stopped),
            () = self.death.cancelled() => Err(Unanswered::LaneDead),
            done = wait => Ok(done),
        }
    }

    pub(super) fn answered(&self, turn: Turn, limits: &RateLimits, used_tokens: u64) {
        let mut state = self.state();
        state.has_answered = true;
        state.trouble = None;
        state.pace.observe(&turn.ticket, limits);
        state.pace.settle(&turn.ticket, used_tokens);
        self.leave(state, turn.seat, Word::Taken);
    }

    pub(super) fn accepted(&self, turn: Turn) {
        let mut state = self.state();
        state.has_answered = true;
        self.leave(state, turn.seat, Word::Taken);
    }

    /// A 429. A wait longer than `patience` holds nobody up: each request hears of it and gives up.
    pub(super) fn refused(&self, turn: Turn, error: &ApiError, patience: Duration) {
        let now = self.began.elapsed();
        let mut state = self.state();
        let wait = error.retry_after.filter(|wait| *wait <= patience);
        let is_paced = state.pace.refused(now, &turn.ticket, &error.limits, wait);
        self.leave(state, turn.seat, if is_paced { Word::Nothing } else { Word::Refused });
    }

    /// Another error; the server may have said how its limits stand.
    pub(super) fn failed(&self, turn: Turn, limits: Option<&RateLimits>) {
        let mut state = self.state();
        if let Some(limits) = limits {
            state.pace.observe(&turn.ticket, limits);
        }
        self.leave(state, turn.seat, Word::Nothing);
    }

    fn leave(&self, mut state: MutexGuard<'_, State>, seat: Seat, word: Word) {
        state.window.leave(self.began.elapsed(), seat, word);
        drop(state);
        self.room.notify_one();
    }

    /// A lock that no panic can be holding: nothing inside it panics.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
