//! What `submit` says before anything is paid for.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Finished, SUBMIT, TestDir};

#[track_caller]
fn document(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).expect("JSON")
}

/// `submit` with these arguments warns of this; without the last of them it does not.
#[track_caller]
fn check_warning(line: &str, decisive: &str, expected: &[&str]) {
    let dir = TestDir::new();
    let warned = dir.submit(&format!("{line} {decisive}")).stderr;
    for text in expected {
        assert!(warned.contains(text), "`{text}` is missing in: {warned}");
    }
    let quiet = dir.submit(line).stderr;
    assert!(!quiet.contains(expected[0]), "{quiet}");
}

#[test]
fn models_graders_and_places_are_named() {
    let dir = TestDir::new();
    let line = "--models gpt-4o,o3_high --dataset sample --limit 3 --n-repeats 1000 \
                --grader g --grader-base-url http://localhost:9/v1";
    let submitted = dir.submit(line);
    let ids: Vec<Value> = dir.tasks().iter().map(|task| task["task_id"].clone()).collect();
    let lines: Vec<&str> = submitted.stdout.lines().collect();
    assert!(lines[0].starts_with("wrote async_results/tasks_"), "{lines:?}");
    for (line, id) in lines[1..].iter().zip(&ids) {
        assert!(line.contains(id.as_str().expect("id")), "{line}");
        assert!(line.ends_with("  3 samples x 1,000 epochs"), "{line}");
    }
    let (rest, next) = lines[3..].split_at(5);
    let expected = [
        "this means 12,000 requests:",
        "  3,000 to gpt-4o at OpenAI (or $OPENAI_BASE_URL)",
        "  3,000 to o3_high (o3-2025-04-16) at OpenAI (or $OPENAI_BASE_URL)",
        "  6,000 to grader g at http://localhost:9/v1",
        "data set: browsecomp, the embedded sample, 3 of 20 rows; prompts: built-in",
    ];
    assert_eq!(rest, expected);
    assert!(next[0].starts_with("next: ") && next[1].starts_with("  or: nohup "), "{next:?}");
}

#[test]
fn json_says_who_is_asked_where() {
    let dir = TestDir::new();
    let submitted = dir.submit("--models mock/p80,mock/p0 --limit 4 --json");
    let mut document = document(&submitted);
    assert_eq!(
        document["requests"],
        json!([
            {"to": "model", "name": "mock/p80", "model": "mock/p80", "base_url": null, "n": 4},
            {"to": "model", "name": "mock/p0", "model": "mock/p0", "base_url": null, "n": 4},
            {"to": "grader", "name": "mock/grader", "model": "mock/grader", "base_url": null, "n": 8},
        ])
    );
    let task = &mut document["tasks"][0];
    task["task_id"] = json!("ID");
    let expected = json!({
        "task_id": "ID", "eval_name": "browsecomp", "model_name": "mock/p80", "num_examples": 4,
        "n_repeats": 1, "n_requests": {"model": 4, "grader": 4},
        "model": {"model": "mock/p80", "base_url": null},
        "grader": {"model": "mock/grader", "base_url": null},
        "dataset": dir.tasks()[0]["dataset"], "prompts": "built-in",
    });
    assert_eq!(*task, expected);
    assert!(document["task_file"].is_string() && document["next"].is_string());
}

