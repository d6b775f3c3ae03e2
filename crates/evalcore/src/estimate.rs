//! What a task will probably take, in requests, tokens and dollars, before anything is asked.
//!
//! Pure arithmetic over a task and its samples. Every figure is a range:
//!
//! - requests: one per sample and epoch to the model, as many to the grader; at most 5 % more are
//!   asked again.
//! - input tokens: the messages as they will be sent, system message included, at five characters per
//!   token to three. The grader is shown an answer as long as the model's own, reasoning apart: 50
//!   tokens to 2,000.
//! - output tokens per request: 50 to 2,000; of a reasoning model 300 to 20,000; of a grader that does
//!   not reason 60 to 400. Never more than the request or the model allows.
//! - web searches: one to ten per sample, `max_tool_calls` permitting, each of which adds up to
//!   8,000 input tokens of what it found: the block that OpenAI bills small models for a search.
//! - dollars: [`cost`] of that, without any cached input; none when nobody can
//!   say, and mock models are free.
//!
//! Nothing of this is a bound: a budget is, which the runner keeps.

use std::ops::AddAssign;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

use crate::evals;
use crate::models::cost;
use crate::sample::{Completion, Protocol, Role, Sample, Slot, Step, Trail, next_steps};
use crate::task::{Api, ModelConfig, Task, Tokens};

/// Characters per token: where text makes few tokens, as it usually is, and where it makes many.
const FEW: u64 = 5;
const USUAL: u64 = 4;
const MANY: u64 = 3;

/// Percent of requests that are asked again, at most.
const RE_ASKED: u64 = 5;

/// Tokens of one reply, reasoning included.
const CHAT: Range = Range::new(50, 2_000);
const REASONING: Range = Range::new(300, 20_000);
const VERDICT: Range = Range::new(60, 400);

/// Web searches per sample.
const SEARCHES: Range = Range::new(1, 10);

/// Input tokens that one search adds at most.
const SEARCH_TOKENS: u64 = 8_000;

/// From `low` to `high`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Range<T = u64> {
    /// The lower end.
    pub low: T,
    /// The upper end, not below the lower one.
    pub high: T,
}

impl<T> Range<T> {
    const fn new(low: T, high: T) -> Self {
        Self { low, high }
    }
}

impl Range {
    fn at_most(self, limit: Option<u64>) -> Self {
        let limit = limit.unwrap_or(u64::MAX);
        Self::new(self.low.min(limit), self.high.min(limit))
    }
}

impl<T: AddAssign> AddAssign for Range<T> {
    fn add_assign(&mut self, other: Self) {
        self.low += other.low;
        self.high += other.high;
    }
}

/// What asking one model will take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Share {
    /// Requests.
    pub requests: Range,
    /// The prompts of one pass over samples and epochs at four characters per token; the grader's
    /// with the shortest answer.
    pub prompt_tokens: u64,
    /// Input tokens.
    pub input_tokens: Range,
    /// Output tokens, reasoning included.
    pub output_tokens: Range,
    /// Web searches.
    pub searches: Range,
    /// US dollars; none when the price is not known.
    pub dollars: Option<Range<f64>>,
}

/// What a task will take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Asking the model under test.
    pub model: Share,
    /// Asking the grader; none for an eval that is scored without one.
    pub grader: Option<Share>,
}

impl Estimate {
    /// The shares there are.
    pub fn shares(&self) -> impl Iterator<Item = &Share> {
        std::iter::once(&self.model).chain(&self.grader)
    }
}

/// The sum of `shares`. Its dollars are those that are known; none if no share has any.
pub fn sum<'a>(shares: impl IntoIterator<Item = &'a Share>) -> Share {
    let mut sum = Share::default();
    for share in shares {
        sum.requests += share.requests;
        sum.prompt_tokens += share.prompt_tokens;
        sum.input_tokens += share.input_tokens;
        sum.output_tokens += share.output_tokens;
        sum.searches += share.searches;
        if let Some(dollars) = share.dollars {
            *sum.dollars.get_or_insert_default() += dollars;
        }
    }
    sum
}

