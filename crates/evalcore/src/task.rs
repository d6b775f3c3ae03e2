//! The task file's document: one JSON object per task, keyed by task id, in submission order.
//!
//! A [`Task`] holds all that a repeat of it needs, and what the runner made of it so far. Field
//! names are a contract with tools that read such files; fields this version does not know are
//! kept when the file is rewritten, and files of the older Python scripts, in which most fields
//! are missing, can be read.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::prompts::Prompts;

/// The version of the document that this program writes; files of the older scripts have none (0).
pub const FORMAT: u32 = 1;

/// The tasks of one file, by task id, in the order of submission.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskFile {
    /// Task id to task.
    pub tasks: IndexMap<String, Task>,
}

/// One submitted run of an eval on a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Task {
    /// Version of the document, see [`FORMAT`].
    #[serde(deserialize_with = "null_as_default")]
    pub format: u32,
    /// `{eval}_{model}_{unix seconds}`, made unique; safe as a file name.
    #[serde(deserialize_with = "null_as_default")]
    pub task_id: String,
    /// The eval's name in the registry.
    #[serde(deserialize_with = "null_as_default")]
    pub eval_name: String,
    /// The model as the user named it.
    #[serde(deserialize_with = "null_as_default")]
    pub model_name: String,
    /// What requests to the model under test carry.
    #[serde(deserialize_with = "null_as_default")]
    pub model_config: ModelConfig,
    /// Number of samples chosen from the data set.
    pub num_examples: Option<usize>,
    /// Epochs: how often each sample is asked.
    #[serde(default = "one", deserialize_with = "null_as_one")]
    pub n_repeats: u32,
    /// Where the task stands.
    #[serde(deserialize_with = "null_as_default")]
    pub status: TaskStatus,
    /// Percentage of samples that have an outcome, 0 to 100; errors are not outcomes.
    #[serde(deserialize_with = "null_as_default")]
    pub progress: f64,
    /// Metric name to value; empty until there is a score.
    #[serde(deserialize_with = "null_as_default")]
    pub results: Map<String, Value>,
    /// Submission, in Unix seconds.
    pub created_at: Option<f64>,
    /// First request, in Unix seconds.
    pub started_at: Option<f64>,
    /// End of the run that completed or failed the task, in Unix seconds.
    pub completed_at: Option<f64>,
    /// Why the task failed or stopped.
    pub error: Option<String>,
    /// What its requests wait for, when there has been no news for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// Name to path, relative to the task file.
    #[serde(deserialize_with = "null_as_default")]
    pub output_files: IndexMap<String, String>,
    /// The data set that the samples come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetRecord>,
    /// How samples were chosen from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// The texts that requests are made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Prompts>,
    /// What requests to the grader carry; none for an eval that is scored without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grader: Option<ModelConfig>,
    /// Samples by outcome so far.
    #[serde(deserialize_with = "null_as_default")]
    pub counts: Counts,
    /// Tokens so far, over all runs of the task.
    #[serde(deserialize_with = "null_as_default")]
    pub usage: TaskUsage,
    /// US dollars so far, over all runs of the task.
    #[serde(deserialize_with = "null_as_default")]
    pub cost: TaskCost,
    /// The latest run of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// The program that ran the task last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerRecord>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Task {
    /// Samples times epochs: how many outcomes a completed task has.
    pub fn n_total(&self) -> u64 {
        self.num_examples.unwrap_or(0) as u64 * u64::from(self.n_repeats)
    }
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskStatus {
    /// Submitted, never run.
    #[default]
    Pending,
    /// A runner works on it; with nobody holding the lock, that runner died.
    Running,
    /// Stopped before the end; the next run goes on. Older tools wrote `cancelled`.
    #[serde(alias = "cancelled")]
    Interrupted,
    /// Every sample has an outcome.
    Completed,
    /// Errors kept samples from an outcome; the next run tries those again.
    Failed,
}

