//! What a reply cost, and what a request can cost at most, in US dollars.
//!
//! Pure arithmetic over [`Prices`]; formula and tiers as in OpenAI's price list. Cached tokens and
//! tokens written to the cache are parts of the input, reasoning is a part of the output.

use serde_json::Value;

use crate::sample::Message;
use crate::task::{ModelConfig, Prices, Tokens};

/// Prompts of more tokens than this cost the long price, where there is one.
const LONG_PROMPT: u64 = 272_000;

/// A thousand searches where the price list gives none: what OpenAI asks for the tool `web_search`,
/// whatever the model.
pub(super) const WEB_SEARCH: f64 = 10.0;

/// Priority costs this many times the standard tier where the price list gives no price: the most
/// that any listed model asks.
const PRIORITY: f64 = 2.5;

/// Fields of a body that limit its output, in one API or another.
const OUTPUT_LIMITS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// What one reply cost; none when nobody can say. What the server itself says it bills comes first,
/// and mock models are free.
pub fn of_reply(
    config: &ModelConfig,
    tokens: Option<&Tokens>,
    billed: Option<f64>,
    service_tier: Option<&str>,
) -> Option<f64> {
    billed.or_else(|| match &config.prices {
        Some(prices) => Some(cost(prices, tokens?, service_tier, false)),
        None => is_free(config).then_some(0.0),
    })
}

/// The most that asking this can cost; none when there is no bound, see [`worst_case`].
pub fn of_request(config: &ModelConfig, messages: &[Message]) -> Option<f64> {
    /// What roles and the like add to the texts, as tokens of one byte.
    const OVERHEAD: usize = 4096;
    // Fields that could lift the limit on the output, or search unseen.
    let is_open =
        OUTPUT_LIMITS.iter().chain(&["plugins"]).any(|name| config.extra_body.contains_key(*name))
            || config.model.ends_with(":online");
    if is_open {
        return None;
    }
    let settings = serde_json::to_vec(config).map_or(usize::MAX / 2, |bytes| bytes.len());
    let n_bytes: usize = messages.iter().map(|message| message.content.len()).sum();
    match &config.prices {
        Some(prices) => worst_case(prices, config, n_bytes + settings + OVERHEAD, false),
        None => is_free(config).then_some(0.0),
    }
}

fn is_free(config: &ModelConfig) -> bool {
    super::is_mock(&config.model)
}

/// What one reply cost. `service_tier` is the tier that the answer names, `batch` whether it came
/// out of a batch. Where prices leave something out, the dearer reading counts: cached input as other
/// input, flex and batch as standard.
pub fn cost(prices: &Prices, tokens: &Tokens, service_tier: Option<&str>, batch: bool) -> f64 {
    let is_long = tokens.input_tokens > LONG_PROMPT;
    let rates = Rates::new(prices, is_long, service_tier, batch);
    let cached = tokens.cached_tokens.min(tokens.input_tokens);
    let written = tokens.cache_write_tokens.min(tokens.input_tokens - cached);
    let plain = tokens.input_tokens - cached - written;
    let millionths = plain as f64 * rates.input
        + cached as f64 * rates.cached_input
        + written as f64 * rates.cache_write
        + tokens.output_tokens as f64 * rates.output;
    millionths / 1e6 + tokens.searches as f64 * rates.searches / 1e3
}

