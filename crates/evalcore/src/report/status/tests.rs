use serde_json::json;

use super::*;

fn status(tasks: Value, is_alive: bool) -> Status {
    let file: TaskFile = serde_json::from_value(tasks).expect("tasks");
    let holder = Holder {
        pid: 7,
        host: "h".into(),
        started_at: 90.0,
    };
    Status::new(
        &file,
        Path::new("r/t.json"),
        is_alive.then_some(&holder),
        200.0,
    )
}

fn running() -> Value {
    json!({"a": {
        "format": 1, "eval_name": "mmlu", "model_name": "m", "status": "running",
        "num_examples": 50, "n_repeats": 2, "progress": 42.0, "created_at": 80.0, "started_at": 100.0,
        "counts": {"scored": 40, "correct": 10, "incorrect": 30, "refused": 2, "model_error": 8},
        "session": {"started_at": 150.0, "updated_at": 190.0, "done_before": 22},
    }})
}

#[test]
fn json_holds_every_field() {
    let tokens = json!({
        "replies": 0, "replies_without_usage": 0, "input_tokens": 0, "cached_tokens": 0, "cache_write_tokens": 0,
        "output_tokens": 0, "reasoning_tokens": 0, "total_tokens": 0, "searches": 0
    });
    let expected = json!({
        "file": "r/t.json",
        "seen_at": 200.0,
        "runner": {"alive": true, "pid": 7, "host": "h", "since": 90.0},
        "summary": {
            "total": 1, "pending": 0, "running": 1, "interrupted": 0, "completed": 0,
            "failed": 0, "stale": 0
        },
        "all_ended": false,
        "waiting_for": null,
        "tasks": [{
            "task_id": "a", "eval": "mmlu", "model": "m", "status": "running", "stale": false,
            "progress": 42.0, "done": 42, "total": 100, "accuracy": {"value": 0.25, "n": 40},
            "outcomes": {
                "scored": 40, "correct": 10, "incorrect": 30, "not_attempted": 0, "refused": 2,
                "truncated": 0, "model_error": 8, "grader_error": 0
            },
            "usage": {"model": tokens, "grader": tokens},
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
    assert_eq!(
        (task.duration_seconds, task.remaining_seconds),
        (Some(90.0), None)
    );
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
    assert_eq!(
        a.accuracy,
        Some(Accuracy {
            value: 0.75,
            n: None
        })
    );
    assert_eq!(
        (a.done, a.total, b.done, b.total),
        (None, Some(10), None, None)
    );
    assert_eq!((b.accuracy, b.status), (None, TaskStatus::Interrupted));
}

#[test]
fn a_run_without_an_outcome_yet_has_no_rate() {
    let mut tasks = running();
    tasks["a"]["session"]["done_before"] = json!(42);
    assert_eq!(status(tasks, true).tasks[0].rate_per_second, None);
}
