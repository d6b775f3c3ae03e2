//! What a model says, as a pure function of the request and of what is right.

use std::{borrow::Cow, fmt, sync::Arc};

use crate::{config::Config, draw, key::SampleKey, usage::Usage};

/// What a model is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The sample and the call, if the request says so.
    pub key: Option<&'a SampleKey>,
    /// The last user message.
    pub text: &'a str,
    /// What is right, if the oracle knows.
    pub target: Option<&'a str>,
}

/// What a model does with a request.
#[derive(Clone)]
pub enum Behaviour {
    /// Answers about `percent` % of the samples right, 0 to 100: those whose id hashes below it. So what one solver gets
    /// right, a better one gets right too.
    Solver {
        /// Part of the samples answered right.
        percent: u8,
    },
    /// Judges the `Exact Answer:` line in the last user message against the oracle's target.
    Grader,
    /// Always the same reply.
    Says(Reply),
    /// Whatever the function says, for evals whose answers or grades have a form of their own.
    Function(Arc<dyn Fn(&Question<'_>) -> Reply + Send + Sync>),
}

/// A model's reply, before an API gives it a form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The text; `None` is null.
    pub text: Option<String>,
    /// The model's refusal, in place of a text.
    pub refusal: Option<String>,
    /// Why the text ends.
    pub stop: Stop,
    /// What it searched the web for, if the request let it; with `opened` empty too, one query and one page of the mock's.
    pub queries: Vec<String>,
    /// The pages it opened and cites, if the request let it search.
    pub opened: Vec<String>,
    /// Tokens to report; `None` counts four characters as one token.
    pub usage: Option<Usage>,
}

/// Why a reply ends where it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// The model had said all.
    #[default]
    Finished,
    /// The limit of output tokens was reached.
    Length,
    /// A filter cut it off.
    ContentFilter,
}

impl Reply {
    /// A complete text.
    pub fn text(text: impl Into<String>) -> Reply {
        Reply { text: Some(text.into()), ..Reply::default() }
    }

    /// A refusal, with no text.
    pub fn refusal(refusal: impl Into<String>) -> Reply {
        Reply { refusal: Some(refusal.into()), ..Reply::default() }
    }

    /// A text that ends early for the reason `stop`.
    pub fn cut_off(text: impl Into<String>, stop: Stop) -> Reply {
        Reply { stop, ..Reply::text(text) }
    }

    /// A null content with nothing beside it.
    pub fn empty() -> Reply {
        Reply::default()
    }
}

impl Behaviour {
    /// What `model` does: `config.roles` come first; `mock/pNN` is a solver of NN %, `mock/grader` a grader, and other
    /// `mock/` names do not exist (`None`); of all other names, those that end in `grader` or begin with `gpt-4.1` are
    /// graders, and the rest answers everything right.
    pub fn of<'a>(config: &'a Config, model: &str) -> Option<Cow<'a, Behaviour>> {
        if let Some(behaviour) = config.roles.get(model) {
            return Some(Cow::Borrowed(behaviour));
        }
        let behaviour = match model.strip_prefix("mock/") {
            Some("grader") => Behaviour::Grader,
            Some(name) => Behaviour::Solver { percent: percent(name)? },
            None if model.ends_with("grader") || model.starts_with("gpt-4.1") => Behaviour::Grader,
            None => Behaviour::Solver { percent: 100 },
        };
        Some(Cow::Owned(behaviour))
    }

    /// The reply to `question`; `unreadable` takes the verdict out of a grade.
    pub(crate) fn reply(&self, question: &Question<'_>, unreadable: bool) -> Reply {
        match self {
            Behaviour::Says(reply) => reply.clone(),
            Behaviour::Function(function) => function(question),
            Behaviour::Grader if unreadable => {
                Reply::text("The response might be right, and again it might not be.")
            }
            Behaviour::Grader => Reply::text(grade(question.text, question.target)),
            Behaviour::Solver { percent } => {
                Reply::text(solve(*percent, question.key, question.target))
            }
        }
    }
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Behaviour::Solver { percent } => write!(f, "Solver({percent} %)"),
            Behaviour::Grader => f.write_str("Grader"),
            Behaviour::Says(reply) => f.debug_tuple("Says").field(reply).finish(),
            Behaviour::Function(_) => f.write_str("Function"),
        }
    }
}

/// NN of `pNN`, 0 to 100.
fn percent(name: &str) -> Option<u8> {
    let digits =
        name.strip_prefix('p').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|percent| *percent <= 100)
}

