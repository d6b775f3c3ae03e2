//! One task at work: which requests it has left, and what their replies mean for it.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Error;

use super::samples::{Open, Samples};
use super::{Permit, now};
use crate::dataset::Row;
use crate::engine::Answer;
use crate::journal::{FailedRecord, Record, ReplyRecord, ScoredRecord};
use crate::metrics;
use crate::sample::{
    Completion, Failure, Message, Outcome, Protocol, Role, Slot, Step, Trail, next_steps,
};
use crate::task::{
    Counts, ModelConfig, RunnerRecord, Session, Task, TaskFile, TaskStatus, TaskUsage, Tokens,
};

/// A task, with all that it takes to go on with it.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) task_id: String,
    pub(super) protocol: Protocol,
    /// The chosen rows, in the order they are asked.
    pub(super) rows: Arc<[Row]>,
    /// Their ids.
    pub(super) ids: Arc<[String]>,
    pub(super) samples: Samples,
    pub(super) model: Party,
    pub(super) grader: Option<Party>,
    /// Requests to the grader whose turn comes before new samples.
    pub(super) ready: VecDeque<Request>,
    pub(super) counts: Counts,
    pub(super) usage: TaskUsage,
    pub(super) n_in_flight: usize,
    n_uncommitted: usize,
    session: Session,
    last_error: Option<String>,
    stopped: Option<String>,
    changed: bool,
    ended: bool,
}

/// A model that a task asks.
#[derive(Debug)]
pub(super) struct Party {
    /// Set when the run begins.
    pub(super) lane: usize,
    pub(super) config: Arc<ModelConfig>,
}

impl Party {
    pub(super) fn new(config: ModelConfig) -> Self {
        Self {
            lane: usize::MAX,
            config: Arc::new(config),
        }
    }
}

/// A request to be sent.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) task: usize,
    pub(super) sample: usize,
    pub(super) slot: Slot,
    pub(super) messages: Vec<Message>,
}

impl Request {
    pub(super) fn is_for_grader(&self) -> bool {
        self.slot.role() == Role::Grader
    }
}

/// A sample that has been taken up.
#[derive(Debug)]
pub(super) enum Opened {
    /// It needs these requests.
    Asks(Vec<Request>),
    /// Its journal held all it needed; only its outcome has to be recorded.
    Ended(Vec<u8>, Commit),
}

/// What takes effect once the lines it came with are on disk.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) task: usize,
    sample: usize,
    usage: Option<(Role, Option<Tokens>)>,
    next: Vec<Request>,
    outcome: Option<Outcome>,
    /// Given back when the commit is dropped.
    _permit: Permit,
}

impl Work {
    /// A task before its journal has been replayed.
    pub(super) fn new(
        task: &Task,
        protocol: Protocol,
        (ids, rows): (Arc<[String]>, Arc<[Row]>),
        samples: Samples,
    ) -> Self {
        Self {
            task_id: task.task_id.clone(),
            protocol,
            rows,
            ids,
            samples,
            model: Party::new(task.model_config.clone()),
            grader: task.grader.clone().map(Party::new),
            ready: VecDeque::new(),
            counts: Counts::default(),
            usage: TaskUsage::default(),
            n_in_flight: 0,
            n_uncommitted: 0,
            session: Session::default(),
            last_error: None,
            stopped: None,
            changed: true,
            ended: false,
        }
    }

    /// Marks the task as running.
    pub(super) fn begin(&mut self, file: &mut TaskFile, runner: &RunnerRecord) {
        let now = now();
        self.session = Session {
            started_at: now,
            updated_at: now,
            done_before: self.counts.done(),
        };
        let task = super::task_of(file, &self.task_id);
        task.status = TaskStatus::Running;
        task.error = None;
        task.started_at.get_or_insert(now);
        task.completed_at = None;
        task.runner = Some(runner.clone());
        self.update(task);
    }

    pub(super) fn parties(&self) -> impl Iterator<Item = &Party> {
        [&self.model].into_iter().chain(&self.grader)
    }

