//! A simulated server and the lane that asks it, with a clock of their own, to see what window and pace come to.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use fastrand::Rng;

use super::pace::{Admit, Pace, PerMinute, Ticket};
use super::window::{Place, Window, Word};
use crate::providers::RateLimits;

mod tests;

/// The server: buckets as the project's mock server keeps them, and a number of requests that it takes at once.
#[derive(Debug, Clone)]
struct Server {
    per_minute: PerMinute,
    /// Seconds of what comes in that a full bucket holds.
    burst: f64,
    at_once: Option<usize>,
    tells: bool,
    /// Asks to wait in whole seconds, as the API does, or else exactly.
    whole_seconds: bool,
    /// What it counts for a token of the client's estimate.
    tokens_count: f64,
}

/// The client and the way between.
#[derive(Debug, Clone)]
struct Setting {
    n: usize,
    concurrent: u32,
    /// Seconds: shortest and longest time to an answer, longest way to the server (and back for a refusal).
    latency: (f64, f64),
    way: f64,
    tokens: (u64, u64),
    by_hand: PerMinute,
    seed: u64,
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    seconds: f64,
    n_refused: usize,
    /// After every answer: the time, the window's width, and refusals so far.
    widths: Vec<(f64, u32, usize)>,
    tokens: Vec<u64>,
}

impl Server {
    /// What a full bucket holds for a request of `amount`.
    fn capacity(&self, limit: u64, amount: f64) -> f64 {
        let limit = limit as f64;
        (limit / 60.0 * self.burst).max(amount.min(limit)).max(1.0)
    }
}

#[derive(Debug, Clone, Copy)]
struct Level {
    level: f64,
    filled: f64,
}

enum Event {
    /// The lane may be able to send.
    Turn,
    /// A request comes back into the queue.
    Again(usize),
    Arrival(usize, Place, Ticket),
    Answer(usize, Place, Ticket, RateLimits, Option<Option<Duration>>),
}

/// One run: the server's state and the events to come.
struct Run<'a> {
    server: &'a Server,
    rng: Rng,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, usize)>>,
    /// Events by number; the heap holds only times and numbers.
    bodies: Vec<Option<Event>>,
    levels: [Level; 2],
    busy: usize,
}

impl Run<'_> {
    fn at(&mut self, after: Duration, event: Event) {
        self.events.push(Reverse((self.now + after, self.bodies.len())));
        self.bodies.push(Some(event));
    }

    fn draw(&mut self, (low, high): (f64, f64)) -> Duration {
        Duration::from_secs_f64(low + (high - low) * self.rng.f64())
    }

    /// What the mock server's `Buckets::take` does: headers, and none or the wait of a refusal.
    fn take(&mut self, tokens: u64) -> (RateLimits, Option<Option<Duration>>) {
        let now = self.now.as_secs_f64();
        let limits = [self.server.per_minute.requests, self.server.per_minute.tokens];
        let amounts = [1.0, tokens as f64 * self.server.tokens_count];
        let mut waits = [0.0; 2];
        let mut capacity = [0.0; 2];
        for i in 0..2 {
            let Some(limit) = limits[i] else { continue };
            let rate = limit as f64 / 60.0;
            capacity[i] = self.server.capacity(limit, amounts[i]);
            let level = &mut self.levels[i];
            level.level = (level.level + (now - level.filled) * rate).min(capacity[i]);
            level.filled = now;
            waits[i] = ((amounts[i] - level.level) / rate).max(0.0);
        }
        let wait = waits[0].max(waits[1]);
        let is_taken = wait <= 1e-9;
        let too_many = self.server.at_once.is_some_and(|most| self.busy >= most);
        let mut told = [(None, None, None); 2];
        for i in 0..2 {
            let Some(limit) = limits[i] else { continue };
            if is_taken && !too_many {
                self.levels[i].level -= amounts[i];
            }
            let level = self.levels[i].level.max(0.0);
            let reset = (capacity[i] - level) / (limit as f64 / 60.0);
            let reset = Duration::from_millis((reset * 1000.0 - 1e-6).ceil().max(0.0) as u64);
            told[i] = (Some(limit), Some(level as u64), Some(reset));
        }
        let headers = RateLimits {
            limit_requests: told[0].0,
            remaining_requests: told[0].1,
            reset_requests: told[0].2,
            limit_tokens: told[1].0,
            remaining_tokens: told[1].1,
            reset_tokens: told[1].2,
        };
        let headers = if self.server.tells { headers } else { RateLimits::default() };
        let wait = match (is_taken, too_many) {
            (false, _) if self.server.whole_seconds => {
                Some(Some(Duration::from_secs_f64(wait.ceil())))
            }
            (false, _) => Some(Some(Duration::from_secs_f64((wait * 1000.0).ceil() / 1000.0))),
            (_, true) if self.server.whole_seconds => Some(Some(Duration::from_secs(1))),
            (_, true) => Some(None),
            _ => None,
        };
        (headers, wait)
    }
}

