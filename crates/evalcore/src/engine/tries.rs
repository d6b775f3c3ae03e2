//! How often and how long one request is tried.

use std::time::Duration;

use super::{Class, backoff};
use crate::providers::Failure;

/// How much one request may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// Longest time for one attempt.
    pub timeout: Duration,
    /// Attempts after the first.
    pub max_retries: u32,
    /// Longest time from the first attempt to the start of the last one.
    pub retry_for: Duration,
}

/// An error that comes back unchanged this often in a row will come back for ever.
const MAX_SAME: u32 = 5;

/// Answers that were paid for and could not be read: no more of these.
const MAX_UNREADABLE: u32 = 2;

/// The attempts at one request so far.
#[derive(Debug, Default)]
pub struct Tries {
    n_failed: u32,
    n_unreadable: u32,
    last: String,
    n_same: u32,
}

impl Tries {
    /// Requests sent, the one in flight included.
    pub fn attempts(&self) -> u32 {
        self.n_failed + 1
    }

    /// How long to wait before the next attempt, `elapsed` after the first one began; `random` is
    /// in 0 to 1.
    ///
    /// # Errors
    ///
    /// There is to be no next attempt: the failure, with why that is.
    pub fn after(
        &mut self,
        failure: &Failure,
        class: Class,
        elapsed: Duration,
        patience: &Patience,
        random: f64,
    ) -> Result<Duration, String> {
        self.n_failed += 1;
        let Class::Retry(told) = class else {
            return Err(failure.to_string());
        };
        let text = failure.to_string();
        self.n_same = if text == self.last { self.n_same + 1 } else { 1 };
        self.last = text;
        self.n_unreadable += u32::from(matches!(failure, Failure::Unreadable { .. }));
        let n_failed = self.n_failed;
        let text = &self.last;
        if self.n_unreadable >= MAX_UNREADABLE {
            return Err(format!("{} paid answers in vain: {text}", self.n_unreadable));
        }
        if self.n_same >= MAX_SAME && is_deterministic(failure) {
            return Err(format!("the same error {} times in a row: {text}", self.n_same));
        }
        if n_failed > patience.max_retries {
            return Err(format!("after {n_failed} attempts: {text}"));
        }
        let left = patience.retry_for.saturating_sub(elapsed);
        let backoff = backoff(n_failed - 1, random);
        match told {
            Some(told) if told > left => Err(format!(
                "the server asks to wait {} s, longer than the {} s that are left of --retry-for: {text}",
                told.as_secs(),
                left.as_secs()
            )),
            _ if left.is_zero() => Err(format!("after {} s: {text}", elapsed.as_secs())),
            Some(told) => Ok(told.max(backoff).min(left)),
            None => Ok(backoff.min(left)),
        }
    }
}

/// Load, outages and networks change; anything else that comes back unchanged is there to stay.
fn is_deterministic(failure: &Failure) -> bool {
    match failure {
        Failure::Status(error) => {
            let is_outage = matches!(error.status, 408 | 429 | 502..=504 | 520..=599);
            !is_outage && error.retry_after.is_none()
        }
        Failure::Unreadable { .. } | Failure::Unsendable { .. } => true,
        Failure::Network { .. } | Failure::Timeout(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::classify;
    use crate::providers::ApiError;

    const PATIENCE: Patience = Patience {
        timeout: Duration::from_secs(10),
        max_retries: 7,
        retry_for: Duration::from_secs(100),
    };

    fn status(status: u16, message: &str, wait: Option<u64>) -> Failure {
        Failure::Status(ApiError {
            status,
            message: message.into(),
            retry_after: wait.map(Duration::from_secs),
            ..ApiError::default()
        })
    }

    fn after(tries: &mut Tries, failure: &Failure, elapsed: u64) -> Result<u64, String> {
        let elapsed = Duration::from_secs(elapsed);
        let wait = tries.after(failure, classify(failure), elapsed, &PATIENCE, 1.0);
        wait.map(|wait| wait.as_millis() as u64)
    }

    #[track_caller]
    fn check(failure: &Failure, elapsed: u64, expected: Result<u64, &str>) {
        let found = after(&mut Tries::default(), failure, elapsed);
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn the_wait_is_what_the_server_asks_for_but_never_less_than_backoff() {
        check(&status(429, "slow", Some(7)), 0, Ok(7_000));
        check(&status(503, "busy", Some(0)), 0, Ok(500));
        check(&status(500, "oops", None), 0, Ok(500));
    }

    #[test]
    fn a_wait_beyond_the_time_that_is_left_ends_the_request_at_once() {
        check(
            &status(429, "slow", Some(3600)),
            10,
            Err(
                "the server asks to wait 3600 s, longer than the 90 s that are left of --retry-for: \
                 HTTP 429: slow",
            ),
        );
        check(&status(500, "oops", None), 100, Err("after 100 s: HTTP 500: oops"));
    }

    #[test]
    fn the_same_error_five_times_in_a_row_is_there_to_stay() {
        let mut tries = Tries::default();
        let oops = status(500, "oops", None);
        for _ in 0..4 {
            assert!(after(&mut tries, &oops, 0).is_ok());
        }
        let error = after(&mut tries, &oops, 0).expect_err("enough");
        assert_eq!(error, "the same error 5 times in a row: HTTP 500: oops");
    }

    #[test]
    fn errors_that_differ_or_speak_of_load_are_tried_as_often_as_allowed() {
        for failure in [
            |n: u32| status(500, &format!("request {n}"), None),
            |_| status(429, "slow", None),
            |_| status(503, "loading the model", None),
            |_| Failure::Network { reason: "reset".into(), sent: true },
        ] {
            let mut tries = Tries::default();
            for n in 0..7 {
                assert!(after(&mut tries, &failure(n), 0).is_ok());
            }
            let error = after(&mut tries, &failure(7), 0).expect_err("enough");
            assert!(error.starts_with("after 8 attempts: "), "{error}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_paid_for_time_and_again() {
        let mut tries = Tries::default();
        let failure = Failure::Unreadable { reason: "no `choices`".into() };
        assert!(after(&mut tries, &failure, 0).is_ok());
        let error = after(&mut tries, &failure, 0).expect_err("enough");
        assert_eq!(error, "2 paid answers in vain: unreadable answer: no `choices`");
    }
}