/// What `task` will take, as the module says. `samples` are those that it chose.
///
/// # Errors
///
/// A task without prompts, or with templates that cannot be rendered.
pub fn estimate(task: &Task, samples: &[Sample]) -> Result<Estimate> {
    let eval = evals::find(&task.eval_name)?;
    let prompts = task.prompts.as_ref().context("the task has no prompts")?;
    let grader = task.grader.as_ref();
    let protocol = Protocol {
        eval,
        prompts: prompts.compile(eval.templates)?,
        system_message: task.model_config.system_message.clone(),
        grader_system_message: grader.and_then(|grader| grader.system_message.clone()),
    };
    // A reasoning model's answer is what it shows of its output.
    let answer = CHAT.at_most(limit(&task.model_config));
    let mut model_chars = Vec::with_capacity(samples.len());
    let mut grader_chars = Vec::with_capacity(samples.len());
    for sample in samples {
        let asked = n_chars(&protocol, sample, None)?;
        model_chars.push(PromptTokens::of(|_, _| Ok(asked), answer)?);
        if grader.is_some() {
            let judged =
                |tokens, per_token| n_chars(&protocol, sample, Some((tokens * per_token) as usize));
            grader_chars.push(PromptTokens::of(judged, answer)?);
        }
    }
    let epochs = u64::from(task.n_repeats);
    Ok(Estimate {
        model: share(&task.model_config, Role::Model, &model_chars, epochs),
        grader: grader.map(|grader| share(grader, Role::Grader, &grader_chars, epochs)),
    })
}

/// Tokens of one request's messages.
#[derive(Debug, Clone, Copy)]
struct PromptTokens {
    few: u64,
    usual: u64,
    many: u64,
}

impl PromptTokens {
    /// From how many characters the messages have, given the answer's tokens and the characters of
    /// each.
    fn of(n_chars: impl Fn(u64, u64) -> Result<u64>, answer: Range) -> Result<Self> {
        let tokens = |answer, per_token| {
            n_chars(answer, per_token).map(|n_chars| n_chars.div_ceil(per_token))
        };
        Ok(Self {
            few: tokens(answer.low, FEW)?,
            usual: tokens(answer.low, USUAL)?,
            many: tokens(answer.high, MANY)?,
        })
    }
}

/// Characters of the messages that ask `sample`, or that have an answer of this length judged.
fn n_chars(protocol: &Protocol, sample: &Sample, answer: Option<usize>) -> Result<u64> {
    let mut trail = Trail::default();
    if let Some(answer) = answer {
        let text = "x".repeat(answer.max(1));
        let completion = Completion { text, ..Completion::default() };
        trail.reply(Slot::Answer, completion);
    }
    match next_steps(protocol, sample, &trail)?.first() {
        Some(Step::Ask { messages, .. }) => {
            Ok(messages.iter().map(|message| message.content.chars().count() as u64).sum())
        }
        step => bail!("a sample begins with a request, not with {step:?}"),
    }
}

/// What asking `config` about all samples takes: the tokens of each, in each of `epochs` epochs.
fn share(config: &ModelConfig, role: Role, samples: &[PromptTokens], epochs: u64) -> Share {
    let usual = match role {
        _ if reasons(config) => REASONING,
        Role::Model => CHAT,
        Role::Grader => VERDICT,
    };
    let output = usual.at_most(limit(config));
    let searches = match searches(config) {
        true => SEARCHES.at_most(config.extra_body.get("max_tool_calls").and_then(Value::as_u64)),
        false => Range::default(),
    };
    let n = samples.len() as u64 * epochs;
    let requests = Range::new(n, n + (n * RE_ASKED).div_ceil(100));
    // One pass over the samples becomes all epochs, and these with what is asked again.
    let all = |pass: Range| {
        let high = pass.high as u128 * u128::from(requests.high);
        let n_samples = samples.len().max(1) as u128;
        Range::new(pass.low * epochs, high.div_ceil(n_samples) as u64)
    };
    let mut input = Range::default();
    let mut prompt_tokens = 0;
    let mut dollars = Some(Range::new(0.0, 0.0));
    for sample in samples {
        let read = Range::new(sample.few, sample.many + searches.high * SEARCH_TOKENS);
        input += read;
        prompt_tokens += sample.usual * epochs;
        let price = |input_tokens, output_tokens, searches| {
            let tokens = Tokens { input_tokens, output_tokens, searches, ..Tokens::default() };
            cost::of_reply(config, Some(&tokens), None, tier(config))
        };
        // Request by request, as long prompts have a price of their own.
        let low = price(read.low, output.low, searches.low);
        let high = price(read.high, output.high, searches.high);
        dollars = dollars.zip(low.zip(high)).map(|(mut sum, (low, high))| {
            sum += Range::new(low, high);
            sum
        });
    }
    let times = requests.high as f64 / samples.len().max(1) as f64;
    Share {
        requests,
        prompt_tokens,
        input_tokens: all(input),
        output_tokens: Range::new(output.low * requests.low, output.high * requests.high),
        searches: Range::new(searches.low * requests.low, searches.high * requests.high),
        dollars: dollars.map(|sum| Range::new(sum.low * epochs as f64, sum.high * times)),
    }
}

