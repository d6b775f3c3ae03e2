//! A hard cap on what a run may cost, over all lanes.
//!
//! What a request may cost at worst is reserved before it is sent and settled when its answer is there, so that
//! requests in flight cannot overspend together. Sums are whole nano-dollars and therefore exact: a thousandth of the
//! price of a token that costs a dollar a million.

/// Billionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NanoDollars(pub u64);

/// What was spent, what may yet be, and how much that may come to.
#[derive(Debug)]
pub struct Budget {
    cap: u64,
    spent: u64,
    reserved: u64,
}

/// The worst that one request in flight may cost. It goes back to [`Budget::settle`], [`Budget::release`] or
/// [`Budget::forfeit`]; one that is lost stays reserved, so that the cap holds all the same.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a reservation that is not given back stays reserved"]
pub struct Reservation(u64);

impl NanoDollars {
    /// `dollars`, rounded up; what is not a number is more than any budget holds.
    pub fn at_most(dollars: f64) -> Self {
        if dollars.is_nan() {
            return Self(u64::MAX);
        }
        Self((dollars * 1e9).ceil() as u64)
    }

    /// `dollars`, rounded down; what is not a number is nothing.
    pub fn at_least(dollars: f64) -> Self {
        Self((dollars * 1e9).floor() as u64)
    }

    /// For people to read.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Budget {
    /// A budget of `cap`, of which `spent` is gone already.
    pub fn new(cap: NanoDollars, spent: NanoDollars) -> Self {
        Self { cap: cap.0, spent: spent.0, reserved: 0 }
    }

    /// Sets aside what a request may cost at worst; none when that does not fit now. It may fit once other requests
    /// are settled, unless the budget is exhausted for it: see [`Budget::is_exhausted_for`].
    pub fn reserve(&mut self, worst_case: NanoDollars) -> Option<Reservation> {
        let fits = worst_case.0 <= self.cap.saturating_sub(self.committed());
        fits.then(|| {
            self.reserved += worst_case.0;
            Reservation(worst_case.0)
        })
    }

    /// The request was answered and cost `actual`, which counts even if it is more than was reserved.
    pub fn settle(&mut self, reservation: Reservation, actual: NanoDollars) {
        self.reserved -= reservation.0;
        self.spent = self.spent.saturating_add(actual.0);
    }

    /// The request failed and was not billed.
    pub fn release(&mut self, reservation: Reservation) {
        self.settle(reservation, NanoDollars(0));
    }

    /// Nobody knows whether the request is billed, as after a timeout: it counts in full.
    pub fn forfeit(&mut self, reservation: Reservation) {
        let worst_case = NanoDollars(reservation.0);
        self.settle(reservation, worst_case);
    }

    /// Whether a request that may cost `worst_case` will never fit: nothing is reserved that could come back.
    pub fn is_exhausted_for(&self, worst_case: NanoDollars) -> bool {
        self.reserved == 0 && worst_case.0 > self.cap.saturating_sub(self.spent)
    }

    /// What was spent so far, what was forfeited included.
    pub fn spent(&self) -> NanoDollars {
        NanoDollars(self.spent)
    }

    /// What is set aside for requests in flight.
    pub fn reserved(&self) -> NanoDollars {
        NanoDollars(self.reserved)
    }

