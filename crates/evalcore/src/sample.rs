//! A sample's life as pure functions.
//!
//! A [`Trail`] is what the journal holds of one sample and epoch; [`next_steps`] says what is to be
//! done with it. The runner only does steps and appends what came of them, so resuming is replaying.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::evals::{Eval, Scorer};
use crate::prompts::Compiled;

/// How often a grader is asked for one answer before its verdict counts as unreadable.
const MAX_GRADER_ASKS: u32 = 3;

/// How often in one try a background response may get lost at the provider before the call fails.
const MAX_LOST: u32 = 3;

/// One item of a data set, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Unique in its data set; for a data set without ids, the row's number counted from 0.
    pub id: String,
    /// The question.
    pub input: String,
    /// The right answer.
    pub target: String,
}

/// Which of a sample's calls a record belongs to. Written `answer`, `grade.1`, `grade.2`, ….
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Slot {
    /// The model's answer.
    Answer,
    /// The grader's verdict on it; `ask` counts from 1, higher when earlier replies had no verdict.
    Grade {
        /// Which asking this is.
        ask: u32,
    },
}

impl Slot {
    /// Who is asked.
    pub fn role(self) -> Role {
        match self {
            Self::Answer => Role::Model,
            Self::Grade { .. } => Role::Grader,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer => f.write_str("answer"),
            Self::Grade { ask } => write!(f, "grade.{ask}"),
        }
    }
}

impl FromStr for Slot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('.') {
            None if text == "answer" => Ok(Self::Answer),
            Some(("grade", ask)) => match ask.parse() {
                Ok(ask) if ask > 0 => Ok(Self::Grade { ask }),
                _ => Err(format!("unknown slot `{text}`")),
            },
            _ => Err(format!("unknown slot `{text}`")),
        }
    }
}

impl From<Slot> for String {
    fn from(slot: Slot) -> Self {
        slot.to_string()
    }
}

