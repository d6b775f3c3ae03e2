//! The lines of a journal.

use serde::{Deserialize, Serialize};

use crate::providers::Trace;
use crate::sample::{Completion, Slot, Verdict};
use crate::task::Tokens;

/// The version of the journal that this program writes.
pub const FORMAT: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "most are replies, and there are few at a time")]
pub enum Record {
    /// The first line.
    Journal(Header),
    /// The provider works on a call and will keep its answer.
    Sent(SentRecord),
    /// The provider no longer knows of that call, or it was cancelled there.
    Lost(LostRecord),
    /// An answer or a grade, paid for.
    Reply(ReplyRecord),
    /// An error that ended a sample in one run.
    Failed(FailedRecord),
    /// A sample's outcome.
    Scored(ScoredRecord),
}

/// What a journal belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// See [`FORMAT`].
    pub format: u32,
    /// The task.
    pub task_id: String,
    /// The data set that sample ids refer to.
    pub dataset_sha256: String,
}

/// A reply, with what it took and cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplyRecord {
    /// The sample's id.
    pub sample: String,
    /// Counted from 1.
    pub epoch: u32,
    /// Which of the sample's calls.
    pub slot: Slot,
    /// When it arrived, in Unix seconds.
    pub at: f64,
    /// See [`Completion::text`].
    pub text: String,
    /// See [`Completion::finish_reason`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// See [`Completion::refusal`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Tokens; none when the server did not say.
    pub usage: Option<Tokens>,
    /// US dollars, where the server says what it bills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// The model that answered, as the server names it.
    pub model: Option<String>,
    /// The tier that served it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// What was searched, opened and cited.
    #[serde(default, skip_serializing_if = "Trace::is_empty")]
    pub trace: Trace,
    /// The server's own id of the request.
    pub request_id: Option<String>,
    /// Requests sent for it, the successful one included.
    pub attempts: u32,
    /// Seconds from sending the successful request to its answer.
    pub latency: f64,
}

impl ReplyRecord {
    /// The part that decides what comes next.
    pub fn into_completion(self) -> Completion {
        Completion { text: self.text, finish_reason: self.finish_reason, refusal: self.refusal }
    }
}

/// A call that lives on at the provider: a background response. Written before it is waited for, so
/// that no run asks for it a second time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SentRecord {
    /// The sample's id.
    pub sample: String,
    /// Counted from 1.
    pub epoch: u32,
    /// Which of the sample's calls.
    pub slot: Slot,
    /// When, in Unix seconds.
    pub at: f64,
    /// The provider's id of the response.
    pub id: String,
}

/// The end of a background response that will never have an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LostRecord {
    /// The sample's id.
    pub sample: String,
    /// Counted from 1.
    pub epoch: u32,
    /// Which of the sample's calls.
    pub slot: Slot,
    /// When, in Unix seconds.
    pub at: f64,
    /// Why there will be no answer.
    pub reason: String,
}

/// An error that ended a sample in one run; the next run tries it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedRecord {
    /// The sample's id.
    pub sample: String,
    /// Counted from 1.
    pub epoch: u32,
    /// The call that failed.
    pub slot: Slot,
    /// When, in Unix seconds.
    pub at: f64,
    /// What went wrong.
    pub error: String,
}

/// A sample's outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredRecord {
    /// The sample's id.
    pub sample: String,
    /// Counted from 1.
    pub epoch: u32,
    /// When, in Unix seconds.
    pub at: f64,
    /// How the sample ended.
    pub outcome: OutcomeName,
    /// The score, 0 to 1; none for an outcome without one.
    pub value: Option<f64>,
    /// The final answer that was read out of the completion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The model's stated confidence in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
}

/// How a sample ended, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeName {
    /// Scored as right.
    Correct,
    /// Scored as wrong.
    Incorrect,
    /// Scored as not attempted.
    NotAttempted,
    /// The model declined.
    Refused,
    /// The answer was cut off.
    Truncated,
}

impl From<Verdict> for OutcomeName {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Correct => Self::Correct,
            Verdict::Incorrect => Self::Incorrect,
            Verdict::NotAttempted => Self::NotAttempted,
        }
    }
}
