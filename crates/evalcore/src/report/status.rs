//! Where the tasks of a file stand, as values.

use std::iter::Sum;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::dataset::Source;
use crate::store::lock::Holder;
use crate::task::{Counts, Session, Task, TaskCost, TaskFile, TaskStatus, TaskUsage};

/// Where the tasks of a file stand. Its JSON is what `poll --json` prints: these fields, in this
/// order, with `null` for what is not known. Times are Unix seconds, durations are seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The task file.
    pub file: String,
    /// When the file was looked at.
    pub seen_at: f64,
    /// Who works on it.
    pub runner: Runner,
    /// Tasks by status, and what they cost.
    pub summary: Summary,
    /// Every task is `completed` or `failed`; nothing will change unless `run` starts again.
    pub all_ended: bool,
    /// `"runner"` when tasks have not ended and no runner lives to go on with them.
    pub waiting_for: Option<&'static str>,
    /// The tasks, in the order of submission.
    pub tasks: Vec<TaskView>,
}

/// The runner of a task file.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Runner {
    /// Whether one holds the lock.
    pub alive: bool,
    /// Its process id.
    pub pid: Option<u32>,
    /// The machine it runs on.
    pub host: Option<String>,
    /// When it started.
    pub since: Option<f64>,
}

/// Numbers of tasks by status, and what all of them cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Summary {
    /// All tasks: the sum of the next five.
    pub total: usize,
    /// Submitted, never run.
    pub pending: usize,
    /// Marked as running.
    pub running: usize,
    /// Stopped before the end; the next run goes on.
    pub interrupted: usize,
    /// Every sample has an outcome.
    pub completed: usize,
    /// Errors kept samples from an outcome; the next run tries those again.
    pub failed: usize,
    /// Of those marked as running, the ones whose runner died.
    pub stale: usize,
    /// What all tasks cost so far.
    pub cost: CostView,
}

/// What replies cost, over all runs of a task; zero in files of the older scripts, which count none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct CostView {
    /// US dollars for the model under test, as far as known.
    pub model_dollars: f64,
    /// US dollars for the grader, as far as known.
    pub grader_dollars: f64,
    /// The sum of the two.
    pub dollars: f64,
    /// Replies, of model and grader, whose cost nobody can say; the sums leave them out.
    pub replies_of_unknown_cost: u64,
}

/// Where one task stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskView {
    /// Its key in the file.
    pub task_id: String,
    /// The eval's name.
    pub eval: String,
    /// The model as the user named it.
    pub model: String,
    /// `pending`, `running`, `interrupted`, `completed` or `failed`.
    pub status: TaskStatus,
    /// Marked as running while nobody holds the lock: its runner died.
    pub stale: bool,
    /// What its requests wait for, when there has been no news for a while; null unless a runner
    /// works on it.
    pub waiting: Option<String>,
    /// The data set that the samples come from; null in files of the older scripts.
    pub dataset: Option<DatasetView>,
    /// Samples chosen from the data set.
    pub n_samples: Option<usize>,
    /// How often each sample is asked.
    pub epochs: u32,
    /// Where the prompts come from: `built-in`, the folder of the templates, or
    /// `simple-evals: FOLDER`; null in files of the older scripts.
    pub prompts: Option<String>,
    /// Where the model's API is; null means the run's own default.
    pub base_url: Option<String>,
    /// The model that grades, by the name that requests carry; null when there is none.
    pub grader: Option<String>,
    /// Percentage of samples that have an outcome, 0 to 100.
    pub progress: f64,
    /// Samples, times epochs, that have an outcome; null in files of the older scripts, which do
    /// not count them.
    pub done: Option<u64>,
    /// Samples times epochs; null when the number of samples is not known.
    pub total: Option<u64>,
    /// Null until there is a score.
    pub accuracy: Option<Accuracy>,
    /// Samples by outcome: `scored` (the sum of `correct`, `incorrect` and `not_attempted`),
    /// `refused`, `truncated`, and the errors `model_error` and `grader_error`.
    pub outcomes: Counts,
    /// Tokens of the `model` and of the `grader`, over all runs of the task.
    pub usage: TaskUsage,
    /// What these cost.
    pub cost: CostView,
    /// Submission.
    pub created_at: Option<f64>,
    /// First request.
    pub started_at: Option<f64>,
    /// End of a task that is completed or failed.
    pub completed_at: Option<f64>,
    /// From the first request to the end; to now while a runner works on it; to the last sign of
    /// life of its runner otherwise.
    pub duration_seconds: Option<f64>,
    /// Outcomes per second in the latest run, over all of it.
    pub rate_per_second: Option<f64>,
    /// What is left at that rate, while a runner works on it.
    pub remaining_seconds: Option<f64>,
    /// Why the task failed or stopped.
    pub error: Option<String>,
}

/// The data set of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatasetView {
    /// `sample` for the one that comes with the suite, a URL, or an absolute path.
    pub source: String,
    /// Rows in it.
    pub rows: usize,
}

/// A share of right answers, with the number it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Accuracy {
    /// Right answers by scored ones, 0 to 1; in files of the older scripts what they wrote as
    /// `accuracy` or `score`.
    pub value: f64,
    /// Scored samples; null in files of the older scripts.
    pub n: Option<u64>,
}

