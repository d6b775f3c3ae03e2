//! The budget of a run, shared by all lanes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::budget::{Budget, NanoDollars, Reservation};

/// Money that calls set aside before they send, and settle when the answer is there.
#[derive(Debug)]
pub struct Purse {
    budget: Mutex<Budget>,
    changed: Notify,
}

/// Money set aside for one request. Dropped unsettled it counts as spent: whoever is no longer
/// there to hear what the request cost must take it that it cost the most.
#[derive(Debug)]
pub struct Reserved {
    purse: Arc<Purse>,
    reservation: Option<Reservation>,
    dollars: f64,
    unaccounted: Option<Unaccounted>,
}

/// A sum of dollars that nobody can account for.
#[derive(Debug, Clone, Default)]
pub struct Unaccounted(Arc<Mutex<f64>>);

impl Unaccounted {
    /// The sum.
    pub fn dollars(&self) -> f64 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, dollars: f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += dollars;
    }
}

/// The budget has no room for a request any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted;

impl Purse {
    /// A purse for at most `cap` dollars, of which `spent` are gone already.
    pub fn new(cap: f64, spent: f64) -> Self {
        let budget = Budget::new(NanoDollars::at_least(cap), NanoDollars::at_most(spent));
        Self { budget: Mutex::new(budget), changed: Notify::new() }
    }

    /// Sets `worst_case` dollars aside if there is room for them just now.
    pub fn try_reserve(self: &Arc<Self>, worst_case: f64) -> Option<Reserved> {
        let reservation = self.budget().reserve(NanoDollars::at_most(worst_case))?;
        Some(self.reserved(reservation, worst_case))
    }

    /// Sets `worst_case` dollars aside, once there is room for them.
    ///
    /// # Errors
    ///
    /// There will never be: nothing that is set aside could come back.
    pub async fn reserve(self: &Arc<Self>, worst_case: f64) -> Result<Reserved, Exhausted> {
        let most = NanoDollars::at_most(worst_case);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before looking: what comes back in between is heard.
            changed.as_mut().enable();
            {
                let mut budget = self.budget();
                if let Some(reservation) = budget.reserve(most) {
                    return Ok(self.reserved(reservation, worst_case));
                }
                if budget.is_exhausted_for(most) {
                    return Err(Exhausted);
                }
            }
            changed.await;
        }
    }

    fn reserved(self: &Arc<Self>, reservation: Reservation, dollars: f64) -> Reserved {
        let purse = Arc::clone(self);
        Reserved { purse, reservation: Some(reservation), dollars, unaccounted: None }
    }

    /// Counts what a request cost for which nothing was set aside.
    pub fn spend(&self, dollars: f64) {
        let mut budget = self.budget();
        if let Some(nothing) = budget.reserve(NanoDollars(0)) {
            budget.settle(nothing, NanoDollars::at_most(dollars));
        }
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserved {
    /// Notes in `unaccounted` what is set aside here, should it never be settled.
    pub fn noted_in(mut self, unaccounted: &Unaccounted) -> Self {
        self.unaccounted = Some(unaccounted.clone());
        self
    }

    /// The provider keeps the answer: what it costs will be known.
    pub fn not_noted(mut self) -> Self {
        self.unaccounted = None;
        self
    }

    /// The request cost this many dollars.
    pub fn settle(mut self, dollars: f64) {
        self.end(|budget, reservation| budget.settle(reservation, NanoDollars::at_most(dollars)));
    }

    /// The request is not billed.
    pub fn release(mut self) {
        self.end(Budget::release);
    }

    fn end(&mut self, how: impl FnOnce(&mut Budget, Reservation)) {
        if let Some(reservation) = self.reservation.take() {
            how(&mut self.purse.budget(), reservation);
            self.purse.changed.notify_waiters();
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(unaccounted) = self.unaccounted.take().filter(|_| self.reservation.is_some()) {
            unaccounted.add(self.dollars);
        }
        self.end(Budget::forfeit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_waits_for_money_that_comes_back() {
        let purse = Arc::new(Purse::new(1.0, 0.0));
        let first = purse.reserve(0.75).await.unwrap();
        let waiting = tokio::spawn({
            let purse = Arc::clone(&purse);
            async move { purse.reserve(0.75).await.map(Reserved::release) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        first.settle(0.25);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn what_is_spent_does_not_come_back() {
        let purse = Arc::new(Purse::new(1.0, 0.5));
        let unaccounted = Unaccounted::default();
        drop(purse.reserve(0.25).await.unwrap().noted_in(&unaccounted));
        purse.reserve(0.25).await.unwrap().noted_in(&unaccounted).release();
        assert_eq!(unaccounted.dollars(), 0.25, "only what was never settled");
        assert!(purse.reserve(0.5).await.is_err(), "a dropped reservation is spent");
        purse.spend(0.25);
        assert!(purse.reserve(0.01).await.is_err());
    }
}
