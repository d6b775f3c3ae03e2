//! Anthropic's Messages: `POST /messages`.

use serde_json::{Value, json};

use super::body::{Body, cost, count, parse, text, turns, unreadable};
use super::failure::error_in_body;
use super::{Failure, Reply, Trace};
use crate::sample::{Completion, Message};
use crate::task::{ModelConfig, Tokens};

/// The API demands a limit on output tokens; this one is the reference sampler's.
const DEFAULT_MAX_TOKENS: u32 = 4_096;

/// The body of a request. System messages go as its argument `system`.
pub(super) fn request(config: &ModelConfig, messages: &[Message]) -> Result<Vec<u8>, Failure> {
    let is_system = |message: &&Message| message.role == "system";
    let system: Vec<&str> =
        messages.iter().filter(is_system).map(|message| message.content.as_str()).collect();
    let others = messages.iter().filter(|message| !is_system(message));
    let mut body = Body::new(config);
    body.set("max_tokens", config.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS));
    if !system.is_empty() {
        body.set("system", system.join("\n\n"));
    }
    body.set_some("temperature", config.temperature);
    if let Some(effort) = &config.reasoning_effort {
        body.set("output_config", json!({"effort": effort}));
    }
    body.set_some("service_tier", config.service_tier.as_deref());
    body.set_tools(config);
    body.finish(config, &["model", "messages", "stream"], "messages", &turns(others, "system"))
}

/// Reads the body of a success. Blocks other than text are no part of the answer.
pub(super) fn decode(body: &[u8]) -> Result<Reply, Failure> {
    let document = parse(body)?;
    if let Some(error) = error_in_body(&document) {
        return Err(error);
    }
    let Some(blocks) = document["content"].as_array() else {
        return Err(unreadable("no `content`"));
    };
    let mut answer = String::new();
    let mut trace = Trace::default();
    for block in blocks {
        match block["type"].as_str() {
            Some("text") => {
                answer.push_str(block["text"].as_str().unwrap_or_default());
                trace.add_citations(&block["citations"]);
            }
            Some("server_tool_use") => {
                trace.add_query(&block["input"]["query"]);
                trace.add_opened(&block["input"]["url"]);
            }
            Some("web_search_tool_result") => {
                for result in block["content"].as_array().into_iter().flatten() {
                    trace.add_source(&result["url"]);
                }
            }
            _ => {}
        }
    }
    Ok(Reply {
        completion: completion(&document, answer),
        usage: usage(&document["usage"]),
        cost: cost(&document["usage"]),
        model: text(&document["model"]),
        service_tier: text(&document["usage"]["service_tier"]),
        trace,
        ..Reply::default()
    })
}

/// The answer with Chat's words for how it ended.
fn completion(document: &Value, answer: String) -> Completion {
    let reason = document["stop_reason"].as_str();
    let finish_reason = match reason {
        Some("end_turn") => Some("stop"),
        Some("max_tokens" | "model_context_window_exceeded") => Some("length"),
        Some("refusal") => Some("content_filter"),
        other => other,
    };
    let why = || text(&document["stop_details"]["explanation"]).unwrap_or_else(|| answer.clone());
    Completion {
        finish_reason: finish_reason.map(str::to_owned),
        refusal: (reason == Some("refusal")).then(why),
        text: answer,
    }
}