/// Plays a run to its end: what a lane does, in the order in which it does it.
fn play(server: &Server, setting: &Setting) -> Outcome {
    let full = Level { level: f64::INFINITY, filled: 0.0 };
    let mut run = Run {
        server,
        rng: Rng::with_seed(setting.seed),
        now: Duration::ZERO,
        events: BinaryHeap::new(),
        bodies: Vec::new(),
        levels: [full; 2],
        busy: 0,
    };
    let mut window = Window::new(setting.concurrent, setting.concurrent);
    let mut pace = Pace::new(setting.by_hand);
    let tokens: Vec<u64> =
        (0..setting.n).map(|_| run.rng.u64(setting.tokens.0..=setting.tokens.1)).collect();
    let mut queue: VecDeque<usize> = (0..setting.n).collect();
    let (mut outcome, mut n_left, mut next_turn) = (Outcome::default(), setting.n, None);
    run.at(Duration::ZERO, Event::Turn);
    while n_left > 0 {
        let Reverse((now, number)) = run.events.pop().expect("something is to come");
        run.now = now;
        match run.bodies[number].take().expect("each event comes once") {
            Event::Turn => next_turn = None,
            Event::Again(sample) => queue.push_back(sample),
            Event::Arrival(sample, place, ticket) => {
                let (headers, refusal) = run.take(tokens[sample]);
                let after = if refusal.is_some() {
                    run.draw((0.0, setting.way))
                } else {
                    run.busy += 1;
                    run.draw(setting.latency)
                };
                run.at(after, Event::Answer(sample, place, ticket, headers, refusal));
            }
            Event::Answer(sample, place, ticket, headers, refusal) => {
                if let Some(wait) = refusal {
                    outcome.n_refused += 1;
                    let explained = pace.refused(now, &ticket, &headers, wait);
                    let word = if explained { Word::Nothing } else { Word::Refused };
                    window.leave(now, place, word);
                    let backoff = Duration::from_secs_f64(run.rng.f64() / 2.0);
                    run.at(wait.unwrap_or(backoff), Event::Again(sample));
                } else {
                    (run.busy, n_left) = (run.busy - 1, n_left - 1);
                    window.leave(now, place, Word::Taken);
                    pace.observe(&ticket, &headers);
                    pace.settle(&ticket, tokens[sample]);
                }
                outcome.widths.push((now.as_secs_f64(), window.width(), outcome.n_refused));
            }
        }
        while let Some(&sample) = queue.front().filter(|_| window.has_room() && next_turn.is_none())
        {
            match pace.admit(now, tokens[sample]) {
                Admit::Wait(wait) => {
                    // Sleeps end at whole milliseconds.
                    let wait = Duration::from_millis(wait.as_nanos().div_ceil(1_000_000) as u64);
                    next_turn = Some(now + wait);
                    run.at(wait, Event::Turn);
                }
                Admit::Now(ticket) => {
                    queue.pop_front();
                    let place = window.enter().expect("there is room");
                    let way = run.draw((0.0, setting.way));
                    run.at(way, Event::Arrival(sample, place, ticket));
                }
            }
        }
    }
    outcome.tokens = tokens;
    outcome.seconds = run.now.as_secs_f64();
    outcome
}

/// Seconds until the last of these requests could be sent by someone who knows all that the server knows.
fn ideal(server: &Server, tokens: &[u64]) -> f64 {
    let limits = [server.per_minute.requests, server.per_minute.tokens];
    let (mut now, mut levels) = (0.0_f64, [f64::INFINITY; 2]);
    for tokens in tokens {
        let amounts = [1.0, *tokens as f64 * server.tokens_count];
        let mut wait = 0.0_f64;
        for i in 0..2 {
            if let Some(limit) = limits[i] {
                levels[i] = levels[i].min(server.capacity(limit, amounts[i]));
                wait = wait.max((amounts[i] - levels[i]) / limit as f64 * 60.0);
            }
        }
        now += wait;
        for i in 0..2 {
            if let Some(limit) = limits[i] {
                let filled = levels[i] + wait * limit as f64 / 60.0;
                levels[i] = filled.min(server.capacity(limit, amounts[i])) - amounts[i];
            }
        }
    }
    now
}
