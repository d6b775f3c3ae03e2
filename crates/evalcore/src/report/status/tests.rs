use serde_json::json;

use super::*;

fn status(tasks: Value, is_alive: bool) -> Status {
    let file: TaskFile = serde_json::from_value(tasks).expect("tasks");
    let holder = Holder { pid: 7, host: "h".into(), started_at: 90.0 };
    Status::new(&file, Path::new("r/t.json"), is_alive.then_some(&holder), 200.0)
}

fn running() -> Value {
    json!({"a": {
        "format": 1, "eval_name": "mmlu", "model_name": "m", "status": "running",
        "num_examples": 50, "n_repeats": 2, "progress": 42.0, "created_at": 80.0, "started_at": 100.0,
        "counts": {"scored": 40, "correct": 10, "incorrect": 30, "refused": 2, "model_error": 8},
        "waiting": "m: waiting 34 s: HTTP 429",
        "dataset": {"name": "mmlu", "source": "/data/mmlu.csv", "sha256": "", "rows": 14042},
        "prompts": {"source": "built-in", "sha256": "", "templates": {}},
        "model_config": {"model": "m-1", "base_url": "http://localhost:8000/v1"},
        "grader": {"model": "g-1"},
        "cost": {"model": {"dollars": 1.0, "replies_of_unknown_cost": 2},
            "grader": {"dollars": 0.25, "replies_of_unknown_cost": 1}},
        "session": {"started_at": 150.0, "updated_at": 190.0, "done_before": 22},
    }})
}

#[test]
fn json_holds_every_field() {
    let tokens = json!({
        "replies": 0, "replies_without_usage": 0, "input_tokens": 0, "cached_tokens": 0, "cache_write_tokens": 0,
        "output_tokens": 0, "reasoning_tokens": 0, "total_tokens": 0, "searches": 0
    });
    let cost = json!({
        "model_dollars": 1.0, "grader_dollars": 0.25, "dollars": 1.25, "replies_of_unknown_cost": 3
    });
    let expected = json!({
        "file": "r/t.json",
        "seen_at": 200.0,
        "runner": {"alive": true, "pid": 7, "host": "h", "since": 90.0},
        "summary": {
            "total": 1, "pending": 0, "running": 1, "interrupted": 0, "completed": 0,
            "failed": 0, "stale": 0, "cost": cost
        },
        "all_ended": false,
        "waiting_for": null,
        "tasks": [{
            "task_id": "a", "eval": "mmlu", "model": "m", "status": "running", "stale": false,
            "waiting": "m: waiting 34 s: HTTP 429",
            "dataset": {"source": "/data/mmlu.csv", "rows": 14042}, "n_samples": 50, "epochs": 2,
            "prompts": "built-in", "base_url": "http://localhost:8000/v1", "grader": "g-1",
            "progress": 42.0, "done": 42, "total": 100, "accuracy": {"value": 0.25, "n": 40},
            "outcomes": {
                "scored": 40, "correct": 10, "incorrect": 30, "not_attempted": 0, "refused": 2,
                "truncated": 0, "model_error": 8, "grader_error": 0
            },
            "usage": {"model": tokens, "grader": tokens}, "cost": cost,
            "created_at": 80.0, "started_at": 100.0, "completed_at": null,
            "duration_seconds": 100.0, "rate_per_second": 0.5, "remaining_seconds": 100.0,
            "error": null
        }]
    });
    let seen = serde_json::to_value(status(running(), true)).expect("JSON");
    assert_eq!(seen, expected);
}

#[test]
fn a_dead_runner_leaves_stale_tasks_that_wait() {
    let status = status(running(), false);
    let task = &status.tasks[0];
    assert!(task.stale && !status.all_ended);
    assert_eq!((status.summary.running, status.summary.stale), (1, 1));
    assert_eq!(status.waiting_for, Some("runner"));
    assert_eq!((task.duration_seconds, task.remaining_seconds), (Some(90.0), None));
    assert_eq!(task.waiting, None);
}

#[test]
fn the_summary_holds_what_all_tasks_cost() {
    let mut tasks = running();
    tasks["b"] = tasks["a"].clone();
    tasks["c"] = json!({});
    let status = status(tasks, true);
    let expected = CostView {
        model_dollars: 2.0,
        grader_dollars: 0.5,
        dollars: 2.5,
        replies_of_unknown_cost: 6,
    };
    assert_eq!(status.summary.cost, expected);
    assert!(status.tasks[2].cost.is_zero() && !status.tasks[0].cost.is_zero());
}

#[test]
fn only_the_word_sample_is_the_embedded_sample() {
    for (source, is_embedded) in [("sample", true), ("/data/sample", false), ("", false)] {
        let dataset = DatasetView { source: source.into(), rows: 3 };
        assert_eq!(dataset.is_embedded(), is_embedded, "{source}");
    }
}

#[test]
fn failed_and_completed_tasks_have_ended() {
    let tasks = json!({"a": {"status": "failed"}, "b": {"status": "completed"}});
    let status = status(tasks, false);
    assert_eq!((status.all_ended, status.waiting_for), (true, None));
}

#[test]
fn files_of_the_older_scripts_show_what_they_have() {
    let tasks = json!({
        "a": {"status": "completed", "progress": 100, "num_examples": 10,
            "results": {"score": 0.5, "accuracy": 0.75}},
        "b": {"status": "cancelled", "progress": 30, "results": {"score": "high"}},
    });
    let status = status(tasks, false);
    let (a, b) = (&status.tasks[0], &status.tasks[1]);
    assert_eq!(a.accuracy, Some(Accuracy { value: 0.75, n: None }));
    assert_eq!((a.done, a.total, b.done, b.total), (None, Some(10), None, None));
    assert_eq!((b.accuracy, b.status), (None, TaskStatus::Interrupted));
}

#[test]
fn a_run_without_an_outcome_yet_has_no_rate() {
    let mut tasks = running();
    tasks["a"]["session"]["done_before"] = json!(42);
    assert_eq!(status(tasks, true).tasks[0].rate_per_second, None);
}
