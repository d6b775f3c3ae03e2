//! One task at work: which requests it has left, and what their replies mean for it.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Error;

use super::records;
use super::request::{Bill, Commit, Opened, Party, Request, Ticket};
use super::samples::{Open, Samples};
use crate::clock::unix_now as now;
use crate::dataset::Row;
use crate::engine::{Answer, Errand, Place, Unaccounted};
use crate::metrics;
use crate::sample::{Failure, Outcome, Protocol, Role, Slot, Step, Trail, next_steps};
use crate::task::{
    Counts, ModelConfig, RunnerRecord, Session, Task, TaskCost, TaskStatus, TaskUsage,
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
    /// Requests that wait for room in the grader's lane, and in the model's.
    for_grader: VecDeque<Request>,
    for_model: VecDeque<Request>,
    pub(super) counts: Counts,
    pub(super) usage: TaskUsage,
    pub(super) cost: TaskCost,
    /// Of this run; [`TaskCost::unaccounted`] has that of earlier ones until it is added.
    pub(super) unaccounted: Unaccounted,
    unaccounted_before: f64,
    pub(super) n_in_flight: usize,
    n_uncommitted: usize,
    session: Session,
    last_error: Option<String>,
    /// Why the task cannot go on, whatever its models do.
    broken: Option<String>,
    waiting: Option<String>,
    changed: bool,
    ended: bool,
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
            for_grader: VecDeque::new(),
            for_model: VecDeque::new(),
            counts: Counts::default(),
            usage: TaskUsage::default(),
            cost: TaskCost { unaccounted: task.cost.unaccounted, ..TaskCost::default() },
            unaccounted: Unaccounted::default(),
            unaccounted_before: task.cost.unaccounted,
            n_in_flight: 0,
            n_uncommitted: 0,
            session: Session::default(),
            last_error: None,
            broken: None,
            waiting: None,
            changed: true,
            ended: false,
        }
    }

    /// Marks the task as running.
    pub(super) fn begin(&mut self, task: &mut Task, runner: &RunnerRecord) {
        let now = now();
        let done_before = self.counts.done();
        self.session = Session { started_at: now, updated_at: now, done_before };
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

    pub(super) fn party(&self, ticket: Ticket) -> &Party {
        match (ticket.slot.role(), &self.grader) {
            (Role::Grader, Some(grader)) => grader,
            _ => &self.model,
        }
    }

    /// Whether nothing more is to be asked: without a grader no more answers are bought.
    pub(super) fn is_over(&self) -> bool {
        self.broken.is_some() || self.grader.as_ref().is_some_and(|grader| grader.dead.is_some())
    }

    /// The task cannot go on.
    fn fail(&mut self, why: &Error) {
        self.broken.get_or_insert(format!("{why:#}"));
    }

    /// A lane has died: whoever is asked there will not be asked any more. Whether that is news.
    pub(super) fn bury(&mut self, lane: usize, why: &str) -> bool {
        let mut is_news = false;
        for party in [&mut self.model].into_iter().chain(&mut self.grader) {
            if party.lane == lane && party.dead.is_none() {
                party.dead = Some(format!("model `{}`: {why}", party.config.model));
                is_news = true;
            }
        }
        if is_news {
            // Whoever waits for it waits for the next run.
            let queues = [self.for_model.split_off(0), self.for_grader.split_off(0)];
            queues.into_iter().flatten().for_each(|request| self.queue(request));
        }
        is_news && !self.ended
    }

    /// What the provider of this call's model is told.
    pub(super) fn config_of(&self, slot: Slot) -> &ModelConfig {
        &self.party(Ticket { task: 0, sample: 0, slot }).config
    }

    pub(super) fn waiting(&mut self, waiting: Option<String>) {
        self.changed |= self.waiting != waiting;
        self.waiting = waiting;
    }

    pub(super) fn is_waiting_for(&self) -> Option<&str> {
        self.waiting.as_deref()
    }

    /// The lanes that it has something to ask of just now.
    pub(super) fn wanted_lanes(&self) -> impl Iterator<Item = usize> {
        let is_alive = |party: &&Party| party.dead.is_none() && !self.is_over();
        let has_model_work = !self.for_model.is_empty() || !self.samples.are_taken();
        let model = Some(&self.model).filter(is_alive).filter(|_| has_model_work);
        let grader = self.grader.as_ref().filter(is_alive).filter(|_| !self.for_grader.is_empty());
        model.into_iter().chain(grader).map(|party| party.lane)
    }

    /// How a request names itself to the server: `{task}/{sample}/{epoch}/{slot}`.
    pub(super) fn request_id(&self, ticket: Ticket) -> String {
        let (id, epoch) = self.key(ticket.sample);
        format!("{}/{id}/{epoch}/{}", self.task_id, ticket.slot)
    }

    /// Puts a request where it waits for room in its lane; one for a dead lane waits for the next run.
    pub(super) fn queue(&mut self, request: Request) {
        if self.party(request.ticket).dead.is_some() {
            return self.samples.suspend(request.ticket.sample);
        }
        match request.ticket.slot.role() {
            Role::Grader => self.for_grader.push_back(request),
            Role::Model => self.for_model.push_back(request),
        }
    }

    /// The next waiting request whose lane has room: grades first, they end samples.
    pub(super) fn next_ready(&mut self, room: impl Fn(usize) -> bool) -> Option<Request> {
        let has_room = |party: &Party| party.dead.is_none() && room(party.lane);
        let grader = self.grader.as_ref().is_some_and(has_room);
        let model = has_room(&self.model);
        let graded = if grader { self.for_grader.pop_front() } else { None };
        graded.or_else(|| if model { self.for_model.pop_front() } else { None })
    }

    /// Takes up the next sample; none when no sample is left. Once the model is dead only those are
    /// left that may lack nothing but a grade.
    pub(super) fn open_next(&mut self, task: usize) -> Option<Opened> {
        let taken = self.samples.take_next(self.model.dead.is_some());
        let (number, trail) = taken.map_err(|error| self.fail(&error)).ok()??;
        let row = number % self.ids.len();
        let sample = (self.protocol.eval.sample)(&self.ids[row], &self.rows[row]);
        let sample = sample.map_err(|error| self.fail(&error)).ok()?;
        self.samples.open(number, Open { sample, trail });
        let (lines, commit) = self.go_on(task, number, Vec::new(), None, None);
        if lines.is_empty() {
            self.n_uncommitted -= 1;
            return Some(Opened::Asks(commit.next));
        }
        Some(Opened::Ended(lines, commit))
    }

    /// A reply has come: the lines that record it, and what follows once they are on disk.
    pub(super) fn answered(&mut self, ticket: Ticket, answer: Answer) -> (Vec<u8>, Commit) {
        let Answer { reply, attempts, latency, place } = answer;
        let config = &self.party(ticket).config;
        let bill = Bill::new(config, reply.usage, reply.cost, reply.service_tier.as_deref());
        let usage = Some((ticket.slot.role(), bill));
        let key = self.key(ticket.sample);
        let (line, completion) = records::reply(key, ticket.slot, reply, attempts, latency);
        self.trail(ticket.sample).reply(ticket.slot, completion);
        self.go_on(ticket.task, ticket.sample, line, usage, Some(place))
    }

    /// The provider works on a request: it is fetched once its id is on disk.
    pub(super) fn sent(&mut self, ticket: Ticket, id: String, place: Place) -> (Vec<u8>, Commit) {
        let line = records::sent(self.key(ticket.sample), ticket.slot, &id);
        self.trail(ticket.sample).sent(ticket.slot, id);
        self.go_on(ticket.task, ticket.sample, line, None, Some(place))
    }

    /// What the provider worked on will never have an answer.
    pub(super) fn lost(&mut self, ticket: Ticket, reason: &str, again: bool) -> (Vec<u8>, Commit) {
        let line = records::lost(self.key(ticket.sample), ticket.slot, reason);
        let trail = self.trail(ticket.sample);
        trail.lost();
        if !again {
            trail.failure = Some(Failure { slot: ticket.slot, error: reason.to_owned() });
        }
        self.go_on(ticket.task, ticket.sample, line, None, None)
    }

    /// A request has failed for good.
    pub(super) fn gave_up(&mut self, ticket: Ticket, error: String) -> (Vec<u8>, Commit) {
        self.trail(ticket.sample).failure = Some(Failure { slot: ticket.slot, error });
        self.go_on(ticket.task, ticket.sample, Vec::new(), None, None)
    }

    /// What the sample's trail asks for now: adds the record of its outcome to `lines`, or names
    /// the requests that come next.
    fn go_on(
        &mut self,
        task: usize,
        sample: usize,
        mut lines: Vec<u8>,
        usage: Option<(Role, Bill)>,
        place: Option<Place>,
    ) -> (Vec<u8>, Commit) {
        let open = self.samples.get_mut(sample);
        let steps = next_steps(&self.protocol, &open.sample, &open.trail);
        let steps = steps.unwrap_or_else(|error| {
            self.fail(&error);
            Vec::new()
        });
        let mut next = Vec::new();
        let mut outcome = None;
        for step in steps {
            let (slot, errand) = match step {
                Step::Ask { slot, messages } => (slot, Errand::Ask(messages)),
                Step::Fetch { slot, id } => (slot, Errand::Fetch(id)),
                Step::Done(ended) => {
                    lines.extend(records::outcome(self.key(sample), &ended));
                    outcome = Some(ended);
                    continue;
                }
            };
            let ticket = Ticket { task, sample, slot };
            next.push(Request { ticket, errand });
        }
        self.n_uncommitted += 1;
        (lines, Commit { task, sample, usage, next, outcome, place })
    }

    /// The lines of a commit are on disk: it takes effect. What it gives back is to be started at
    /// once, in the place that it keeps.
    pub(super) fn committed(&mut self, commit: Commit) -> Vec<(Request, Option<Place>)> {
        let Commit { usage, next, outcome, mut place, sample, .. } = commit;
        self.n_uncommitted -= 1;
        self.changed = true;
        if let Some((role, bill)) = usage {
            self.count_bill(role, bill);
        }
        let mut at_once = Vec::new();
        for request in next {
            match request.errand {
                // The provider works on it, whatever else stops.
                Errand::Fetch(_) => at_once.push((request, place.take())),
                Errand::Ask(_) => self.queue(request),
            }
        }
        if let Some(outcome) = outcome {
            self.samples.close(sample);
            self.count(&outcome);
        }
        at_once
    }

    pub(super) fn count_bill(&mut self, role: Role, bill: Bill) {
        let (usage, cost) = match role {
            Role::Model => (&mut self.usage.model, &mut self.cost.model),
            Role::Grader => (&mut self.usage.grader, &mut self.cost.grader),
        };
        usage.add(bill.tokens.as_ref());
        cost.add(bill.dollars);
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
        self.cost.unaccounted = self.unaccounted_before + self.unaccounted.dollars();
        task.cost = self.cost;
        task.waiting = self.waiting.clone();
        task.results = metrics::results(&self.counts);
        task.session = Some(self.session);
        let n_total = self.samples.n_total() as f64;
        task.progress = (1000.0 * self.counts.done() as f64 / n_total).floor() / 10.0;
        true
    }

    /// Gives the task its final status if nothing more will come; whether it has done so now.
    /// `reason` is why the run was stopped, if that was not the user's wish.
    pub(super) fn end(&mut self, task: &mut Task, drained: bool, reason: Option<&str>) -> bool {
        let is_quiet = self.n_in_flight == 0 && self.n_uncommitted == 0;
        let n_left = self.samples.n_total() as u64 - self.counts.done() - self.counts.errors();
        let is_stuck =
            self.model.dead.is_some() && self.samples.is_exhausted() && self.for_grader.is_empty();
        let is_over = n_left == 0 || drained || is_stuck || self.is_over();
        if self.ended || !is_quiet || !is_over {
            return false;
        }
        self.ended = true;
        self.changed = true;
        self.waiting = None;
        self.update(task);
        (task.status, task.error) = self.verdict(n_left, reason);
        if task.status != TaskStatus::Interrupted {
            task.completed_at = Some(now());
        }
        let Counts { scored, correct, .. } = self.counts;
        let Self { task_id, .. } = self;
        tracing::info!(
            "{task_id}: {}, {correct} of {scored} scored samples are right",
            task.status
        );
        true
    }

    fn verdict(&self, n_left: u64, reason: Option<&str>) -> (TaskStatus, Option<String>) {
        if n_left > 0 {
            let dead = self.parties().find_map(|party| party.dead.as_ref());
            return match self.broken.as_ref().or(dead) {
                Some(why) => (TaskStatus::Failed, Some(why.clone())),
                None => (TaskStatus::Interrupted, reason.map(str::to_owned)),
            };
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
    pub(super) fn key(&self, number: usize) -> (&str, u32) {
        let n_rows = self.ids.len();
        (&self.ids[number % n_rows], (number / n_rows) as u32 + 1)
    }
}