    pub(super) fn party(&self, request: &Request) -> &Party {
        match (request.slot.role(), &self.grader) {
            (Role::Grader, Some(grader)) => grader,
            _ => &self.model,
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Ends the task early; false when it was stopped or had ended before.
    pub(super) fn stop(&mut self, why: Error) -> bool {
        let first = self.stopped.is_none() && !self.ended;
        self.stopped.get_or_insert(format!("{why:#}"));
        self.ready.clear();
        first
    }

    /// How a request names itself to the server: `{task}/{sample}/{epoch}/{slot}`.
    pub(super) fn request_id(&self, request: &Request) -> String {
        let (id, epoch) = self.key(request.sample);
        format!("{}/{id}/{epoch}/{}", self.task_id, request.slot)
    }

    /// Takes up the next sample; none when no sample is left.
    pub(super) fn open_next(&mut self, task: usize) -> Option<Opened> {
        let taken = match self.samples.take_next() {
            Ok(taken) => taken?,
            Err(error) => {
                self.stop(error);
                return None;
            }
        };
        let (number, trail) = taken;
        let row = number % self.ids.len();
        match (self.protocol.eval.sample)(&self.ids[row], &self.rows[row]) {
            Ok(sample) => self.samples.open(number, Open { sample, trail }),
            Err(error) => {
                self.stop(error);
                return None;
            }
        }
        let (lines, commit) = self.go_on(task, number, Vec::new(), None, None);
        match lines.is_empty() {
            true => {
                self.n_uncommitted -= 1;
                Some(Opened::Asks(commit.next))
            }
            false => Some(Opened::Ended(lines, commit)),
        }
    }

    /// A reply has come: the lines that record it, and what follows once they are on disk.
    pub(super) fn answered(
        &mut self,
        task: usize,
        request: Request,
        answer: Answer,
    ) -> (Vec<u8>, Commit) {
        let (sample, epoch) = self.key(request.sample);
        let Answer {
            reply,
            attempts,
            latency,
            permit,
        } = answer;
        let Completion {
            text,
            finish_reason,
            refusal,
        } = reply.completion;
        let record = ReplyRecord {
            sample: sample.to_owned(),
            epoch,
            slot: request.slot,
            at: now(),
            text,
            finish_reason,
            refusal,
            usage: reply.usage,
            cost: reply.cost,
            model: reply.model,
            service_tier: reply.service_tier,
            trace: reply.trace,
            request_id: reply.request_id,
            attempts,
            latency: latency.as_secs_f64(),
        };
        let record = Record::Reply(record);
        let lines = line(&record);
        let Record::Reply(record) = record else {
            unreachable!("made above")
        };
        self.trail(request.sample)
            .reply(request.slot, record.into_completion());
        let usage = Some((request.slot.role(), reply.usage));
        self.go_on(task, request.sample, lines, usage, Some(permit))
    }

    /// A request has failed for good.
    pub(super) fn gave_up(
        &mut self,
        task: usize,
        request: &Request,
        error: String,
    ) -> (Vec<u8>, Commit) {
        self.trail(request.sample).failure = Some(Failure {
            slot: request.slot,
            error,
        });
        self.go_on(task, request.sample, Vec::new(), None, None)
    }

    /// What the sample's trail asks for now: adds the record of its outcome to `lines`, or names
    /// the requests that come next.
    fn go_on(
        &mut self,
        task: usize,
        number: usize,
        mut lines: Vec<u8>,
        usage: Option<(Role, Option<Tokens>)>,
        permit: Permit,
    ) -> (Vec<u8>, Commit) {
        let Open { sample, trail } = self.samples.get_mut(number);
        let steps = next_steps(&self.protocol, sample, trail).unwrap_or_else(|error| {
            self.stop(error);
            Vec::new()
        });
        let mut next = Vec::new();
        let mut ended = None;
        for step in steps {
            match step {
                Step::Ask { slot, messages, .. } => {
                    next.push(Request {
                        task,
                        sample: number,
                        slot,
                        messages,
                    });
                }
                Step::Done(outcome) => {
                    lines.extend(line(&self.outcome_record(number, &outcome)));
                    ended = Some(outcome);
                }
            }
        }
        self.n_uncommitted += 1;
        let commit = Commit {
            task,
            sample: number,
            usage,
            next,
            outcome: ended,
            _permit: permit,
        };
        (lines, commit)
    }

    fn outcome_record(&self, number: usize, outcome: &Outcome) -> Record {
        let (sample, epoch) = self.key(number);
        let (sample, at) = (sample.to_owned(), now());
        let scored = |outcome, value, answer, confidence| {
            let sample = sample.clone();
            Record::Scored(ScoredRecord {
                sample,
                epoch,
                at,
                outcome,
                value,
                answer,
                confidence,
            })
        };
        match outcome {
            Outcome::Scored(score) => scored(
                score.verdict.into(),
                Some(score.verdict.value()),
                score.answer.clone(),
                score.confidence,
            ),
            Outcome::Refused => scored(crate::journal::OutcomeName::Refused, None, None, None),
            Outcome::Truncated => scored(crate::journal::OutcomeName::Truncated, None, None, None),
            Outcome::Failed(Failure { slot, error }) => {
                let (slot, error) = (*slot, error.clone());
                Record::Failed(FailedRecord {
                    sample,
                    epoch,
                    slot,
                    at,
                    error,
                })
            }
        }
    }

    /// The lines of a commit are on disk: it takes effect.
    pub(super) fn committed(&mut self, commit: Commit) {
        self.n_uncommitted -= 1;
        self.changed = true;
        if let Some((role, tokens)) = commit.usage {
            self.count_usage(role, tokens.as_ref());
        }
        if !self.is_stopped() {
            self.ready.extend(commit.next);
        }
        if let Some(outcome) = commit.outcome {
            self.samples.close(commit.sample);
            self.count(&outcome);
        }
    }

    pub(super) fn count_usage(&mut self, role: Role, tokens: Option<&Tokens>) {
        match role {
            Role::Model => self.usage.model.add(tokens),
            Role::Grader => self.usage.grader.add(tokens),
        }
    }

    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Scored(score) => metrics::count(&mut self.counts, score.verdict.into()),
            Outcome::Refused => self.counts.refused += 1,
            Outcome::Truncated => self.counts.truncated += 1,
            Outcome::Failed(failure) => {
                match failure.slot.role() {
                    Role::Model => self.counts.model_error += 1,
                    Role::Grader => self.counts.grader_error += 1,
                }
                self.last_error = Some(failure.error.clone());
            }
        }
    }

