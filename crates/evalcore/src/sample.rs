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
        matches!(
            self.finish_reason.as_deref(),
            Some("length" | "max_tokens" | "model_length")
        )
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
    /// The error that ended the sample in this run.
    pub failure: Option<Failure>,
}

impl Trail {
    /// Adds a reply.
    pub fn reply(&mut self, slot: Slot, completion: Completion) {
        match slot {
            Slot::Answer => self.answer = Some(completion),
            Slot::Grade { .. } => self.grades.push(completion),
        }
    }

    /// Opens the sample to another try after an error: the answer, which is paid for, stays;
    /// verdicts that nobody could read do not count against the new try.
    pub fn retry(&mut self) {
        self.failure = None;
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
        /// Who is asked.
        to: Role,
        /// The conversation.
        messages: Vec<Message>,
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
    let Some(answer) = &trail.answer else {
        let question = (protocol.eval.prompt)(&protocol.prompts, sample)?;
        return Ok(vec![Step::Ask {
            slot: Slot::Answer,
            to: Role::Model,
            messages: conversation(protocol.system_message.as_deref(), question),
        }]);
    };
    if answer.is_refused() {
        return Ok(vec![Step::Done(Outcome::Refused)]);
    }
    if answer.is_truncated() {
        return Ok(vec![Step::Done(Outcome::Truncated)]);
    }
    let Scorer::Model { prompt, read } = protocol.eval.scorer;
    if let Some(score) = trail
        .grades
        .iter()
        .find_map(|grade| read(&answer.text, &grade.text))
    {
        return Ok(vec![Step::Done(Outcome::Scored(score))]);
    }
    let asks = trail.grades.len() as u32;
    if asks >= MAX_GRADER_ASKS {
        return Ok(vec![Step::Done(Outcome::Failed(Failure {
            slot: Slot::Grade {
                ask: trail.n_spent_grades + asks,
            },
            error: format!("no verdict could be read from {asks} replies of the grader"),
        }))]);
    }
    let question = prompt(&protocol.prompts, sample, &answer.text)?;
    Ok(vec![Step::Ask {
        slot: Slot::Grade {
            ask: trail.n_spent_grades + asks + 1,
        },
        to: Role::Grader,
        messages: conversation(protocol.grader_system_message.as_deref(), question),
    }])
}

fn conversation(system_message: Option<&str>, question: String) -> Vec<Message> {
    let system = system_message.map(|text| Message {
        role: "system",
        content: text.to_owned(),
    });
    system
        .into_iter()
        .chain([Message {
            role: "user",
            content: question,
        }])
        .collect()
}
