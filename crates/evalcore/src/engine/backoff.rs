//! How long to wait before another try.

use std::time::Duration;

/// The first wait's upper bound; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(500);

/// No wait without the server's asking is longer.
const LONGEST: Duration = Duration::from_secs(60);

/// The wait before retry number `retry`, counted from 0, with full jitter: `random`, in 0 to 1, of
/// a bound that doubles. Full jitter spreads clients best:
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
pub fn backoff(retry: u32, random: f64) -> Duration {
    let bound = FIRST.saturating_mul(1 << retry.min(16)).min(LONGEST);
    bound.mul_f64(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute() {
        let bounds: Vec<f64> = (0..9).map(|retry| backoff(retry, 1.0).as_secs_f64()).collect();
        assert_eq!(bounds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
        assert_eq!(backoff(u32::MAX, 1.0), LONGEST);
    }

    #[test]
    fn jitter_takes_any_part_of_the_wait() {
        assert_eq!(backoff(3, 0.0), Duration::ZERO);
        assert_eq!(backoff(3, 0.25), Duration::from_secs(1));
    }
}
