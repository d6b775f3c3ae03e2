//! What was asked of the server and what came of it: counters always, a record of every request if wanted.
//!
//! Readable from any thread while the server runs. Tests wait here for events, so that they need not wait for time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use tokio::sync::watch;

use crate::{
    key::SampleKey,
    record::{Counts, Fate, Record},
    usage::{Price, Usage},
};

/// The books of a server; clones are views of the same books.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start: Instant,
    log: bool,
    books: Mutex<Books>,
    counts: watch::Sender<Counts>,
}

#[derive(Debug, Default)]
struct Books {
    /// With `log`, record n at index n - 1; else empty.
    records: Vec<Record>,
    /// What was billed, by model.
    billed: BTreeMap<String, Billed>,
}

/// What was billed to one model.
#[derive(Clone, Copy, Debug, Default)]
struct Billed {
    n_answers: u64,
    usage: Usage,
}

impl Ledger {
    pub(crate) fn new(log: bool) -> Ledger {
        let (books, counts) = (Mutex::default(), watch::Sender::default());
        Ledger(Arc::new(Shared { start: Instant::now(), log, books, counts }))
    }

    /// How many requests there were, by what became of them.
    pub fn counts(&self) -> Counts {
        *self.0.counts.borrow()
    }

    /// Every request so far, in order of arrival; empty with `log` off.
    pub fn records(&self) -> Vec<Record> {
        self.books().records.clone()
    }

    /// How often each call was asked for; empty with `log` off.
    pub fn requests_by_key(&self) -> BTreeMap<SampleKey, u64> {
        self.count_by_key(|_| true)
    }

    /// How often each call was billed; empty with `log` off. More than once means money lost.
    pub fn billed_by_key(&self) -> BTreeMap<SampleKey, u64> {
        self.count_by_key(|record| record.billed.is_some())
    }

    /// The calls that were billed more than once, in order; empty with `log` off.
    pub fn paid_twice(&self) -> Vec<SampleKey> {
        self.billed_by_key().into_iter().filter(|(_, n)| *n > 1).map(|(key, _)| key).collect()
    }

    /// What was billed in all, by model.
    pub fn usage_by_model(&self) -> BTreeMap<String, Usage> {
        self.books().billed.iter().map(|(model, billed)| (model.clone(), billed.usage)).collect()
    }

    /// Dollars billed in all; `None` when a model that was billed has no price.
    pub fn cost(&self, prices: &BTreeMap<String, Price>) -> Option<f64> {
        self.usage_by_model().iter().map(|(model, usage)| Some(prices.get(model)?.of(usage))).sum()
    }

    /// Waits until `n` requests have arrived since the start. Works on any runtime.
    pub async fn wait_for_requests(&self, n: u64) {
        self.wait_until(|counts| counts.requests >= n).await;
    }

    /// Waits until the counts are as `reached` wants them; looks at once, and again at every change.
    pub async fn wait_until(&self, mut reached: impl FnMut(&Counts) -> bool) {
        let mut changes = self.0.counts.subscribe();
        loop {
            // Copied, so that `reached` may ask this ledger for more: no lock is held while it does.
            let counts = *changes.borrow_and_update();
            if reached(&counts) {
                return;
            }
            changes.changed().await.expect("this ledger holds the sender");
        }
    }

    /// Enters a request that has arrived; its entry ends with the work on it.
    pub(crate) fn open(&self, model: &str, key: Option<SampleKey>) -> Entry {
        let mut number = 0;
        let mut books = self.books();
        self.0.counts.send_modify(|counts| {
            counts.requests += 1;
            counts.in_flight += 1;
            counts.peak_in_flight = counts.peak_in_flight.max(counts.in_flight);
            number = counts.requests;
            if self.0.log {
                let at = self.0.start.elapsed();
                let model = model.to_owned();
                books.records.push(Record {
                    number,
                    at,
                    model,
                    key,
                    fate: Fate::Pending,
                    billed: None,
                });
            }
        });
        drop(books);
        Entry { ledger: self.clone(), number, settled: false }
    }

    /// Enters a poll and says which one it is, counted from 1.
    pub(crate) fn poll(&self) -> u64 {
        let mut number = 0;
        self.0.counts.send_modify(|counts| {
            counts.polls += 1;
            number = counts.polls;
        });
        number
    }

    /// How many answers of `model` were billed.
    pub(crate) fn n_billed(&self, model: &str) -> u64 {
        self.books().billed.get(model).map_or(0, |billed| billed.n_answers)
    }