impl TaskStatus {
    /// The word that stands in the task file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which model, where, and what its requests carry: only what was set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelConfig {
    /// The name that requests carry.
    #[serde(deserialize_with = "null_as_default")]
    pub model: String,
    /// The API it is asked through.
    #[serde(deserialize_with = "null_as_default")]
    pub api: Api,
    /// Where the API is, without a final slash; none means the run's own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Name of the environment variable that holds the key; none means `OPENAI_API_KEY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_variable: Option<String>,
    /// Name of the header that carries the key as it is, such as Azure's `api-key`; none means the
    /// API's own way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_header: Option<String>,
    /// Further headers, name to value; not for secrets, as they are written down here.
    #[serde(skip_serializing_if = "IndexMap::is_empty", deserialize_with = "null_as_default")]
    pub headers: IndexMap<String, String>,
    /// Sampling temperature, 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Limit on output tokens, reasoning included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The field that carries `max_tokens` in Chat Completions; none goes by the base URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_limit_field: Option<TokenLimitField>,
    /// Text of a system message put first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_message: Option<String>,
    /// The role that carries it: `system` (also when unset) or `developer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_role: Option<String>,
    /// `none`, `minimal`, `low`, `medium`, `high`, …; each model takes some of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// Tools in the API's own form, such as `{"type": "web_search"}`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub tools: Vec<Value>,
    /// Ask in background mode (Responses only): the answer lives at the provider until fetched.
    #[serde(skip_serializing_if = "std::ops::Not::not", deserialize_with = "null_as_default")]
    pub background: bool,
    /// `flex`, `priority`, …; none means the project's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Further fields of the request's body, as they are.
    #[serde(skip_serializing_if = "Map::is_empty", deserialize_with = "null_as_default")]
    pub extra_body: Map<String, Value>,
    /// Longest prompt the model takes, in tokens; none when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
    /// Longest answer the model gives, in tokens, whatever `max_tokens` says; none when that is not
    /// known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// What its tokens cost; none when the price is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An API that models are asked through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// OpenAI's Chat Completions, `POST /chat/completions`, which most servers know.
    #[default]
    Chat,
    /// OpenAI's Responses, `POST /responses`.
    Responses,
    /// Anthropic's Messages, `POST /messages`.
    Messages,
}

/// The field of a Chat Completions request that limits output tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenLimitField {
    /// OpenAI's newer models refuse any other.
    MaxCompletionTokens,
    /// Most other servers know no other.
    MaxTokens,
}

/// US dollars per million tokens, and per thousand searches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prices {
    /// The day these prices were noted, `YYYY-MM-DD`.
    pub as_of: String,
    /// Input tokens.
    pub input: f64,
    /// Input tokens read from the cache; none costs as other input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<f64>,
    /// Input tokens written to the cache; none costs as other input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<f64>,
    /// Output tokens, reasoning included.
    pub output: f64,
    /// Input in a batch or on the flex tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_input: Option<f64>,
    /// Output in a batch or on the flex tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_output: Option<f64>,
    /// Input once the prompt exceeds 272,000 tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_input: Option<f64>,
    /// Output once the prompt exceeds 272,000 tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_output: Option<f64>,
    /// Input on the priority tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_input: Option<f64>,
    /// Output on the priority tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_output: Option<f64>,
    /// A thousand web searches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub searches: Option<f64>,
}

/// The data set of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetRecord {
    /// The registry's name for it.
    pub name: String,
    /// `sample`, a URL, or an absolute path.
    pub source: String,
    /// SHA-256 of the file's bytes, in hex.
    pub sha256: String,
    /// Rows in the file.
    pub rows: usize,
}

/// How a task's samples were chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// How many were asked for; none means the whole file in order.
    pub limit: Option<usize>,
    /// Seed of the draw.
    pub seed: u64,
    /// SHA-256 of the chosen ids, one a line, in order.
    pub sha256: String,
}

