//! What tasks will probably take, before they are submitted.

use std::collections::BTreeSet;

use evalcore::estimate::{Estimate, Range, Share, sum};
use evalcore::plan::Plan;
use evalcore::sample::Role;
use evalcore::task::{ModelConfig, Task};
use evalcore::text::printable;
use serde_json::{Value, json};

use crate::summary::size;
use crate::words::{counted, dollars, party, place, range};

const NOTE: &str = "\
This is an estimate, not a bound: prompts as they will be sent, at 3 to 5
characters per token; answers of usual lengths, within their limits; 5 % of
requests asked again; list prices, nothing cached.
`run --budget` keeps a hard cap.
";

/// Said where a model searches.
const SEARCHES: &str = "\
Searching is guessed most roughly: 1 to 10 searches per sample, with up to 8,000
input tokens each.
";

pub(crate) fn text(plan: &Plan) -> String {
    let mut text = "estimate; nothing is written and no model is asked\n".to_owned();
    for (task, estimate) in parts(plan) {
        let name = format!("{} on {}", task.eval_name, task.model_name);
        text += &format!("{}, {}\n", printable(&name), size(task));
        for (role, name, config, share) in shares(task, estimate) {
            let whom = party(role, name, &config.model);
            let place = place(&config.model, config.base_url.as_deref());
            text += &format!("  {}\n", printable(&(whom + &place)));
            text += &figures(share, &dollars(share.dollars));
        }
    }
    let total = sum(plan.estimates.iter().flat_map(Estimate::shares));
    text += "total\n";
    text += &figures(&total, &total_dollars(&total, &unpriced(plan)));
    text += NOTE;
    if total.searches.high > 0 {
        text += SEARCHES;
    }
    text
}

fn parts(plan: &Plan) -> impl Iterator<Item = (&Task, &Estimate)> {
    plan.file.tasks.values().zip(&plan.estimates)
}

/// Model and grader: role, name, config, share.
fn shares<'a>(
    task: &'a Task,
    estimate: &'a Estimate,
) -> impl Iterator<Item = (Role, &'a str, &'a ModelConfig, &'a Share)> {
    let (name, config) = (task.model_name.as_str(), &task.model_config);
    let grader = task.grader.as_ref().zip(estimate.grader.as_ref());
    let grader = grader.map(|(config, share)| (Role::Grader, config.model.as_str(), config, share));
    std::iter::once((Role::Model, name, config, &estimate.model)).chain(grader)
}

fn figures(share: &Share, dollars: &str) -> String {
    let searches = match share.searches.high {
        0 => String::new(),
        _ => format!("    searches       {}\n", range(share.searches)),
    };
    let (requests, input) = (range(share.requests), range(share.input_tokens));
    let output = range(share.output_tokens);
    format!(
        "    requests       {requests}\n    input tokens   {input}\n    output tokens  {output}\n{searches}    dollars        {dollars}\n"
    )
}

/// The models whose prices nobody knows, each once.
fn unpriced(plan: &Plan) -> BTreeSet<&str> {
    let shares = parts(plan).flat_map(|(task, estimate)| shares(task, estimate));
    shares
        .filter(|(.., share)| share.dollars.is_none())
        .map(|(_, _, config, _)| config.model.as_str())
        .collect()
}

fn total_dollars(total: &Share, unpriced: &BTreeSet<&str>) -> String {
    if unpriced.is_empty() {
        return dollars(total.dollars);
    }
    let names: Vec<_> = unpriced.iter().copied().collect();
    let (price, names) = (counted(names.len() as u64, "price"), names.join(", "));
    let known = match total.dollars {
        Some(Range { high, .. }) if high > 0.0 => {
            format!("{}, and what is unknown", dollars(total.dollars))
        }
        _ => "unknown".to_owned(),
    };
    printable(&format!("{known}: {price} not known ({names})")).into_owned()
}

/// The same numbers. `total.dollars` is the sum of what is known; `total.unknown_prices` names the
/// models that it leaves out.
pub(crate) fn json(plan: &Plan) -> Value {
    let party = |config: &ModelConfig, share: &Share| {
        let mut value = json!(share);
        value["model"] = json!(config.model);
        value["base_url"] = json!(config.base_url);
        value
    };
    let tasks = parts(plan).map(|(task, estimate)| {
        let grader = task.grader.as_ref().zip(estimate.grader.as_ref());
        json!({
            "eval_name": task.eval_name,
            "model_name": task.model_name,
            "num_examples": task.num_examples,
            "n_repeats": task.n_repeats,
            "model": party(&task.model_config, &estimate.model),
            "grader": grader.map(|(config, share)| party(config, share)),
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut total = json!(sum(plan.estimates.iter().flat_map(Estimate::shares)));
    total["unknown_prices"] = json!(unpriced(plan));
    json!({"is_estimate": true, "tasks": tasks, "total": total, "warnings": plan.warnings})
}
