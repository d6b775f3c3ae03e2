//! A [`Status`] as lines for a terminal: no colour, no control characters, never wider than asked
//! for. What others wrote goes through [`text::printable`].

use std::path::Path;

use chrono::TimeZone;

use super::spent;
use super::status::{Status, TaskView};
use super::table::{Table, accuracy, is_short, percent, sample_note, tally};
use super::words::{
    MAX_LINES, about, clock, counted, duration, flow, plural, rate, shell_word, wrap,
};
use crate::task::TaskStatus;
use crate::text::{self, printable};

/// Screens are laid out for this many columns where fewer are asked for.
const MIN_WIDTH: usize = 20;

/// Lines given to the runner, for a command with a long path in it.
const RUNNER_LINES: usize = 5;

/// The folder that `run` looks for a task file in when it is told none.
pub const DEFAULT_FOLDER: &str = "async_results";

/// The whole of `status`, each line ended, at most `width` columns (20 or more) wide; times of day
/// are in `zone`.
pub fn screen<Z: TimeZone>(status: &Status, width: usize, zone: &Z) -> String {
    let width = width.max(MIN_WIDTH);
    let mut screen = header(status, width, zone);
    let table = Table::new(&status.tasks, width);
    let mut is_list = false;
    for (number, task) in status.tasks.iter().enumerate() {
        // Tasks with nothing to tell form a list; the others stand apart.
        let is_short = is_short(task);
        if number == 0 || !(is_list && is_short) {
            screen.push('\n');
        }
        is_list = is_short;
        block(&mut screen, task, &table, status.seen_at, zone);
    }
    screen
}

/// As [`screen`], in at most `height` lines: where the whole does not fit, one line for each task,
/// and where that does not fit either, those that move or need a hand first.
pub fn fitted<Z: TimeZone>(status: &Status, width: usize, height: usize, zone: &Z) -> String {
    let whole = screen(status, width, zone);
    if whole.lines().count() <= height {
        return whole;
    }
    let width = width.max(MIN_WIDTH);
    let mut screen = header(status, width, zone);
    screen.push('\n');
    let table = Table::with_figures(&status.tasks, width);
    let room = height.saturating_sub(screen.lines().count());
    let mut tasks: Vec<&TaskView> = status.tasks.iter().collect();
    if tasks.len() > room {
        tasks.sort_by_key(|task| urgency(task));
        tasks.truncate(room.saturating_sub(1));
    }
    for task in &tasks {
        screen.push_str(&table.row(task));
        screen.push('\n');
    }
    let n_left = status.tasks.len() - tasks.len();
    if n_left > 0 {
        let note = format!("... and {n_left} more, for which the window is too low");
        screen.push_str(&text::shorten(&note, width));
        screen.push('\n');
    }
    screen.split_inclusive('\n').take(height).collect()
}

/// The command that works off `file`: `run`, with `--tasks` for a file out of the default folder.
pub fn run_command(file: &str) -> String {
    let folder = Path::new(file).parent();
    let folder = folder.map(|folder| folder.strip_prefix(".").unwrap_or(folder));
    if folder == Some(Path::new(DEFAULT_FOLDER)) {
        "run".to_owned()
    } else {
        format!("run --tasks {}", shell_word(&printable(file)))
    }
}

fn header<Z: TimeZone>(status: &Status, width: usize, zone: &Z) -> String {
    let mut screen = String::new();
    let file = printable(&status.file);
    if text::columns(&file) <= width {
        screen.push_str(&file);
    } else {
        // The end of a path tells more than its beginning.
        let mut tails = file.char_indices().map(|(at, _)| &file[at..]);
        screen.push('…');
        screen.push_str(tails.find(|tail| text::columns(tail) < width).unwrap_or_default());
    }
    screen.push('\n');
    wrap(&mut screen, 0, &format!("runner: {}", runner(status, zone)), RUNNER_LINES, width);
    let summary = &status.summary;
    let total = summary.total;
    let parts = counted(&[
        (summary.running - summary.stale, "running"),
        (summary.stale, "stalled"),
        (summary.pending, "pending"),
        (summary.interrupted, "interrupted"),
        (summary.failed, "failed"),
        (summary.completed, "completed"),
    ])
    .join(", ");
    let line = match total {
        0 => "no tasks".to_owned(),
        1 => format!("1 task: {}", parts.trim_start_matches("1 ")),
        _ => format!("{total} tasks: {parts}"),
    };
    wrap(&mut screen, 0, &line, 3, width);
    let n_paid = status.tasks.iter().filter(|task| !task.cost.is_zero());
    if n_paid.count() > 1 {
        let n_replies = status.tasks.iter().map(n_replies).sum();
        let cost = spent::cost("total cost", &summary.cost, n_replies);
        flow(&mut screen, 0, &cost, " ", width);
    }
    screen
}

