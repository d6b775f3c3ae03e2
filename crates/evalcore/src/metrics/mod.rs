//! From outcomes to numbers.

use serde_json::{Map, Value, json};

use crate::journal::OutcomeName;
use crate::task::Counts;

/// Counts one outcome.
pub fn count(counts: &mut Counts, outcome: OutcomeName) {
    let kind = match outcome {
        OutcomeName::Correct => &mut counts.correct,
        OutcomeName::Incorrect => &mut counts.incorrect,
        OutcomeName::NotAttempted => &mut counts.not_attempted,
        OutcomeName::Refused => {
            counts.refused += 1;
            return;
        }
        OutcomeName::Truncated => {
            counts.truncated += 1;
            return;
        }
    };
    *kind += 1;
    counts.scored += 1;
}

/// The metrics of a task: `accuracy`, 0 to 1, over the `n` samples that have a score. Samples without
/// a score are in neither. Empty while nothing is scored.
pub fn results(counts: &Counts) -> Map<String, Value> {
    match accuracy(counts) {
        Some(accuracy) => [("accuracy", json!(accuracy)), ("n", json!(counts.scored))]
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect(),
        None => Map::new(),
    }
}

/// Right answers over scored ones; none while nothing is scored.
pub fn accuracy(counts: &Counts) -> Option<f64> {
    (counts.scored > 0).then(|| counts.correct as f64 / counts.scored as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_stands_on_scored_samples_alone() {
        let mut counts = Counts { model_error: 5, ..Counts::default() };
        assert_eq!(results(&counts), Map::new());
        for outcome in [
            OutcomeName::Correct,
            OutcomeName::Incorrect,
            OutcomeName::NotAttempted,
            OutcomeName::Correct,
            OutcomeName::Refused,
            OutcomeName::Truncated,
        ] {
            count(&mut counts, outcome);
        }
        assert_eq!(Value::Object(results(&counts)), json!({"accuracy": 0.5, "n": 4}));
        assert_eq!((counts.done(), counts.errors()), (6, 5));
    }
}