/// The most that one request can cost, before it is sent; none when there is no bound, so that
/// under a budget it must not be sent.
///
/// `prompt_bytes` is the length of the request's whole body: a token of text is at least one byte.
/// The answer is as long as the request or else the model allows. A model that searches reads pages,
/// too: after each of its `max_tool_calls` (in `extra_body`) it reads at most a whole context again. There is no
/// bound on
/// - an answer that neither request nor model limits,
/// - searching without `max_tool_calls`, or by a model of unknown context, or over Chat Completions,
/// - tools that are billed by anything but searches and tokens.
///
/// A request without a tier counts as standard, which it is unless the project's default is
/// another.
pub fn worst_case(
    prices: &Prices,
    config: &ModelConfig,
    prompt_bytes: usize,
    batch: bool,
) -> Option<f64> {
    let extra = &config.extra_body;
    let tier = extra.get("service_tier").and_then(Value::as_str);
    let searches = max_searches(config)?;
    let mut input = prompt_bytes as u64;
    if searches > 0 {
        let context = config.max_input_tokens?;
        input = input.saturating_add(context.saturating_mul(searches));
    }
    let output = max_output(config)?;
    let is_long = input > LONG_PROMPT;
    let rates = Rates::new(prices, is_long, tier.or(config.service_tier.as_deref()), batch);
    let dearest_input = rates.input.max(rates.cache_write).max(rates.cached_input);
    let millionths = input as f64 * dearest_input + output as f64 * rates.output;
    Some(millionths / 1e6 + searches as f64 * rates.searches / 1e3)
}

/// The most tokens that the answers to one request have; none without a limit.
fn max_output(config: &ModelConfig) -> Option<u64> {
    let extra = &config.extra_body;
    let asked = OUTPUT_LIMITS
        .iter()
        .filter_map(|field| extra.get(*field)?.as_u64())
        .chain(config.max_tokens.map(u64::from))
        .max();
    let answers = match extra.get("n") {
        Some(n) => n.as_u64()?,
        None => 1,
    };
    let longest = match (asked, config.max_output_tokens) {
        (Some(asked), Some(limit)) => asked.min(limit),
        (asked, limit) => asked.or(limit)?,
    };
    Some(longest.saturating_mul(answers))
}

/// The most searches that one request can make; none without a bound.
fn max_searches(config: &ModelConfig) -> Option<u64> {
    let extra = &config.extra_body;
    let extra_tools = extra.get("tools").and_then(Value::as_array);
    let kinds = config
        .tools
        .iter()
        .chain(extra_tools.into_iter().flatten())
        .map(|tool| tool["type"].as_str().unwrap_or_default())
        .filter(|kind| *kind != "function");
    let mut searching = false;
    for kind in kinds {
        if !kind.starts_with("web_search") {
            return None;
        }
        searching = true;
    }
    if extra.contains_key("web_search_options") || config.model.contains("-search-") {
        return None;
    }
    match searching {
        true => extra.get("max_tool_calls")?.as_u64(),
        false => Some(0),
    }
}

/// Dollars per million tokens, and per thousand searches, of one request.
struct Rates {
    input: f64,
    cached_input: f64,
    cache_write: f64,
    output: f64,
    searches: f64,
}

impl Rates {
    fn new(prices: &Prices, is_long: bool, service_tier: Option<&str>, batch: bool) -> Self {
        let (tier_input, tier_output) = match service_tier {
            _ if batch => (prices.batch_input, prices.batch_output),
            Some("flex") => (prices.batch_input, prices.batch_output),
            Some("priority" | "fast") => (
                prices.priority_input.or(Some(prices.input * PRIORITY)),
                prices.priority_output.or(Some(prices.output * PRIORITY)),
            ),
            _ => (None, None),
        };
        let (long_input, long_output) = match is_long {
            true => (prices.long_input, prices.long_output),
            false => (None, None),
        };
        // Cached input, and the long price of another tier, follow the price of plain input.
        let input = ratio(tier_input, prices.input) * ratio(long_input, prices.input);
        let output = ratio(tier_output, prices.output) * ratio(long_output, prices.output);
        Self {
            input: prices.input * input,
            cached_input: prices.cached_input.unwrap_or(prices.input) * input,
            cache_write: prices.cache_write.unwrap_or(prices.input) * input,
            output: prices.output * output,
            searches: prices.searches.unwrap_or(WEB_SEARCH),
        }
    }
}

