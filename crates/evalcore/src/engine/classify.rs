//! What to do about a failure: wait and try again, give up on the request, or stop the lane.

use std::time::Duration;

use crate::providers::{ApiError, Failure};

/// What is to be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Try again, after the wait the server asked for or else with backoff.
    Retry(Option<Duration>),
    /// This request will never succeed; others may.
    GiveUp,
    /// No request to this endpoint and model will succeed until a person acts.
    StopLane,
}

/// Types and codes that mean: out of money. Old and new names; either field may hold them.
const QUOTA: &[&str] = &[
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "budget_exceeded",
];

/// Types and codes that mean: wrong key or model.
const NOT_FOR_YOU: &[&str] =
    &["model_not_found", "invalid_api_key", "authentication_error", "permission_error"];

/// Words of servers that say the same under a status or code that could mean anything.
const STOP_WORDS: &[&str] = &[
    // Anthropic, as `invalid_request_error`.
    "credit balance is too low",
    // Google, as 400.
    "API key not valid",
    // LiteLLM, as 400.
    "Budget has been exceeded",
    "ExceededBudget",
    "Invalid model name passed",
];

/// Codes that judge the request itself, whatever status they come with. Those about policies and
/// pictures are recognized by these words in them.
const FINAL: &[&str] = &[
    "content_filter",
    "invalid_prompt",
    "data_residency_mismatch",
    "context_length_exceeded",
    "exceed_context_size_error",
    // A background response that somebody gave up.
    "cancelled",
];

/// Decides from the failure alone.
pub fn classify(failure: &Failure) -> Class {
    match failure {
        Failure::Status(error) => classify_status(error),
        Failure::Network { .. } | Failure::Timeout(_) | Failure::Unreadable { .. } => {
            Class::Retry(None)
        }
        Failure::Unsendable { .. } => Class::StopLane,
    }
}

fn classify_status(error: &ApiError) -> Class {
    let names: Vec<&str> =
        [&error.kind, &error.code].into_iter().flatten().map(String::as_str).collect();
    let is_any = |known: &[&str]| names.iter().any(|name| known.contains(name));
    let says = |words: &[&str]| words.iter().any(|words| error.message.contains(words));
    if is_any(QUOTA) || is_any(NOT_FOR_YOU) {
        return Class::StopLane;
    }
    if is_any(FINAL) || names.iter().any(|name| judges_content(name)) {
        return Class::GiveUp;
    }
    if matches!(error.status, 400 | 429) && says(STOP_WORDS) {
        return Class::StopLane;
    }
    match error.should_retry {
        Some(true) => return Class::Retry(error.retry_after),
        Some(false) if is_transient(error.status) => return Class::GiveUp,
        _ => {}
    }
    match error.status {
        // A request that asks for more tokens than a minute allows can never fit.
        429 if says(&["Request too large for"]) => Class::GiveUp,
        // The server will not learn this API while we wait.
        501 => Class::StopLane,
        status if is_transient(status) => Class::Retry(error.retry_after),
        // Content moderation of gateways, about this request alone.
        403 if says(&["moderation", "Moderation", "flagged"]) => Class::GiveUp,
        401..=405 | 300..=399 => Class::StopLane,
        _ => Class::GiveUp,
    }
}

fn judges_content(name: &str) -> bool {
    name.contains("_policy") || name.contains("image")
}

/// 200 is here because an error inside a 200 that names no other status is a gateway's hiccup.
fn is_transient(status: u16) -> bool {
    matches!(status, 200 | 408 | 409 | 429 | 500..=599)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Option<Duration> = Some(Duration::from_secs(7));
    const RETRY: Class = Class::Retry(WAIT);

    #[track_caller]
    fn check(status: u16, kind: &str, code: &str, message: &str, expected: Class) {
        let name = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let error = ApiError {
            status,
            kind: name(kind),
            code: name(code),
            message: message.to_owned(),
            retry_after: WAIT,
            ..ApiError::default()
        };
        assert_eq!(classify(&Failure::Status(error)), expected);
    }

    #[test]
    fn what_passes_is_waited_for() {
        check(408, "", "", "", RETRY);
        check(409, "", "", "", RETRY);
        check(429, "requests", "rate_limit_exceeded", "Rate limit reached", RETRY);
        check(429, "rate_limit_error", "slow_down", "", RETRY);
        check(429, "", "", "resource unavailable", RETRY);
        check(500, "server_error", "", "", RETRY);
        check(502, "", "", "<html>", RETRY);
        check(503, "service_unavailable_error", "server_is_overloaded", "", RETRY);
        check(529, "overloaded_error", "", "", RETRY);
        check(200, "", "", "upstream error", RETRY);
    }

    #[test]
    fn a_request_that_is_wrong_in_itself_is_given_up() {
        check(400, "invalid_request_error", "context_length_exceeded", "", Class::GiveUp);
        check(400, "invalid_request_error", "unsupported_value", "", Class::GiveUp);
        check(413, "", "", "", Class::GiveUp);
        check(422, "", "", "", Class::GiveUp);
        check(429, "tokens", "rate_limit_exceeded", "Request too large for gpt-4o", Class::GiveUp);
        check(403, "", "403", "Input flagged by moderation", Class::GiveUp);
        check(500, "", "invalid_prompt", "", Class::GiveUp);
    }

    #[test]
    fn what_needs_a_person_stops_the_lane() {
        check(401, "invalid_request_error", "invalid_api_key", "", Class::StopLane);
        check(402, "", "402", "no credit", Class::StopLane);
        check(403, "", "", "Country not supported", Class::StopLane);
        check(404, "invalid_request_error", "model_not_found", "", Class::StopLane);
        check(400, "invalid_request_error", "model_not_found", "", Class::StopLane);
        check(429, "insufficient_quota", "insufficient_quota", "", Class::StopLane);
        check(429, "insufficient_quota", "credit_balance_exhausted", "", Class::StopLane);
        check(429, "", "project_spend_limit_exceeded", "", Class::StopLane);
        check(301, "", "", "", Class::StopLane);
    }

    #[test]
    fn the_servers_word_on_retries_is_taken_but_not_against_money() {
        let with = |status, code: &str, should_retry| {
            classify(&Failure::Status(ApiError {
                status,
                code: Some(code.into()),
                should_retry: Some(should_retry),
                ..ApiError::default()
            }))
        };
        assert_eq!(with(400, "", true), Class::Retry(None));
        assert_eq!(with(500, "", false), Class::GiveUp);
        assert_eq!(with(401, "", false), Class::StopLane);
        assert_eq!(with(429, "insufficient_quota", true), Class::StopLane);
    }

    #[test]
    fn whatever_kept_an_answer_from_arriving_is_tried_again() {
        for failure in [
            Failure::Network { reason: String::new(), sent: true },
            Failure::Timeout(Duration::ZERO),
            Failure::Unreadable { reason: String::new() },
        ] {
            assert_eq!(classify(&failure), Class::Retry(None));
        }
    }
}
