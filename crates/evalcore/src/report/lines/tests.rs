use std::path::Path;
use std::time::{Duration, Instant};

use chrono::Utc;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::store::lock::Holder;
use crate::task::TaskFile;

/// 2026-11-23 06:58:12 UTC.
const NOW: f64 = 1_795_417_092.0;

fn status(tasks: Value, is_alive: bool) -> Status {
    let file: TaskFile = serde_json::from_value(tasks).expect("tasks");
    let holder = Holder { pid: 1234, host: "myhost".into(), started_at: NOW - 192.0 };
    let path = Path::new("async_results/tasks_20261123_065500.json");
    Status::new(&file, path, is_alive.then_some(&holder), NOW)
}

fn tasks() -> Value {
    json!({
        "browsecomp_gpt-4o_1": {
            "format": 1, "eval_name": "browsecomp", "model_name": "gpt-4o", "status": "running",
            "num_examples": 1266, "progress": 62.01,
            "created_at": NOW - 200.0, "started_at": NOW - 190.0,
            "counts": {"scored": 782, "correct": 322, "incorrect": 440, "not_attempted": 20,
                "refused": 2, "truncated": 1, "model_error": 2, "grader_error": 1},
            "usage": {"model": {"replies": 785, "input_tokens": 1_234_567, "output_tokens": 345_678},
                "grader": {"replies": 782, "input_tokens": 99_900, "output_tokens": 812}},
            "session": {"started_at": NOW - 190.0, "updated_at": NOW - 0.5, "done_before": 0},
        },
        "gsm8k_openai/o3_2": {
            "format": 1, "eval_name": "gsm8k", "model_name": "openai/o3", "num_examples": 1319,
            "n_repeats": 4, "created_at": NOW - 200.0,
        },
        "mmlu_openai/o3_2": {
            "format": 1, "eval_name": "mmlu", "model_name": "openai/o3", "num_examples": 1,
        },
        "simpleqa_gpt-4o_3": {
            "format": 1, "eval_name": "simpleqa", "model_name": "gpt-4o", "status": "completed",
            "num_examples": 100, "progress": 100.0, "started_at": NOW - 90_000.0,
            "completed_at": NOW - 89_400.0,
            "counts": {"scored": 100, "correct": 38, "incorrect": 62},
        },
        "gpqa_gpt-4o_4": {
            "format": 1, "eval_name": "gpqa", "model_name": "gpt-4o", "status": "failed",
            "num_examples": 448, "progress": 0.0, "started_at": NOW - 100.0,
            "completed_at": NOW - 99.0,
            "counts": {"model_error": 448},
            "error": "ask `gpt-4o`: 401 Unauthorized: \u{1b}[31mIncorrect API key\u{1b}[0m provided.\nYou can find \
                your API key at https://platform.openai.com/account/api-keys. Set it and start again.",
        },
    })
}

