//! The loop that works tasks off: steps in, replies out, journal, shutdown.
//!
//! [`prepare`] reads task file, data sets and journals; [`run`] does what is left. The loop owns all
//! state; requests run as tasks of their own and hand back values. The runner knows no eval and no
//! provider by name.

mod prepare;
mod records;
mod samples;
mod work;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub use self::prepare::{Prepared, prepare};
use self::work::{Commit, Opened, Request, Ticket, Work};
use crate::engine::{Call, Called, Lane, Patience, Shared, Unanswered};
use crate::journal::Committer;
use crate::providers::Endpoint;
use crate::store;
use crate::task::{Counts, ModelConfig, RunnerRecord, Task, TaskFile, TaskStatus};

/// How often progress is published; the task file is saved at every fourth time.
const TICK: Duration = Duration::from_millis(250);

/// How a run is to be done.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Requests in flight at most, all tasks together.
    pub concurrent: usize,
    /// How much one request may take.
    pub patience: Patience,
    /// The program, for the record.
    pub runner: RunnerRecord,
}

/// Two ways to stop a run from outside.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Start nothing new, wait for what is in flight.
    pub drain: CancellationToken,
    /// Drop what is in flight as well.
    pub abort: CancellationToken,
}

/// Where one task stands, for progress displays.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The task.
    pub task_id: String,
    /// Its model, as the user named it.
    pub model_name: String,
    /// Its state.
    pub status: TaskStatus,
    /// Samples by outcome.
    pub counts: Counts,
    /// How many outcomes a completed task has.
    pub n_total: u64,
}

/// Works off what is left of `prepared` and gives the task file as it is on disk in the end.
///
/// `endpoint` says where a model is asked, and with which key. `progress` is told about all tasks
/// several times a second.
///
/// # Errors
///
/// A journal or task file that cannot be written. Failures of single requests and models end in
/// the tasks' status instead.
pub async fn run(
    prepared: Prepared,
    settings: &Settings,
    endpoint: impl Fn(&ModelConfig) -> Result<Endpoint>,
    stop: &Stop,
    progress: watch::Sender<Vec<Progress>>,
) -> Result<TaskFile> {
    let Prepared {
        path,
        mut file,
        work,
        journals,
        lock: _lock,
    } = prepared;
    let mut lanes = Lanes::default();
    let mut works = Vec::with_capacity(work.len());
    for mut work in work {
        work.model.lane = lanes.find(&work.model.config, &endpoint)?;
        if let Some(grader) = &mut work.grader {
            grader.lane = lanes.find(&grader.config, &endpoint)?;
        }
        work.begin(&mut file, &settings.runner);
        works.push(work);
    }
    store::replace(&path, &file)?;
    let mut runner = Runner {
        n_in_flight: vec![0; lanes.lanes.len()],
        lanes: lanes.lanes,
        works,
        journal: Committer::start(journals),
        requests: JoinSet::new(),
        shared: Shared {
            permits: Arc::new(Semaphore::new(settings.concurrent)),
            patience: settings.patience,
            stop: stop.drain.clone(),
        },
        settings,
        stop,
        turn: 0,
    };
    let worked = runner.work(&mut file, &path, &progress).await;
    // The journals are closed before the task file says what they hold.
    drop(runner);
    let saved = store::replace(&path, &file);
    worked?;
    saved?;
    Ok(file)
}

struct Runner<'a> {
    lanes: Vec<Arc<Lane>>,
    n_in_flight: Vec<usize>,
    works: Vec<Work>,
    journal: Committer<Commit>,
    requests: JoinSet<(Ticket, Result<Called, Unanswered>)>,
    shared: Shared,
    settings: &'a Settings,
    stop: &'a Stop,
    /// The task whose turn it is to start a request.
    turn: usize,
}

