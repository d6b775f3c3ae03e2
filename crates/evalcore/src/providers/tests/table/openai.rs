//! Rows for OpenAI itself.

use serde_json::{Value, json};

use super::Expected::{GiveUp, Pending, Refused, Retry, RetryIn, Stop, Text, Truncated};
use super::{check, error};

#[test]
fn openai_a_request_that_is_wrong() {
    for code in [
        "context_length_exceeded",
        "unsupported_parameter",
        "unsupported_value",
        "unknown_parameter",
        "invalid_value",
        "missing_required_parameter",
        "string_above_max_length",
        "invalid_json_schema",
        "content_policy_violation",
        "invalid_prompt",
        "",
    ] {
        check("OpenAI", 400, &[], error("invalid_request_error", code, "m"), GiveUp);
    }
    check("OpenAI", 413, &[], "Payload too large", GiveUp);
    check("OpenAI", 422, &[], json!({"detail": [{"msg": "m"}]}), GiveUp);
}

#[test]
fn openai_what_needs_a_person() {
    let wrong = |code: &str| error("invalid_request_error", code, "m");
    check("OpenAI", 400, &[], wrong("model_not_found"), Stop);
    check("OpenAI", 401, &[], wrong("invalid_api_key"), Stop);
    check("OpenAI", 401, &[], error("authentication_error", "", "IP not allowed"), Stop);
    check("OpenAI", 401, &[], wrong("mismatched_organization"), Stop);
    check(
        "OpenAI",
        403,
        &[],
        error("request_forbidden", "unsupported_country_region_territory", "m"),
        Stop,
    );
    check("OpenAI", 403, &[], wrong("model_not_found"), Stop);
    check("OpenAI", 404, &[], wrong("model_not_found"), Stop);
}

#[test]
fn openai_money_is_never_waited_for() {
    for code in [
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    ] {
        let headers = [("retry-after", "1"), ("x-should-retry", "true")];
        check("OpenAI", 429, &headers, error("insufficient_quota", code, "m"), Stop);
        check("OpenAI", 429, &[], error("requests", code, "m"), Stop);
        check("OpenAI", 429, &[], error(code, "", "m"), Stop);
    }
}

#[test]
fn openai_limits_are_waited_for() {
    let limit = |kind: &str| error(kind, "rate_limit_exceeded", "Rate limit reached for m");
    check("OpenAI", 429, &[("retry-after", "7")], limit("requests"), RetryIn(7.0));
    check("OpenAI", 429, &[("retry-after-ms", "50")], limit("tokens"), RetryIn(0.05));
    check("OpenAI", 429, &[], limit("rate_limit_error"), Retry);
    let slow = error("rate_limit_error", "slow_down", "m");
    check("OpenAI", 429, &[("retry-after", "30")], slow, RetryIn(30.0));
    let flex = error("resource_unavailable", "resource_unavailable", "Resource unavailable");
    check("OpenAI", 429, &[], flex, Retry);
    let large = "Request too large for m in organization o on tokens per min (TPM)";
    check("OpenAI", 429, &[], error("tokens", "rate_limit_exceeded", large), GiveUp);
}

#[test]
fn openai_what_passes() {
    check("OpenAI", 408, &[], "", Retry);
    check("OpenAI", 409, &[], error("conflict_error", "", "m"), Retry);
    check("OpenAI", 500, &[], error("server_error", "", "m"), Retry);
    check("OpenAI", 502, &[], "<html>Bad Gateway</html>", Retry);
    check("OpenAI", 504, &[], "", Retry);
    let busy = error("service_unavailable_error", "server_is_overloaded", "m");
    check("OpenAI", 503, &[("retry-after", "2")], busy, RetryIn(2.0));
    check("OpenAI", 503, &[("x-should-retry", "false")], "", GiveUp);
    check("OpenAI", 400, &[("x-should-retry", "true")], "", Retry);
}

#[test]
fn openai_answers_that_are_none() {
    let choice = |reason: &str, message: Value| {
        json!({"id": "chatcmpl-1", "choices": [{"index": 0, "finish_reason": reason,
            "message": message}]})
    };
    check("OpenAI", 200, &[], choice("stop", json!({"content": "4"})), Text("4"));
    check("OpenAI", 200, &[], choice("length", json!({"content": ""})), Truncated(""));
    check("OpenAI", 200, &[], choice("content_filter", json!({"content": null})), Refused);
    let refusal = json!({"content": null, "refusal": "I cannot."});
    check("OpenAI", 200, &[], choice("stop", refusal), Refused);
    check("OpenAI", 200, &[], "{\"choices\": [{\"mess", Retry);
}

#[test]
fn openai_responses() {
    let response = |status: &str, rest: Value| {
        let mut body = json!({"id": "resp_1", "object": "response", "status": status,
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "4"}]}]});
        let rest = rest.as_object().expect("an object").clone();
        body.as_object_mut().expect("an object").extend(rest);
        body
    };
    let server = "OpenAI responses";
    check(server, 200, &[], response("completed", json!({"error": null})), Text("4"));
    check(server, 200, &[], response("queued", json!({"output": []})), Pending);
    check(server, 200, &[], response("in_progress", json!({"output": []})), Pending);
    let cut = |reason: &str| json!({"incomplete_details": {"reason": reason}});
    check(server, 200, &[], response("incomplete", cut("max_output_tokens")), Truncated("4"));
    check(server, 200, &[], response("incomplete", cut("content_filter")), Refused);
    check(server, 200, &[], response("cancelled", json!({})), GiveUp);
    let failed = |code: &str, expected| {
        let error = json!({"output": [], "error": {"code": code, "message": "m"}});
        check(server, 200, &[], response("failed", error), expected);
    };
    failed("server_error", Retry);
    failed("rate_limit_exceeded", Retry);
    failed("invalid_prompt", GiveUp);
    failed("bio_policy", GiveUp);
    failed("data_residency_mismatch", GiveUp);
    failed("image_too_large", GiveUp);
    failed("failed_to_download_image", GiveUp);
    failed("image_content_policy_violation", GiveUp);
    failed("new", Retry);
    check(server, 404, &[], error("invalid_request_error", "model_not_found", "m"), Stop);
}