/// The most tokens of one reply; none without a limit.
fn limit(config: &ModelConfig) -> Option<u64> {
    let asked = config.max_tokens.map(u64::from);
    asked.into_iter().chain(config.max_output_tokens).min()
}

/// Whether it thinks before it answers: it is asked over Responses, or with an effort, or under the
/// system role that only reasoning models have.
fn reasons(config: &ModelConfig) -> bool {
    match config.reasoning_effort.as_deref() {
        Some(effort) => effort != "none",
        None => config.api == Api::Responses || config.system_role.as_deref() == Some("developer"),
    }
}

fn searches(config: &ModelConfig) -> bool {
    let extra = &config.extra_body;
    let extra_tools = extra.get("tools").and_then(Value::as_array);
    let is_search =
        |tool: &Value| tool["type"].as_str().is_some_and(|kind| kind.starts_with("web_search"));
    config.tools.iter().any(is_search)
        || extra_tools.is_some_and(|tools| tools.iter().any(is_search))
        || extra.contains_key("web_search_options")
        || config.model.contains("-search-")
}

fn tier(config: &ModelConfig) -> Option<&str> {
    let tier = config.extra_body.get("service_tier");
    tier.and_then(Value::as_str).or(config.service_tier.as_deref())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::prompts::Prompts;

    /// Two samples: 600 characters, and 1,200.
    const TOKENS: [PromptTokens; 2] = [
        PromptTokens { few: 120, usual: 150, many: 200 },
        PromptTokens { few: 240, usual: 300, many: 400 },
    ];

    fn config(fields: Value) -> ModelConfig {
        serde_json::from_value(fields).expect("a config")
    }

    #[track_caller]
    fn check_dollars(share: &Share, low: f64, high: f64) {
        let found = share.dollars.expect("known");
        let is_near = (found.low - low).abs() < 1e-9 && (found.high - high).abs() < 1e-9;
        assert!(is_near, "{found:?} is not {low} to {high}");
    }

    #[test]
    fn a_chat_model_writes_50_to_2000_tokens() {
        let config = config(json!({"model": "m", "prices": {"input": 2.0, "output": 10.0}}));
        let share = share(&config, Role::Model, &TOKENS, 10);
        // 2 samples x 10 epochs, and 5 %
        assert_eq!(share.requests, Range::new(20, 21));
        assert_eq!(share.prompt_tokens, 4_500);
        // 360 x 10; 600 / 2 x 21
        assert_eq!(share.input_tokens, Range::new(3_600, 6_300));
        assert_eq!(share.output_tokens, Range::new(1_000, 42_000));
        assert_eq!(share.searches, Range::default());
        // 3,600 x 2 + 1,000 x 10; 6,300 x 2 + 42,000 x 10 millionths
        check_dollars(&share, 0.017_2, 0.432_6);
    }

    #[test]
    fn what_is_asked_again_is_rounded_up() {
        let share = share(&config(json!({"model": "m"})), Role::Model, &TOKENS, 1);
        assert_eq!(share.requests, Range::new(2, 3));
        // 600 / 2 x 3
        assert_eq!(share.input_tokens, Range::new(360, 900));
    }

    #[test]
    fn output_depends_on_reasoning_role_and_limits() {
        let check = |fields: Value, role, low: u64, high: u64| {
            let share = share(&config(fields.clone()), role, &TOKENS[..1], 20);
            let expected = Range::new(low * 20, high * 21);
            assert_eq!(share.output_tokens, expected, "{fields}");
        };
        check(json!({"api": "messages"}), Role::Model, 50, 2_000);
        check(json!({"api": "responses"}), Role::Model, 300, 20_000);
        let effort = json!({"reasoning_effort": "low"});
        check(effort.clone(), Role::Model, 300, 20_000);
        check(effort, Role::Grader, 300, 20_000);
        let none = json!({"api": "responses", "reasoning_effort": "none"});
        check(none, Role::Model, 50, 2_000);
        check(json!({"system_role": "developer"}), Role::Model, 300, 20_000);
        check(json!({}), Role::Grader, 60, 400);
        check(json!({"max_tokens": 2048}), Role::Grader, 60, 400);
        let limits = json!({"max_tokens": 1000, "max_output_tokens": 500});
        check(limits, Role::Model, 50, 500);
        check(json!({"max_tokens": 10}), Role::Model, 10, 10);
    }

    #[test]
    fn searches_cost_their_price_and_what_they_read() {
        let fields = json!({"model": "m", "api": "responses", "max_tokens": 1000,
            "tools": [{"type": "web_search"}],
            "prices": {"input": 2.0, "output": 10.0, "searches": 10.0}});
        let searching = config(fields.clone());
        let found = share(&searching, Role::Model, &TOKENS[..1], 20);
        assert_eq!(found.searches, Range::new(20, 210));
        // 120 x 20; (200 + 10 x 8,000) x 21
        assert_eq!(found.input_tokens, Range::new(2_400, 1_684_200));
        // 2,400 x 2 + 6,000 x 10 + 20 x 10,000; 1,684,200 x 2 + 21,000 x 10 + 210 x 10,000
        check_dollars(&found, 0.264_8, 5.678_4);
        let mut fields = fields;
        fields["extra_body"] = json!({"max_tool_calls": 3});
        let found = share(&config(fields), Role::Model, &TOKENS[..1], 20);
        assert_eq!(found.searches, Range::new(20, 63));
    }

    #[test]
    fn an_unknown_price_is_none_and_a_mock_model_is_free() {
        let priced = |model: &str| {
            let config = config(json!({"model": model}));
            share(&config, Role::Model, &TOKENS, 1).dollars
        };
        assert_eq!(priced("m"), None);
        assert_eq!(priced("mock/p80"), Some(Range::new(0.0, 0.0)));
    }

    #[test]
    fn a_sum_holds_the_dollars_that_are_known() {
        let dollars = |low, high| Share {
            requests: Range::new(1, 2),
            dollars: Some(Range::new(low, high)),
            ..Share::default()
        };
        let unknown = Share { dollars: None, ..dollars(0.0, 0.0) };
        let total = sum(&[dollars(0.5, 1.0), unknown, dollars(0.25, 2.0)]);
        assert_eq!(total.dollars, Some(Range::new(0.75, 3.0)));
        assert_eq!(total.requests, Range::new(3, 6));
        assert_eq!(sum(&[unknown]).dollars, None);
    }

    #[test]
    fn prompts_are_counted_as_they_will_be_sent() {
        let eval = evals::find("browsecomp").expect("an eval");
        let task = Task {
            eval_name: "browsecomp".into(),
            model_config: config(json!({"model": "m", "system_message": "Be brief."})),
            grader: Some(config(json!({"model": "g"}))),
            prompts: Some(Prompts::load(eval.templates, None).expect("built in")),
            n_repeats: 1,
            ..Task::default()
        };
        let sample = Sample { id: "0".into(), input: "é".repeat(100), target: "T".into() };
        let found = estimate(&task, std::slice::from_ref(&sample)).expect("an estimate");
        // system message, template without its final newline and variable, question
        let query = include_str!("../templates/browsecomp_query.jinja").trim_end_matches('\n');
        let chars = 9 + query.chars().count() as u64 - "{{ question }}".len() as u64 + 100;
        let input = Range::new(chars.div_ceil(5), chars.div_ceil(3) * 2);
        assert_eq!(found.model.input_tokens, input);
        assert_eq!(found.model.prompt_tokens, chars.div_ceil(4));
        let grader = include_str!("../templates/browsecomp_grader.jinja").trim_end_matches('\n');
        let variables = "{{ question }}{{ response }}{{ correct_answer }}".len() as u64;
        let chars = grader.chars().count() as u64 - variables + 101;
        // answers of 50 tokens, and of 2,000
        let input = Range::new(chars.div_ceil(5) + 50, (chars.div_ceil(3) + 2_000) * 2);
        let share = found.grader.expect("a grader");
        assert_eq!(share.input_tokens, input);
        assert_eq!(share.prompt_tokens, chars.div_ceil(4) + 50);
    }
}
