//! What a server says of its limits, and how long it asks its clients to wait.

use std::time::Duration;

use chrono::DateTime;
use reqwest::header::HeaderMap;

use super::exchange::header;

/// From here on a number of seconds is a time since 1970, not a wait.
const UNIX_TIMES: f64 = 1e9;

/// The longest wait that is believed.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Rate limits as an answer's headers state them; none of what the server does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests allowed in a period.
    pub limit_requests: Option<u64>,
    /// Requests left of these.
    pub remaining_requests: Option<u64>,
    /// Tokens allowed in a period.
    pub limit_tokens: Option<u64>,
    /// Tokens left of these.
    pub remaining_tokens: Option<u64>,
    /// Until all requests are allowed again; one is allowed long before.
    pub reset_requests: Option<Duration>,
    /// Until all tokens are allowed again.
    pub reset_tokens: Option<Duration>,
}

impl RateLimits {
    /// Reads `x-ratelimit-limit-requests` and its kin, or Anthropic's
    /// `anthropic-ratelimit-requests-limit`. `now`, in Unix seconds, is what points in time are
    /// measured against.
    pub(super) fn read(headers: &HeaderMap, now: f64) -> Self {
        // Most servers send none, and looking for each takes longer than looking for any.
        if !headers.keys().any(|name| name.as_str().contains("ratelimit")) {
            return Self::default();
        }
        let text = |field: &str, what: &str| {
            header(headers, &format!("x-ratelimit-{field}-{what}"))
                .or_else(|| header(headers, &format!("anthropic-ratelimit-{what}-{field}")))
        };
        let count = |field, what| text(field, what)?.trim().parse().ok();
        let wait = |what| reset(text("reset", what)?.trim(), now);
        Self {
            limit_requests: count("limit", "requests"),
            remaining_requests: count("remaining", "requests"),
            limit_tokens: count("limit", "tokens"),
            remaining_tokens: count("remaining", "tokens"),
            reset_requests: wait("requests"),
            reset_tokens: wait("tokens"),
        }
    }
}

/// `6m0s`, seconds, or a point in time as Unix seconds or RFC 3339.
fn reset(text: &str, now: f64) -> Option<Duration> {
    let until = |time: f64| seconds((time - now).max(0.0));
    if let Ok(number) = text.parse::<f64>() {
        return match number >= UNIX_TIMES {
            true => until(number),
            false => seconds(number),
        };
    }
    go_duration(text).or_else(|| {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        until(time.timestamp_micros() as f64 / 1e6)
    })
}

/// A duration as Go writes it: numbers with units, `1h30m0s`, `8.64s`, `17ms`.
fn go_duration(text: &str) -> Option<Duration> {
    // Longer names first: `17ms` are no 17 minutes.
    const UNITS: &[(&str, f64)] = &[
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("μs", 1e-6),
        ("ms", 1e-3),
        ("h", 3600.0),
        ("m", 60.0),
        ("s", 1.0),
    ];
    let mut rest = text;
    let mut sum = 0.0;
    loop {
        let n_digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..n_digits].parse().ok()?;
        let (tail, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| Some((rest[n_digits..].strip_prefix(name)?, unit)))?;
        sum += number * unit;
        if tail.is_empty() {
            return seconds(sum);
        }
        rest = tail;
    }
}

fn seconds(number: f64) -> Option<Duration> {
    let wait = Duration::try_from_secs_f64(number).ok()?;
    (wait <= LONGEST).then_some(wait)
}

