//! When a lane may send: never faster than told by hand, and just as fast as the server's headers allow.
//!
//! A server that limits requests or tokens per minute keeps a bucket of each, and tells with every answer how much was
//! left when it took the request and when the bucket will be full. The pace keeps an image of these buckets. The rest
//! and the time to fill up give the burst, so the first answer tells all there is to know. Each further one corrects
//! the image *as it was when that request was sent*: requests sent later are in the image and not in the server's word,
//! so they are counted once. What a request did not use is not given back to the image: the server's next word has it.
//!
//! Until the first answer nothing is known. To send the whole window would, at a server without burst, be refused nearly
//! whole; to send one request and wait would cost a slow server's whole latency. So 8 requests may go out at first, and
//! twice as many every 0.3 s: a server that is quick to refuse refuses few, and one that is slow costs about a second.
//!
//! A server that sends no such headers is not paced, except by hand.

use std::collections::VecDeque;
use std::time::Duration;

use super::bucket::{Bucket, Mark, Standing};
use super::count::{Count, Drawn};
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
    tokens: u64,
    drawn: Drawn,
    marks: [Mark; 2],
}

/// One lane's pace. Times are counted from any fixed moment. In arrays requests come first, then tokens.
#[derive(Debug)]
pub struct Pace {
    /// When the first request was sent.
    began: Option<Duration>,
    /// Whether there was any answer.
    heard: bool,
    quiet_until: Duration,
    /// What all requests together took.
    drawn: [f64; 2],
    /// The same just after each request, with the time, from shortly before the last one that was heard of.
    history: VecDeque<(Duration, [f64; 2])>,
    /// The last request that was heard of, in the order of sending.
    heard_of: u64,
    count: Count,
    by_hand: [Option<Bucket>; 2],
    remote: [Option<Bucket>; 2],
}

impl Pace {
    /// A pace that knows only the limits set by hand.
    pub fn new(by_hand: PerMinute) -> Self {
        Self {
            began: None,
            heard: false,
            quiet_until: Duration::ZERO,
            drawn: [0.0; 2],
            history: VecDeque::new(),
            heard_of: 0,
            count: Count::new(),
            by_hand: [by_hand.requests, by_hand.tokens].map(|limit| limit.map(Bucket::by_hand)),
            remote: [None, None],
        }
    }

    /// Asks to send a request of `tokens` tokens, estimated input and most output together. To be asked for one
    /// request at a time, the longest waiting first: else large ones starve.
    pub fn admit(&mut self, now: Duration, tokens: u64) -> Admit {
        let by_hand = [1.0, tokens as f64];
        let remote = [1.0, self.count.of(tokens)];
        let wait = [
            wait(&self.by_hand, now, by_hand),
            wait(&self.remote, now, remote),
            self.quiet_until.saturating_sub(now),
            self.blind_wait(now),
        ];
        let wait = wait.into_iter().max().unwrap_or_default();
        if !wait.is_zero() {
            return Admit::Wait(wait);
        }
        take(&mut self.by_hand, now, by_hand);
        take(&mut self.remote, now, remote);
        self.began.get_or_insert(now);
        self.drawn = [0, 1].map(|i| self.drawn[i] + remote[i]);
        self.history.push_back((now, self.drawn));
        let marks = [0, 1].map(|i| Mark {
            serial: self.n_sent(),
            sent: now,
            amount: remote[i],
            spilled: self.remote[i].as_ref().map(Bucket::spilled),
        });
        let drawn = self.count.draw(tokens);
        Admit::Now(Ticket { tokens, drawn, marks })
    }

    /// The server took the request, whatever it made of it, and said `limits`.
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
        let until = now.saturating_add(wait.unwrap_or_default());
        self.quiet_until = self.quiet_until.max(until);
        let told = limits.dimensions().into_iter().zip(&ticket.marks);
        told.filter_map(|(told, mark)| Some((told?, mark)))
            .any(|((_, remaining, _), mark)| mark.is_short(remaining))
    }

    /// The request used `tokens` tokens: what it did not use of those reserved by hand is there again. Not to be called
    /// when it is not known what it used.
    pub fn settle(&mut self, ticket: &Ticket, tokens: u64) {
        if let Some(bucket) = &mut self.by_hand[1] {
            bucket.give(ticket.tokens as f64 - tokens as f64);
        }
    }

    fn hear(&mut self, ticket: &Ticket, limits: &RateLimits, refused: bool) {
        self.heard = true;
        let Ticket { marks, tokens, .. } = ticket;
        if refused && marks[1].spilled.is_some() {
            self.count.refused(*tokens);
        }
        // An answer that comes after one to a later request is no news of what is left.
        let is_news = marks[0].serial > self.heard_of;
        let drawn_since = if is_news {
            self.heard_of = marks[0].serial;
            self.drawn_since(marks)
        } else {
            Default::default()
        };
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
                drawn_since: drawn_since[i],
                last: self.n_sent(),
            };
            let Some(bucket) = &mut self.remote[i] else {
                self.remote[i] = is_news.then(|| Bucket::remote(&standing));
                continue;
            };
            bucket.resize(&standing);
            if is_news {
                let missing = bucket.correct(&standing);
                if i == 1 && marks[1].spilled.is_some() {
                    let (surely, maybe) = drawn_since[1];
                    self.count.hear(ticket.drawn, missing, maybe - surely);
                }
            }
        }
    }

    /// What requests drew since the one of `marks`: those that the server had surely not seen when it took that, and
    /// those that it may not have seen.
    fn drawn_since(&mut self, marks: &[Mark; 2]) -> [(f64, f64); 2] {
        let sent = marks[0].sent;
        let (from, to) = (sent.saturating_sub(OVERTAKING), sent + OVERTAKING);
        let n_before = self.history.partition_point(|(at, _)| *at < from);
        let n_by_then = self.history.partition_point(|(at, _)| *at <= to);
        let drawn_by = |n: usize| n.checked_sub(1).map_or([0.0; 2], |i| self.history[i].1);
        let (before, by_then) = (drawn_by(n_before), drawn_by(n_by_then));
        // Requests heard of later are not sent earlier, so one entry before `from` is enough.
        self.history.drain(..n_before.saturating_sub(1));
        [0, 1].map(|i| {
            let surely = self.drawn[i] - by_then[i];
            let maybe = self.drawn[i] - before[i] - marks[i].amount;
            (surely, maybe)
        })
    }

    fn blind_wait(&self, now: Duration) -> Duration {
        let doublings = ((self.drawn[0] + 1.0) / BLIND.0).log2();
        match self.began {
            Some(began) if !self.heard && doublings > 0.0 => {
                (began + BLIND.1.mul_f64(doublings)).saturating_sub(now)
            }
            _ => Duration::ZERO,
        }
    }

    fn n_sent(&self) -> u64 {
        self.drawn[0] as u64
    }
}

/// How long until all `buckets` have these amounts.
fn wait(buckets: &[Option<Bucket>; 2], now: Duration, amounts: [f64; 2]) -> Duration {
    let buckets = buckets.iter().zip(amounts);
    buckets
        .filter_map(|(bucket, amount)| Some(bucket.as_ref()?.wait(now, amount)))
        .max()
        .unwrap_or_default()
}

fn take(buckets: &mut [Option<Bucket>; 2], now: Duration, amounts: [f64; 2]) {
    for (bucket, amount) in buckets.iter_mut().zip(amounts) {
        if let Some(bucket) = bucket {
            bucket.take(now, amount);
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

#[cfg(test)]
mod tests;
