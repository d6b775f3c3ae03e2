//! Rate limits as the API keeps them: two buckets per model, of requests and of tokens, that fill up all the time.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};

use crate::error::ApiError;

/// What one model may be asked per minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Requests; `None` is no limit.
    pub requests_per_minute: Option<f64>,
    /// Tokens, those of the prompt and the most that may be answered together; `None` is no limit.
    pub tokens_per_minute: Option<f64>,
    /// How much may be saved up: a full bucket holds what comes in over this time, and at least one request.
    pub burst: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            requests_per_minute: None,
            tokens_per_minute: None,
            burst: Duration::from_secs(60),
        }
    }
}

/// A model's two buckets; full at first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Buckets {
    requests: Bucket,
    tokens: Bucket,
}

/// How the buckets stand after a request, for the `x-ratelimit-*` headers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Standing {
    requests: Option<Level>,
    tokens: Option<Level>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Level {
    limit: f64,
    remaining: f64,
    reset: Duration,
}

impl Buckets {
    /// Takes one request of `tokens` tokens at `now`, counted from any fixed moment. Both buckets give, or neither does.
    ///
    /// # Errors
    ///
    /// 429: with the time after which enough is there, or without one when the request can never fit.
    pub(crate) fn take(
        &mut self,
        limits: &Limits,
        tokens: u64,
        now: Duration,
    ) -> (Standing, Result<(), ApiError>) {
        let mut requests =
            limits.requests_per_minute.map(|limit| Tap::new(limit, limits.burst, 1.0));
        let mut tokens =
            limits.tokens_per_minute.map(|limit| Tap::new(limit, limits.burst, tokens as f64));
        let wait_of = |tap: &mut Option<Tap>, bucket: &mut Bucket| {
            tap.as_mut().map_or(Duration::ZERO, |tap| tap.fill(bucket, now))
        };
        let waits =
            (wait_of(&mut requests, &mut self.requests), wait_of(&mut tokens, &mut self.tokens));
        let taken = match (waits, tokens) {
            (_, Some(tap)) if tap.amount > tap.limit => {
                Err(ApiError::too_large(tap.amount, tap.limit))
            }
            ((Duration::ZERO, Duration::ZERO), _) => Ok(()),
            ((requests, tokens), _) if requests >= tokens => {
                Err(ApiError::limited_by("requests", requests))
            }
            ((_, tokens), _) => Err(ApiError::limited_by("tokens", tokens)),
        };
        if taken.is_ok() {
            self.requests.level -= requests.map_or(0.0, |tap| tap.amount);
            self.tokens.level -= tokens.map_or(0.0, |tap| tap.amount);
        }
        let requests = requests.map(|tap| tap.level(&self.requests));
        let tokens = tokens.map(|tap| tap.level(&self.tokens));
        (Standing { requests, tokens }, taken)
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: f64,
    filled: Duration,
}

impl Default for Bucket {
    fn default() -> Self {
        Bucket { level: f64::INFINITY, filled: Duration::ZERO }
    }
}

/// What flows into a bucket, and what one request wants of it.
#[derive(Clone, Copy)]
struct Tap {
    limit: f64,
    per_second: f64,
    capacity: f64,
    amount: f64,
}

impl Tap {
    fn new(limit: f64, burst: Duration, amount: f64) -> Tap {
        let per_second = limit / 60.0;
        // A request that is within the limit fits into the bucket, however small.
        let capacity = (per_second * burst.as_secs_f64()).max(amount.min(limit)).max(1.0);
        Tap { limit, per_second, capacity, amount }
    }

    /// Lets in what came since the last time; gives the time until `amount` is there.
    fn fill(&self, bucket: &mut Bucket, now: Duration) -> Duration {
        let came = now.saturating_sub(bucket.filled).as_secs_f64() * self.per_second;
        bucket.level = (bucket.level + came).min(self.capacity);
        bucket.filled = now;
        self.time_for(self.amount - bucket.level)
    }

    fn level(&self, bucket: &Bucket) -> Level {
        let reset = self.time_for(self.capacity - bucket.level);
        Level { limit: self.limit, remaining: bucket.level.max(0.0), reset }
    }