    fn count_by_key(&self, counted: impl Fn(&Record) -> bool) -> BTreeMap<SampleKey, u64> {
        let mut n_by_key = BTreeMap::new();
        for record in self.books().records.iter().filter(|record| counted(record)) {
            if let Some(key) = &record.key {
                *n_by_key.entry(key.clone()).or_insert(0) += 1;
            }
        }
        n_by_key
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().expect("no holder of the books panics")
    }
}

impl Books {
    fn record(&mut self, number: u64) -> Option<&mut Record> {
        self.records.get_mut(usize::try_from(number - 1).ok()?)
    }
}

/// A request that is being worked on; dropping it without a fate means that the client left.
#[derive(Debug)]
pub(crate) struct Entry {
    ledger: Ledger,
    number: u64,
    settled: bool,
}

impl Entry {
    /// The request's number, counted from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// An answer has been produced.
    pub(crate) fn bill(&self, model: &str, usage: Usage) {
        let mut books = self.ledger.books();
        if !books.billed.contains_key(model) {
            books.billed.insert(model.to_owned(), Billed::default());
        }
        if let Some(billed) = books.billed.get_mut(model) {
            billed.n_answers += 1;
            billed.usage += usage;
        }
        if let Some(record) = books.record(self.number) {
            record.billed = Some(usage);
        }
        self.ledger.0.counts.send_modify(|counts| counts.billed += 1);
    }

    /// The request's fate is known.
    pub(crate) fn settle(&mut self, fate: Fate) {
        self.settled = true;
        let mut books = self.ledger.books();
        if let Some(record) = books.record(self.number) {
            record.fate = fate;
        }
        self.ledger.0.counts.send_modify(|counts| counts.settled += 1);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(Fate::Abandoned);
        }
        self.ledger.0.counts.send_modify(|counts| counts.in_flight -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Usage = Usage {
        input_tokens: 5,
        cached_tokens: 1,
        output_tokens: 3,
        reasoning_tokens: 2,
        searches: 0,
    };

    #[test]
    fn an_entry_without_a_fate_was_abandoned() {
        let ledger = Ledger::new(true);
        drop(ledger.open("m", None));
        let mut hanging = ledger.open("m", None);
        hanging.settle(Fate::Hanging);
        let fates = ledger.records().iter().map(|record| record.fate).collect::<Vec<_>>();
        assert_eq!(fates, [Fate::Abandoned, Fate::Hanging]);
        let counts = Counts {
            requests: 2,
            settled: 2,
            billed: 0,
            in_flight: 1,
            peak_in_flight: 1,
            polls: 0,
        };
        assert_eq!(ledger.counts(), counts);
    }

    #[test]
    fn a_call_that_is_billed_twice_shows() {
        let ledger = Ledger::new(true);
        let key = SampleKey::parse("t/1/1/answer");
        for _ in 0..3 {
            ledger.open("m", key.clone());
        }
        for _ in 0..2 {
            ledger.open("m", key.clone()).bill("m", USAGE);
        }
        let key = key.unwrap();
        assert_eq!(ledger.requests_by_key(), [(key.clone(), 5)].into());
        assert_eq!(ledger.billed_by_key(), [(key.clone(), 2)].into());
        assert_eq!(ledger.paid_twice(), [key]);
    }

    #[test]
    fn counters_are_kept_without_a_log() {
        let ledger = Ledger::new(false);
        for _ in 0..2 {
            ledger.open("m", None).bill("m", USAGE);
        }
        assert_eq!(ledger.records(), []);
        assert_eq!((ledger.counts().requests, ledger.counts().billed), (2, 2));
        assert_eq!(ledger.usage_by_model()["m"].input_tokens, 10);
    }

    #[test]
    fn cost_is_unknown_when_a_price_is() {
        let ledger = Ledger::new(false);
        ledger.open("a", None).bill("a", USAGE);
        let price = Price { output: 1e6, ..Price::default() };
        assert_eq!(ledger.cost(&[("a".to_owned(), price)].into()), Some(3.0));
        ledger.open("b", None).bill("b", USAGE);
        assert_eq!(ledger.cost(&[("a".to_owned(), price)].into()), None);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_request_waited_for() {
        let ledger = Ledger::new(false);
        let waiting = tokio::spawn({
            let ledger = ledger.clone();
            async move { ledger.wait_for_requests(2).await }
        });
        let (_first, _second) = (ledger.open("m", None), ledger.open("m", None));
        waiting.await.unwrap();
        assert_eq!(ledger.counts().peak_in_flight, 2);
    }
}
