//! One call of a lane: what it is to do, what comes of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lane::Turn;
use super::{Class, Lane, Patience, Purse, Reserved, Tries, Unaccounted, classify};
use crate::models::cost;
use crate::providers::{self, Asked, Failure, Reply};
use crate::sample::Message;
use crate::task::ModelConfig;

/// What all calls of a run have in common.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Places for requests in flight.
    pub permits: Arc<Semaphore>,
    /// Told when a place becomes free before its call has ended.
    pub freed: Arc<Notify>,
    /// How much one request may take.
    pub patience: Patience,
    /// The budget, if there is one.
    pub purse: Option<Arc<Purse>>,
    /// Nothing is sent any more once this is cancelled.
    pub stop: CancellationToken,
}

/// One call, to be made good.
#[derive(Debug)]
pub struct Call {
    /// What requests carry.
    pub config: Arc<ModelConfig>,
    /// What is to be done.
    pub errand: Errand,
    /// Names the call to the server.
    pub request_id: String,
    /// The place in flight that the call begins with.
    pub place: Option<Place>,
    /// Where money is noted that may have been spent without an answer.
    pub unaccounted: Unaccounted,
}

/// What a call is to do.
#[derive(Debug)]
pub enum Errand {
    /// Send this conversation.
    Ask(Vec<Message>),
    /// Wait for the background response of this id.
    Fetch(String),
}

/// A place among the requests in flight, with the money set aside for it. Kept until the answer is
/// on disk, so that what a crash can lose is never more than what was in flight.
#[derive(Debug)]
pub struct Place {
    permit: OwnedSemaphorePermit,
    reserved: Option<Reserved>,
}

/// What a call has brought.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most are answers, and there are few at a time")]
pub enum Called {
    /// An answer.
    Answered(Answer),
    /// The provider works on it under this id. The place in flight stays taken.
    Sent {
        /// The provider's id of the response.
        id: String,
        /// The place.
        place: Place,
    },
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
    /// The request's place among those in flight.
    pub place: Place,
}

/// Why there is no answer.
#[derive(Debug, PartialEq)]
pub enum Unanswered {
    /// The request failed for good, or too often.
    GaveUp(String),
    /// The background response will never have an answer.
    Lost {
        /// Why.
        reason: String,
        /// Whether to ask anew may bring one.
        again: bool,
    },
    /// The whole lane is dead, see [`Lane::dead`].
    LaneDead,
    /// The budget has no room for the request.
    OverBudget,
    /// The run was stopped before the request was sent again.
    Stopped,
}

impl Place {
    /// A place with no money set aside.
    pub fn new(permit: OwnedSemaphorePermit) -> Self {
        Self { permit, reserved: None }
    }

    /// Settles what was set aside, once it is known what the request has cost; unknown is the worst.
    pub(super) fn settle(&mut self, config: &ModelConfig, reply: &Reply, shared: &Shared) {
        let tier = reply.service_tier.as_deref();
        let dollars = cost::of_reply(config, reply.usage.as_ref(), reply.cost, tier);
        match (self.reserved.take(), dollars, &shared.purse) {
            (Some(reserved), Some(dollars), _) => reserved.settle(dollars),
            (None, Some(dollars), Some(purse)) => purse.spend(dollars),
            _ => {}
        }
    }

    /// A place for a response that an earlier run has asked for: it will cost what it costs.
    pub(super) fn resumed(
        permit: OwnedSemaphorePermit,
        config: &ModelConfig,
        shared: &Shared,
    ) -> Self {
        let worst_case = cost::of_request(config, &[]).unwrap_or_default();
        let reserved = shared.purse.as_ref().and_then(|purse| purse.try_reserve(worst_case));
        Self { permit, reserved }
    }
}

impl Lane {
    /// Does a call's errand until there is an answer or patience ends. A place is held while a
    /// request is in flight, never while waiting to send one.
    ///
    /// # Errors
    ///
    /// Why there is no answer, see [`Unanswered`].
    pub async fn call(&self, call: Call, shared: &Shared) -> Result<Called, Unanswered> {
        let Call { config, errand, request_id, place, unaccounted } = call;
        match errand {
            Errand::Ask(messages) => {
                self.ask(&config, &messages, &request_id, place, &unaccounted, shared).await
            }
            Errand::Fetch(id) => {
                self.fetch(&config, &id, place, shared).await.map(Called::Answered)
            }
        }
    }

