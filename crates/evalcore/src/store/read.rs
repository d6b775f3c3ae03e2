//! Reading a task file, with an error that says what is wrong where.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use indexmap::IndexMap;
use indexmap::map::Entry;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;

use super::paths::resolve;
use crate::task::{FORMAT, Task, TaskFile};

/// Counts above this are no counts of samples, and sums of them would overflow.
const MAX_COUNT: u64 = 1 << 50;

/// For a file that does not decode.
const REMEDY: &str = "mend it, or `submit` again";

/// Reads the task file at `path`, following symlinks. An empty `task_id` is filled from its key.
///
/// # Errors
/// The file is missing, a folder, not JSON, written by a newer version, does not decode, or holds
/// values that no program writes. Messages name the file, the task, and the field or line.
pub fn read(path: &Path) -> Result<TaskFile> {
    let context = || format!("read task file `{}`", path.display());
    let bytes = read_bytes(path).with_context(context)?;
    let mut file = decode(&bytes).with_context(context)?;
    for (key, task) in &mut file.tasks {
        if task.task_id.is_empty() {
            task.task_id.clone_from(key);
        }
        check(key, task).with_context(|| format!("task `{key}`")).with_context(context)?;
    }
    Ok(file)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => bail!("it is a folder: name a task file in it"),
        Ok(_) => Ok(fs::read(path)?),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let target = resolve(path);
            if target == path {
                bail!("no such file: `submit` writes one");
            }
            bail!(
                "it is a link to `{}`, which does not exist: `submit` again, or name another file",
                target.display()
            );
        }
        Err(error) => Err(error.into()),
    }
}

fn decode(bytes: &[u8]) -> Result<TaskFile> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let decoded = serde_path_to_error::deserialize::<_, Tasks>(&mut json)
        .map_err(|error| (error.path().to_owned(), error.into_inner()));
    match decoded {
        Ok(Tasks(tasks)) => {
            json.end().map_err(|error| anyhow!("not JSON: {error}: {REMEDY}"))?;
            Ok(TaskFile { tasks })
        }
        Err((path, error)) => {
            // What a newer version writes may not decode here, which is not the user's fault.
            check_format(bytes)?;
            Err(explain(&path, &error))
        }
    }
}

/// The error in words, with the task and the field it is about.
fn explain(path: &serde_path_to_error::Path, error: &serde_json::Error) -> anyhow::Error {
    use serde_path_to_error::Segment;

    let what = match path.iter().next() {
        _ if error.classify() != Category::Data => format!("not JSON: {error}"),
        Some(Segment::Map { key }) => {
            let path = path.to_string();
            match path.strip_prefix(key.as_str()).map(|field| field.trim_start_matches('.')) {
                None | Some("") => format!("task `{key}`: {error}"),
                Some(field) => format!("task `{key}`: field `{field}`: {error}"),
            }
        }
        _ => error.to_string(),
    };
    anyhow!("{what}: {REMEDY}")
}

/// Looks for a newer `format` in a document that does not decode.
fn check_format(bytes: &[u8]) -> Result<()> {
    let Ok(Value::Object(tasks)) = serde_json::from_slice(bytes) else {
        return Ok(());
    };
    for (key, task) in &tasks {
        if let Some(format) = task.get("format").and_then(Value::as_u64)
            && format > u64::from(FORMAT)
        {
            return Err(newer(format)).with_context(|| format!("task `{key}`"));
        }
    }
    Ok(())
}

fn newer(format: u64) -> anyhow::Error {
    anyhow!("written by a newer version (format {format}, known up to {FORMAT}): update this one")
}

/// Refuses what decodes but cannot be.
fn check(key: &str, task: &Task) -> Result<()> {
    if task.format > FORMAT {
        return Err(newer(task.format.into()));
    }
    let edited = |field: &str, value: &dyn fmt::Display, wanted: &str| {
        Err(anyhow!("field `{field}` is {value}, not {wanted}: edited by hand? set it right"))
    };
    if task.task_id != key {
        return edited("task_id", &format_args!("`{}`", task.task_id), "the key it stands under");
    }
    if task.n_repeats == 0 {
        return edited("n_repeats", &0, "1 or more");
    }
    if task.num_examples.is_some_and(|number| number as u64 > u64::from(u32::MAX)) {
        return edited("num_examples", &task.num_examples.unwrap_or(0), "a number of samples");
    }
    if !(0.0..=100.0).contains(&task.progress) {
        return edited("progress", &task.progress, "in 0 to 100");
    }
    let session = task.session.as_ref();
    let times = [
        ("created_at", task.created_at),
        ("started_at", task.started_at),
        ("completed_at", task.completed_at),
        ("session.started_at", session.map(|session| session.started_at)),
        ("session.updated_at", session.map(|session| session.updated_at)),
    ];
    for (field, time) in times {
        if let Some(time) = time
            && !(time.is_finite() && time >= 0.0)
        {
            return edited(field, &time, "a time in Unix seconds");
        }
    }
    let counts = &task.counts;
    let counts = [
        ("counts.scored", counts.scored),
        ("counts.correct", counts.correct),
        ("counts.incorrect", counts.incorrect),
        ("counts.not_attempted", counts.not_attempted),
        ("counts.refused", counts.refused),
        ("counts.truncated", counts.truncated),
        ("counts.model_error", counts.model_error),
        ("counts.grader_error", counts.grader_error),
    ];
    for (field, count) in counts {
        if count > MAX_COUNT {
            return edited(field, &count, "a number of samples");
        }
    }
    Ok(())
}

/// The document's object, with no key twice: a plain map would keep the last of them unnoticed.
struct Tasks(IndexMap<String, Task>);

impl<'de> Deserialize<'de> for Tasks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TasksVisitor;

        impl<'de> Visitor<'de> for TasksVisitor {
            type Value = Tasks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tasks")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tasks, A::Error> {
                let mut tasks = IndexMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    match tasks.entry(key) {
                        Entry::Vacant(place) => place.insert(map.next_value()?),
                        Entry::Occupied(place) => {
                            let message = format!("task `{}` stands there twice", place.key());
                            return Err(A::Error::custom(message));
                        }
                    };
                }
                Ok(Tasks(tasks))
            }
        }

        deserializer.deserialize_map(TasksVisitor)
    }
}

#[cfg(test)]
mod tests;