#[test]
fn an_estimate_is_a_range_and_writes_nothing() {
    let dir = TestDir::new();
    let line = "--models gpt-4o,mock/p80 --grader mock/grader --dataset sample --estimate";
    let text = dir.submit(line).stdout;
    for part in [
        "nothing is written",
        "browsecomp on gpt-4o, 10 samples\n  gpt-4o at OpenAI (or $OPENAI_BASE_URL)\n",
        "    requests       10 to 11\n",
        "    output tokens  500 to 22,000\n",
        "  grader mock/grader, built in\n",
        "    dollars        $0\n",
        "total\n    requests       40 to 44\n",
        "not a bound",
        "`run --budget` keeps a hard cap",
    ] {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
    let document = document(&dir.submit(&format!("{line} --json")));
    let task = &document["tasks"][0];
    assert_eq!(task["model"]["output_tokens"], json!({"low": 500, "high": 22_000}));
    assert_eq!(task["grader"]["dollars"], json!({"low": 0.0, "high": 0.0}));
    let end = |part: &Value, end: &str| part[end].as_f64().expect("a number");
    // gpt-4o: 2.5 dollars per million tokens in, 10 out
    for (name, n_output) in [("low", 500.0), ("high", 22_000.0)] {
        let input = end(&task["model"]["input_tokens"], name);
        let found = end(&task["model"]["dollars"], name);
        let expected = (input * 2.5 + n_output * 10.0) / 1e6;
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
    assert_eq!(document["total"]["dollars"], task["model"]["dollars"]);
    assert_eq!(document["total"]["unknown_prices"], json!([]));
    assert_eq!(dir.files(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn an_unknown_price_is_said_and_never_nothing() {
    let dir = TestDir::new();
    let line = "--dataset sample --grader mock/grader --estimate --models";
    let text = dir.submit(&format!("{line} m")).stdout;
    let total = "    dollars        unknown: 1 price not known (m)\n";
    assert!(text.contains("    dollars        unknown\n") && text.contains(total), "{text}");
    let text = dir.submit(&format!("{line} m,gpt-4o")).stdout;
    assert!(text.contains(", and what is unknown: 1 price not known (m)\n"), "{text}");
    let document = document(&dir.submit(&format!("{line} m --json")));
    assert_eq!(document["tasks"][0]["model"]["dollars"], json!(null));
    assert_eq!(document["total"]["unknown_prices"], json!(["m"]));
}

#[test]
fn a_model_that_searches_is_estimated_with_its_searches() {
    let line = "--models gpt-5+search --dataset sample --estimate";
    let text = TestDir::new().submit(line).stdout;
    assert!(text.contains("    searches       10 to 110\n"), "{text}");
    assert!(text.contains("    output tokens  3,000 to 220,000\n"), "{text}");
    assert!(text.contains("Searching is guessed most roughly"), "{text}");
}

#[test]
fn what_makes_scores_or_keys_worth_little_is_warned_of() {
    let real = "--models gpt-4o --dataset data.csv";
    let check = |line: &str, decisive: &str, expected: &[&str]| {
        let line = line.replace("data.csv", &sample_file());
        check_warning(&line, decisive, expected);
    };
    check(real, "--grader mock/grader", &["only compares texts", "--grader"]);
    let elsewhere = "--base-url https://llm.example/v1";
    check(real, elsewhere, &["`gpt-4.1-2025-04-14` is OpenAI's", "llm.example"]);
    let named = format!("{real} --grader g");
    let clear = "--base-url http://llm.example/v1";
    check(&named, clear, &["http://llm.example/v1 is not encrypted"]);
    let dir = TestDir::new();
    let fine = "--models m --grader g --base-url http://localhost:8000/v1 --dataset sample";
    let warned = dir.submit(fine).stderr;
    assert!(warned.contains("toy questions") && !warned.contains("encrypted"), "{warned}");
    let default = dir.submit("--models mock/p80 --dataset sample").stderr;
    assert_eq!(default, "");
}

/// The embedded sample as a file.
fn sample_file() -> String {
    let file = "crates/evalcore/data/browsecomp_sample.csv";
    format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_template_file_of_no_template_is_answered_with_the_nearest_name() {
    let dir = TestDir::new();
    fs::create_dir(dir.path("texts")).expect("writable");
    fs::write(dir.path("texts/browsecomp_qeury.jinja"), "{{ question }}").expect("writable");
    let refused = dir.output(SUBMIT, "--models mock/p80 --prompts texts");
    assert_eq!(refused.code, Some(1));
    for text in ["`browsecomp_qeury.jinja`", "did you mean `browsecomp_query.jinja`?"] {
        assert!(refused.stderr.contains(text), "{}", refused.stderr);
    }
    assert!(!dir.path("async_results").exists());
}

#[test]
fn negative_numbers_are_answered_with_what_is_expected() {
    let dir = TestDir::new();
    for (line, expected) in [
        ("--limit -3", "a number from 1, or `all`"),
        ("--seed -1", "a whole number from 0"),
        ("--n-repeats -2", "-2 is not in 1..=10000"),
        ("--temperature -0.5", "a number from 0 to 2"),
        ("--max-tokens -1", "-1 is not in 1..="),
    ] {
        let refused = dir.output(SUBMIT, line);
        assert_eq!(refused.code, Some(2), "{line}");
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}