    /// Writes progress into the task's document; false when nothing has changed since the last time.
    pub(super) fn update(&mut self, task: &mut Task) -> bool {
        if !std::mem::take(&mut self.changed) {
            return false;
        }
        self.session.updated_at = now();
        task.counts = self.counts;
        task.usage = self.usage;
        task.results = metrics::results(&self.counts);
        task.session = Some(self.session);
        let n_total = self.samples.n_total() as f64;
        task.progress = (1000.0 * self.counts.done() as f64 / n_total).floor() / 10.0;
        true
    }

    /// Gives the task its final status if nothing more will come; whether it has done so now.
    pub(super) fn end(&mut self, task: &mut Task, drained: bool) -> bool {
        let is_quiet = self.n_in_flight == 0 && self.n_uncommitted == 0;
        let n_left = self.samples.n_total() as u64 - self.counts.done() - self.counts.errors();
        if self.ended || !is_quiet || (n_left > 0 && !drained && !self.is_stopped()) {
            return false;
        }
        self.ended = true;
        self.changed = true;
        self.update(task);
        (task.status, task.error) = self.verdict(n_left);
        if task.status != TaskStatus::Interrupted {
            task.completed_at = Some(now());
        }
        let Counts {
            scored, correct, ..
        } = self.counts;
        tracing::info!(task = self.task_id, scored, correct, "{}", task.status);
        true
    }

    fn verdict(&self, n_left: u64) -> (TaskStatus, Option<String>) {
        if let Some(why) = &self.stopped {
            return (TaskStatus::Failed, Some(why.clone()));
        }
        if n_left > 0 {
            return (TaskStatus::Interrupted, None);
        }
        let n_errors = self.counts.errors();
        if n_errors == 0 {
            return (TaskStatus::Completed, None);
        }
        let last = self.last_error.as_deref().unwrap_or("unknown");
        let error = format!(
            "{n_errors} of {} samples have no outcome, start `run` again to ask for them; the last error: {last}",
            self.samples.n_total()
        );
        (TaskStatus::Failed, Some(error))
    }

    fn trail(&mut self, number: usize) -> &mut Trail {
        &mut self.samples.get_mut(number).trail
    }

    /// The sample's id and epoch.
    fn key(&self, number: usize) -> (&str, u32) {
        let n_rows = self.ids.len();
        (&self.ids[number % n_rows], (number / n_rows) as u32 + 1)
    }
}

fn line(record: &Record) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).expect("records are JSON");
    line.push(b'\n');
    line
}