    /// Rounded up to milliseconds, so that who waits so long waits long enough.
    fn time_for(&self, amount: f64) -> Duration {
        let millis = (amount / self.per_second * 1000.0 - 1e-6).ceil().clamp(0.0, 1e12);
        Duration::from_millis(millis as u64)
    }
}

impl Standing {
    /// Adds the headers of those limits that there are.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let names = [
            [
                "x-ratelimit-limit-requests",
                "x-ratelimit-remaining-requests",
                "x-ratelimit-reset-requests",
            ],
            [
                "x-ratelimit-limit-tokens",
                "x-ratelimit-remaining-tokens",
                "x-ratelimit-reset-tokens",
            ],
        ];
        for ([limit, remaining, reset], level) in
            names.into_iter().zip([self.requests, self.tokens])
        {
            if let Some(level) = level {
                headers.insert(limit, HeaderValue::from(level.limit as u64));
                headers.insert(remaining, HeaderValue::from(level.remaining as u64));
                let duration = HeaderValue::from_str(&go_duration(level.reset));
                headers.insert(reset, duration.expect("digits and units"));
            }
        }
    }
}

/// A duration as Go prints it, to the millisecond: `0s`, `17ms`, `8.64s`, `6m0s`, `1h30m0s`.
fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".into();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (hours, minutes, seconds) =
        (millis / 3_600_000, millis / 60_000 % 60, (millis % 60_000) as f64 / 1000.0);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn per_minute(requests: f64, burst: Duration) -> Limits {
        Limits { requests_per_minute: Some(requests), burst, ..Limits::default() }
    }

    fn wait(taken: (Standing, Result<(), ApiError>)) -> Option<Duration> {
        taken.1.err().and_then(|error| error.retry_after)
    }

    #[test]
    fn bucket_gives_its_burst_and_then_what_comes_in() {
        let (mut buckets, limits) = (Buckets::default(), per_minute(60.0, 2 * SECOND));
        let mut take = |at| wait(buckets.take(&limits, 0, at));
        assert_eq!((take(SECOND), take(SECOND)), (None, None));
        assert_eq!(take(SECOND), Some(SECOND));
        assert_eq!(take(SECOND * 3 / 2), Some(SECOND / 2));
        assert_eq!((take(2 * SECOND), take(2 * SECOND)), (None, Some(SECOND)));
    }

    #[test]
    fn waiting_as_long_as_told_is_enough() {
        let (mut buckets, limits) = (Buckets::default(), per_minute(700.0, Duration::ZERO));
        let mut now = Duration::ZERO;
        for _ in 0..50 {
            assert_eq!(wait(buckets.take(&limits, 0, now)), None);
            now += wait(buckets.take(&limits, 0, now)).unwrap();
        }
    }

    #[test]
    fn tokens_are_limited_beside_requests() {
        let limits =
            Limits { tokens_per_minute: Some(600.0), burst: SECOND, ..per_minute(6000.0, SECOND) };
        let mut buckets = Buckets::default();
        assert!(buckets.take(&limits, 10, SECOND).1.is_ok());
        let error = buckets.take(&limits, 10, SECOND).1.unwrap_err();
        assert_eq!((&*error.kind, error.retry_after), ("tokens", Some(SECOND)));
    }

    #[test]
    fn request_above_the_limit_never_fits_and_one_above_the_burst_does() {
        let limits = Limits { tokens_per_minute: Some(600.0), burst: SECOND, ..Limits::default() };
        let error = Buckets::default().take(&limits, 601, SECOND).1.unwrap_err();
        assert!(error.retry_after.is_none() && error.message.starts_with("Request too large"));
        assert!(Buckets::default().take(&limits, 600, SECOND).1.is_ok());
    }

    #[test]
    fn headers_tell_limit_rest_and_reset() {
        let limits = Limits { tokens_per_minute: Some(60_000.0), ..per_minute(600.0, 60 * SECOND) };
        let (standing, _) = Buckets::default().take(&limits, 8640, SECOND);
        let mut headers = HeaderMap::new();
        standing.write(&mut headers);
        let expected = [
            ("x-ratelimit-limit-requests", "600"),
            ("x-ratelimit-remaining-requests", "599"),
            ("x-ratelimit-reset-requests", "100ms"),
            ("x-ratelimit-limit-tokens", "60000"),
            ("x-ratelimit-remaining-tokens", "51360"),
            ("x-ratelimit-reset-tokens", "8.64s"),
        ];
        assert_eq!(headers.len(), expected.len());
        for (name, value) in expected {
            assert_eq!(headers[name], value, "{name}");
        }
    }

    #[test]
    fn durations_are_written_as_go_does() {
        let written = |millis| go_duration(Duration::from_millis(millis));
        let millis = [0, 17, 1000, 8640, 360_000, 61_500, 5_400_000, 3_600_001];
        let expected = ["0s", "17ms", "1s", "8.64s", "6m0s", "1m1.5s", "1h30m0s", "1h0m0.001s"];
        assert_eq!(millis.map(written), expected);
    }
}