impl Status {
    /// What `file`, read from `path`, says at `now` (Unix seconds), with `holder` as the runner that
    /// lives, if any.
    pub fn new(file: &TaskFile, path: &Path, holder: Option<&Holder>, now: f64) -> Self {
        let tasks: Vec<TaskView> =
            file.tasks.iter().map(|(id, task)| view(id, task, holder.is_some(), now)).collect();
        let summary = Summary::new(&tasks);
        let all_ended = summary.completed + summary.failed == summary.total;
        let runner = holder.map_or_else(Runner::default, |holder| Runner {
            alive: true,
            pid: Some(holder.pid),
            host: Some(holder.host.clone()),
            since: Some(holder.started_at),
        });
        Self {
            file: path.display().to_string(),
            seen_at: now,
            waiting_for: (!all_ended && !runner.alive).then_some("runner"),
            runner,
            summary,
            all_ended,
            tasks,
        }
    }
}

impl Summary {
    fn new(tasks: &[TaskView]) -> Self {
        let count = |status| tasks.iter().filter(|task| task.status == status).count();
        Self {
            total: tasks.len(),
            pending: count(TaskStatus::Pending),
            running: count(TaskStatus::Running),
            interrupted: count(TaskStatus::Interrupted),
            completed: count(TaskStatus::Completed),
            failed: count(TaskStatus::Failed),
            stale: tasks.iter().filter(|task| task.stale).count(),
            cost: tasks.iter().map(|task| task.cost).sum(),
        }
    }
}

impl CostView {
    /// Nothing is known to have been spent, and no reply's cost is unknown.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&TaskCost> for CostView {
    fn from(cost: &TaskCost) -> Self {
        Self {
            model_dollars: cost.model.dollars,
            grader_dollars: cost.grader.dollars,
            dollars: cost.dollars(),
            replies_of_unknown_cost: cost.n_unknown(),
        }
    }
}

impl Sum for CostView {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |sum, cost| Self {
            model_dollars: sum.model_dollars + cost.model_dollars,
            grader_dollars: sum.grader_dollars + cost.grader_dollars,
            dollars: sum.dollars + cost.dollars,
            replies_of_unknown_cost: sum.replies_of_unknown_cost + cost.replies_of_unknown_cost,
        })
    }
}

impl DatasetView {
    /// It is the small one that comes with the suite: good for a try, no benchmark.
    pub fn is_embedded(&self) -> bool {
        self.source == Source::Sample.to_string()
    }
}

fn view(task_id: &str, task: &Task, is_alive: bool, now: f64) -> TaskView {
    let is_running = task.status == TaskStatus::Running;
    let total = task.num_examples.map(|_| task.n_total());
    // The older scripts count nothing, and no counts are not the same as none done.
    let is_counted = task.format > 0 || task.counts != Counts::default();
    let rate = task.session.as_ref().and_then(|session| rate(session, &task.counts));
    let left = total.map(|total| total.saturating_sub(task.counts.done() + task.counts.errors()));
    let remaining = match (rate, left) {
        (Some(rate), Some(left)) if is_running && is_alive => Some(left as f64 / rate),
        _ => None,
    };
    TaskView {
        task_id: task_id.to_owned(),
        eval: task.eval_name.clone(),
        model: task.model_name.clone(),
        status: task.status,
        stale: is_running && !is_alive,
        waiting: task.waiting.clone().filter(|_| is_running && is_alive),
        dataset: task
            .dataset
            .as_ref()
            .map(|dataset| DatasetView { source: dataset.source.clone(), rows: dataset.rows }),
        n_samples: task.num_examples,
        epochs: task.n_repeats,
        prompts: task.prompts.as_ref().map(|prompts| prompts.source.clone()),
        base_url: task.model_config.base_url.clone(),
        grader: task.grader.as_ref().map(|grader| grader.model.clone()),
        progress: task.progress,
        done: is_counted.then(|| task.counts.done()),
        total,
        accuracy: accuracy(task),
        outcomes: task.counts,
        usage: task.usage,
        cost: (&task.cost).into(),
        created_at: task.created_at,
        started_at: task.started_at,
        completed_at: task.completed_at,
        duration_seconds: duration(task, is_running && is_alive, now),
        rate_per_second: rate,
        remaining_seconds: remaining,
        error: task.error.clone(),
    }
}

fn accuracy(task: &Task) -> Option<Accuracy> {
    let counts = &task.counts;
    if counts.scored > 0 {
        let value = counts.correct as f64 / counts.scored as f64;
        return Some(Accuracy { value, n: Some(counts.scored) });
    }
    let named = |name| task.results.get(name).and_then(Value::as_f64);
    let value = named("accuracy").or_else(|| named("score"))?;
    Some(Accuracy { value, n: None })
}

fn duration(task: &Task, is_worked_on: bool, now: f64) -> Option<f64> {
    let end = match task.status {
        TaskStatus::Pending => None,
        TaskStatus::Running if is_worked_on => Some(now),
        TaskStatus::Running | TaskStatus::Interrupted => {
            task.session.as_ref().map(|session| session.updated_at).or(task.completed_at)
        }
        TaskStatus::Completed | TaskStatus::Failed => task.completed_at,
    };
    // Clocks of two machines differ, so an end may lie before its start.
    Some((end? - task.started_at?).max(0.0))
}

fn rate(session: &Session, counts: &Counts) -> Option<f64> {
    let seconds = session.updated_at - session.started_at;
    let done = counts.done().saturating_sub(session.done_before);
    (seconds > 0.0 && done > 0).then(|| done as f64 / seconds)
}

#[cfg(test)]
mod tests;
