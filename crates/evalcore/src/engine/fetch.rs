//! Waiting for a background response. It lives at the provider, paid for, so hardly anything is a
//! reason to give it up.

use std::time::Duration;

use tokio::time::Instant;

use super::{Answer, Class, Lane, Place, Shared, Unanswered, classify};
use crate::providers::{self, Asked, Failure};
use crate::task::ModelConfig;

/// Between the first two looks; each further wait is half as long again.
const FIRST: Duration = Duration::from_secs(2);

/// Between two looks at most.
const LONGEST: Duration = Duration::from_secs(30);

/// Looks that no later look will better, before the response is left to the next run.
const MAX_IN_VAIN: u32 = 5;

/// A response that takes longer is left to the next run.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

impl Lane {
    /// Looks until the response has ended. A stop does not end the wait: the response is in flight.
    pub(super) async fn fetch(
        &self,
        config: &ModelConfig,
        id: &str,
        place: Option<Place>,
        shared: &Shared,
    ) -> Result<Answer, Unanswered> {
        let began = Instant::now();
        // One that an earlier run has sent is looked at straight away.
        let mut wait = if place.is_some() { FIRST } else { Duration::ZERO };
        let mut place = match place {
            Some(place) => place,
            None => Place::resumed(self.permit(shared).await?, config, shared),
        };
        let mut n_looks = 0;
        let mut n_in_vain = 0;
        loop {
            self.rest(wait.mul_f64(1.0 - 0.25 * fastrand::f64())).await?;
            wait = (wait * 3 / 2).clamp(FIRST, LONGEST);
            n_looks += 1;
            let timeout = shared.patience.timeout;
            let failure = match providers::retrieve(self.endpoint(), config, id, timeout).await {
                Ok(Asked::Reply(reply)) => {
                    place.settle(config, &reply, shared);
                    let latency = began.elapsed();
                    return Ok(Answer { reply, attempts: n_looks, latency, place });
                }
                Ok(Asked::Pending { .. }) if began.elapsed() < PATIENCE => continue,
                Ok(Asked::Pending { .. }) => {
                    let hours = PATIENCE.as_secs() / 3600;
                    let error = format!("response `{id}` is not finished after {hours} h");
                    return Err(Unanswered::GaveUp(error));
                }
                Err(failure) => failure,
            };
            match verdict(&failure) {
                // The next run looks again.
                Verdict::LookAgain if shared.stop.is_cancelled() => {
                    return Err(Unanswered::Stopped);
                }
                Verdict::LookAgain => {
                    tracing::debug!(id, "{failure}");
                    n_in_vain += u32::from(!is_passing(&failure));
                    if n_in_vain >= MAX_IN_VAIN || began.elapsed() >= PATIENCE {
                        let error = format!("response `{id}` cannot be fetched: {failure}");
                        return Err(Unanswered::GaveUp(error));
                    }
                }
                Verdict::Lost { again } => {
                    return Err(Unanswered::Lost { reason: failure.to_string(), again });
                }
                Verdict::LaneDead => return Err(self.die(&failure)),
            }
        }
    }
}

/// Whether a later look may bring something else.
fn is_passing(failure: &Failure) -> bool {
    let is_unreadable = matches!(failure, Failure::Unreadable { .. });
    !is_unreadable && matches!(classify(failure), Class::Retry(_))
}

/// What a failed look means for the response.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// Nothing.
    LookAgain,
    /// It will never have an answer.
    Lost { again: bool },
    /// Nothing, but nobody here may look.
    LaneDead,
}

fn verdict(failure: &Failure) -> Verdict {
    let class = classify(failure);
    let again = matches!(class, Class::Retry(_));
    match failure {
        Failure::Status(error) if error.has_ended => Verdict::Lost { again },
        // Here it is the response that is not found, not the model.
        Failure::Status(error) if error.status == 404 => Verdict::Lost { again: true },
        _ if class == Class::StopLane => Verdict::LaneDead,
        _ => Verdict::LookAgain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::ApiError;

    #[track_caller]
    fn check(status: u16, code: &str, has_ended: bool, expected: Verdict) {
        let error = ApiError { status, code: Some(code.into()), has_ended, ..ApiError::default() };
        assert_eq!(verdict(&Failure::Status(error)), expected);
    }

    #[test]
    fn a_response_is_lost_only_when_the_provider_says_so() {
        check(404, "not_found", false, Verdict::Lost { again: true });
        check(500, "server_error", true, Verdict::Lost { again: true });
        check(200, "invalid_prompt", true, Verdict::Lost { again: false });
        check(500, "server_error", false, Verdict::LookAgain);
        check(429, "rate_limit_exceeded", false, Verdict::LookAgain);
        check(401, "invalid_api_key", false, Verdict::LaneDead);
    }

    #[test]
    fn a_broken_network_loses_nothing() {
        for sent in [true, false] {
            let failure = Failure::Network { reason: "reset".into(), sent };
            assert_eq!(verdict(&failure), Verdict::LookAgain);
        }
        assert_eq!(verdict(&Failure::Timeout(Duration::ZERO)), Verdict::LookAgain);
        let unreadable = Failure::Unreadable { reason: "x".into() };
        assert_eq!(verdict(&unreadable), Verdict::LookAgain);
    }
}