impl TryFrom<String> for Slot {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The model under test.
    Model,
    /// The model that judges its answers.
    Grader,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system` or `user`.
    pub role: &'static str,
    /// The text.
    pub content: String,
}

/// The part of a reply that decides what comes next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The text; empty when there is none.
    pub text: String,
    /// The API's own `finish_reason`, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// The model's refusal, where the API reports one apart from the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

impl Completion {
    /// Cut off at the limit on output tokens.
    pub fn is_truncated(&self) -> bool {
        matches!(self.finish_reason.as_deref(), Some("length" | "max_tokens" | "model_length"))
    }

    /// Declined by the model or stopped by a content filter.
    pub fn is_refused(&self) -> bool {
        self.refusal.is_some() || self.finish_reason.as_deref() == Some("content_filter")
    }
}

/// A call that ended without a reply, or a grader whose verdict could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The call.
    pub slot: Slot,
    /// What went wrong, in the API's own words where it had any.
    pub error: String,
}

/// What the journal holds of one sample and epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trail {
    /// The model's answer.
    pub answer: Option<Completion>,
    /// The grader's replies of this try, in the order of asking.
    pub grades: Vec<Completion>,
    /// Grader replies of earlier tries, none of which had a verdict.
    pub n_spent_grades: u32,
    /// A call that lives on at the provider.
    pub pending: Option<Pending>,
    /// Background responses of this try that were lost at the provider.
    pub n_lost: u32,
    /// The error that ended the sample in this run.
    pub failure: Option<Failure>,
}

/// A background response that has been asked for and not yet fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The call.
    pub slot: Slot,
    /// The provider's id of the response.
    pub id: String,
}

impl Trail {
    /// Adds a reply.
    pub fn reply(&mut self, slot: Slot, completion: Completion) {
        self.pending = None;
        match slot {
            Slot::Answer => self.answer = Some(completion),
            Slot::Grade { .. } => self.grades.push(completion),
        }
    }

    /// Notes that the provider works on a call.
    pub fn sent(&mut self, slot: Slot, id: String) {
        self.pending = Some(Pending { slot, id });
    }

    /// Notes that the provider no longer knows of the call it worked on.
    pub fn lost(&mut self) {
        self.pending = None;
        self.n_lost += 1;
    }

    /// Opens the sample to another try after an error: the answer, which is paid for, stays unless it
    /// is empty, and so does what the provider still works on; verdicts that nobody could read and
    /// responses that were lost do not count against the new try.
    pub fn retry(&mut self) {
        self.failure = None;
        let is_empty = |answer: &Completion| {
            answer.text.trim().is_empty() && !answer.is_refused() && !answer.is_truncated()
        };
        self.answer = self.answer.take().filter(|answer| !is_empty(answer));
        self.n_lost = 0;
        self.n_spent_grades += self.grades.len() as u32;
        self.grades.clear();
    }
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send these messages and journal the reply under `slot`.
    Ask {
        /// The call's name in the journal.
        slot: Slot,
        /// The conversation.
        messages: Vec<Message>,
    },
    /// Wait for what the provider works on, and journal it under `slot`.
    Fetch {
        /// The call's name in the journal.
        slot: Slot,
        /// The provider's id of the response.
        id: String,
    },
    /// The sample has ended.
    Done(Outcome),
}

/// How a sample ended: exactly one of these.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It has a score.
    Scored(Score),
    /// The model declined to answer.
    Refused,
    /// The answer was cut off.
    Truncated,
    /// An error kept it from a score; a later run may try again.
    Failed(Failure),
}

/// The score of one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Right, wrong or not attempted.
    pub verdict: Verdict,
    /// The final answer that was read out of the completion.
    pub answer: Option<String>,
    /// The model's stated confidence in percent, 0 to 100.
    pub confidence: Option<f64>,
}

/// A scorer's judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Right: value 1.
    Correct,
    /// Wrong: value 0.
    Incorrect,
    /// No answer was given: value 0.
    NotAttempted,
}

impl Verdict {
    /// The score's value.
    pub fn value(self) -> f64 {
        match self {
            Self::Correct => 1.0,
            Self::Incorrect | Self::NotAttempted => 0.0,
        }
    }
}

/// How the samples of one task are asked and scored.
#[derive(Debug)]
pub struct Protocol {
    /// The eval.
    pub eval: &'static Eval,
    /// The task's templates.
    pub prompts: Compiled,
    /// System message for the model under test.
    pub system_message: Option<String>,
    /// System message for the grader.
    pub grader_system_message: Option<String>,
}

/// What is to be done next for `sample`, given all that its journal holds. Pure: the same trail
/// always gives the same steps. Calls that are still in flight are named again; the caller knows
/// which those are.
///
/// # Errors
///
/// A template of the task's own that cannot be rendered.
pub fn next_steps(protocol: &Protocol, sample: &Sample, trail: &Trail) -> Result<Vec<Step>> {
    if let Some(failure) = &trail.failure {
        return Ok(vec![Step::Done(Outcome::Failed(failure.clone()))]);
    }
    if let Some(Pending { slot, id }) = trail.pending.clone() {
        return Ok(vec![Step::Fetch { slot, id }]);
    }
    let Some(answer) = &trail.answer else {
        let question = (protocol.eval.prompt)(&protocol.prompts, sample)?;
        return Ok(ask(trail, Slot::Answer, protocol.system_message.as_deref(), question));
    };
    if answer.is_refused() {
        return Ok(vec![Step::Done(Outcome::Refused)]);
    }
    if answer.is_truncated() {
        return Ok(vec![Step::Done(Outcome::Truncated)]);
    }
    if answer.text.trim().is_empty() {
        let reason = answer.finish_reason.as_deref().unwrap_or("unknown");
        let error = format!("the answer is empty, `finish_reason` is `{reason}`");
        return Ok(vec![Step::Done(Outcome::Failed(Failure { slot: Slot::Answer, error }))]);
    }
    let Scorer::Model { prompt, read } = protocol.eval.scorer;
    let is_whole = |grade: &&Completion| !grade.is_truncated() && !grade.is_refused();
    let mut whole = trail.grades.iter().filter(is_whole);
    if let Some(score) = whole.find_map(|grade| read(&answer.text, &grade.text)) {
        return Ok(vec![Step::Done(Outcome::Scored(score))]);
    }
    let n_asked = trail.grades.len() as u32;
    if n_asked >= MAX_GRADER_ASKS {
        let slot = Slot::Grade { ask: trail.n_spent_grades + n_asked };
        let error = format!("no verdict could be read from {n_asked} replies of the grader");
        return Ok(vec![Step::Done(Outcome::Failed(Failure { slot, error }))]);
    }
    let slot = Slot::Grade { ask: trail.n_spent_grades + n_asked + 1 };
    let question = prompt(&protocol.prompts, sample, &answer.text)?;
    Ok(ask(trail, slot, protocol.grader_system_message.as_deref(), question))
}

/// The step that sends `question`, unless answers to it got lost too often.
fn ask(trail: &Trail, slot: Slot, system_message: Option<&str>, question: String) -> Vec<Step> {
    if trail.n_lost >= MAX_LOST {
        let error = format!("the provider lost {} background responses", trail.n_lost);
        return vec![Step::Done(Outcome::Failed(Failure { slot, error }))];
    }
    let system = system_message.map(|text| Message { role: "system", content: text.to_owned() });
    let messages = system.into_iter().chain([Message { role: "user", content: question }]);
    vec![Step::Ask { slot, messages: messages.collect() }]
}

#[cfg(test)]
mod tests;
