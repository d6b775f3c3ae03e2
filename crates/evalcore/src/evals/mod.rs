//! The registry: one file per eval, listed alphabetically in [`EVALS`].
//!
//! An eval is data and pure functions: which data set, how a row becomes a sample, how a sample
//! becomes a prompt, how a completion becomes a score. It sends nothing and knows no provider.

mod browsecomp;

use anyhow::{Result, anyhow};

use crate::dataset::{KnownDataset, Row};
use crate::prompts::{Compiled, TemplateSpec};
use crate::sample::{Sample, Score};

/// Every eval, alphabetically.
pub const EVALS: &[Eval] = &[browsecomp::EVAL];

/// One eval.
#[derive(Debug)]
pub struct Eval {
    /// The name that `--eval` takes.
    pub name: &'static str,
    /// One line for `--list-evals`.
    pub about: &'static str,
    /// Where its samples come from.
    pub dataset: KnownDataset,
    /// The templates that [`prompt`](Self::prompt) and the scorer render.
    pub templates: &'static [TemplateSpec],
    /// Turns row `id` into a sample. Fails on a row that is not as the data set promises.
    pub sample: fn(id: &str, row: &Row) -> Result<Sample>,
    /// The user message that asks a sample.
    pub prompt: fn(&Compiled, &Sample) -> Result<String>,
    /// How an answer is scored.
    pub scorer: Scorer,
}

/// How an answer is scored.
#[derive(Debug, Clone, Copy)]
pub enum Scorer {
    /// A second model judges it.
    Model {
        /// The user message for the grader, from sample and answer.
        prompt: fn(&Compiled, &Sample, answer: &str) -> Result<String>,
        /// Reads answer and grader's reply; none for a reply without a verdict.
        read: fn(answer: &str, grade: &str) -> Option<Score>,
    },
}

/// The eval of this name.
///
/// # Errors
///
/// An unknown name; the message suggests the nearest one.
pub fn find(name: &str) -> Result<&'static Eval> {
    EVALS.iter().find(|eval| eval.name == name).ok_or_else(|| {
        let names = EVALS.iter().map(|eval| eval.name);
        match nearest(name, names) {
            Some(near) => anyhow!("unknown eval `{name}`: did you mean `{near}`?"),
            None => anyhow!("unknown eval `{name}`: `submit --list-evals` shows those there are"),
        }
    })
}

/// The candidate most like `name`, if any is like it at all.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    candidates
        .map(|candidate| (strsim::jaro_winkler(&name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_eval_is_answered_with_the_nearest_name() {
        let error = find("BrowsComp").expect_err("there is no such eval").to_string();
        assert_eq!(error, "unknown eval `BrowsComp`: did you mean `browsecomp`?");
    }

    #[test]
    fn a_name_like_no_other_is_answered_with_where_to_look() {
        let error = find("xyz").expect_err("there is no such eval").to_string();
        assert_eq!(error, "unknown eval `xyz`: `submit --list-evals` shows those there are");
    }

    #[test]
    fn texts_of_the_reference_fill_every_variable_of_their_template() {
        for template in EVALS.iter().flat_map(|eval| eval.templates) {
            let Some(reference) = template.reference else { continue };
            let mut filled: Vec<&str> = reference.rename.iter().map(|(_, ours)| *ours).collect();
            let mut variables = template.variables.to_vec();
            filled.sort_unstable();
            variables.sort_unstable();
            assert_eq!(filled, variables, "{}", template.name);
        }
    }

    #[test]
    fn evals_are_listed_alphabetically() {
        assert!(EVALS.is_sorted_by_key(|eval| eval.name));
    }
}
