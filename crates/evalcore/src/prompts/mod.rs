//! The texts that requests are made from: templates as data, recorded in the task file.
//!
//! An eval lists the templates it needs as [`TemplateSpec`]s. [`Prompts::load`] takes their texts from the program, from a
//! folder of files `NAME.jinja`, or from a checkout of openai/simple-evals; [`Prompts::compile`] makes them ready for use. The
//! task file holds the texts themselves, so a task runs with the prompts it was submitted with.
//!
//! The language is [minijinja](https://docs.rs/minijinja)'s: `{{ question }}` stands for a variable. Nothing is escaped, an
//! unknown variable is an error, and the one newline that ends a file is not part of its text.

mod compiled;
mod format;
mod load;
mod python;
mod python_string;

pub use compiled::Compiled;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A template an eval needs.
#[derive(Clone, Copy, Debug)]
pub struct TemplateSpec {
    /// Its name; in a folder of templates it is the file `NAME.jinja`.
    pub name: &'static str,
    /// The built-in text: `include_str!` of `templates/NAME.jinja`.
    pub text: &'static str,
    /// The variables that rendering gives it. It may use no other, and must use each of them.
    pub variables: &'static [&'static str],
    /// Where openai/simple-evals keeps its own text, if it has one.
    pub reference: Option<Reference>,
}

/// A text of openai/simple-evals, which is read from the user's own checkout and identified by its hash.
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    /// The Python file, relative to the checkout: `browsecomp_eval.py`.
    pub file: &'static str,
    /// The constant: `QUERY_TEMPLATE`, or `NAME[key]` for an entry of a dictionary.
    pub constant: &'static str,
    /// The first 24 hex digits of the SHA-256 of the text after Python's `.strip()`, before any formatting.
    pub sha256: &'static str,
    /// The fields of the `str.format` text and the variables they become: `("Question", "question")`.
    pub rename: &'static [(&'static str, &'static str)],
}

/// The texts that a task's requests are made from, as a task file records them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompts {
    /// `built-in`, the folder of the templates, or `simple-evals: FOLDER`.
    pub source: String,
    /// The SHA-256, in lower-case hex, of `templates` as compact JSON with sorted keys.
    pub sha256: String,
    /// The text of each template by its name, in the order of the eval's specs.
    pub templates: IndexMap<String, String>,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// BrowseComp's templates, the eval's own.
    pub(super) const QUERY: TemplateSpec = BROWSECOMP.templates[0];
    pub(super) const GRADER: TemplateSpec = BROWSECOMP.templates[1];
    const BROWSECOMP: &crate::evals::Eval = &crate::evals::EVALS[0];

    const VALUES: [(&str, &str); 3] =
        [("question", "Q?"), ("response", "R"), ("correct_answer", "T")];

    fn render(specs: &[TemplateSpec], dir: Option<&Path>) -> [String; 2] {
        let prompts = Prompts::load(specs, dir).unwrap().compile(specs).unwrap();
        let query = prompts.render(QUERY.name, &VALUES[..1]).unwrap();
        [query, prompts.render(GRADER.name, &VALUES).unwrap()]
    }

    #[track_caller]
    fn check_lines(text: &str, starts: &[&str]) {
        for start in starts {
            let n_lines = text.lines().filter(|line| line.starts_with(start)).count();
            assert_eq!(n_lines, 1, "lines that start with `{start}`: {text}");
        }
    }

    #[test]
    fn built_in_templates_ask_for_the_lines_that_are_read() {
        let [query, grader] = render(&[QUERY, GRADER], None);
        assert!(query.starts_with("Q?\n") && !query.ends_with('\n'));
        check_lines(&query, &["Explanation: ", "Exact Answer: ", "Confidence: "]);
        check_lines(
            &grader,
            &["extracted_final_answer: ", "reasoning: ", "correct: ", "confidence: "],
        );
        assert!(!grader.lines().any(|line| line.starts_with("Exact Answer:")));
        assert!(grader.contains("\n----- BEGIN RESPONSE -----\nR\n----- END RESPONSE -----\n"));
    }

    /// Needs a checkout of openai/simple-evals, whose texts are not repeated here, at
    /// `ASYNC_EVALS_SIMPLE_EVALS`.
    #[test]
    #[ignore = "needs a checkout of openai/simple-evals"]
    fn checkout_of_simple_evals_renders_the_published_texts() {
        let dir = std::env::var_os("ASYNC_EVALS_SIMPLE_EVALS").expect("the path of a checkout");
        let [query, grader] = render(&[QUERY, GRADER], Some(Path::new(&dir)));
        assert_eq!(&load::sha256(&query)[..24], "913cd13c5c5ce02aa5d4ac2b");
        assert_eq!(&load::sha256(&grader)[..24], "1bfad480360047b1cf47477d");
    }
}
