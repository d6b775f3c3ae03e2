//! Requests on their way: what is asked of whom, and what their replies bring about.

use std::sync::Arc;

use crate::engine::{Errand, Place};
use crate::models::cost;
use crate::sample::{Outcome, Role, Slot};
use crate::task::{ModelConfig, Tokens};

/// A model that a task asks.
#[derive(Debug)]
pub(super) struct Party {
    /// Set when the run begins.
    pub(super) lane: usize,
    pub(super) config: Arc<ModelConfig>,
    /// Why it will not be asked any more.
    pub(super) dead: Option<String>,
}

impl Party {
    pub(super) fn new(config: ModelConfig) -> Self {
        Self { lane: usize::MAX, config: Arc::new(config), dead: None }
    }
}

/// Which call of which sample of which task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) task: usize,
    pub(super) sample: usize,
    pub(super) slot: Slot,
}

/// A request to be made.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) ticket: Ticket,
    pub(super) errand: Errand,
}

/// A sample that has been taken up.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(super) enum Opened {
    /// It needs these requests.
    Asks(Vec<Request>),
    /// Its journal held all it needed; only its outcome has to be recorded.
    Ended(Vec<u8>, Commit),
}

/// What a reply took: its tokens and dollars, as far as known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bill {
    pub(super) tokens: Option<Tokens>,
    pub(super) dollars: Option<f64>,
}

impl Bill {
    pub(super) fn new(
        config: &ModelConfig,
        tokens: Option<Tokens>,
        billed: Option<f64>,
        service_tier: Option<&str>,
    ) -> Self {
        Self { tokens, dollars: cost::of_reply(config, tokens.as_ref(), billed, service_tier) }
    }
}

/// What takes effect once the lines it came with are on disk.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) task: usize,
    pub(super) sample: usize,
    pub(super) usage: Option<(Role, Bill)>,
    pub(super) next: Vec<Request>,
    pub(super) outcome: Option<Outcome>,
    /// Given back when the commit is dropped, unless what comes next keeps it.
    pub(super) place: Option<Place>,
}