#[test]
fn a_live_run_at_80_columns() {
    let expected = "\
async_results/tasks_20261123_065500.json
runner: pid 1234 on myhost, since 06:55:00 (3m 12s)
5 tasks: 1 running, 2 pending, 1 failed, 1 completed

browsecomp  gpt-4o     running
  [############--------]   62%  785/1266  accuracy 41.2 % (n=782)
  2 model errors, 1 grader error, 20 not attempted, 2 refused, 1 truncated
  tokens: 1.2M in, 345.7k out; grader: 99.9k in, 812 out
  started 06:55:02, running for 3m 10s, 4.1/s, about 2m left

gsm8k       openai/o3  pending  5276 samples
mmlu        openai/o3  pending  1 sample

simpleqa    gpt-4o     completed
  [####################]  100%  100/100  accuracy 38.0 % (n=100)
  started 2026-11-22 05:58:12, took 10m 00s

gpqa        gpt-4o     failed
  [--------------------]    0%  0/448
  448 model errors
  started 06:56:32, took 1s
  error: ask `gpt-4o`: 401 Unauthorized: Incorrect API key provided. You can
    find your API key at https://platform.openai.com/account/api-keys. Set it
    and start again.
";
    assert_eq!(screen(&status(tasks(), true), 80, &Utc), expected);
}

#[test]
fn a_dead_runner_at_40_columns() {
    let expected = "\
async_results/tasks_20261123_065500.json
runner: none (the last one died; start
  `run` again to go on)
5 tasks: 1 stalled, 2 pending, 1 failed,
  1 completed

browsecomp  gpt-4o     stalled
  [######----]   62%  785/1266
  accuracy 41.2 % (n=782)
  2 model errors, 1 grader error
  20 not attempted, 2 refused
  1 truncated
  tokens: 1.2M in, 345.7k out
  grader: 99.9k in, 812 out
  started 06:55:02, stopped after 3m 09s

gsm8k       openai/o3  pending
mmlu        openai/o3  pending  1 sample

simpleqa    gpt-4o     completed
  [##########]  100%  100/100
  accuracy 38.0 % (n=100)
  started 2026-11-22 05:58:12
  took 10m 00s

gpqa        gpt-4o     failed
  [----------]    0%  0/448
  448 model errors
  started 06:56:32, took 1s
  error: ask `gpt-4o`: 401 Unauthorized:
    Incorrect API key provided. You can
    find your API key at https://platfo…
";
    assert_eq!(screen(&status(tasks(), false), 40, &Utc), expected);
}

#[test]
fn a_file_of_the_older_scripts_shows_what_it_has() {
    let tasks = json!({
        "a": {"eval_name": "mmlu", "model_name": "gpt-4", "status": "completed", "progress": 100,
            "num_examples": 10, "results": {"score": 0.5}, "started_at": NOW - 100.0,
            "completed_at": NOW - 40.0},
        "b": {"status": "cancelled", "progress": 30, "results": {"accuracy": 7.25}},
    });
    let expected = "\
async_results/tasks_20261123_065500.json
runner: none (start `run` to go on)
2 tasks: 1 interrupted, 1 completed

mmlu  gpt-4  completed
  [####################]  100%  10 samples  accuracy 50.0 %
  started 06:56:32, took 1m 00s

?     ?      interrupted
  [######--------------]   30%  accuracy 7.25
";
    assert_eq!(screen(&status(tasks, false), 80, &Utc), expected);
}

#[test]
fn a_file_without_tasks_says_so() {
    let expected = "async_results/tasks_20261123_065500.json\nrunner: none\nno tasks\n";
    assert_eq!(screen(&status(json!({}), false), 80, &Utc), expected);
}

#[test]
fn what_to_do_without_a_runner_depends_on_what_is_left() {
    let table = [
        (json!({"a": {}}), "none (start `run` to begin)"),
        (json!({"a": {}, "b": {"status": "completed"}}), "none (start `run` to go on)"),
        (json!({"a": {"status": "completed"}}), "none (all tasks are completed)"),
        (
            json!({"a": {"status": "failed"}}),
            "none (all tasks have ended; `run` tries what failed again)",
        ),
    ];
    for (tasks, expected) in table {
        assert_eq!(runner(&status(tasks, false), &Utc), expected);
    }
}

#[test]
fn a_low_window_shows_a_line_for_each_task() {
    let expected = "\
async_results/tasks_20261123_065500.json
runner: pid 1234 on myhost, since 06:55:00 (3m 12s)
5 tasks: 1 running, 2 pending, 1 failed, 1 completed

browsecomp  gpt-4o     running     62%  785/1266  accuracy 41.2 % (n=782)
gsm8k       openai/o3  pending      0%    0/5276
mmlu        openai/o3  pending      0%       0/1
simpleqa    gpt-4o     completed  100%   100/100  accuracy 38.0 % (n=100)
gpqa        gpt-4o     failed       0%     0/448
";
    let status = status(tasks(), true);
    assert_eq!(fitted(&status, 80, 9, &Utc), expected);
    assert_eq!(fitted(&status, 80, 30, &Utc), screen(&status, 80, &Utc));
}

#[test]
fn a_very_low_window_shows_what_moves_first() {
    let expected = "\
async_results/tasks_20261123_065500.json
runner: pid 1234 on myhost, since 06:55:00 (3m 12s)
5 tasks: 1 running, 2 pending, 1 failed, 1 completed

browsecomp  gpt-4o     running     62%  785/1266  accuracy 41.2 % (n=782)
gpqa        gpt-4o     failed       0%     0/448
... and 3 more, for which the window is too low
";
    assert_eq!(fitted(&status(tasks(), true), 80, 7, &Utc), expected);
}

/// A paid run on the embedded sample that waits, one that nothing is known of, and one that is free.
fn paid_tasks() -> Value {
    let sample = json!({"name": "browsecomp", "source": "sample", "sha256": "", "rows": 10});
    json!({
        "a": {
            "format": 1, "eval_name": "browsecomp", "model_name": "o3", "status": "running",
            "num_examples": 10, "n_repeats": 3, "progress": 100.0, "dataset": sample,
            "started_at": NOW - 190.0,
            "counts": {"scored": 30, "correct": 12, "incorrect": 18},
            "usage": {
                "model": {"replies": 30, "replies_without_usage": 1, "input_tokens": 1_234_567,
                    "output_tokens": 345_678, "searches": 34},
                "grader": {"replies": 30, "input_tokens": 99_900, "output_tokens": 812}},
            "cost": {"model": {"dollars": 1.0}, "grader": {"dollars": 0.23}},
            "waiting": "o3: waiting 34 s: HTTP 429 \u{1b}[31mtoo many requests, slow down\u{1b}[0m",
        },
        "b": {
            "format": 1, "eval_name": "browsecomp", "model_name": "llama", "status": "completed",
            "num_examples": 12, "progress": 100.0, "started_at": NOW - 100.0,
            "completed_at": NOW - 40.0, "counts": {"refused": 12},
            "usage": {"model": {"replies": 12, "replies_without_usage": 12}},
            "cost": {"model": {"replies_of_unknown_cost": 12}},
        },
        "c": {
            "format": 1, "eval_name": "browsecomp", "model_name": "mock", "status": "completed",
            "num_examples": 1, "progress": 100.0, "dataset": sample, "started_at": NOW - 100.0,
            "completed_at": NOW - 40.0, "counts": {"scored": 1, "correct": 1},
            "usage": {"model": {"replies": 1, "input_tokens": 9, "output_tokens": 1, "searches": 1}},
        },
    })
}

#[test]
fn what_was_run_and_what_it_cost_at_80_columns() {
    let expected = "\
async_results/tasks_20261123_065500.json
runner: pid 1234 on myhost, since 06:55:00 (3m 12s)
3 tasks: 1 running, 2 completed
total cost: $1.23 and 12 replies of unknown cost

browsecomp  o3     running
  [####################]  100%  30/30  accuracy 40.0 % (n=30, 10 samples x 3)
  on the embedded sample of 10 rows
  tokens: at least 1.2M in, 345.7k out, 34 searches; grader: 99.9k in, 812 out
  cost: $1.23 (model $1.00, grader $0.23)
  started 06:55:02, running for 3m 10s
  waiting: o3: waiting 34 s: HTTP 429 too many requests, slow down

browsecomp  llama  completed
  [####################]  100%  12/12  no score (n=0)
  12 refused
  tokens: not reported
  cost: unknown
  started 06:56:32, took 1m 00s

browsecomp  mock   completed
  [####################]  100%  1/1  accuracy 100.0 % (n=1)
  on the embedded sample of 10 rows
  tokens: 9 in, 1 out, 1 search
  started 06:56:32, took 1m 00s
";
    assert_eq!(screen(&status(paid_tasks(), true), 80, &Utc), expected);
}

#[test]
fn what_was_run_and_what_it_cost_at_40_columns() {
    let mut tasks = paid_tasks();
    for id in ["b", "c"] {
        tasks.as_object_mut().expect("tasks").remove(id);
    }
    tasks["a"]["num_examples"] = json!(1000);
    let expected = "\
async_results/tasks_20261123_065500.json
runner: pid 1234 on myhost, since
  06:55:00 (3m 12s)
1 task: running

browsecomp  o3  running
  [##########]  100%  30/3000
  accuracy 40.0 % (n=30, 1000 samples x
    3)
  on the embedded sample of 10 rows
  tokens: at least 1.2M in, 345.7k out
  34 searches
  grader: 99.9k in, 812 out
  cost: $1.23
  (model $1.00, grader $0.23)
  started 06:55:02, running for 3m 10s
  waiting: o3: waiting 34 s: HTTP 429
    too many requests, slow down
";
    assert_eq!(screen(&status(tasks, true), 40, &Utc), expected);
}

#[test]
fn a_toy_score_in_one_line_says_that_it_is_one_or_is_left_out() {
    let mut tasks = paid_tasks();
    tasks.as_object_mut().expect("tasks").remove("b");
    let status = status(tasks, true);
    let rows = |width| -> Vec<String> {
        let screen = fitted(&status, width, 8, &Utc);
        screen.lines().skip(4).map(str::to_owned).collect()
    };
    let expected = [
        "browsecomp  o3    running    100%  30/30  accuracy 40.0 % (n=30, 10 samples x 3, embedded sample)",
        "browsecomp  mock  completed  100%    1/1  accuracy 100.0 % (n=1, embedded sample)",
    ];
    assert_eq!(rows(100), expected);
    let expected =
        ["browsecomp  o3    running    100%  30/30", "browsecomp  mock  completed  100%    1/1"];
    assert_eq!(rows(80), expected);
}

#[test]
fn a_wait_ends_with_the_runner() {
    let shown = screen(&status(paid_tasks(), false), 80, &Utc);
    assert!(!shown.contains("waiting"), "{shown}");
}

#[test]
fn a_file_elsewhere_is_named_in_the_command() {
    let table = [
        ("async_results/tasks_1.json", "run"),
        ("./async_results/tasks_1.json", "run"),
        ("out/tasks_1.json", "run --tasks out/tasks_1.json"),
        ("/a/async_results/t.json", "run --tasks /a/async_results/t.json"),
        ("tasks 1.json", "run --tasks 'tasks 1.json'"),
    ];
    for (file, command) in table {
        assert_eq!(run_command(file), command);
    }
    let mut status = status(json!({"a": {}, "b": {"status": "completed"}}), false);
    status.file = "out/tasks_x.json".to_owned();
    assert_eq!(runner(&status, &Utc), "none (start `run --tasks out/tasks_x.json` to go on)");
}

#[test]
fn two_hundred_tasks_take_a_few_milliseconds() {
    let one = tasks()["browsecomp_gpt-4o_1"].clone();
    let many: serde_json::Map<_, _> = (0..200).map(|n| (n.to_string(), one.clone())).collect();
    let status = status(Value::Object(many), true);
    let start = Instant::now();
    screen(&status, 80, &Utc);
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
}

proptest! {
    #[test]
    fn no_screen_is_wider_or_higher_than_asked_for(
        width in 20..120usize, height in 1..40usize,
        eval in any::<String>(), model in any::<String>(), error in any::<String>(),
        score in any::<f64>(),
    ) {
        let mut tasks = tasks();
        tasks["gpqa_gpt-4o_4"]["eval_name"] = json!(&eval);
        tasks["gpqa_gpt-4o_4"]["error"] = json!(&error);
        tasks["mmlu_openai/o3_2"]["model_name"] = json!(model);
        tasks["mmlu_openai/o3_2"]["status"] = json!("interrupted");
        tasks["mmlu_openai/o3_2"]["results"] = json!({"score": score});
        tasks["a"] = paid_tasks()["a"].clone();
        tasks["a"]["waiting"] = json!(error);
        let mut status = status(tasks, width % 2 == 0);
        status.file = eval;
        let low = fitted(&status, width, height, &Utc);
        prop_assert!(low.lines().count() <= height);
        for line in screen(&status, width, &Utc).lines().chain(low.lines()) {
            prop_assert!(text::columns(line) <= width, "{line:?}");
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
