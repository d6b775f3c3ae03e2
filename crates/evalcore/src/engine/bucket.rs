//! A bucket of requests or tokens, and how it follows what a server says of its own.

use std::time::Duration;

/// The part of a request that is waited for on top where a full bucket holds hardly more than one: at first and at
/// most, by how much it grows after a refusal, and shrinks after an answer. In balance some 2 % are refused.
const SLACK: (f64, f64) = (0.05, 1.0);
const SLACK_GROWS: f64 = 1.25;
const SLACK_SHRINKS: f64 = 0.995;

/// What is left over in a larger bucket, as time in which it comes in.
const MARGIN: f64 = 0.05;

/// Requests or tokens that come in evenly, up to what the bucket holds.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: f64,
    capacity: f64,
    /// What was there at `filled`; below 0 when more was sent than there was.
    level: f64,
    filled: Duration,
    /// What came in while the bucket was full, ever.
    spilled: f64,
    /// None for a bucket of our own: its requests are not late.
    slack: Option<f64>,
    /// No refusal of a request up to this one changes the slack.
    slack_since: u64,
}

/// How a bucket stood just after a request had been sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// Counts requests.
    pub(super) serial: u64,
    pub(super) sent: Duration,
    pub(super) amount: f64,
    /// None while the bucket was not known.
    pub(super) spilled: Option<f64>,
}

/// A server's word on one of its buckets, with the answer to the request of `mark`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// Until the bucket is full.
    pub(super) reset: Option<Duration>,
    pub(super) mark: Mark,
    /// Whether the request was refused, so that the server took nothing for it.
    pub(super) refused: bool,
    /// What was drawn by now since the request, by requests that the server had surely not seen yet, and by those that
    /// it may not have seen yet, the request itself not included.
    pub(super) drawn_since: (f64, f64),
    /// The number of the last request sent.
    pub(super) last: u64,
}

impl Mark {
    /// Whether the request was refused for want of more than `remaining`. Of tokens the server may count more than we.
    pub(super) fn is_short(&self, remaining: u64) -> bool {
        let enough = if self.amount > 1.0 { 1.5 } else { 1.0 };
        (remaining as f64) < enough * self.amount
    }
}

impl Bucket {
    /// A full bucket of our own, for `limit` a minute, that holds what comes in within a second.
    pub(super) fn by_hand(limit: u64) -> Self {
        let limit = (limit as f64).max(1.0);
        Self {
            limit,
            capacity: limit / 60.0,
            level: (limit / 60.0).max(1.0),
            filled: Duration::ZERO,
            spilled: 0.0,
            slack: None,
            slack_since: 0,
        }
    }

    /// The image of a server's bucket. Nothing was known before, so the worst is taken for true.
    pub(super) fn remote(standing: &Standing) -> Self {
        let limit = (standing.limit as f64).max(1.0);
        let mut bucket = Self {
            limit,
            capacity: limit,
            level: standing.remaining as f64 - standing.drawn_since.1,
            filled: standing.mark.sent,
            spilled: 0.0,
            slack: Some(SLACK.0),
            slack_since: standing.last,
        };
        bucket.learn_capacity(standing);
        bucket
    }

    /// How long until `amount` is there.
    pub(super) fn wait(&self, now: Duration, amount: f64) -> Duration {
        let amount = amount.min(self.limit);
        let missing = amount + self.margin(amount) - self.unbounded(now);
        if missing <= 1e-6 {
            return Duration::ZERO;
        }
        let wait = Duration::try_from_secs_f64(missing / self.per_second());
        wait.unwrap_or(Duration::MAX / 4) + Duration::from_nanos(1)
    }

    /// Takes `amount`, which may be more than there is.
    pub(super) fn take(&mut self, now: Duration, amount: f64) {
        let amount = amount.min(self.limit);
        let unbounded = self.unbounded(now);
        let level = unbounded.min(self.capacity.max(amount));
        self.spilled += unbounded - level;
        self.level = level - amount;
        self.filled = self.filled.max(now);
    }

    /// Puts `amount` back, which is negative when more was used than was taken.
    pub(super) fn give(&mut self, amount: f64) {
        self.level += amount;
    }

    pub(super) fn spilled(&self) -> f64 {
        self.spilled
    }

    /// Compares what the server says with what our level would have said when the server looked, and moves the level
    /// by what cannot be explained. What was sent since is thereby counted once: it is in our level and not in the
    /// server's. As requests overtake each other, what was sent shortly before or after may be in the server's or not:
    /// between the two there is nothing to correct. A request that was refused stays taken until a later answer shows
    /// that there is more: so a level that is too high comes down by every refusal.
    /// Gives what the server had less than expected.
    pub(super) fn correct(&mut self, standing: &Standing) -> f64 {
        let Standing { mark, drawn_since: (surely, maybe), refused, .. } = *standing;
        let remaining = standing.remaining as f64;
        let since = self.filled.as_secs_f64() - mark.sent.as_secs_f64();
        let spilled = self.spilled - mark.spilled.unwrap_or_default();
        let then = self.level - since * self.per_second() + spilled;
        let least = then + surely;
        let most = then + maybe + if refused { mark.amount } else { 0.0 };
        // The server rounds down, so it may have nearly one more.
        let too_much = (least - (remaining + 1.0)).max(0.0);
        let missing = too_much + (most - remaining).min(0.0);
        self.level -= missing;
        self.learn_slack(standing);
        missing
    }

    /// Takes over what the server says of the size of its bucket, which no other request changes.
    pub(super) fn resize(&mut self, standing: &Standing) {
        self.limit = (standing.limit as f64).max(1.0);
        self.learn_capacity(standing);
    }

    /// The rest and the time to fill up tell how much there is when full. A server's bucket holds any request that is
    /// within the limit, so one that is filled by the request of `amount` itself only says: not more than this.
    fn learn_capacity(&mut self, standing: &Standing) {
        let Some(reset) = standing.reset else {
            return;
        };
        // Resets are rounded up, at best to milliseconds.
        let reset = reset.saturating_sub(Duration::from_millis(1));
        let full = standing.remaining as f64 + reset.as_secs_f64() * self.per_second();
        let (full, amount) = (full.min(self.limit), standing.mark.amount);
        if full > amount {
            if !(full..full + 1.0).contains(&self.capacity) {
                self.capacity = full;
            }
        } else if self.capacity >= amount + 1.0 {
            self.capacity = amount;
        }
    }

    /// A request that was refused although it was waited for came too early: it overtook, or others take as well.
    fn learn_slack(&mut self, standing: &Standing) {
        let Some(slack) = self.slack else { return };
        let was_short = standing.refused && standing.mark.is_short(standing.remaining);
        if !was_short {
            self.slack = Some((slack * SLACK_SHRINKS).max(SLACK.0));
        } else if standing.mark.serial > self.slack_since {
            self.slack = Some((slack * SLACK_GROWS).min(SLACK.1));
            self.slack_since = standing.last;
        }
    }

    /// What is to be left over, so that a request which overtakes another is not refused. Where the bucket holds no
    /// more than the request there is nothing to leave over, and the pace is a little slower instead.
    fn margin(&self, amount: f64) -> f64 {
        let Some(slack) = self.slack else { return 0.0 };
        let most = amount.max(self.per_second() * MARGIN);
        (self.capacity - amount).clamp(amount * slack, most)
    }

    /// What would be there at `now` if the bucket held any amount.
    fn unbounded(&self, now: Duration) -> f64 {
        self.level + now.saturating_sub(self.filled).as_secs_f64() * self.per_second()
    }

    fn per_second(&self) -> f64 {
        self.limit / 60.0
    }
}
