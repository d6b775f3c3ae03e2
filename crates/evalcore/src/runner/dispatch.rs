//! The loop: it starts requests where there is room, journals what comes of them, and ends tasks.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::request::{Commit, Opened, Request, Ticket};
use super::work::Work;
use super::{Progress, Settings, task_of};
use crate::engine::{Call, Called, Lane, Place, Shared, Unanswered};
use crate::journal::Committer;
use crate::store;
use crate::task::TaskFile;

/// How often progress is published; the task file is saved at every fourth time.
const TICK: Duration = Duration::from_millis(250);

/// Between two log lines that tell so.
const SILENCE_INTERVAL: Duration = Duration::from_secs(60);

/// After this time without news it is told what requests wait for.
const SILENCE: Duration = Duration::from_secs(10);

pub(super) struct Runner<'a> {
    lanes: Vec<Arc<Lane>>,
    /// Requests by lane that are under way, waiting ones included.
    n_in_flight: Vec<usize>,
    /// Room for [`Self::n_competing`].
    competes: Vec<bool>,
    works: Vec<Work>,
    journal: Committer<Commit>,
    requests: JoinSet<Result<Called, Unanswered>>,
    tickets: HashMap<Id, Ticket>,
    shared: Shared,
    settings: &'a Settings,
    abort: CancellationToken,
    /// The task whose turn it is to start a request.
    turn: usize,
    /// Set once the budget is used up.
    over_budget: Option<String>,
    last_news: Instant,
    last_silence_told: Option<Instant>,
}

impl<'a> Runner<'a> {
    /// Everything is ready, nothing has been asked.
    pub(super) fn new(
        lanes: Vec<Arc<Lane>>,
        works: Vec<Work>,
        journal: Committer<Commit>,
        shared: Shared,
        settings: &'a Settings,
        abort: CancellationToken,
    ) -> Self {
        Self {
            n_in_flight: vec![0; lanes.len()],
            competes: vec![false; lanes.len()],
            lanes,
            works,
            journal,
            requests: JoinSet::new(),
            tickets: HashMap::new(),
            shared,
            settings,
            abort,
            turn: 0,
            over_budget: None,
            last_news: Instant::now(),
            last_silence_told: None,
        }
    }