    async fn ask(
        &self,
        config: &ModelConfig,
        messages: &[Message],
        request_id: &str,
        place: Option<Place>,
        unaccounted: &Unaccounted,
        shared: &Shared,
    ) -> Result<Called, Unanswered> {
        let mut began = None;
        let mut tries = Tries::default();
        let mut permit = place.map(|place| place.permit);
        loop {
            let reserved = self.reserve(config, messages, &mut permit, shared).await?;
            let turn = self.turn(permit.take(), tokens(config, messages), shared).await;
            let (held, turn) = match turn {
                Ok(turn) => turn,
                Err(unanswered) => {
                    if let Some(unsent) = reserved {
                        unsent.release();
                    }
                    return Err(unanswered);
                }
            };
            let reserved = reserved.map(|reserved| reserved.noted_in(unaccounted));
            let mut place = Place { permit: held, reserved };
            let sent = Instant::now();
            let began = *began.get_or_insert(sent);
            let timeout = shared.patience.timeout;
            let asked =
                providers::ask(self.endpoint(), config, messages, request_id, timeout).await;
            self.heard(turn, asked.as_ref(), shared);
            let failure = match asked {
                Ok(Asked::Reply(reply)) => {
                    place.settle(config, &reply, shared);
                    let (attempts, latency) = (tries.attempts(), sent.elapsed());
                    return Ok(Called::Answered(Answer { reply, attempts, latency, place }));
                }
                Ok(Asked::Pending { id }) => {
                    let reserved = place.reserved.map(Reserved::not_noted);
                    return Ok(Called::Sent { id, place: Place { reserved, ..place } });
                }
                Err(failure) => failure,
            };
            self.give_up_place(place, &failure, shared);
            let class = self.class(&failure);
            tracing::debug!(request = request_id, attempts = tries.attempts(), ?class, "{failure}");
            if class == Class::StopLane {
                return Err(self.die(&failure));
            }
            let random = fastrand::f64();
            let wait = tries
                .after(&failure, class, began.elapsed(), &shared.patience, random)
                .map_err(Unanswered::GaveUp)?;
            self.sleep(wait, &failure, shared).await?;
        }
    }

    /// Sets aside what the request can cost at most. Whoever has to wait for money gives its place
    /// back: those who have money may be waiting for places.
    async fn reserve(
        &self,
        config: &ModelConfig,
        messages: &[Message],
        permit: &mut Option<OwnedSemaphorePermit>,
        shared: &Shared,
    ) -> Result<Option<Reserved>, Unanswered> {
        let Some(purse) = &shared.purse else {
            return Ok(None);
        };
        let worst_case = cost::of_request(config, messages).ok_or_else(|| {
            let why = "nobody can say what this request may cost at most, and there is a budget";
            Unanswered::GaveUp(why.into())
        })?;
        if let Some(reserved) = purse.try_reserve(worst_case) {
            return Ok(Some(reserved));
        }
        if permit.take().is_some() {
            shared.freed.notify_one();
        }
        tokio::select! {
            reserved = purse.reserve(worst_case) => match reserved {
                Ok(reserved) => Ok(Some(reserved)),
                Err(_) => Err(Unanswered::OverBudget),
            },
            () = shared.stop.cancelled() => Err(Unanswered::Stopped),
        }
    }

    /// The request has failed. Money is free again only if the request cannot have been billed.
    fn give_up_place(&self, place: Place, failure: &Failure, shared: &Shared) {
        let Place { permit, reserved } = place;
        let is_unbilled = match failure {
            Failure::Status(error) => {
                !error.has_ended && matches!(error.status, 400..=500 | 503 | 529)
            }
            Failure::Unsendable { .. } => true,
            Failure::Network { sent, .. } => !sent,
            Failure::Timeout(_) | Failure::Unreadable { .. } => false,
        };
        if let Some(reserved) = reserved.filter(|_| is_unbilled) {
            reserved.release();
        }
        drop(permit);
        shared.freed.notify_one();
    }

    /// What a failure means here. A page that forbids one request, on a lane that has answered
    /// others, is about that request.
    fn class(&self, failure: &Failure) -> Class {
        match classify(failure) {
            Class::StopLane if self.has_answered() && is_doubtful(failure) => Class::GiveUp,
            class => class,
        }
    }

    /// Tells window and pace what came of a request.
    fn heard(&self, turn: Turn, asked: Result<&Asked, &Failure>, shared: &Shared) {
        match asked {
            Ok(Asked::Reply(reply)) => {
                let used = reply.usage.map_or(0, |usage| usage.input_tokens + usage.output_tokens);
                self.answered(turn, &reply.limits, used);
            }
            Ok(Asked::Pending { .. }) => self.accepted(turn),
            Err(Failure::Status(error)) if error.status == 429 => {
                self.refused(turn, error, shared.patience.retry_for);
            }
            Err(Failure::Status(error)) => self.failed(turn, Some(&error.limits)),
            Err(_) => self.failed(turn, None),
        }
    }
}

fn is_doubtful(failure: &Failure) -> bool {
    let Failure::Status(error) = failure else {
        return false;
    };
    matches!(error.status, 403..=405) && error.code.is_none()
}

/// Tokens that count against a limit per minute: about a quarter of the characters, and all that
/// may be answered.
fn tokens(config: &ModelConfig, messages: &[Message]) -> u64 {
    let n_bytes: usize = messages.iter().map(|message| message.content.len()).sum();
    n_bytes as u64 / 4 + u64::from(config.max_tokens.unwrap_or(0))
}
