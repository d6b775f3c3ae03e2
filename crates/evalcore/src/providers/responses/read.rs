//! Reading a response, finished or not.

use serde_json::Value;

use super::id;
use super::searches::searches;
use crate::providers::body::{cost, count, parse, text, unreadable};
use crate::providers::failure::error_in_body;
use crate::providers::{ApiError, Asked, Failure, Reply, Trace};
use crate::sample::Completion;
use crate::task::Tokens;

/// Reads the body of a success. An item, part, action or status that is not known fails nothing.
pub(in crate::providers) fn decode(body: &[u8]) -> Result<Asked, Failure> {
    let document = parse(body)?;
    let finish_reason = match document["status"].as_str() {
        Some("queued" | "in_progress") => {
            return Ok(Asked::Pending { id: id(&document)? });
        }
        Some("failed") => return Err(failed(&document)),
        Some("cancelled") => return Err(ended("cancelled", "the response was cancelled")),
        Some("completed") => Some("stop".to_owned()),
        Some("incomplete") => Some(incomplete(&document)),
        status => {
            if let Some(error) = error_in_body(&document) {
                return Err(error);
            }
            status.map(str::to_owned)
        }
    };
    let Some(items) = document["output"].as_array() else {
        return Err(unreadable("no `output`"));
    };
    let (answer, refusal) = answer(items);
    let mut trace = Trace::default();
    let n_searches = searches(items, &mut trace);
    for part in parts(items) {
        trace.add_citations(&part["annotations"]);
    }
    Ok(Asked::Reply(Reply {
        completion: Completion { text: answer, finish_reason, refusal },
        usage: usage(&document["usage"], n_searches),
        cost: cost(&document["usage"]),
        model: text(&document["model"]),
        service_tier: text(&document["service_tier"]),
        trace,
        ..Reply::default()
    }))
}

/// Chat's word for why the answer ends early.
fn incomplete(document: &Value) -> String {
    match document["incomplete_details"]["reason"].as_str() {
        Some("max_output_tokens") => "length",
        Some(reason) => reason,
        None => "incomplete",
    }
    .to_owned()
}

/// The error with the status that the answer should have had, where its code has one.
fn failed(document: &Value) -> Failure {
    let failure = error_in_body(document);
    let Some(Failure::Status(mut error)) = failure else {
        return ended("failed", "the response failed without saying why");
    };
    match error.code.as_deref() {
        Some("rate_limit_exceeded") => error.status = 429,
        Some("server_error") => error.status = 500,
        _ => {}
    }
    error.has_ended = true;
    Failure::Status(error)
}

fn ended(code: &str, message: &str) -> Failure {
    Failure::Status(ApiError {
        status: 200,
        message: message.into(),
        code: Some(code.into()),
        has_ended: true,
        ..ApiError::default()
    })
}

/// Text and refusal.
///
/// The text is every `output_text` of every message in order, as OpenAI's own clients join it.
/// After searches that can be several messages, of which the last holds the answer.
fn answer(items: &[Value]) -> (String, Option<String>) {
    let mut answer = String::new();
    let mut refusal: Option<String> = None;
    for part in parts(items) {
        match part["type"].as_str() {
            Some("output_text") => answer.push_str(part["text"].as_str().unwrap_or_default()),
            Some("refusal") => refusal
                .get_or_insert_default()
                .push_str(part["refusal"].as_str().unwrap_or_default()),
            _ => {}
        }
    }
    (answer, refusal)
}

/// The parts of all messages.
fn parts(items: &[Value]) -> impl Iterator<Item = &Value> {
    items
        .iter()
        .filter(|item| item["type"] == "message")
        .filter_map(|item| item["content"].as_array())
        .flatten()
}