/// Here `input_tokens` counts what the cache had no part in; ours counts all input.
fn usage(value: &Value) -> Option<Tokens> {
    let (fresh, output) = (value["input_tokens"].as_u64()?, value["output_tokens"].as_u64()?);
    let cached = count(&value["cache_read_input_tokens"]);
    let written = count(&value["cache_creation_input_tokens"]);
    let input = fresh.saturating_add(cached).saturating_add(written);
    Some(Tokens {
        input_tokens: input,
        cached_tokens: cached,
        cache_write_tokens: written,
        output_tokens: output,
        // Thinking is billed as output and, as a rule, not counted apart.
        reasoning_tokens: count(&value["output_tokens_details"]["thinking_tokens"]),
        total_tokens: input.saturating_add(output),
        searches: count(&value["server_tool_use"]["web_search_requests"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::Citation;

    fn sent(config: &ModelConfig, roles: &[(&'static str, &str)]) -> Value {
        let messages: Vec<Message> = roles
            .iter()
            .map(|(role, content)| Message { role, content: (*content).into() })
            .collect();
        let body = request(config, &messages).expect("a body");
        serde_json::from_slice(&body).expect("JSON")
    }

    #[test]
    fn only_what_the_api_demands_is_sent_unasked() {
        let config = ModelConfig { model: "claude".into(), ..ModelConfig::default() };
        assert_eq!(
            sent(&config, &[("user", "2+2?")]),
            json!({"model": "claude", "max_tokens": 4096,
                "messages": [{"role": "user", "content": "2+2?"}]})
        );
    }

    #[test]
    fn everything_that_was_set_is_sent() {
        let config = ModelConfig {
            model: "claude".into(),
            temperature: Some(0.0),
            max_tokens: Some(9),
            reasoning_effort: Some("low".into()),
            service_tier: Some("auto".into()),
            tools: vec![json!({"type": "web_search_20250305", "name": "web_search"})],
            extra_body: json!({"top_k": 3}).as_object().expect("an object").clone(),
            ..ModelConfig::default()
        };
        assert_eq!(
            sent(&config, &[("system", "Be brief."), ("user", "2+2?")]),
            json!({
                "model": "claude", "max_tokens": 9, "system": "Be brief.",
                "messages": [{"role": "user", "content": "2+2?"}],
                "temperature": 0.0, "output_config": {"effort": "low"}, "service_tier": "auto",
                "tools": [{"type": "web_search_20250305", "name": "web_search"}], "top_k": 3,
            })
        );
    }

    fn reply(body: Value) -> Reply {
        decode(body.to_string().as_bytes()).expect("an answer")
    }

    #[test]
    fn text_is_joined_and_searches_leave_a_trace() {
        let reply = reply(json!({
            "type": "message", "model": "claude-x", "stop_reason": "end_turn",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "server_tool_use", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "content": [{"type": "web_search_result", "url": "s1"}]},
                {"type": "web_search_tool_result", "content": {"type": "web_search_tool_result_error"}},
                {"type": "server_tool_use", "name": "web_fetch", "input": {"url": "u"}},
                {"type": "text", "text": "It is "},
                {"type": "text", "text": "4", "citations": [{"url": "u", "title": "t"}]},
                {"type": "new"}, 7,
            ],
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 1000, "output_tokens": 5, "service_tier": "standard",
                "server_tool_use": {"web_search_requests": 1}},
        }));
        assert_eq!(reply.completion.text, "It is 4");
        assert_eq!(reply.completion.finish_reason.as_deref(), Some("stop"));
        let trace = Trace {
            queries: vec!["q".into()],
            sources: vec!["s1".into()],
            opened: vec!["u".into()],
            citations: vec![Citation { url: "u".into(), title: Some("t".into()) }],
        };
        assert_eq!(reply.trace, trace);
        let usage = Tokens {
            input_tokens: 1110,
            cached_tokens: 100,
            cache_write_tokens: 1000,
            output_tokens: 5,
            reasoning_tokens: 0,
            total_tokens: 1115,
            searches: 1,
        };
        assert_eq!(reply.usage, Some(usage));
        assert_eq!(reply.service_tier.as_deref(), Some("standard"));
    }

    #[test]
    fn how_it_ended_is_said_in_one_language() {
        let check = |reason: Value, expected: Option<&str>| {
            let body = json!({"content": [{"type": "text", "text": "t"}], "stop_reason": reason});
            let completion = reply(body).completion;
            assert_eq!(completion.finish_reason.as_deref(), expected);
            assert_eq!(completion.refusal, None);
        };
        check(json!("end_turn"), Some("stop"));
        check(json!("max_tokens"), Some("length"));
        check(json!("model_context_window_exceeded"), Some("length"));
        check(json!("stop_sequence"), Some("stop_sequence"));
        check(json!("new"), Some("new"));
        check(json!(null), None);
    }

    #[test]
    fn a_refusal_is_one() {
        let check = |body: Value, expected: &str| {
            let completion = reply(body).completion;
            assert!(completion.is_refused());
            assert_eq!(completion.refusal.as_deref(), Some(expected));
        };
        check(
            json!({"stop_reason": "refusal", "content": [],
                "stop_details": {"type": "refusal", "explanation": "harm"}}),
            "harm",
        );
        check(
            json!({"stop_reason": "refusal", "content": [{"type": "text", "text": "No."}]}),
            "No.",
        );
        check(json!({"stop_reason": "refusal", "content": []}), "");
    }

    #[test]
    fn what_is_no_answer_is_a_failure() {
        let failure = |body: Value| {
            let failure = decode(body.to_string().as_bytes()).expect_err("a failure");
            failure.to_string()
        };
        assert_eq!(failure(json!({})), "unreadable answer: no `content`");
        assert_eq!(
            failure(
                json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})
            ),
            "HTTP 200 `overloaded_error`: busy"
        );
    }
}
