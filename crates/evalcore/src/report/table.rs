//! Tasks as rows: names in columns, and the figures that stand in them.

use std::borrow::Cow;

use super::status::{DatasetView, TaskView};
use super::words::plural;
use crate::task::TaskStatus;
use crate::text::{self, printable, shorten};

/// The widths of the columns that name a task.
pub(super) struct Table {
    pub(super) width: usize,
    eval: usize,
    model: usize,
    label: usize,
    tally: usize,
}

impl Table {
    /// For rows whose figures stand elsewhere, or are few.
    pub(super) fn new(tasks: &[TaskView], width: usize) -> Self {
        Self::layout(tasks, width, 0)
    }

    /// For rows with room for figures: long names are cut before percentages are.
    pub(super) fn with_figures(tasks: &[TaskView], width: usize) -> Self {
        let tally = widest(tasks, |task| tally(task).map_or(0, |tally| tally.len()));
        let figures = "  100%  ".len() + tally;
        Self::layout(tasks, width, if figures * 3 < width { figures } else { "  100%".len() })
    }

    /// Keeps `figures` columns free at the end.
    fn layout(tasks: &[TaskView], width: usize, figures: usize) -> Self {
        let label = widest(tasks, |task| label(task).len());
        let tally = widest(tasks, |task| tally(task).map_or(0, |tally| tally.len()));
        let mut eval = widest(tasks, |task| text::columns(&name(&task.eval)));
        let mut model = widest(tasks, |task| text::columns(&name(&task.model)));
        let room = width.saturating_sub(label + 4 + figures);
        if eval + model > room {
            // The narrower of the two keeps up to half.
            eval = eval.min((room / 2).max(room.saturating_sub(model)));
            model = model.min(room.saturating_sub(eval));
        }
        Self { width, eval, model, label, tally }
    }

    /// Eval, model and status.
    pub(super) fn title(&self, task: &TaskView) -> String {
        let mut line = String::new();
        for (column, width) in [(&task.eval, self.eval), (&task.model, self.model)] {
            let name = name(column);
            let name = shorten(&name, width);
            line.push_str(&name);
            line.extend(std::iter::repeat_n(' ', width - text::columns(&name) + 2));
        }
        line.push_str(label(task));
        line
    }

    /// A task in one line: what does not fit is left out.
    pub(super) fn row(&self, task: &TaskView) -> String {
        let mut line = self.title(task);
        let gap = self.label - label(task).len();
        line.extend(std::iter::repeat_n(' ', gap));
        let tally = format!("{:>1$}", tally(task).unwrap_or_default(), self.tally);
        // Without that word a toy score would look like a benchmark's.
        let data = is_on_sample(task).then_some("embedded sample");
        let figures = [Some(percent(task)), Some(tally), score(task, data)];
        for part in figures.into_iter().flatten() {
            if text::columns(&line) + 2 + part.len() > self.width {
                break;
            }
            line.push_str("  ");
            line.push_str(&part);
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// A task of which nothing is known but what was submitted, in one line.
    pub(super) fn short_row(&self, task: &TaskView) -> String {
        let mut line = self.title(task);
        let samples = match task.total {
            Some(total) => format!("  {total} {}", plural("sample", total)),
            None => String::new(),
        };
        if text::columns(&line) + samples.len() <= self.width {
            line.push_str(&samples);
        }
        line
    }
}

/// Nothing is known of the task but what was submitted.
pub(super) fn is_short(task: &TaskView) -> bool {
    task.status == TaskStatus::Pending && task.error.is_none() && task.progress == 0.0
}

fn label(task: &TaskView) -> &'static str {
    if task.stale { "stalled" } else { task.status.as_str() }
}

fn name(text: &str) -> Cow<'_, str> {
    let name = printable(text);
    if name.trim().is_empty() { "?".into() } else { name }
}

fn widest(tasks: &[TaskView], column: impl Fn(&TaskView) -> usize) -> usize {
    tasks.iter().map(column).max().unwrap_or(0)
}

/// Rounded down, so that 100 % is the whole.
pub(super) fn percent(task: &TaskView) -> String {
    format!("{:3}%", task.progress as u64)
}

/// What is done of what there is.
pub(super) fn tally(task: &TaskView) -> Option<String> {
    match (task.done, task.total) {
        (Some(done), Some(total)) => Some(format!("{done}/{total}")),
        (Some(done), None) => Some(format!("{done} done")),
        (None, Some(total)) => Some(format!("{total} {}", plural("sample", total))),
        (None, None) => None,
    }
}

/// With the number of samples it stands on.
pub(super) fn accuracy(task: &TaskView) -> Option<String> {
    score(task, None)
}

/// As [`accuracy`], with `data` as one more thing that it stands on.
fn score(task: &TaskView, data: Option<&str>) -> Option<String> {
    let Some(accuracy) = task.accuracy else {
        let is_ended = task.total.is_some_and(|total| total > 0) && task.done == task.total;
        return is_ended.then(|| "no score (n=0)".to_owned());
    };
    let value = if (0.0..=1.0).contains(&accuracy.value) {
        format!("{:.1} %", accuracy.value * 100.0)
    } else {
        format!("{:.2}", accuracy.value) // an older script's score on a scale of its own
    };
    let mut basis: Vec<String> = accuracy.n.map(|n| format!("n={n}")).into_iter().collect();
    if let (Some(_), Some(n_samples), 2..) = (accuracy.n, task.n_samples, task.epochs) {
        let samples = plural("sample", n_samples as u64);
        basis.push(format!("{n_samples} {samples} x {}", task.epochs));
    }
    basis.extend(data.map(str::to_owned));
    Some(if basis.is_empty() {
        format!("accuracy {value}")
    } else {
        format!("accuracy {value} ({})", basis.join(", "))
    })
}

/// Says so where the task runs on the data set that comes with the suite.
pub(super) fn sample_note(task: &TaskView) -> Option<String> {
    let dataset = task.dataset.as_ref().filter(|_| is_on_sample(task))?;
    let rows = plural("row", dataset.rows as u64);
    Some(format!("on the embedded sample of {} {rows}", dataset.rows))
}

fn is_on_sample(task: &TaskView) -> bool {
    task.dataset.as_ref().is_some_and(DatasetView::is_embedded)
}
