//! Rows for servers that people run themselves, and for what stands before them.

use serde_json::{Value, json};

use super::Expected::{GiveUp, Retry, Stop, Text, Truncated};
use super::{check, error};

#[test]
fn vllm() {
    let thought = |content: Value, name: &str| {
        json!({"choices": [{"finish_reason": "stop", "stop_reason": null, "prompt_logprobs": null,
            "message": {"content": content, name: "two and two"}}]})
    };
    check("vLLM", 200, &[], thought(json!("4"), "reasoning"), Text("4"));
    check("vLLM", 200, &[], thought(json!(null), "reasoning_content"), Text(""));
    let ended =
        |reason: &str| json!({"choices": [{"finish_reason": reason, "message": {"content": "4"}}]});
    check("vLLM", 200, &[], ended("abort"), Retry);
    check("vLLM", 200, &[], ended("error"), Retry);
    check("vLLM", 200, &[], ended("repetition"), Text("4"));
    let flat = |code: u16, kind: &str, message: &str| json!({"object": "error", "message": message, "type": kind, "param": null, "code": code});
    let long = "This model's maximum context length is 4096 tokens.";
    check("vLLM", 400, &[], flat(400, "BadRequestError", long), GiveUp);
    check("vLLM", 404, &[], flat(404, "NotFoundError", "The model `m` does not exist."), Stop);
    check("vLLM", 401, &[], json!({"error": "Unauthorized"}), Stop);
    check("vLLM responses", 404, &[], json!({"detail": "Not Found"}), Stop);
    let output = json!([
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "two"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "4", "annotations": []}]},
    ]);
    let body = json!({"id": "resp_1", "status": "completed", "output": output});
    check("vLLM responses", 200, &[], body, Text("4"));
}

#[test]
fn ollama() {
    let missing = json!({"error": {"message": "model \"m\" not found, try pulling it first",
        "type": "api_error", "param": null, "code": null}});
    check("Ollama", 404, &[], missing, Stop);
    check("Ollama", 500, &[], error("api_error", "", "model runner has stopped"), Retry);
    let body = json!({"id": "chatcmpl-1", "choices": [{"finish_reason": "stop",
        "message": {"role": "assistant", "content": "4", "reasoning": "two"}}]});
    check("Ollama", 200, &[], body, Text("4"));
}

#[test]
fn llama_cpp() {
    let error =
        |code: u16, kind: &str| json!({"error": {"code": code, "message": "m", "type": kind}});
    check("llama.cpp", 503, &[], error(503, "unavailable_error"), Retry);
    check("llama.cpp", 400, &[], error(400, "invalid_request_error"), GiveUp);
    check("llama.cpp", 500, &[], error(500, "exceed_context_size_error"), GiveUp);
    check("llama.cpp", 401, &[], error(401, "authentication_error"), Stop);
    check("llama.cpp responses", 501, &[], error(501, "not_supported_error"), Stop);
    let body = json!({"choices": [{"finish_reason": "length", "message": {"content": "",
        "reasoning_content": "two and"}}], "timings": {"prompt_n": 9}});
    check("llama.cpp", 200, &[], body, Truncated(""));
}

#[test]
fn litellm() {
    let limit = "litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached";
    check("LiteLLM", 429, &[], error("throttling_error", "429", limit), Retry);
    let large = "litellm.RateLimitError: OpenAIException - Request too large for m";
    check("LiteLLM", 429, &[], error("tokens", "429", large), GiveUp);
    let budget = "Budget has been exceeded! Current cost: 10.1, Max budget: 10.0";
    check("LiteLLM", 400, &[], error("budget_exceeded", "400", budget), Stop);
    check("LiteLLM", 429, &[], error("None", "429", budget), Stop);
    check("LiteLLM", 401, &[], error("auth_error", "401", "Authentication Error"), Stop);
    let model = "/chat/completions: Invalid model name passed in model=m.";
    check("LiteLLM", 400, &[], json!({"error": {"message": model, "code": "400"}}), Stop);
    let window = "litellm.ContextWindowExceededError: litellm.BadRequestError: m";
    check("LiteLLM", 400, &[], error("invalid_request_error", "400", window), GiveUp);
    check("LiteLLM", 500, &[], error("None", "500", "Connection error."), Retry);
}

#[test]
fn gateways_answer_in_many_forms() {
    check("proxy", 502, &[], "<html>Bad Gateway</html>", Retry);
    check("proxy", 500, &[], json!({"message": "m"}), Retry);
    check("proxy", 403, &[], json!({"detail": "Forbidden"}), Stop);
    check("proxy", 302, &[("location", "/login")], "", Stop);
    check("proxy", 200, &[], "<html>Sign in</html>", Retry);
    check("proxy", 204, &[], "", Retry);
}