    /// Starts requests and takes what comes of them until nothing is left or all are stopped.
    pub(super) async fn work(
        &mut self,
        file: &mut TaskFile,
        path: &Path,
        progress: &watch::Sender<Vec<Progress>>,
    ) -> Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = 0_u32;
        let freed = Arc::clone(&self.shared.freed);
        let stop = self.shared.stop.clone();
        loop {
            if !stop.is_cancelled() {
                self.start_requests();
            }
            if self.end_tasks(file) {
                save(path, file);
                publish(progress, &self.works, file);
            }
            if self.requests.is_empty() && self.journal.is_idle() {
                return Ok(());
            }
            let draining = stop.is_cancelled();
            tokio::select! {
                Some(finished) = self.requests.join_next_with_id() => self.finished(finished)?,
                committed = self.journal.next() => self.committed(committed?),
                _ = tick.tick() => {
                    publish(progress, &self.works, file);
                    ticks += 1;
                    if ticks.is_multiple_of(4) {
                        self.tell_silence();
                        if self.update(file) {
                            save(path, file);
                        }
                    }
                }
                () = freed.notified() => {}
                () = stop.cancelled(), if !draining => {}
            }
        }
    }

    /// Starts requests, task by task in turn, as long as there are places in flight.
    fn start_requests(&mut self) {
        while let Ok(permit) = Arc::clone(&self.shared.permits).try_acquire_owned() {
            let Some(request) = self.next_in_turn() else {
                return;
            };
            self.start(request, Some(Place::new(permit)));
        }
    }

    /// The next request, task by task in turn. Lanes come first that have less than their share of
    /// the places in flight, so that slow ones cannot crowd out others; what is left goes to all that
    /// have ever answered.
    fn next_in_turn(&mut self) -> Option<Request> {
        let n_competing = self.n_competing();
        let share = (self.settings.concurrent / n_competing.max(1)).max(1);
        for is_shared_out in [false, true] {
            for _ in 0..self.works.len() {
                self.turn = (self.turn + 1) % self.works.len();
                if let Some(request) =
                    self.next_request(self.turn, share, is_shared_out, n_competing == 1)
                {
                    return Some(request);
                }
            }
        }
        None
    }

    /// How many lanes have requests under way or waiting to be started.
    fn n_competing(&mut self) -> usize {
        for (competes, n_in_flight) in self.competes.iter_mut().zip(&self.n_in_flight) {
            *competes = *n_in_flight > 0;
        }
        for lane in self.works.iter().flat_map(Work::wanted_lanes) {
            self.competes[lane] = true;
        }
        self.competes.iter().filter(|competes| **competes).count()
    }

    /// The next request of this task whose lane has room: grades first, they end samples.
    fn next_request(
        &mut self,
        number: usize,
        share: usize,
        is_shared_out: bool,
        is_alone: bool,
    ) -> Option<Request> {
        let work = &mut self.works[number];
        let room = |lane: usize| {
            let n_in_flight = self.n_in_flight[lane];
            n_in_flight < share
                || (is_shared_out
                    && n_in_flight < self.settings.concurrent
                    && (is_alone || self.lanes[lane].has_answered()))
        };
        // Answers wait for their grades in memory: no more of them than lanes can have in flight.
        let max_open = 4 * self.settings.concurrent;
        loop {
            if work.is_over() {
                return None;
            }
            if let Some(request) = work.next_ready(room) {
                return Some(request);
            }
            let may_open = work.model.dead.is_some() || room(work.model.lane);
            if !may_open || work.samples.n_open() >= max_open {
                return None;
            }
            match work.open_next(number)? {
                Opened::Ended(lines, commit) => self.journal.append(number, lines, commit),
                Opened::Asks(requests) => requests.into_iter().for_each(|it| work.queue(it)),
            }
        }
    }

    fn start(&mut self, request: Request, place: Option<Place>) {
        let Request { ticket, errand, .. } = request;
        let work = &mut self.works[ticket.task];
        work.n_in_flight += 1;
        let request_id = work.request_id(ticket);
        let party = work.party(ticket);
        self.n_in_flight[party.lane] += 1;
        let lane = Arc::clone(&self.lanes[party.lane]);
        let config = Arc::clone(&party.config);
        let unaccounted = work.unaccounted.clone();
        let call = Call { config, errand, request_id, place, unaccounted };
        let shared = self.shared.clone();
        let abort = self.abort.clone();
        let handle = self.requests.spawn(async move {
            tokio::select! {
                biased; // an answer that is there is taken, whatever else happens
                result = lane.call(call, &shared) => result,
                () = abort.cancelled() => Err(Unanswered::Stopped),
            }
        });
        self.tickets.insert(handle.id(), ticket);
    }

    /// A request has ended, one way or another; even its panic is its own affair.
    fn finished(
        &mut self,
        finished: Result<(Id, Result<Called, Unanswered>), JoinError>,
    ) -> Result<()> {
        let (id, result) = finished.unwrap_or_else(|error| {
            (error.id(), Err(Unanswered::GaveUp(format!("an error in this program: {error}"))))
        });
        let ticket = self.tickets.remove(&id).context("a request without a ticket")?;
        self.take(ticket, result);
        Ok(())
    }

    /// Takes what came of a request: journals it, and keeps what comes next until it is on disk.
    fn take(&mut self, ticket: Ticket, result: Result<Called, Unanswered>) {
        let work = &mut self.works[ticket.task];
        let lane = work.party(ticket).lane;
        self.n_in_flight[lane] -= 1;
        work.n_in_flight -= 1;
        let (lines, commit) = match result {
            Ok(Called::Answered(answer)) => work.answered(ticket, answer),
            Ok(Called::Sent { id, place }) => work.sent(ticket, id, place),
            Err(Unanswered::Lost { reason, again }) => {
                tracing::warn!(request = work.request_id(ticket), "lost: {reason}");
                work.lost(ticket, &reason, again)
            }
            Err(Unanswered::GaveUp(error)) => {
                tracing::warn!(request = work.request_id(ticket), "given up: {error}");
                work.gave_up(ticket, error)
            }
            Err(Unanswered::LaneDead) => {
                work.samples.suspend(ticket.sample);
                return self.stop_lane(lane);
            }
            Err(Unanswered::OverBudget) => {
                work.samples.suspend(ticket.sample);
                return self.stop_spending();
            }
            Err(Unanswered::Stopped) => return work.samples.suspend(ticket.sample),
        };
        self.journal.append(ticket.task, lines, commit);
    }

    /// Nothing more is asked of this lane; lanes that are alive go on.
    fn stop_lane(&mut self, lane: usize) {
        let why = self.lanes[lane].dead().unwrap_or_default();
        for work in &mut self.works {
            if work.bury(lane, &why) {
                tracing::error!("{}: stopped: {why}", work.task_id);
            }
        }
    }

    fn stop_spending(&mut self) {
        if self.over_budget.is_none() {
            let budget = self.settings.budget.unwrap_or_default();
            let why = format!("the budget of ${budget:.2} has no room for another request");
            tracing::warn!("{why}: waiting for the requests in flight");
            self.over_budget = Some(format!("{why}: go on with a larger --budget"));
            self.shared.stop.cancel();
        }
    }

    /// Lines are on disk: now they count.
    fn committed(&mut self, commit: Commit) {
        self.last_news = Instant::now();
        self.last_silence_told = None;
        for (request, place) in self.works[commit.task].committed(commit) {
            self.start(request, place);
        }
    }

    /// Says what everybody waits for when there has been no news for a while.
    fn tell_silence(&mut self) {
        let silence = self.last_news.elapsed();
        for work in &mut self.works {
            let mut reasons = work.parties().filter_map(|party| self.lanes[party.lane].waiting());
            let reason = reasons.next();
            drop(reasons);
            work.waiting(match (reason, work.n_in_flight) {
                _ if silence < SILENCE => None,
                (Some(reason), _) => Some(reason),
                (None, 0) => None,
                (None, n) => {
                    Some(format!("{n} requests in flight, no answer for {} s", silence.as_secs()))
                }
            });
        }
        let is_due = self.last_silence_told.is_none_or(|told| told.elapsed() >= SILENCE_INTERVAL);
        if silence >= SILENCE && is_due {
            self.last_silence_told = Some(Instant::now());
            let waits: Vec<String> = self.lanes.iter().filter_map(|lane| lane.waiting()).collect();
            let waits =
                if waits.is_empty() { "requests are in flight".into() } else { waits.join("; ") };
            tracing::info!("no news for {} s: {waits}", silence.as_secs());
        }
    }

    /// Brings the task file up to date with what the journals hold; whether anything changed.
    fn update(&mut self, file: &mut TaskFile) -> bool {
        let mut changed = false;
        for work in &mut self.works {
            changed |= work.update(task_of(file, &work.task_id));
        }
        changed
    }

    /// Gives tasks that have come to their end their final status; whether there were any.
    fn end_tasks(&mut self, file: &mut TaskFile) -> bool {
        let drained = self.shared.stop.is_cancelled();
        let mut ended = false;
        for work in &mut self.works {
            let task = task_of(file, &work.task_id);
            ended |= work.end(task, drained, self.over_budget.as_deref());
        }
        ended
    }
}

/// A task file that cannot be saved just now is no reason to stop: the journals hold the truth, and
/// it is tried again.
fn save(path: &Path, file: &TaskFile) {
    if let Err(error) = store::replace(path, file) {
        tracing::warn!("{error:#}");
    }
}

fn publish(progress: &watch::Sender<Vec<Progress>>, works: &[Work], file: &TaskFile) {
    progress.send_replace(
        works
            .iter()
            .map(|work| Progress {
                task_id: work.task_id.clone(),
                model_name: file.tasks[&work.task_id].model_name.clone(),
                status: file.tasks[&work.task_id].status,
                counts: work.counts,
                n_total: work.samples.n_total() as u64,
                waiting: work.is_waiting_for().map(str::to_owned),
            })
            .collect(),
    );
}
