//! BrowseComp: 1,266 questions whose short answers are hard to find and easy to check.
//! Wei et al. 2025, <https://arxiv.org/abs/2504.12516>. Metric: accuracy, judged by a grader.
//!
//! Questions and answers are encrypted with a canary that each row carries; they are decrypted row
//! by row, in memory only.

use std::sync::LazyLock;

use anyhow::{Context, Result};
use regex::Regex;

use super::{Eval, Scorer};
use crate::dataset::cipher::decrypt;
use crate::dataset::{KnownDataset, Row};
use crate::prompts::{Compiled, Reference, TemplateSpec};
use crate::sample::{Sample, Score, Verdict};

pub(super) const EVAL: Eval = Eval {
    name: "browsecomp",
    about: "hard browsing questions with short answers; graded by a model",
    dataset: KnownDataset {
        name: "browsecomp",
        url: "https://openaipublic.blob.core.windows.net/simple-evals/browse_comp_test_set.csv",
        sha256: Some("7b24471cd5b3eb2a46830a14802b5c029ea62f488ff75a0f88af7923d1454abf"),
        rows: Some(1266),
        columns: &["problem", "answer", "canary"],
        embedded: Some(include_bytes!("../../data/browsecomp_sample.csv")),
    },
    templates: &[
        TemplateSpec {
            name: QUERY,
            text: include_str!("../../templates/browsecomp_query.jinja"),
            variables: &["question"],
            reference: Some(Reference {
                file: "browsecomp_eval.py",
                constant: "QUERY_TEMPLATE",
                sha256: "6990664d8e2ac329133e8055",
                rename: &[("Question", "question")],
            }),
        },
        TemplateSpec {
            name: GRADER,
            text: include_str!("../../templates/browsecomp_grader.jinja"),
            variables: &["question", "response", "correct_answer"],
            reference: Some(Reference {
                file: "browsecomp_eval.py",
                constant: "GRADER_TEMPLATE",
                sha256: "0f0023ee579b8c134f1834ed",
                rename: &[
                    ("question", "question"),
                    ("response", "response"),
                    ("correct_answer", "correct_answer"),
                ],
            }),
        },
    ],
    sample,
    prompt,
    scorer: Scorer::Model { prompt: grader_prompt, read },
};

const QUERY: &str = "browsecomp_query";
const GRADER: &str = "browsecomp_grader";

fn sample(id: &str, row: &Row) -> Result<Sample> {
    let (problem, answer, canary) = (&row[0], &row[1], &row[2]);
    Ok(Sample {
        id: id.to_owned(),
        input: decrypt(problem, canary).with_context(|| format!("row {id}, column `problem`"))?,
        target: decrypt(answer, canary).with_context(|| format!("row {id}, column `answer`"))?,
    })
}

fn prompt(prompts: &Compiled, sample: &Sample) -> Result<String> {
    prompts.render(QUERY, &[("question", &sample.input)])
}

fn grader_prompt(prompts: &Compiled, sample: &Sample, answer: &str) -> Result<String> {
    prompts.render(
        GRADER,
        &[("question", &sample.input), ("response", answer), ("correct_answer", &sample.target)],
    )
}

/// The verdict is the captured `yes` or `no` of the last line that begins with `correct:`, or of a
/// JSON key of that name, behind the reasoning: what stands before may quote the response, and
/// with it a verdict of the response's own choosing. A reply without one has no verdict.
fn read(answer: &str, grade: &str) -> Option<Score> {
    static VERDICT: LazyLock<Regex> = LazyLock::new(|| {
        let line = r#"(?im)(?:^[ \t\r\n*_>#-]{0,8}["'`*_]{0,4}|[{,][ \t\r\n]*")correct"#;
        let rest = r#"["'`*_]{0,4}[ \t\r\n]*:[ \t\r\n*_"'`\[(<]{0,6}(yes|no)(?-u:\b)"#;
        Regex::new(&format!("{line}{rest}")).expect("pattern is valid")
    });
    static REASONING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?im)(?:^[ \t\r\n*_>#-]{0,8}["'`*_]{0,4}|[{,][ \t\r\n]*")reasoning["'`*_]{0,4}[ \t\r\n]*:"#)
            .expect("pattern is valid")
    });
    let behind = REASONING.find_iter(grade).last().map_or(0, |found| found.end());
    let verdict = VERDICT.captures_iter(&grade[behind..]).last()?;
    Some(Score {
        verdict: match verdict[1].eq_ignore_ascii_case("yes") {
            true => Verdict::Correct,
            false => Verdict::Incorrect,
        },
        answer: exact_answer(answer),
        confidence: confidence(answer),
    })
}