impl Runner<'_> {
    async fn work(
        &mut self,
        file: &mut TaskFile,
        path: &Path,
        progress: &watch::Sender<Vec<Progress>>,
    ) -> Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = 0_u32;
        loop {
            if !self.stop.drain.is_cancelled() {
                self.start_requests();
            }
            if self.end_tasks(file) {
                save(path, file);
                publish(progress, &self.works, file);
            }
            if self.requests.is_empty() && self.journal.is_idle() {
                return Ok(());
            }
            let draining = self.stop.drain.is_cancelled();
            tokio::select! {
                Some(finished) = self.requests.join_next() => {
                    let (ticket, result) = finished.context("a request's task panicked")?;
                    self.take(ticket, result);
                }
                committed = self.journal.next() => self.committed(committed?),
                _ = tick.tick() => {
                    publish(progress, &self.works, file);
                    ticks += 1;
                    if ticks.is_multiple_of(4) && self.update(file) {
                        save(path, file);
                    }
                }
                () = self.stop.drain.cancelled(), if !draining => {}
            }
        }
    }

    /// Starts requests, task by task in turn, until lanes or tasks have no more.
    fn start_requests(&mut self) {
        let n_tasks = self.works.len();
        let mut n_idle = 0;
        while n_idle < n_tasks {
            self.turn = (self.turn + 1) % n_tasks;
            match self.next_request(self.turn) {
                Some(request) => {
                    n_idle = 0;
                    self.start(request);
                }
                None => n_idle += 1,
            }
        }
    }

    /// The next request of this task that its lane has room for: grades first, they end samples.
    fn next_request(&mut self, number: usize) -> Option<Request> {
        let work = &mut self.works[number];
        let room = |lane: usize| self.n_in_flight[lane] < self.settings.concurrent;
        // Answers wait for their grades in memory: no more of them than lanes can have in flight.
        let max_open = 4 * self.settings.concurrent;
        loop {
            if work.is_stopped() {
                return None;
            }
            if let Some(request) = work.next_ready(room) {
                return Some(request);
            }
            if !room(work.model.lane) || work.samples.n_open() >= max_open {
                return None;
            }
            match work.open_next(number)? {
                Opened::Ended(lines, commit) => self.journal.append(number, lines, commit),
                Opened::Asks(requests) => requests.into_iter().for_each(|it| work.queue(it)),
            }
        }
    }

    fn start(&mut self, request: Request) {
        let Request {
            ticket,
            errand,
            permit,
        } = request;
        let work = &mut self.works[ticket.task];
        work.n_in_flight += 1;
        let request_id = work.request_id(ticket);
        let party = work.party(ticket);
        self.n_in_flight[party.lane] += 1;
        let lane = Arc::clone(&self.lanes[party.lane]);
        let call = Call {
            config: Arc::clone(&party.config),
            errand,
            request_id,
            permit,
        };
        let shared = self.shared.clone();
        let abort = self.stop.abort.clone();
        self.requests.spawn(async move {
            let result = tokio::select! {
                biased; // an answer that is there is taken, whatever else happens
                result = lane.call(call, &shared) => result,
                () = abort.cancelled() => Err(Unanswered::Stopped),
            };
            (ticket, result)
        });
    }

    /// Takes what came of a request: journals it, and keeps what comes next until it is on disk.
    fn take(&mut self, ticket: Ticket, result: Result<Called, Unanswered>) {
        let work = &mut self.works[ticket.task];
        let lane = work.party(ticket).lane;
        self.n_in_flight[lane] -= 1;
        work.n_in_flight -= 1;
        let (lines, commit) = match result {
            Ok(Called::Answered(answer)) => work.answered(ticket, answer),
            Ok(Called::Sent { id, permit }) => work.sent(ticket, id, Some(permit)),
            Err(Unanswered::Lost(reason)) => {
                tracing::warn!(request = work.request_id(ticket), "asked anew: {reason}");
                work.lost(ticket, &reason)
            }
            Err(Unanswered::GaveUp(error)) => {
                tracing::warn!(request = work.request_id(ticket), "given up: {error}");
                work.gave_up(ticket, error)
            }
            Err(Unanswered::LaneDead) => {
                let why = self.lanes[lane].dead().unwrap_or_default();
                work.samples.suspend(ticket.sample);
                return self.stop_lane(lane, &why);
            }
            Err(Unanswered::Stopped) => return work.samples.suspend(ticket.sample),
        };
        self.journal.append(ticket.task, lines, commit);
    }

    /// Ends every task that needs this lane; the others go on.
    fn stop_lane(&mut self, lane: usize, why: &str) {
        for work in &mut self.works {
            let Some(party) = work.parties().find(|party| party.lane == lane) else {
                continue;
            };
            let model = party.config.model.clone();
            if work.stop(anyhow!("model `{model}`: {why}")) {
                tracing::error!(task = work.task_id, "stopped: model `{model}`: {why}");
            }
        }
    }

    /// Lines are on disk: now they count.
    fn committed(&mut self, commit: Commit) {
        for request in self.works[commit.task].committed(commit) {
            self.start(request);
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
        let drained = self.stop.drain.is_cancelled();
        let mut ended = false;
        for work in &mut self.works {
            ended |= work.end(task_of(file, &work.task_id), drained);
        }
        ended
    }
}

/// Lanes by endpoint and model.
#[derive(Default)]
struct Lanes {
    lanes: Vec<Arc<Lane>>,
    numbers: HashMap<(String, String), usize>,
}

impl Lanes {
    fn find(
        &mut self,
        config: &ModelConfig,
        endpoint: impl Fn(&ModelConfig) -> Result<Endpoint>,
    ) -> Result<usize> {
        let endpoint = endpoint(config)?;
        let key = (endpoint.base_url.clone(), config.model.clone());
        Ok(*self.numbers.entry(key).or_insert_with(|| {
            self.lanes.push(Arc::new(Lane::new(endpoint)));
            self.lanes.len() - 1
        }))
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
            })
            .collect(),
    );
}

fn task_of<'a>(file: &'a mut TaskFile, task_id: &str) -> &'a mut Task {
    file.tasks
        .get_mut(task_id)
        .expect("work is made from the file's tasks")
}

type Permit = Option<OwnedSemaphorePermit>;