fn runner<Z: TimeZone>(status: &Status, zone: &Z) -> String {
    let (runner, summary) = (&status.runner, &status.summary);
    if runner.alive {
        let pid = runner.pid.map_or_else(String::new, |pid| format!("pid {pid}"));
        let host = runner.host.as_deref().map(printable).unwrap_or_default();
        let since = runner.since.map_or_else(String::new, |since| {
            let lasted = duration(status.seen_at - since);
            format!(", since {} ({lasted})", clock(since, status.seen_at, zone))
        });
        return format!("{pid} on {host}{since}");
    }
    let run = run_command(&status.file);
    let why = if summary.total == 0 {
        return "none".to_owned();
    } else if summary.stale > 0 {
        format!("the last one died; start `{run}` again to go on")
    } else if summary.pending == summary.total {
        format!("start `{run}` to begin")
    } else if !status.all_ended {
        format!("start `{run}` to go on")
    } else if summary.failed > 0 {
        format!("all tasks have ended; `{run}` tries what failed again")
    } else {
        "all tasks are completed".to_owned()
    };
    format!("none ({why})")
}

fn urgency(task: &TaskView) -> u8 {
    match task.status {
        TaskStatus::Running => 0,
        TaskStatus::Failed => 1,
        TaskStatus::Interrupted => 2,
        TaskStatus::Pending => 3,
        TaskStatus::Completed => 4,
    }
}

fn block<Z: TimeZone>(screen: &mut String, task: &TaskView, table: &Table, now: f64, zone: &Z) {
    if is_short(task) {
        screen.push_str(&table.short_row(task));
        screen.push('\n');
        return;
    }
    screen.push_str(&table.title(task));
    screen.push('\n');
    let width = table.width;
    let progress = [format!("{}  {}", bar(task.progress, width), percent(task))];
    let progress =
        progress.into_iter().chain(tally(task)).chain(accuracy(task)).chain(sample_note(task));
    flow(screen, 2, &progress.collect::<Vec<_>>(), "  ", width);
    let outcomes = &task.outcomes;
    let model_errors = plural("model error", outcomes.model_error);
    let grader_errors = plural("grader error", outcomes.grader_error);
    let others = counted(&[
        (outcomes.model_error, model_errors.as_str()),
        (outcomes.grader_error, &grader_errors),
        (outcomes.not_attempted, "not attempted"),
        (outcomes.refused, "refused"),
        (outcomes.truncated, "truncated"),
    ]);
    flow(screen, 2, &others, ", ", width);
    spent::tokens(screen, &task.usage, width);
    let cost = spent::cost("cost", &task.cost, n_replies(task));
    flow(screen, 2, &cost, " ", width);
    flow(screen, 2, &times(task, now, zone), ", ", width);
    for (name, words) in [("waiting", &task.waiting), ("error", &task.error)] {
        if let Some(words) = words {
            let line = format!("{name}: {}", printable(words));
            wrap(screen, 2, &line, MAX_LINES, width);
        }
    }
}

/// Replies of model and grader so far.
fn n_replies(task: &TaskView) -> u64 {
    task.usage.model.replies + task.usage.grader.replies
}

/// `[####------]`, full only when nothing is left.
fn bar(progress: f64, width: usize) -> String {
    let length = if width < 60 { 10 } else { 20 };
    let filled = ((progress / 100.0 * length as f64) as usize).min(length);
    format!("[{}{}]", "#".repeat(filled), "-".repeat(length - filled))
}

fn times<Z: TimeZone>(task: &TaskView, now: f64, zone: &Z) -> Vec<String> {
    let at = |word: &str, time: f64| format!("{word} {}", clock(time, now, zone));
    let mut parts = Vec::new();
    match (task.started_at, task.created_at) {
        (Some(started_at), _) => parts.push(at("started", started_at)),
        (None, Some(created_at)) => parts.push(at("submitted", created_at)),
        (None, None) => {}
    }
    let is_running = task.status == TaskStatus::Running && !task.stale;
    let verb = match task.status {
        TaskStatus::Running if is_running => "running for",
        TaskStatus::Completed | TaskStatus::Failed => "took",
        _ => "stopped after",
    };
    parts.extend(task.duration_seconds.map(|seconds| format!("{verb} {}", duration(seconds))));
    if is_running {
        parts.extend(task.rate_per_second.map(rate));
        parts.extend(task.remaining_seconds.map(|seconds| format!("{} left", about(seconds))));
    }
    parts
}

#[cfg(test)]
mod tests;