fn ratio(price: Option<f64>, standard: f64) -> f64 {
    match price {
        Some(price) if standard > 0.0 => price / standard,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// gpt-6-sol's.
    fn prices() -> Prices {
        Prices {
            input: 2.0,
            cached_input: Some(0.2),
            cache_write: Some(2.5),
            output: 10.0,
            batch_input: Some(1.0),
            batch_output: Some(5.0),
            long_input: Some(4.0),
            long_output: Some(15.0),
            priority_input: Some(4.0),
            priority_output: Some(20.0),
            searches: Some(10.0),
            ..Prices::default()
        }
    }

    /// The least that has a price.
    fn bare() -> Prices {
        Prices { input: 2.0, output: 10.0, ..Prices::default() }
    }

    fn tokens(input: u64, cached: u64, written: u64, output: u64, searches: u64) -> Tokens {
        Tokens {
            input_tokens: input,
            cached_tokens: cached,
            cache_write_tokens: written,
            output_tokens: output,
            searches,
            ..Tokens::default()
        }
    }

    #[track_caller]
    fn check(prices: &Prices, tokens: Tokens, tier: Option<&str>, batch: bool, dollars: f64) {
        let found = cost(prices, &tokens, tier, batch);
        assert!((found - dollars).abs() < 1e-9, "{found} is not {dollars}");
    }

    #[test]
    fn input_and_output_have_their_prices() {
        // 1,000 x 2 + 500 x 10 millionths
        check(&prices(), tokens(1_000, 0, 0, 500, 0), None, false, 0.007);
        check(&prices(), tokens(0, 0, 0, 0, 0), None, false, 0.0);
    }

    #[test]
    fn parts_of_the_input_have_prices_of_their_own() {
        // 100 x 2 + 700 x 0.2 + 200 x 2.5 + 0
        check(&prices(), tokens(1_000, 700, 200, 0, 0), None, false, 84e-5);
    }

    #[test]
    fn parts_without_a_price_cost_as_other_input() {
        check(&bare(), tokens(1_000, 700, 200, 0, 0), None, false, 0.002);
    }

    #[test]
    fn parts_that_exceed_the_whole_are_cut_to_it() {
        // a server that does not count cached tokens as input: 100 x 0.2
        check(&prices(), tokens(100, 700, 200, 0, 0), None, false, 2e-5);
    }

    #[test]
    fn flex_and_batch_cost_the_batch_price_cached_input_too() {
        // 300 x 1 + 700 x 0.1 + 500 x 5
        let half = tokens(1_000, 700, 0, 500, 0);
        check(&prices(), half, Some("flex"), false, 287e-5);
        check(&prices(), half, None, true, 287e-5);
        check(&prices(), half, Some("flex"), true, 287e-5);
        // no batch price: 1,000 x 2 + 500 x 10
        check(&bare(), half, Some("flex"), false, 0.007);
    }

    #[test]
    fn priority_costs_its_price_or_the_most_that_any_model_asks() {
        let some = tokens(1_000, 0, 0, 500, 0);
        check(&prices(), some, Some("priority"), false, 0.014);
        check(&prices(), some, Some("fast"), false, 0.014);
        check(&bare(), some, Some("priority"), false, 0.0175);
    }

    #[test]
    fn tiers_that_are_standard_or_unknown_cost_the_standard_price() {
        for tier in ["default", "auto", "scale", "something new"] {
            check(&prices(), tokens(1_000, 0, 0, 500, 0), Some(tier), false, 0.007);
        }
    }

    #[test]
    fn long_prompts_cost_more_from_the_first_token_on() {
        check(&prices(), tokens(272_000, 0, 0, 0, 0), None, false, 0.544);
        // 272,001 x 4 + 100 x 15
        let long = tokens(272_001, 0, 0, 100, 0);
        check(&prices(), long, None, false, 1.089_504);
        // 272,001 x 2 + 100 x 7.5
        check(&prices(), long, None, true, 0.544_752);
        // 172,000 x 4 + 100,001 x 0.4
        let cached = tokens(272_001, 100_001, 0, 0, 0);
        check(&prices(), cached, None, false, 0.728_000_4);
    }

    #[test]
    fn searches_are_billed_by_the_thousand_and_never_free() {
        check(&prices(), tokens(0, 0, 0, 0, 3), None, false, 0.03);
        check(&bare(), tokens(0, 0, 0, 0, 3), None, false, 0.03);
        check(&prices(), tokens(0, 0, 0, 0, 3), None, true, 0.03);
    }

    #[test]
    fn models_that_cost_nothing_cost_nothing_on_any_tier() {
        let free = Prices::default();
        check(&free, tokens(9_000, 10, 0, 9, 0), Some("priority"), true, 0.0);
    }

    #[track_caller]
    fn check_worst(config: Value, prompt_bytes: usize, dollars: Option<f64>) {
        let config: ModelConfig = serde_json::from_value(config).expect("a config");
        let found = worst_case(&prices(), &config, prompt_bytes, false);
        let is_same = match (found, dollars) {
            (Some(found), Some(dollars)) => (found - dollars).abs() < 1e-9,
            (found, dollars) => found == dollars,
        };
        assert!(is_same, "{found:?} is not {dollars:?}");
    }

    #[test]
    fn a_request_costs_at_most_its_bytes_and_the_longest_answer() {
        // 1,000 x 2.5 (all written to the cache) + 2,048 x 10
        let limits = json!({"max_tokens": 2048, "max_output_tokens": 128_000});
        check_worst(limits, 1_000, Some(0.022_98));
        // 1,000 x 2.5 + 128,000 x 10
        check_worst(json!({"max_output_tokens": 128_000}), 1_000, Some(1.282_500));
        let more = json!({"max_tokens": 900_000, "max_output_tokens": 128_000});
        check_worst(more, 1_000, Some(1.282_500));
        // 300,000 x 5 + 100 x 15
        check_worst(json!({"max_tokens": 100}), 300_000, Some(1.501_5));
    }

    #[test]
    fn what_the_body_adds_counts() {
        let several = json!({"max_tokens": 100, "extra_body": {"n": 4}});
        check_worst(several, 0, Some(0.004));
        let limit = json!({"max_tokens": 100, "extra_body": {"max_completion_tokens": 200}});
        check_worst(limit, 0, Some(0.002));
        let tier = json!({"max_tokens": 100, "service_tier": "flex"});
        check_worst(tier, 0, Some(0.0005));
        let other = json!({"max_tokens": 100, "service_tier": "flex",
            "extra_body": {"service_tier": "priority"}});
        check_worst(other, 0, Some(0.002));
    }

    #[test]
    fn searching_reads_a_whole_context_after_each_call() {
        let config = json!({"max_tokens": 100, "max_input_tokens": 50_000,
            "tools": [{"type": "web_search"}], "extra_body": {"max_tool_calls": 2}});
        // 101,000 x 2.5 + 100 x 10 + 2 x 10,000
        check_worst(config, 1_000, Some(0.273_5));
    }

    #[test]
    fn without_a_bound_there_is_no_worst_case() {
        let tool = |kind: &str| json!([{"type": kind}]);
        check_worst(json!({}), 10, None);
        check_worst(json!({"max_tokens": 1, "extra_body": {"n": "many"}}), 10, None);
        let search = json!({"max_tokens": 1, "max_input_tokens": 9, "tools": tool("web_search")});
        check_worst(search, 10, None);
        let context = json!({"max_tokens": 1, "tools": tool("web_search_preview"),
            "extra_body": {"max_tool_calls": 2}});
        check_worst(context, 10, None);
        let code = json!({"max_tokens": 1, "tools": tool("code_interpreter")});
        check_worst(code, 10, None);
        check_worst(json!({"max_tokens": 1, "model": "gpt-5-search-api"}), 10, None);
        let options = json!({"max_tokens": 1, "extra_body": {"web_search_options": {}}});
        check_worst(options, 10, None);
        check_worst(json!({"max_tokens": 1, "tools": tool("function")}), 0, Some(0.00001));
    }
}
