//! Where each sample of a task stands, in a few bytes per sample that is not being worked on.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::journal::{Record, records_at};
use crate::sample::{Sample, Trail};

/// The samples of one task, times its epochs. A sample's number counts through the chosen rows, then
/// through the rows again for the second epoch, and so on.
#[derive(Debug)]
pub(super) struct Samples {
    journal: PathBuf,
    states: Vec<State>,
    /// Samples before this number have been taken.
    next: usize,
    open: HashMap<usize, Open>,
}

#[derive(Debug, Clone)]
enum State {
    /// Not asked yet.
    Fresh,
    /// Left unfinished by an earlier run, which journaled records at these offsets.
    Begun(Vec<u64>),
    /// Being worked on, or put aside until the next run.
    Taken,
    /// Has its outcome.
    Done,
}

/// A sample that is being worked on.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) sample: Sample,
    pub(super) trail: Trail,
}

impl Samples {
    pub(super) fn new(journal: PathBuf, n_total: usize) -> Self {
        Self { journal, states: vec![State::Fresh; n_total], next: 0, open: HashMap::new() }
    }

    pub(super) fn n_total(&self) -> usize {
        self.states.len()
    }

    pub(super) fn n_open(&self) -> usize {
        self.open.len()
    }

    /// Replay: a reply or failure of this sample stands at `offset`.
    pub(super) fn saw(&mut self, number: usize, offset: u64) {
        match &mut self.states[number] {
            State::Begun(offsets) => offsets.push(offset),
            State::Done => {}
            state => *state = State::Begun(vec![offset]),
        }
    }

    /// Replay: this sample has its outcome; false when it already had one.
    pub(super) fn saw_outcome(&mut self, number: usize) -> bool {
        !matches!(std::mem::replace(&mut self.states[number], State::Done), State::Done)
    }

    /// The next sample to be worked on, with the records that earlier runs left of it; or the next
    /// of those that have such records.
    pub(super) fn take_next(&mut self, only_begun: bool) -> Result<Option<(usize, Trail)>> {
        while let Some(state) = self.states.get_mut(self.next) {
            let number = self.next;
            self.next += 1;
            match std::mem::replace(state, State::Taken) {
                State::Done => *state = State::Done,
                State::Begun(offsets) => return Ok(Some((number, self.read_trail(&offsets)?))),
                _ if only_begun => {}
                _ => return Ok(Some((number, Trail::default()))),
            }
        }
        Ok(None)
    }

    /// Whether every sample has been taken.
    pub(super) fn are_taken(&self) -> bool {
        self.next >= self.states.len()
    }

    /// Whether every sample has been taken and none is being worked on.
    pub(super) fn is_exhausted(&self) -> bool {
        self.are_taken() && self.open.is_empty()
    }

    fn read_trail(&self, offsets: &[u64]) -> Result<Trail> {
        let mut trail = Trail::default();
        for record in records_at(&self.journal, offsets)? {
            match record {
                Record::Sent(sent) => trail.sent(sent.slot, sent.id),
                Record::Lost(_) => trail.lost(),
                Record::Reply(reply) => trail.reply(reply.slot, reply.into_completion()),
                Record::Failed(_) => trail.retry(),
                other => bail!("journal `{}` has changed: {other:?}", self.journal.display()),
            }
        }
        Ok(trail)
    }

    pub(super) fn open(&mut self, number: usize, open: Open) {
        self.open.insert(number, open);
    }

    pub(super) fn get_mut(&mut self, number: usize) -> &mut Open {
        self.open.get_mut(&number).expect("a sample with a request in flight is open")
    }

    /// Puts a sample aside until the next run.
    pub(super) fn suspend(&mut self, number: usize) {
        self.open.remove(&number);
    }

    /// The sample has its outcome, on disk.
    pub(super) fn close(&mut self, number: usize) {
        self.open.remove(&number);
        self.states[number] = State::Done;
    }
}
