//! What was submitted: which requests it means, and where they go.

use std::path::Path;

use evalcore::evals;
use evalcore::plan::{Plan, Requests};
use evalcore::sample::Role;
use evalcore::task::{ModelConfig, Task};
use evalcore::text::printable;
use serde_json::{Value, json};

use crate::words::{counted, grouped, party, place};

pub(crate) fn text(plan: &Plan, path: &Path, next: &str) -> String {
    let mut text = format!("wrote {}\n", path.display());
    let width = plan.file.tasks.keys().map(String::len).max().unwrap_or(0);
    for task in plan.file.tasks.values() {
        text += &format!("  {:width$}  {}\n", task.task_id, size(task));
    }
    let requests = plan.requests();
    let n: u64 = requests.iter().map(|requests| requests.n).sum();
    text += &format!("this means {}:\n", counted(n, "request"));
    for Requests { n, role, name, model, base_url } in &requests {
        let (party, place) = (party(*role, name, model), place(model, *base_url));
        text += &format!("  {} to {}\n", grouped(*n), printable(&(party + &place)));
    }
    let mut facts: Vec<String> = plan.file.tasks.values().filter_map(facts).collect();
    facts.dedup();
    text.extend(facts);
    text + &format!("next: {next}\n  or: nohup {next} --concurrent 10 &\n")
}

/// `10 samples x 3 epochs`.
pub(crate) fn size(task: &Task) -> String {
    let samples = counted(task.num_examples.unwrap_or(0) as u64, "sample");
    match task.n_repeats {
        1 => samples,
        n => format!("{samples} x {} epochs", grouped(n.into())),
    }
}

/// Where a task's questions and prompts come from.
fn facts(task: &Task) -> Option<String> {
    let (dataset, prompts) = (task.dataset.as_ref()?, task.prompts.as_ref()?);
    let is_usual =
        evals::find(&task.eval_name).is_ok_and(|eval| dataset.source == eval.dataset.url);
    let source = match dataset.source.as_str() {
        _ if is_usual => String::new(),
        "sample" => ", the embedded sample".to_owned(),
        source => format!(" from {source}"),
    };
    let line = format!(
        "data set: {}{source}, {} of {}; prompts: {}",
        dataset.name,
        grouped(task.num_examples.unwrap_or(0) as u64),
        counted(dataset.rows as u64, "row"),
        prompts.source
    );
    Some(printable(&line).into_owned() + "\n")
}

pub(crate) fn json(plan: &Plan, path: &Path, next: &str) -> Value {
    let config = |config: &ModelConfig| json!({"model": config.model, "base_url": config.base_url});
    let tasks = plan.file.tasks.values().map(|task| {
        let (model, grader) = Plan::n_requests(task);
        json!({
            "task_id": task.task_id,
            "eval_name": task.eval_name,
            "model_name": task.model_name,
            "num_examples": task.num_examples,
            "n_repeats": task.n_repeats,
            "n_requests": {"model": model, "grader": grader},
            "model": config(&task.model_config),
            "grader": task.grader.as_ref().map(config),
            "dataset": task.dataset,
            "prompts": task.prompts.as_ref().map(|prompts| &prompts.source),
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let requests = plan.requests();
    let requests = requests.iter().map(|requests| {
        let role = match requests.role {
            Role::Model => "model",
            Role::Grader => "grader",
        };
        json!({"to": role, "name": requests.name, "model": requests.model,
            "base_url": requests.base_url, "n": requests.n})
    });
    let requests: Vec<_> = requests.collect();
    json!({"task_file": path, "tasks": tasks, "requests": requests,
        "warnings": plan.warnings, "next": next})
}