/// Samples by outcome. The first five end a sample; errors are tried again by the next run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Samples with a score: the sum of the next three.
    pub scored: u64,
    /// Scored as right.
    pub correct: u64,
    /// Scored as wrong.
    pub incorrect: u64,
    /// Scored as not attempted.
    pub not_attempted: u64,
    /// The model declined, or a content filter ended its answer.
    pub refused: u64,
    /// The answer was cut off at the token limit.
    pub truncated: u64,
    /// A request to the model failed for good.
    pub model_error: u64,
    /// A request to the grader failed for good, or no verdict could be read.
    pub grader_error: u64,
}

impl Counts {
    /// Samples that have an outcome and will not be asked again.
    pub fn done(&self) -> u64 {
        self.scored + self.refused + self.truncated
    }

    /// Samples that errors kept from an outcome.
    pub fn errors(&self) -> u64 {
        self.model_error + self.grader_error
    }
}

/// Tokens, model and grader apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskUsage {
    /// The model under test.
    pub model: Usage,
    /// The grader.
    pub grader: Usage,
}

/// US dollars, model and grader apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskCost {
    /// The model under test.
    pub model: Cost,
    /// The grader.
    pub grader: Cost,
    /// What requests that broke off without an answer may have cost at most, under a budget.
    pub unaccounted: f64,
}

impl TaskCost {
    /// What is known to have been spent, in US dollars.
    pub fn dollars(&self) -> f64 {
        self.model.dollars + self.grader.dollars
    }

    /// Replies whose cost nobody can say.
    pub fn n_unknown(&self) -> u64 {
        self.model.replies_of_unknown_cost + self.grader.replies_of_unknown_cost
    }
}

/// What replies cost, summed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// US dollars, as far as known.
    pub dollars: f64,
    /// Replies whose cost nobody can say; the sum leaves them out.
    pub replies_of_unknown_cost: u64,
}

impl Cost {
    /// Counts one reply; none for one whose cost nobody can say.
    pub fn add(&mut self, dollars: Option<f64>) {
        match dollars {
            Some(dollars) => self.dollars += dollars,
            None => self.replies_of_unknown_cost += 1,
        }
    }
}

/// Tokens of replies, summed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Replies that are counted here.
    pub replies: u64,
    /// Of these, replies that came without usage: the sums below are too low by what they cost.
    pub replies_without_usage: u64,
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Input tokens read from the provider's cache.
    pub cached_tokens: u64,
    /// Input tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
    /// Total as the API gave it.
    pub total_tokens: u64,
    /// Web searches that are billed.
    pub searches: u64,
}

impl Usage {
    /// Counts one reply; none for one whose server did not say what it took.
    pub fn add(&mut self, tokens: Option<&Tokens>) {
        self.replies += 1;
        let Some(tokens) = tokens else {
            self.replies_without_usage += 1;
            return;
        };
        self.input_tokens += tokens.input_tokens;
        self.cached_tokens += tokens.cached_tokens;
        self.cache_write_tokens += tokens.cache_write_tokens;
        self.output_tokens += tokens.output_tokens;
        self.reasoning_tokens += tokens.reasoning_tokens;
        self.total_tokens += tokens.total_tokens;
        self.searches += tokens.searches;
    }
}

/// Tokens of one reply, as the API gave them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Input tokens read from the provider's cache.
    pub cached_tokens: u64,
    /// Input tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
    /// Total as the API gave it.
    pub total_tokens: u64,
    /// Web searches that are billed.
    pub searches: u64,
}

/// One run of a task, for rates and remaining time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// When the run began with this task, in Unix seconds.
    pub started_at: f64,
    /// When these figures were written, in Unix seconds.
    pub updated_at: f64,
    /// Outcomes that earlier runs had left.
    pub done_before: u64,
}

/// The program that ran a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerRecord {
    /// Version of the package.
    pub version: String,
    /// Commit it was built from, where that was known.
    pub revision: Option<String>,
}

/// Older tools write `null` where this format has a default.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn null_as_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(1))
}

fn one() -> u32 {
    1
}