    fn committed(&self) -> u64 {
        self.spent.saturating_add(self.reserved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cents(cents: u64) -> NanoDollars {
        NanoDollars(cents * 10_000_000)
    }

    #[test]
    fn dollars_are_rounded_to_the_safe_side() {
        let nano = |NanoDollars(nano)| nano;
        assert_eq!(nano(NanoDollars::at_most(0.15)), 150_000_000);
        assert_eq!(nano(NanoDollars::at_most(1e-10)), 1);
        assert_eq!(nano(NanoDollars::at_least(1e-10)), 0);
        assert_eq!(nano(NanoDollars::at_least(2.5)), 2_500_000_000);
        assert_eq!(nano(NanoDollars::at_most(f64::NAN)), u64::MAX);
        assert_eq!(nano(NanoDollars::at_least(f64::NAN)), 0);
        assert_eq!(nano(NanoDollars::at_most(-1.0)), 0);
    }

    #[test]
    fn what_does_not_fit_now_fits_when_less_was_spent_than_reserved() {
        let mut budget = Budget::new(cents(10), cents(4));
        let first = budget.reserve(cents(5)).unwrap();
        assert_eq!(budget.reserve(cents(2)), None);
        assert!(!budget.is_exhausted_for(cents(2)));
        budget.settle(first, cents(1));
        assert!(budget.reserve(cents(5)).is_some());
    }

    #[test]
    fn budget_is_exhausted_when_nothing_reserved_can_come_back() {
        let mut budget = Budget::new(cents(10), cents(0));
        let (one, two) = (budget.reserve(cents(5)).unwrap(), budget.reserve(cents(5)).unwrap());
        budget.forfeit(one);
        assert!(!budget.is_exhausted_for(cents(6)));
        budget.release(two);
        assert_eq!(budget.spent(), cents(5));
        assert!(budget.is_exhausted_for(cents(6)));
        assert!(!budget.is_exhausted_for(cents(5)));
    }

    #[test]
    fn a_run_that_resumes_above_its_cap_asks_nothing() {
        let mut budget = Budget::new(cents(1), cents(2));
        assert_eq!(budget.reserve(NanoDollars(1)), None);
        assert!(budget.is_exhausted_for(NanoDollars(1)));
    }

    #[test]
    fn costs_above_the_worst_case_are_counted_and_nothing_overflows() {
        let mut budget = Budget::new(NanoDollars(u64::MAX), cents(0));
        let reservation = budget.reserve(cents(1)).unwrap();
        budget.settle(reservation, NanoDollars(u64::MAX));
        assert_eq!(budget.spent(), NanoDollars(u64::MAX));
        assert!(budget.is_exhausted_for(NanoDollars(1)));
    }

    /// What becomes of the request that has waited the longest, and how much a new one may cost.
    fn steps() -> impl Strategy<Value = Vec<(u8, u64, u64)>> {
        prop::collection::vec((0..8_u8, 1..2_000_u64, 0..=100_u64), 1..3000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_cap_holds_and_what_was_spent_is_the_exact_sum(cap in 0..1_000_000_u64, steps in steps()) {
            let mut budget = Budget::new(NanoDollars(cap), NanoDollars(0));
            let (mut in_flight, mut sum) = (std::collections::VecDeque::new(), 0);
            for (what, worst_case, percent) in steps {
                if what < 5 && in_flight.len() < 500 {
                    let fits = sum + in_flight.iter().map(|(worst, _)| worst).sum::<u64>() + worst_case <= cap;
                    let reservation = budget.reserve(NanoDollars(worst_case));
                    prop_assert_eq!(reservation.is_some(), fits);
                    prop_assert!(fits || !in_flight.is_empty() || budget.is_exhausted_for(NanoDollars(worst_case)));
                    in_flight.extend(reservation.map(|reservation| (worst_case, reservation)));
                } else if let Some((worst_case, reservation)) = in_flight.pop_front() {
                    let actual = worst_case * percent / 100;
                    match what {
                        0..=5 => budget.settle(reservation, NanoDollars(actual)),
                        6 => budget.release(reservation),
                        _ => budget.forfeit(reservation),
                    }
                    sum += match what { 0..=5 => actual, 6 => 0, _ => worst_case };
                }
                prop_assert_eq!(budget.spent(), NanoDollars(sum));
                prop_assert!(budget.spent().0 + budget.reserved().0 <= cap);
            }
            for (_, reservation) in in_flight {
                budget.release(reservation);
            }
            prop_assert_eq!(budget.reserved(), NanoDollars(0));
        }
    }
}