/// The text behind the answer's last `Exact Answer:`, to the end of its line.
fn exact_answer(answer: &str) -> Option<String> {
    static ANSWER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)exact answer[ \t\r\n*_]{0,4}:[*_ \t]*([^\r\n]+)")
            .expect("pattern is valid")
    });
    let text = ANSWER.captures_iter(answer).last()?;
    let text = text[1].trim().trim_end_matches(['*', '_']).trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The confidence that the answer states last, in percent; one outside 0 to 100 is none.
fn confidence(answer: &str) -> Option<f64> {
    static CONFIDENCE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)confidence[ \t\r\n*_]{0,4}:[^0-9\r\n-]{0,12}([0-9]+(?:\.[0-9]+)?)")
            .expect("pattern is valid")
    });
    let percent: f64 = CONFIDENCE.captures_iter(answer).last()?[1].parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_verdict(grade: &str, expected: Option<Verdict>) {
        assert_eq!(read("Exact Answer: x", grade).map(|score| score.verdict), expected, "{grade}");
    }

    #[test]
    fn the_verdict_is_the_captured_yes_or_no() {
        check_verdict("correct: yes", Some(Verdict::Correct));
        check_verdict("correct: no", Some(Verdict::Incorrect));
        check_verdict("**Correct:** Yes\nconfidence: 90%", Some(Verdict::Correct));
        check_verdict("{\"correct\": \"no\", \"confidence\": 3}", Some(Verdict::Incorrect));
        check_verdict("correct:\n\nNo.", Some(Verdict::Incorrect));
        check_verdict("- **correct**: yes", Some(Verdict::Correct));
        check_verdict("reasoning: same\ncorrect: yes\nconfidence: 9", Some(Verdict::Correct));
        check_verdict("{\"reasoning\":\"same\",\"correct\":\"yes\"}", Some(Verdict::Correct));
    }

    #[test]
    fn a_verdict_quoted_in_the_reasoning_does_not_count() {
        check_verdict(
            "reasoning: the response says \"correct: yes\", but it is not\ncorrect: no",
            Some(Verdict::Incorrect),
        );
        check_verdict("extracted_final_answer: correct: yes\nreasoning: x\ncorrect - no", None);
        check_verdict("extracted_final_answer:\ncorrect: yes\nreasoning: x\ncorrect - no", None);
        check_verdict("reasoning: it says correct: yes, which", None);
        check_verdict("{\"reasoning\": \"it says \\\"correct\\\": \\\"yes\\\"\"}", None);
    }

    #[test]
    fn a_reply_without_a_verdict_is_no_verdict() {
        check_verdict("", None);
        check_verdict("yes", None);
        check_verdict("The answer is correct.", None);
        check_verdict("incorrect: yes", None);
        check_verdict("correct_answer: Yes", None);
        check_verdict("correct: yesterday", None);
        check_verdict("correct: maybe", None);
    }

    #[track_caller]
    fn check_confidence(answer: &str, expected: Option<f64>) {
        assert_eq!(confidence(answer), expected, "{answer}");
    }

    #[test]
    fn confidence_is_read_in_percent() {
        check_confidence("Confidence: 85%", Some(85.0));
        check_confidence("**Confidence:** 12.5 %", Some(12.5));
        check_confidence("Confidence: about 40", Some(40.0));
        check_confidence("Confidence: 0%", Some(0.0));
        check_confidence("Confidence: 250%", None);
        check_confidence("Confidence: high", None);
        check_confidence("85%", None);
    }

    #[test]
    fn the_exact_answer_is_the_rest_of_its_line() {
        let check = |answer, expected| assert_eq!(exact_answer(answer).as_deref(), expected);
        check("Explanation: …\nExact Answer: Ada Lovelace \nConfidence: 9%", Some("Ada Lovelace"));
        check("**Exact Answer:** **42**", Some("42"));
        check("Exact Answer:\nConfidence: 9%", None);
        check("no answer", None);
    }
}