/// `retry-after-ms` in milliseconds, else `retry-after` in seconds or as an HTTP date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name| header(headers, name)?.trim().parse::<f64>().ok();
    let wait = number("retry-after-ms").and_then(|millis| seconds(millis * 0.001));
    wait.or_else(|| match number("retry-after") {
        Some(number) => seconds(number),
        None => {
            let text = header(headers, "retry-after")?;
            let date = DateTime::parse_from_rfc2822(text.trim()).ok()?;
            let wait = date.with_timezone(&chrono::Utc) - chrono::Utc::now();
            wait.to_std().ok()
        }
    })
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("valid");
            (HeaderName::from_static(name), value)
        });
        pairs.collect()
    }

    #[track_caller]
    fn check_reset(text: &str, expected: Option<f64>) {
        let wait = reset(text, 1_800_000_000.0).map(|wait| wait.as_secs_f64());
        let is_same = match (wait, expected) {
            (Some(wait), Some(expected)) => (wait - expected).abs() < 1e-6,
            (wait, expected) => wait == expected,
        };
        assert!(is_same, "`{text}` is {wait:?}, not {expected:?}");
    }

    #[test]
    fn resets_are_read_in_every_form() {
        check_reset("17ms", Some(0.017));
        check_reset("120ms", Some(0.12));
        check_reset("1s", Some(1.0));
        check_reset("8.64s", Some(8.64));
        check_reset("6m0s", Some(360.0));
        check_reset("1h30m0s", Some(5400.0));
        check_reset("1m30.951s", Some(90.951));
        check_reset("250µs", Some(0.000_25));
        check_reset("250us", Some(0.000_25));
        check_reset("900ns", Some(0.000_000_9));
        check_reset("0s", Some(0.0));
        check_reset("0", Some(0.0));
        check_reset("59", Some(59.0));
        check_reset("0.5", Some(0.5));
        check_reset("1800000060", Some(60.0));
        check_reset("1700000000", Some(0.0));
        check_reset("2027-01-15T08:00:30Z", Some(30.0));
        check_reset("2020-01-01T00:00:00Z", Some(0.0));
    }

    #[test]
    fn a_reset_that_is_none_is_left_out() {
        for text in [
            "", "s", "1", "-1", "-1s", "1x", "1s1", "1.2.3s", "1 s", "soon", "NaN", "inf", "1e300",
            "9999999h", "½s",
        ] {
            check_reset(text, (text == "1").then_some(1.0));
        }
    }

    #[test]
    fn limits_are_read_one_by_one() {
        let told = [
            ("x-ratelimit-limit-requests", "5000"),
            ("x-ratelimit-remaining-requests", "4999"),
            ("x-ratelimit-limit-tokens", "2000000"),
            ("x-ratelimit-remaining-tokens", "many"),
            ("x-ratelimit-reset-requests", "12ms"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        let expected = RateLimits {
            limit_requests: Some(5000),
            remaining_requests: Some(4999),
            limit_tokens: Some(2_000_000),
            remaining_tokens: None,
            reset_requests: Some(Duration::from_millis(12)),
            reset_tokens: Some(Duration::from_secs(360)),
        };
        assert_eq!(RateLimits::read(&headers(&told), 0.0), expected);
        assert_eq!(RateLimits::read(&HeaderMap::new(), 0.0), RateLimits::default());
    }

    #[test]
    fn anthropics_names_are_read_as_well() {
        let told = [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2027-01-15T08:00:30Z"),
        ];
        let expected = RateLimits {
            limit_requests: Some(50),
            remaining_requests: Some(0),
            reset_requests: Some(Duration::from_secs(30)),
            ..RateLimits::default()
        };
        assert_eq!(RateLimits::read(&headers(&told), 1_800_000_000.0), expected);
    }

    #[track_caller]
    fn check_wait(pairs: &[(&'static str, &str)], expected: Option<f64>) {
        assert_eq!(retry_after(&headers(pairs)).map(|wait| wait.as_secs_f64()), expected);
    }

    #[test]
    fn the_wait_is_read_from_milliseconds_before_seconds() {
        check_wait(&[("retry-after-ms", "250"), ("retry-after", "9")], Some(0.25));
        check_wait(&[("retry-after", "2")], Some(2.0));
        check_wait(&[("retry-after", "1.5")], Some(1.5));
        check_wait(&[("retry-after", "-1")], None);
        check_wait(&[("retry-after", "soon")], None);
        check_wait(&[("retry-after", "NaN")], None);
        check_wait(&[("retry-after", "1e300")], None);
        check_wait(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], None);
        check_wait(&[], None);
    }

    #[test]
    fn a_date_is_a_wait_until_then() {
        let date = (chrono::Utc::now() + chrono::Duration::seconds(100)).to_rfc2822();
        let wait = retry_after(&headers(&[("retry-after", &date)])).expect("a wait");
        assert!((95.0..=100.0).contains(&wait.as_secs_f64()), "{wait:?}");
    }
}
