//! Rows for other providers.

use serde_json::{Value, json};

use super::Expected::{GiveUp, Refused, Retry, RetryIn, Stop, Text, Truncated};
use super::check;

#[test]
fn openrouter() {
    let error = |code: u16, message: &str| json!({"error": {"code": code, "message": message, "metadata": {"a": 1}}});
    check("OpenRouter", 402, &[], error(402, "Insufficient credits"), Stop);
    check("OpenRouter", 200, &[], error(402, "Insufficient credits"), Stop);
    let flagged = "The model requires moderation and your input was flagged";
    check("OpenRouter", 403, &[], error(403, flagged), GiveUp);
    check("OpenRouter", 200, &[], error(403, "Input flagged"), GiveUp);
    check("OpenRouter", 403, &[], error(403, "Key has no access"), Stop);
    check("OpenRouter", 408, &[], error(408, "Timed out"), Retry);
    check("OpenRouter", 429, &[("retry-after", "3")], error(429, "Slow down"), RetryIn(3.0));
    check("OpenRouter", 200, &[("retry-after", "3")], error(502, "Upstream"), RetryIn(3.0));
    check("OpenRouter", 503, &[], error(503, "No provider"), Retry);
    let choice = |choice: Value| json!({"id": "gen-1", "provider": "P", "choices": [choice]});
    let inner = json!({"error": {"code": 502, "message": "Upstream"}, "finish_reason": "error"});
    check("OpenRouter", 200, &[], choice(inner), Retry);
    let cut = json!({"finish_reason": "error", "message": {"content": "4"}});
    check("OpenRouter", 200, &[], choice(cut), Retry);
    let good = json!({"finish_reason": "stop", "native_finish_reason": "STOP",
        "message": {"content": "4", "reasoning": "two", "reasoning_details": []}});
    check("OpenRouter", 200, &[], choice(good), Text("4"));
}

#[test]
fn gemini() {
    let error = |code: u16, status: &str, message: &str| json!([{"error": {"code": code, "message": message, "status": status}}]);
    check("Gemini", 429, &[], error(429, "RESOURCE_EXHAUSTED", "Quota exceeded"), Retry);
    check("Gemini", 503, &[], error(503, "UNAVAILABLE", "The model is overloaded."), Retry);
    check("Gemini", 400, &[], error(400, "INVALID_ARGUMENT", "Unknown name \"x\""), GiveUp);
    let key = "API key not valid. Please pass a valid API key.";
    check("Gemini", 400, &[], error(400, "INVALID_ARGUMENT", key), Stop);
    check("Gemini", 403, &[], error(403, "PERMISSION_DENIED", "m"), Stop);
    check("Gemini", 404, &[], error(404, "NOT_FOUND", "models/m is not found"), Stop);
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9});
    check("Gemini", 200, &[], json!({"choices": [], "usage": usage}), Refused);
    let filtered =
        json!({"choices": [{"finish_reason": "content_filter", "message": {"role": "assistant"}}]});
    check("Gemini", 200, &[], filtered, Refused);
    let tools = json!({"choices": [{"finish_reason": "stop", "message": {"tool_calls": [{}]}}]});
    check("Gemini", 200, &[], tools, Text(""));
}

#[test]
fn anthropic() {
    let error = |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"});
    for server in ["Anthropic messages", "Anthropic"] {
        check(server, 400, &[], error("invalid_request_error", "max_tokens: required"), GiveUp);
        let credit = "Your credit balance is too low to access the Anthropic API.";
        check(server, 400, &[], error("invalid_request_error", credit), Stop);
        check(server, 401, &[], error("authentication_error", "invalid x-api-key"), Stop);
        check(server, 402, &[], error("billing_error", "m"), Stop);
        check(server, 403, &[], error("permission_error", "m"), Stop);
        check(server, 404, &[], error("not_found_error", "model: m"), Stop);
        check(server, 413, &[], error("request_too_large", "m"), GiveUp);
        check(server, 429, &[("retry-after", "9")], error("rate_limit_error", "m"), RetryIn(9.0));
        check(server, 500, &[], error("api_error", "m"), Retry);
        check(server, 529, &[], error("overloaded_error", "Overloaded"), Retry);
        check(server, 200, &[], error("overloaded_error", "Overloaded"), Retry);
    }
    let message = |reason: &str| {
        json!({"id": "msg_1", "type": "message", "stop_reason": reason,
            "content": [{"type": "text", "text": "4"}]})
    };
    check("Anthropic messages", 200, &[], message("end_turn"), Text("4"));
    check("Anthropic messages", 200, &[], message("max_tokens"), Truncated("4"));
    check("Anthropic messages", 200, &[], message("refusal"), Refused);
}

#[test]
fn azure() {
    let filtered = json!({"error": {"message": "The response was filtered", "type": null,
        "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}}}});
    check("Azure", 400, &[], filtered, GiveUp);
    let limit =
        json!({"error": {"code": "429", "message": "Requests have exceeded call rate limit"}});
    check("Azure", 429, &[("retry-after-ms", "1500"), ("retry-after", "2")], limit, RetryIn(1.5));
    let missing = json!({"error": {"code": "DeploymentNotFound", "message": "m"}});
    check("Azure", 404, &[], missing, Stop);
    let key = json!({"error": {"code": "401", "message": "Access denied due to invalid subscription key"}});
    check("Azure", 401, &[], key, Stop);
    let body = json!({"choices": [{"finish_reason": "stop", "message": {"content": "4"},
        "content_filter_results": {"hate": {"filtered": false}}}], "prompt_filter_results": []});
    check("Azure", 200, &[], body, Text("4"));
}
