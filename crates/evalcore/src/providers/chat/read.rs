//! Reading a completion.

use serde_json::Value;

use super::plain;
use crate::providers::body::{cost, count, parse, text, unreadable};
use crate::providers::failure::error_in_body;
use crate::providers::{Failure, Reply, Trace};
use crate::sample::Completion;
use crate::task::Tokens;

/// Reads the body of a success. What a model thought is no part of its answer, whatever the
/// server calls it.
pub(in crate::providers) fn decode(body: &[u8]) -> Result<Reply, Failure> {
    plain::decode(body).map_or_else(|| lenient(body), Ok)
}

/// Takes what it can get.
pub(super) fn lenient(body: &[u8]) -> Result<Reply, Failure> {
    let document = parse(body)?;
    if let Some(error) = error_in_body(&document) {
        return Err(error);
    }
    let choice = &document["choices"][0];
    if let Some(error) = error_in_body(choice) {
        return Err(error);
    }
    let completion = match choice.is_object() {
        true => completion(choice)?,
        false => without_choice(&document)?,
    };
    let mut trace = Trace::default();
    trace.add_citations(&choice["message"]["annotations"]);
    Ok(Reply {
        completion,
        usage: usage(&document["usage"]),
        cost: cost(&document["usage"]),
        model: text(&document["model"]),
        service_tier: text(&document["service_tier"]),
        trace,
        ..Reply::default()
    })
}

fn completion(choice: &Value) -> Result<Completion, Failure> {
    let finish_reason = text(&choice["finish_reason"]);
    if let Some(broken @ ("error" | "abort")) = finish_reason.as_deref() {
        return Err(unreadable(format!("`finish_reason` is `{broken}`")));
    }
    let message = &choice["message"];
    if !message.is_object() {
        return Err(unreadable("no `message`"));
    }
    Ok(Completion {
        text: content(&message["content"])?,
        finish_reason,
        refusal: text(&message["refusal"]).filter(|refusal| !refusal.is_empty()),
    })
}

/// Google's filter leaves an empty list and the bill; asking again would bring the same.
fn without_choice(document: &Value) -> Result<Completion, Failure> {
    let is_empty = document["choices"].as_array().is_some_and(Vec::is_empty);
    if is_empty && document["usage"].is_object() {
        return Ok(Completion {
            finish_reason: Some("content_filter".into()),
            ..Completion::default()
        });
    }
    Err(unreadable("no `choices`"))
}

/// A string, or a list of parts whose texts are joined; null is no text.
fn content(value: &Value) -> Result<String, Failure> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => Ok(parts.iter().filter_map(|part| part["text"].as_str()).collect()),
        Value::Null => Ok(String::new()),
        _ => Err(unreadable("`content` is neither text nor a list")),
    }
}

fn usage(value: &Value) -> Option<Tokens> {
    let (input, output) = (value["prompt_tokens"].as_u64()?, value["completion_tokens"].as_u64()?);
    let read = &value["prompt_tokens_details"];
    let written = &value["completion_tokens_details"];
    Some(Tokens {
        input_tokens: input,
        cached_tokens: count(&read["cached_tokens"]),
        cache_write_tokens: count(&read["cache_write_tokens"]),
        output_tokens: output,
        reasoning_tokens: count(
            written.get("reasoning_tokens").unwrap_or(&value["reasoning_tokens"]),
        ),
        total_tokens: value["total_tokens"].as_u64().unwrap_or(input.saturating_add(output)),
        searches: 0,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::Citation;

    #[track_caller]
    fn check(body: Value, expected: Result<Reply, &str>) {
        let decoded = decode(body.to_string().as_bytes());
        assert_eq!(decoded.map_err(|failure| failure.to_string()), expected.map_err(str::to_owned));
    }

    fn reply(text: &str) -> Reply {
        Reply {
            completion: Completion { text: text.into(), ..Completion::default() },
            ..Reply::default()
        }
    }

    #[test]
    fn an_answer_needs_nothing_but_its_text() {
        check(json!({"choices": [{"message": {"content": "4"}}]}), Ok(reply("4")));
    }

    #[test]
    fn fields_of_unknown_kinds_and_values_fail_no_answer() {
        check(
            json!({
                "id": 7, "object": {}, "new": [1], "usage": {"prompt_tokens": "many"},
                "choices": [{"index": "a", "finish_reason": 3, "message": {"content": "4", "x": {}}}],
            }),
            Ok(reply("4")),
        );
    }

    #[test]
    fn usage_is_read_with_its_details() {
        let body = json!({
            "model": "gpt-4o-2024-08-06",
            "choices": [{"finish_reason": "length", "message": {"content": null}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 3}},
        });
        let reply = decode(body.to_string().as_bytes()).expect("an answer");
        assert!(reply.completion.is_truncated());
        assert_eq!(reply.model.as_deref(), Some("gpt-4o-2024-08-06"));
        let usage = reply.usage.expect("usage");
        assert_eq!((usage.input_tokens, usage.cached_tokens), (10, 4));
        assert_eq!((usage.output_tokens, usage.reasoning_tokens, usage.total_tokens), (5, 3, 15));
    }

    #[test]
    fn what_a_model_thought_is_no_answer() {
        check(
            json!({"choices": [{"message": {"content": "4", "reasoning": "2+2 is 4"}}]}),
            Ok(reply("4")),
        );
        check(
            json!({"choices": [{"message": {"content": null, "reasoning_content": "hm"}}]}),
            Ok(reply("")),
        );
        let parts = json!([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "4"}]);
        check(json!({"choices": [{"message": {"content": parts}}]}), Ok(reply("4")));
    }

    #[test]
    fn cost_tier_and_citations_are_kept() {
        let body = json!({
            "service_tier": "flex",
            "choices": [{"message": {"content": "4", "annotations": [
                {"type": "url_citation", "url_citation": {"url": "u", "title": "t"}}]}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.03,
                "reasoning_tokens": 2},
        });
        let reply = decode(body.to_string().as_bytes()).expect("an answer");
        assert_eq!(reply.cost, Some(0.03));
        assert_eq!(reply.service_tier.as_deref(), Some("flex"));
        let citation = Citation { url: "u".into(), title: Some("t".into()) };
        assert_eq!(reply.trace.citations, [citation]);
        assert_eq!(reply.usage.map(|usage| usage.reasoning_tokens), Some(2));
    }

    #[test]
    fn a_bill_without_a_choice_is_a_filters_work() {
        let body = json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 0}});
        let reply = decode(body.to_string().as_bytes()).expect("an answer");
        assert!(reply.completion.is_refused());
        assert_eq!(reply.usage.map(|usage| usage.input_tokens), Some(9));
    }

    #[test]
    fn a_list_of_parts_is_one_text() {
        let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        check(json!({"choices": [{"message": {"content": parts}}]}), Ok(reply("ab")));
    }

    #[test]
    fn an_error_inside_a_200_is_an_error() {
        check(json!({"error": {"message": "busy", "code": 502}}), Err("HTTP 502 `502`: busy"));
        check(
            json!({"choices": [{"error": {"message": "m", "code": "x"}}]}),
            Err("HTTP 200 `x`: m"),
        );
    }

    #[test]
    fn a_body_without_an_answer_is_unreadable() {
        check(json!({"choices": []}), Err("unreadable answer: no `choices`"));
        check(json!([]), Err("unreadable answer: no `choices`"));
        let failure = decode(b"{\"choices\": [{\"mess").expect_err("cut off").to_string();
        assert!(failure.starts_with("network: the answer breaks off: EOF"), "{failure}");
    }
}
