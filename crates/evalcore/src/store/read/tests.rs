use std::os::unix::fs::symlink;

use super::*;
use crate::task::TaskStatus;

/// What `read` says about `text`, without the file's name.
fn complaint(text: &str) -> String {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("t.json");
    fs::write(&path, text).expect("write");
    let error = format!("{:#}", read(&path).expect_err(text));
    let prefix = format!("read task file `{}`: ", path.display());
    error.strip_prefix(&prefix).expect("error names the file").to_owned()
}

#[test]
fn files_of_the_older_scripts_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("t.json");
    let text = r#"{
        "mmlu_gpt-4o_1": {"task_id": "mmlu_gpt-4o_1", "eval_name": "mmlu", "model_name": "gpt-4o",
            "model_config": {"model": "gpt-4o", "temperature": 0.5}, "num_examples": null,
            "n_repeats": null, "status": "cancelled", "progress": 62, "results": null,
            "created_at": 1732345678.1234567, "started_at": null, "completed_at": null,
            "error": null, "output_files": null},
        "gpqa_o3_2": {"eval_name": "gpqa"}
    }"#;
    fs::write(&path, text)?;
    let file = read(&path)?;
    let task = &file.tasks["mmlu_gpt-4o_1"];
    assert_eq!((task.status, task.progress, task.n_repeats), (TaskStatus::Interrupted, 62.0, 1));
    assert_eq!(task.created_at, Some(1_732_345_678.123_456_7));
    assert_eq!(task.model_config.temperature, Some(0.5));
    let task = &file.tasks["gpqa_o3_2"];
    assert_eq!((task.task_id.as_str(), task.status), ("gpqa_o3_2", TaskStatus::Pending));
    Ok(())
}

#[test]
fn missing_files_dangling_links_and_folders_are_told_apart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let check = |path: &Path, expected: &str| {
        let error = format!("{:#}", read(path).expect_err(expected));
        assert_eq!(error, format!("read task file `{}`: {expected}", path.display()));
    };
    let link = folder.path().join("latest_tasks.json");
    symlink("tasks_1.json", &link)?;
    check(&folder.path().join("none.json"), "no such file: `submit` writes one");
    check(folder.path(), "it is a folder: name a task file in it");
    let target = folder.path().join("tasks_1.json");
    let expected = format!(
        "it is a link to `{}`, which does not exist: `submit` again, or name another file",
        target.display()
    );
    check(&link, &expected);
    fs::write(&target, "{}")?;
    assert!(read(&link)?.tasks.is_empty());
    Ok(())
}

#[test]
fn what_is_not_json_is_named_by_line_and_column() {
    for (text, expected) in [
        ("", "not JSON: EOF while parsing a value at line 1 column 0"),
        ("{\n \"a\": {,}}", "not JSON: key must be a string at line 2 column 8"),
        ("{\"a\": {\"progress\": NaN}}", "not JSON: expected value at line 1 column 20"),
        ("{} x", "not JSON: trailing characters at line 1 column 4"),
        ("[1]", "invalid type: sequence, expected an object of tasks at line 1 column 0"),
    ] {
        assert_eq!(complaint(text), format!("{expected}: {REMEDY}"));
    }
}

#[test]
fn a_task_that_does_not_decode_is_named_with_its_field() {
    for (text, expected) in [
        (
            r#"{"a.b": {"model_config": {"temperature": "hot"}}}"#,
            "task `a.b`: field `model_config.temperature`: \
             invalid type: string \"hot\", expected f64 at line 1 column 46",
        ),
        (
            r#"{"a": {"n_repeats": -1}}"#,
            "task `a`: field `n_repeats`: \
             invalid value: integer `-1`, expected u32 at line 1 column 22",
        ),
        (
            r#"{"a": 3}"#,
            "task `a`: invalid type: integer `3`, expected struct Task at line 1 column 7",
        ),
        (
            r#"{"a": {"error": null, "error": null}}"#,
            "task `a`: duplicate field `error` at line 1 column 29",
        ),
        (r#"{"a": {}, "a": {}}"#, "task `a` stands there twice at line 1 column 13"),
    ] {
        assert_eq!(complaint(text), format!("{expected}: {REMEDY}"));
    }
}

#[test]
fn an_unknown_status_is_answered_with_the_known_ones() {
    let error = complaint(r#"{"a": {"status": "done"}}"#);
    assert!(error.starts_with("task `a`: field `status`: unknown variant `done`"), "{error}");
    for status in ["pending", "running", "interrupted", "completed", "failed"] {
        assert!(error.contains(&format!("`{status}`")), "{error}");
    }
}

#[test]
fn a_newer_format_is_told_before_what_it_breaks() {
    let expected =
        "task `a`: written by a newer version (format 2, known up to 1): update this one";
    assert_eq!(complaint(r#"{"a": {"format": 2}}"#), expected);
    assert_eq!(complaint(r#"{"a": {"format": 2, "status": {"since": 1}}}"#), expected);
}

#[test]
fn impossible_values_are_refused() {
    for (fields, expected) in [
        (r#""n_repeats": 0"#, "`n_repeats` is 0, not 1 or more"),
        (r#""progress": 100.5"#, "`progress` is 100.5, not in 0 to 100"),
        (r#""progress": -1"#, "`progress` is -1, not in 0 to 100"),
        (r#""task_id": "b""#, "`task_id` is `b`, not the key it stands under"),
        (r#""created_at": -5"#, "`created_at` is -5, not a time in Unix seconds"),
        (
            r#""num_examples": 9000000000000000000"#,
            "`num_examples` is 9000000000000000000, not a number of samples",
        ),
        (
            r#""counts": {"scored": 18446744073709551615}"#,
            "`counts.scored` is 18446744073709551615, not a number of samples",
        ),
    ] {
        let error = complaint(&format!(r#"{{"a": {{{fields}}}}}"#));
        assert_eq!(error, format!("task `a`: field {expected}: edited by hand? set it right"));
    }
}