fn solve(percent: u8, key: Option<&SampleKey>, target: Option<&str>) -> String {
    let sample = key.map_or("", |key| &key.sample);
    let luck = draw::fraction(&[sample.as_bytes()]);
    let answer = match target {
        Some(target) if luck < f64::from(percent) / 100.0 => Cow::Borrowed(target),
        _ => Cow::Owned(format!("none of them ({sample})")),
    };
    format!(
        "Explanation: This is a rehearsal, no model was asked.\nExact Answer: {answer}\nConfidence: {percent}%"
    )
}

fn grade(question: &str, target: Option<&str>) -> String {
    let answer =
        question.lines().find_map(|line| line.strip_prefix("Exact Answer:")).map(str::trim);
    let same =
        |(answer, target): (&str, &str)| answer.to_lowercase() == target.trim().to_lowercase();
    let (verdict, reasoning) = match answer.zip(target).is_some_and(same) {
        true => ("yes", "The answer is the expected one."),
        false => ("no", "The answer is not the expected one."),
    };
    let extracted = answer.unwrap_or("None");
    format!(
        "extracted_final_answer: {extracted}\nreasoning: {reasoning}\ncorrect: {verdict}\nconfidence: 100"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(model: &str) -> String {
        Behaviour::of(&Config::default(), model)
            .map_or("nothing".into(), |behaviour| format!("{behaviour:?}"))
    }

    fn key(sample: usize) -> SampleKey {
        SampleKey { task: "t".into(), sample: sample.to_string(), epoch: 1, slot: "answer".into() }
    }

    fn is_right(percent: u8, sample: usize) -> bool {
        solve(percent, Some(&key(sample)), Some("Paris")).contains("Exact Answer: Paris\n")
    }

    #[test]
    fn names_say_what_a_model_does() {
        assert_eq!(
            ["mock/p0", "mock/p100", "gpt-4o"].map(of),
            ["Solver(0 %)", "Solver(100 %)", "Solver(100 %)"]
        );
        assert_eq!(["mock/grader", "my-grader", "gpt-4.1-2025-04-14"].map(of), ["Grader"; 3]);
        assert_eq!(["mock/p101", "mock/p", "mock/p+5", "mock/xyz"].map(of), ["nothing"; 4]);
    }

    #[test]
    fn roles_come_before_names() {
        let echo = Behaviour::Function(Arc::new(|question| Reply::text(question.text)));
        let config =
            Config { roles: [("mock/grader".to_owned(), echo)].into(), ..Config::default() };
        let behaviour = Behaviour::of(&config, "mock/grader").unwrap();
        let question = Question { key: None, text: "2+2?", target: None };
        assert_eq!(behaviour.reply(&question, true), Reply::text("2+2?"));
    }

    #[test]
    fn a_better_solver_gets_right_what_a_worse_one_does() {
        let right =
            |percent| (0..1000).filter(|sample| is_right(percent, *sample)).collect::<Vec<_>>();
        let (half, most) = (right(50), right(80));
        assert!((450..550).contains(&half.len()) && (750..850).contains(&most.len()));
        assert!(half.iter().all(|sample| most.contains(sample)));
        assert_eq!((right(0).len(), right(100).len()), (0, 1000));
    }

    #[test]
    fn unknown_sample_is_answered_wrong() {
        let text = solve(100, Some(&key(7)), None);
        assert!(text.ends_with("\nExact Answer: none of them (7)\nConfidence: 100%"), "{text}");
    }

    #[track_caller]
    fn check_grade(question: &str, target: Option<&str>, verdict: &str) {
        let grade = grade(question, target);
        assert!(grade.contains(&format!("\ncorrect: {verdict}\n")), "{grade}");
    }

    #[test]
    fn grader_compares_the_first_exact_answer_line() {
        check_grade(
            "[response]: Explanation: x\nExact Answer:  pARIS \nConfidence: 9%",
            Some("Paris"),
            "yes",
        );
        check_grade("Exact Answer: Rome\nExact Answer: Paris", Some("Paris"), "no");
        check_grade("It is Paris.", Some("Paris"), "no");
        check_grade("Exact Answer: Paris", None, "no");
    }

    #[test]
    fn unreadable_grade_holds_no_verdict() {
        let question = Question { key: None, text: "Exact Answer: Paris", target: Some("Paris") };
        assert!(!Behaviour::Grader.reply(&question, true).text.unwrap().contains("correct:"));
    }
}
