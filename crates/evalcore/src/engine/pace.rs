//! When a lane may send: never faster than told by hand, and just as fast as the server's headers allow.
//!
//! A server that limits requests or tokens per minute keeps a bucket of each and tells with every answer how much was
//! left when it took the request, and when the bucket will be full. The pace keeps an image of these buckets. The rest
//! and the time to fill up give the burst, so the first answer tells all there is to know. Each further one corrects
//! the image *as it was when that request was sent*: requests sent later are in the image and not in the server's word,
//! so they are counted once. What a request did not use is not given back to the image, the server's next word has it.
//!
//! Until the first answer nothing is known. To send the whole window would, at a server without burst, be refused nearly
//! whole; to send one request and wait would cost a slow server's whole latency. So the first requests go out as 8, and
//! twice as many every 0.3 s: a server that is quick to refuse refuses few, and one that is slow costs about a second.
//!
//! A server that sends no such headers is not paced, except by hand.

use std::collections::VecDeque;
use std::time::Duration;

use super::bucket::{Bucket, Mark, Standing};
use crate::providers::RateLimits;

/// Requests that may be sent before anything was heard, and the time in which they double.
const BLIND: (f64, Duration) = (8.0, Duration::from_millis(300));

/// Requests that are sent within this time may reach the server in any order.
const OVERTAKING: Duration = Duration::from_millis(100);

/// Limits set by hand: spread evenly over the minute, whatever the server says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerMinute {
    /// Requests.
    pub requests: Option<u64>,
    /// Tokens, input and most output together.
    pub tokens: Option<u64>,
}

/// Whether a request may be sent.
#[derive(Debug)]
pub enum Admit {
    /// Now. What it takes is reserved.
    Now(Ticket),
    /// Not before this time has passed; nothing is reserved.
    Wait(Duration),
}

/// What a request that is sent took, to be compared with what its answer says.
#[derive(Debug)]
pub struct Ticket {
    marks: [Mark; 2],
    /// Estimated tokens: of this request and of all requests up to it.
    tokens: u64,
    total: f64,
    /// What all requests up to it took of the server's tokens.
    drawn: f64,
}

/// How many tokens the server counts for each that is estimated, from what its bucket lost between answers.
#[derive(Debug)]
struct Count {
    factor: f64,
    /// Answers in this measurement, what was estimated for their requests and what the server counted.
    answers: u32,
    estimated: f64,
    counted: f64,
    /// What was estimated for all requests, and the same and what was drawn by the last one that was heard of.
    total: f64,
    heard: (f64, f64),
}

/// One lane's pace. Times are counted from any fixed moment. In arrays requests come first, then tokens.
#[derive(Debug)]
pub struct Pace {
    /// When the first request was sent, until the first answer.
    blind_since: Option<Duration>,
    heard: bool,
    quiet_until: Duration,
    /// What all requests together took.
    drawn: [f64; 2],
    /// The same just after each request, with the time, from a little before the last one that was heard of.
    history: VecDeque<(Duration, [f64; 2])>,
    /// The last request whose answer was heard, in the order of sending.
    heard_of: u64,
    by_hand: [Option<Bucket>; 2],
    remote: [Option<Bucket>; 2],
    count: Count,
}

impl Pace {
    /// A pace that knows only the limits set by hand.
    pub fn new(by_hand: PerMinute) -> Self {
        Self {
            blind_since: None,
            heard: false,
            quiet_until: Duration::ZERO,
            drawn: [0.0; 2],
            history: VecDeque::new(),
            heard_of: 0,
            by_hand: [by_hand.requests, by_hand.tokens].map(|limit| limit.map(Bucket::by_hand)),
            remote: [None, None],
            count: Count::new(),
        }
    }

    /// Asks to send a request of `tokens` tokens, estimated input and most output together. To be asked for one
    /// request at a time, the longest waiting first: else large ones starve.
    pub fn admit(&mut self, now: Duration, tokens: u64) -> Admit {
        let by_hand = [1.0, tokens as f64];
        let remote = [1.0, tokens as f64 * self.count.factor];
        let wait_for = |buckets: &[Option<Bucket>; 2], amounts: [f64; 2]| {
            let wait =
                |(bucket, amount): (&Option<Bucket>, f64)| Some(bucket.as_ref()?.wait(now, amount));
            buckets.iter().zip(amounts).filter_map(wait).max()
        };
        let wait = [
            wait_for(&self.by_hand, by_hand).unwrap_or_default(),
            wait_for(&self.remote, remote).unwrap_or_default(),
            self.quiet_until.saturating_sub(now),
            self.blind_wait(now),
        ];
        let wait = wait.into_iter().max().unwrap_or_default();
        if !wait.is_zero() {
            return Admit::Wait(wait);
        }
        self.blind_since.get_or_insert(now);
        for (buckets, amounts) in [(&mut self.by_hand, by_hand), (&mut self.remote, remote)] {
            for (bucket, amount) in buckets.iter_mut().zip(amounts) {
                if let Some(bucket) = bucket {
                    bucket.take(now, amount);
                }
            }
        }
        self.drawn = [0, 1].map(|i| self.drawn[i] + remote[i]);
        self.count.total += by_hand[1];
        self.history.push_back((now, self.drawn));
        let mark = |i: usize| Mark {
            serial: self.drawn[0] as u64,
            sent: now,
            amount: remote[i],
            spilled: self.remote[i].as_ref().map(Bucket::spilled),
        };
        Admit::Now(Ticket {
            marks: [mark(0), mark(1)],
            tokens,
            total: self.count.total,
            drawn: self.drawn[1],
        })
    }

