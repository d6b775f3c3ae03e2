//! What happened to a sample, as lines of its journal.

use std::time::Duration;

use crate::clock::unix_now;
use crate::journal::{
    FailedRecord, LostRecord, OutcomeName, Record, ReplyRecord, ScoredRecord, SentRecord,
};
use crate::providers::Reply;
use crate::sample::{Completion, Failure, Outcome, Slot};

/// A sample's id and epoch.
pub(super) type Key<'a> = (&'a str, u32);

/// A reply; gives its completion back.
pub(super) fn reply(
    (sample, epoch): Key<'_>,
    slot: Slot,
    reply: Reply,
    attempts: u32,
    latency: Duration,
) -> (Vec<u8>, Completion) {
    let Completion { text, finish_reason, refusal } = reply.completion;
    let record = ReplyRecord {
        sample: sample.to_owned(),
        epoch,
        slot,
        at: unix_now(),
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
    let line = line(&record);
    let Record::Reply(record) = record else { unreachable!("made above") };
    (line, record.into_completion())
}

/// A call that lives on at the provider.
pub(super) fn sent((sample, epoch): Key<'_>, slot: Slot, id: &str) -> Vec<u8> {
    let (sample, id) = (sample.to_owned(), id.to_owned());
    line(&Record::Sent(SentRecord { sample, epoch, slot, at: unix_now(), id }))
}

/// The end of such a call without an answer.
pub(super) fn lost((sample, epoch): Key<'_>, slot: Slot, reason: &str) -> Vec<u8> {
    let (sample, reason) = (sample.to_owned(), reason.to_owned());
    line(&Record::Lost(LostRecord { sample, epoch, slot, at: unix_now(), reason }))
}

/// How a sample ended.
pub(super) fn outcome((sample, epoch): Key<'_>, outcome: &Outcome) -> Vec<u8> {
    let (sample, at) = (sample.to_owned(), unix_now());
    let (outcome, score) = match outcome {
        Outcome::Scored(score) => (score.verdict.into(), Some(score)),
        Outcome::Refused => (OutcomeName::Refused, None),
        Outcome::Truncated => (OutcomeName::Truncated, None),
        Outcome::Failed(Failure { slot, error }) => {
            let (slot, error) = (*slot, error.clone());
            return line(&Record::Failed(FailedRecord { sample, epoch, slot, at, error }));
        }
    };
    line(&Record::Scored(ScoredRecord {
        sample,
        epoch,
        at,
        outcome,
        value: score.map(|score| score.verdict.value()),
        answer: score.and_then(|score| score.answer.clone()),
        confidence: score.and_then(|score| score.confidence),
    }))
}

fn line(record: &Record) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).expect("records are JSON");
    line.push(b'\n');
    line
}