fn usage(value: &Value, searches: u64) -> Option<Tokens> {
    let (input, output) = (value["input_tokens"].as_u64()?, value["output_tokens"].as_u64()?);
    let read = &value["input_tokens_details"];
    Some(Tokens {
        input_tokens: input,
        cached_tokens: count(&read["cached_tokens"]),
        cache_write_tokens: count(&read["cache_write_tokens"]),
        output_tokens: output,
        reasoning_tokens: count(&value["output_tokens_details"]["reasoning_tokens"]),
        total_tokens: value["total_tokens"].as_u64().unwrap_or(input.saturating_add(output)),
        searches,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(body: Value) -> Reply {
        match decode(body.to_string().as_bytes()) {
            Ok(Asked::Reply(reply)) => reply,
            other => panic!("no reply: {other:?}"),
        }
    }

    fn failure(body: Value) -> String {
        let failure = decode(body.to_string().as_bytes()).expect_err("a failure");
        failure.to_string()
    }

    fn message(text: &str) -> Value {
        json!({"type": "message", "content": [{"type": "output_text", "text": text}]})
    }

    #[test]
    fn the_text_is_that_of_all_messages_in_order() {
        let reply = reply(json!({
            "status": "completed",
            "output": [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
                message("a"),
                {"type": "message", "content": [
                    {"type": "output_text", "text": "b"}, {"type": "output_text", "text": "c"},
                ]},
            ],
        }));
        assert_eq!(reply.completion.text, "abc");
        assert_eq!(reply.completion.finish_reason.as_deref(), Some("stop"));
        assert_eq!(reply.usage, None);
    }

    #[test]
    fn what_is_not_known_fails_no_answer() {
        let reply = reply(json!({
            "id": 7, "status": "paused", "error": null, "usage": {"input_tokens": "many"},
            "output": [
                7, {"type": "telepathy"}, {"type": 3}, {"type": "message", "content": "text"},
                {"type": "message", "content": [{"type": "output_smell"}, null, {"type": "output_text"}]},
                {"type": "web_search_call", "status": "dreaming", "action": {"type": "swim"}},
                {"type": "web_search_call", "action": [1]},
                {"type": "message", "content": [
                    {"type": "output_text", "text": "4", "annotations": [{"type": "new"}, 9]}]},
            ],
        }));
        assert_eq!(reply.completion.text, "4");
        assert_eq!(reply.completion.finish_reason.as_deref(), Some("paused"));
        assert!(reply.trace.is_empty(), "{:?}", reply.trace);
    }

    #[test]
    fn an_incomplete_answer_says_why() {
        let check = |details: Value, expected: &str| {
            let body = json!({"status": "incomplete", "incomplete_details": details,
                "output": [message("so f")]});
            let completion = reply(body).completion;
            assert_eq!(completion.text, "so f");
            assert_eq!(completion.finish_reason.as_deref(), Some(expected));
        };
        check(json!({"reason": "max_output_tokens"}), "length");
        check(json!({"reason": "content_filter"}), "content_filter");
        check(json!({"reason": "new"}), "new");
        check(json!(null), "incomplete");
    }

    #[test]
    fn a_refusal_is_kept_apart() {
        let reply = reply(json!({"status": "completed", "output": [
            {"type": "message", "content": [{"type": "refusal", "refusal": "I won't."}]}]}));
        assert_eq!(reply.completion.refusal.as_deref(), Some("I won't."));
        assert_eq!(reply.completion.text, "");
    }

    #[test]
    fn usage_tier_and_trace_are_kept() {
        let reply = reply(json!({
            "status": "completed", "model": "o3-2025-04-16", "service_tier": "default",
            "usage": {"input_tokens": 100, "output_tokens": 50, "total_tokens": 150, "cost": 0.5,
                "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 7},
                "output_tokens_details": {"reasoning_tokens": 30}},
            "output": [
                {"type": "web_search_call", "action": {"type": "search", "query": "q"}},
                {"type": "message", "content": [{"type": "output_text", "text": "4", "annotations": [
                    {"type": "url_citation", "url": "u", "start_index": 0, "end_index": 1}]}]},
            ],
        }));
        let usage = Tokens {
            input_tokens: 100,
            cached_tokens: 40,
            cache_write_tokens: 7,
            output_tokens: 50,
            reasoning_tokens: 30,
            total_tokens: 150,
            searches: 1,
        };
        assert_eq!((reply.usage, reply.cost), (Some(usage), Some(0.5)));
        assert_eq!(reply.model.as_deref(), Some("o3-2025-04-16"));
        assert_eq!(reply.service_tier.as_deref(), Some("default"));
        assert_eq!(reply.trace.queries, ["q"]);
        assert_eq!(reply.trace.citations[0].url, "u");
    }

    #[test]
    fn a_response_at_work_is_pending() {
        for status in ["queued", "in_progress"] {
            let body = json!({"id": "resp_1", "status": status, "output": [], "usage": null});
            let expected = Asked::Pending { id: "resp_1".into() };
            assert_eq!(decode(body.to_string().as_bytes()), Ok(expected));
        }
        for id in [json!("a b"), json!(7), json!(null)] {
            assert_eq!(
                failure(json!({"id": id, "status": "queued"})),
                "unreadable answer: the response's id is none"
            );
        }
    }

    #[test]
    fn a_failed_response_is_an_error() {
        let failed = |code: &str| {
            failure(
                json!({"status": "failed", "error": {"code": code, "message": "m"}, "output": []}),
            )
        };
        assert_eq!(failed("server_error"), "HTTP 500 `server_error`: m");
        assert_eq!(failed("rate_limit_exceeded"), "HTTP 429 `rate_limit_exceeded`: m");
        assert_eq!(failed("invalid_prompt"), "HTTP 200 `invalid_prompt`: m");
        assert_eq!(
            failure(json!({"status": "failed", "error": null})),
            "HTTP 200 `failed`: the response failed without saying why"
        );
        assert_eq!(
            failure(json!({"status": "cancelled"})),
            "HTTP 200 `cancelled`: the response was cancelled"
        );
        assert_eq!(
            failure(json!({"error": {"code": 502, "message": "upstream"}})),
            "HTTP 502 `502`: upstream"
        );
    }

    #[test]
    fn a_response_that_failed_is_told_from_a_request_that_did() {
        let has_ended = |body: Value| match decode(body.to_string().as_bytes()) {
            Err(Failure::Status(error)) => error.has_ended,
            other => panic!("no error: {other:?}"),
        };
        let error = json!({"code": "server_error", "message": "m"});
        assert!(has_ended(json!({"status": "failed", "error": error})));
        assert!(has_ended(json!({"status": "failed"})));
        assert!(has_ended(json!({"status": "cancelled"})));
        assert!(!has_ended(json!({"error": error})));
    }

    #[test]
    fn a_body_without_an_answer_is_unreadable() {
        for body in [json!({}), json!([]), json!({"status": "completed", "output": null})] {
            assert_eq!(failure(body), "unreadable answer: no `output`");
        }
    }
}
