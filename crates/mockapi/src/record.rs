//! What the ledger says of requests: one by one, and in numbers.

use std::time::Duration;

use crate::{key::SampleKey, usage::Usage};

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Not yet known.
    Pending,
    /// A whole reply with this HTTP status.
    Sent(u16),
    /// A 200 whose JSON breaks off.
    Truncated,
    /// A 200 whose connection broke in the middle of the body.
    Dropped,
    /// A connection that was closed in place of a reply.
    Closed,
    /// No reply, though the client waits.
    Hanging,
    /// No reply, because the client left.
    Abandoned,
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Counted from 1, in order of arrival.
    pub number: u64,
    /// From the server's start to the request's arrival.
    pub at: Duration,
    /// The model it names; empty if it could not be read.
    pub model: String,
    /// The sample it belongs to, if it says so.
    pub key: Option<SampleKey>,
    /// What came of it.
    pub fate: Fate,
    /// What was billed: `Some` as soon as an answer was produced, however badly it was delivered.
    pub billed: Option<Usage>,
}

/// Numbers of requests since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Arrived.
    pub requests: u64,
    /// Whose fate is known.
    pub settled: u64,
    /// For which an answer was produced.
    pub billed: u64,
    /// Being worked on just now, hanging ones included.
    pub in_flight: u64,
    /// The most that were worked on at the same time.
    pub peak_in_flight: u64,
    /// Polls of background responses; they are no requests in the sense of the others.
    pub polls: u64,
}