    /// The server took the request and said `limits`.
    pub fn observe(&mut self, ticket: &Ticket, limits: &RateLimits) {
        self.hear(ticket, limits, false);
    }

    /// The server refused the request (429) and said `limits`; if it asked to wait, nothing is sent before that. Whether
    /// a limit per minute explains the refusal, so that it says nothing of how many requests may be in flight.
    pub fn refused(
        &mut self,
        now: Duration,
        ticket: &Ticket,
        limits: &RateLimits,
        wait: Option<Duration>,
    ) -> bool {
        self.hear(ticket, limits, true);
        self.settle(ticket, 0);
        self.quiet_until = self.quiet_until.max(now + wait.unwrap_or_default());
        let is_short = |(told, mark): (Option<Told>, &Mark)| {
            told.is_some_and(|(_, remaining, _)| (remaining as f64) < mark.short_below())
        };
        limits
            .dimensions()
            .into_iter()
            .zip(&ticket.marks)
            .any(is_short)
    }

    /// The request used `tokens` tokens: what it did not use of what was reserved by hand is there again.
    pub fn settle(&mut self, ticket: &Ticket, tokens: u64) {
        if let Some(bucket) = &mut self.by_hand[1] {
            bucket.give(ticket.tokens as f64 - tokens as f64);
        }
    }

    /// An answer that was overtaken by one to a later request is no news.
    fn hear(&mut self, ticket: &Ticket, limits: &RateLimits, refused: bool) {
        self.heard = true;
        if refused && ticket.marks[1].spilled.is_some() {
            self.count.estimated -= ticket.tokens as f64;
        }
        let marks = &ticket.marks;
        if marks[0].serial <= self.heard_of {
            return;
        }
        self.heard_of = marks[0].serial;
        let sent = marks[0].sent;
        let is_long_before = |other: Duration| other + OVERTAKING < sent;
        let before = self.drawn_while(is_long_before);
        let around = self.drawn_while(|other| other <= sent + OVERTAKING);
        while self
            .history
            .get(1)
            .is_some_and(|(sent, _)| is_long_before(*sent))
        {
            self.history.pop_front();
        }
        for (i, told) in limits.dimensions().into_iter().enumerate() {
            let Some((limit, remaining, reset)) = told else {
                continue;
            };
            let standing = Standing {
                limit,
                remaining,
                reset,
                mark: marks[i],
                refused,
                drawn_since: (
                    self.drawn[i] - around[i],
                    self.drawn[i] - before[i] - marks[i].amount,
                ),
                last: self.drawn[0] as u64,
            };
            match &mut self.remote[i] {
                Some(bucket) => {
                    let missing = bucket.correct(&standing);
                    if i == 1 && marks[1].spilled.is_some() {
                        self.count.learn(ticket, missing);
                    }
                }
                none => {
                    *none = Some(Bucket::remote(&standing));
                    if i == 1 {
                        self.count.heard = (self.count.total, self.drawn[1]);
                    }
                }
            }
        }
    }

    /// What all requests together had taken after the last one for whose time this holds.
    fn drawn_while(&self, holds: impl Fn(Duration) -> bool) -> [f64; 2] {
        let n = self.history.partition_point(|(sent, _)| holds(*sent));
        n.checked_sub(1).map_or([0.0; 2], |i| self.history[i].1)
    }

    fn blind_wait(&self, now: Duration) -> Duration {
        let doublings = ((self.drawn[0] + 1.0) / BLIND.0).log2();
        match self.blind_since {
            Some(since) if !self.heard && doublings > 0.0 => {
                (since + BLIND.1.mul_f64(doublings)).saturating_sub(now)
            }
            _ => Duration::ZERO,
        }
    }
}

impl Count {
    fn new() -> Self {
        Self {
            factor: 1.0,
            answers: 0,
            estimated: 0.0,
            counted: 0.0,
            total: 0.0,
            heard: (0.0, 0.0),
        }
    }

    fn learn(&mut self, ticket: &Ticket, missing: f64) {
        self.estimated += ticket.total - self.heard.0;
        self.counted += ticket.drawn - self.heard.1 + missing;
        self.heard = (ticket.total, ticket.drawn);
        self.answers += 1;
        if self.answers >= 16 {
            if self.estimated > 0.0 {
                let measured =
                    (self.counted / self.estimated).clamp(self.factor / 2.0, self.factor * 2.0);
                self.factor = ((self.factor + measured) / 2.0).clamp(0.1, 10.0);
            }
            (self.answers, self.estimated, self.counted) = (0, 0.0, 0.0);
        }
    }
}

/// Limit, rest and reset.
type Told = (u64, u64, Option<Duration>);

impl RateLimits {
    /// What is told of requests and of tokens; none where the limit or the rest is missing.
    fn dimensions(&self) -> [Option<Told>; 2] {
        let requests = (self.limit_requests, self.remaining_requests);
        let tokens = (self.limit_tokens, self.remaining_tokens);
        [(requests, self.reset_requests), (tokens, self.reset_tokens)].map(
            |((limit, remaining), reset)| {
                Some((limit.filter(|limit| *limit > 0)?, remaining?, reset))
            },
        )
    }
}
