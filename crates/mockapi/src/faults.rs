//! What goes wrong, and how often: rates drawn by a hash of seed and request number, so that a run repeats.

use std::time::Duration;

use crate::{draw, error::ApiError};

/// One way in which a request goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// An error in place of an answer; nothing is billed.
    Error(ApiError),
    /// No reply, ever; nothing is billed.
    Hanging,
    /// The connection breaks in the middle of the body; the answer was produced and is billed.
    Dropped,
    /// A complete reply whose JSON breaks off; the answer was produced and is billed.
    Truncated,
    /// The connection closes with no reply at all; the answer was produced and is billed.
    Closed,
    /// A good reply that comes 16 bytes at a time, with a pause after each; it is billed.
    Dripping(Duration),
    /// A 200 that says the work failed, with this code; nothing is billed. A background response takes its time to fail.
    Failed(String),
}

/// How often each fault happens. Rates are parts of all requests, 0.0 to 1.0; all but the last exclude each other, and
/// together count at most 1.0. The default is a healthy server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Every request gets this error, whatever the rates say.
    pub always: Option<ApiError>,
    /// Once so many answers of the model have been billed, every request gets 429 `insufficient_quota`.
    pub quota: Option<u64>,
    /// The first attempts of every call get these, in order; later ones are left to the rates. `None` is a good reply.
    pub script: Vec<Option<Fault>>,
    /// 429 `rate_limit_exceeded`.
    pub rate_limited: f64,
    /// What a `rate_limited` reply says about waiting.
    pub retry_after: Option<Duration>,
    /// 500.
    pub server_error: f64,
    /// [`Fault::Dropped`].
    pub dropped: f64,
    /// [`Fault::Truncated`].
    pub truncated: f64,
    /// [`Fault::Hanging`].
    pub hanging: f64,
    /// Any other faults, each with its rate.
    pub others: Vec<(Fault, f64)>,
    /// A grader replies with prose that holds no verdict. Drawn apart from the rates above.
    pub unreadable_grade: f64,
}

impl Faults {
    /// What request `number` meets; the same seed and number always meet the same.
    pub(crate) fn draw(&self, seed: u64, number: u64) -> Option<Fault> {
        if let Some(error) = &self.always {
            return Some(Fault::Error(error.clone()));
        }
        let drawn = lot(seed, number, "fault");
        let mut sum = 0.0;
        let mut hit = |rate: f64| {
            sum += rate;
            drawn < sum
        };
        if hit(self.rate_limited) {
            Some(Fault::Error(ApiError::rate_limited(self.retry_after)))
        } else if hit(self.server_error) {
            Some(Fault::Error(ApiError::server_error()))
        } else if hit(self.dropped) {
            Some(Fault::Dropped)
        } else if hit(self.truncated) {
            Some(Fault::Truncated)
        } else if hit(self.hanging) {
            Some(Fault::Hanging)
        } else {
            self.others.iter().find(|(_, rate)| hit(*rate)).map(|(fault, _)| fault.clone())
        }
    }

    /// Whether the grade that request `number` asks for comes without a verdict.
    pub(crate) fn grade_is_unreadable(&self, seed: u64, number: u64) -> bool {
        self.unreadable_grade > 0.0 && lot(seed, number, "grade") < self.unreadable_grade
    }
}

fn lot(seed: u64, number: u64, purpose: &str) -> f64 {
    draw::fraction(&[&seed.to_be_bytes(), &number.to_be_bytes(), purpose.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed() -> Faults {
        let others = vec![(Fault::Error(ApiError::insufficient_quota()), 0.1)];
        Faults { rate_limited: 0.2, dropped: 0.1, hanging: 0.1, others, ..Faults::default() }
    }

    fn n_drawn(faults: &Faults, seed: u64, wanted: Option<Fault>) -> usize {
        (1..=2000).filter(|number| faults.draw(seed, *number) == wanted).count()
    }

    #[test]
    fn each_fault_comes_at_its_rate() {
        let near = |n: usize, rate: f64| (n as f64 / 2000.0 - rate).abs() < 0.03;
        let limited = Some(Fault::Error(ApiError::rate_limited(None)));
        let quota = Some(Fault::Error(ApiError::insufficient_quota()));
        assert!(near(n_drawn(&mixed(), 1, limited), 0.2));
        assert!(near(n_drawn(&mixed(), 1, Some(Fault::Dropped)), 0.1));
        assert!(near(n_drawn(&mixed(), 1, Some(Fault::Hanging)), 0.1));
        assert!(near(n_drawn(&mixed(), 1, quota), 0.1));
        assert_eq!(n_drawn(&mixed(), 1, Some(Fault::Truncated)), 0);
    }

    #[test]
    fn a_seed_repeats_and_another_seed_differs() {
        let draws = |seed| (1..=100).map(|number| mixed().draw(seed, number)).collect::<Vec<_>>();
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }

    #[test]
    fn healthy_means_no_fault_and_always_means_every_time() {
        assert_eq!(n_drawn(&Faults::default(), 1, None), 2000);
        let always = Faults { always: Some(ApiError::server_error()), ..Faults::default() };
        assert_eq!(n_drawn(&always, 1, Some(Fault::Error(ApiError::server_error()))), 2000);
    }
}
