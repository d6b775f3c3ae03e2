//! Progress while a run goes on: bars on a terminal, a line every few seconds elsewhere.

use std::collections::HashMap;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use evalcore::runner::Progress;
use evalcore::task::{Counts, TaskStatus};
use evalcore::text;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;
use tokio::time::{Instant, interval};

/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows what comes through `watched` until the run has ended.
pub(crate) async fn show(watched: watch::Receiver<Vec<Progress>>, bars: MultiProgress) {
    match stderr().is_terminal() {
        true => show_bars(watched, bars).await,
        false => show_lines(watched).await,
    }
}

async fn show_bars(mut watched: watch::Receiver<Vec<Progress>>, bars: MultiProgress) {
    let style = ProgressStyle::with_template("{prefix:24} [{bar:12}] {pos:>5}/{len} {wide_msg}")
        .expect("template is valid")
        .progress_chars("##-");
    let mut by_task: HashMap<String, ProgressBar> = HashMap::new();
    while watched.changed().await.is_ok() {
        for progress in watched.borrow_and_update().iter() {
            let bar = by_task.entry(progress.task_id.clone()).or_insert_with(|| {
                let bar = bars.add(ProgressBar::new(progress.n_total).with_style(style.clone()));
                bar.set_prefix(text::shorten(&progress.model_name, 24).into_owned());
                bar
            });
            let waiting = progress.waiting.as_deref().unwrap_or_default();
            let message_text = format!("{} {waiting}", message(&progress.counts));
            bar.set_message(text::printable(&message_text).into_owned());
            bar.set_position(progress.counts.done() + progress.counts.errors());
            if progress.status != TaskStatus::Running && !bar.is_finished() {
                bar.abandon_with_message(format!(
                    "{} {}",
                    message(&progress.counts),
                    progress.status
                ));
            }
        }
    }
    // Later log lines must not draw them again.
    let _ = bars.clear();
    bars.set_draw_target(ProgressDrawTarget::hidden());
}

async fn show_lines(mut watched: watch::Receiver<Vec<Progress>>) {
    let started = Instant::now();
    let mut interval = interval(LINE_INTERVAL);
    interval.tick().await;
    loop {
        tokio::select! {
            changed = watched.changed() => if changed.is_err() { return },
            _ = interval.tick() => {
                let all = watched.borrow_and_update().clone();
                tracing::info!("{}", total_line(&all, started.elapsed()));
            }
        }
    }
}

/// One line over all tasks.
fn total_line(all: &[Progress], elapsed: Duration) -> String {
    let sum = |part: fn(&Counts) -> u64| all.iter().map(|it| part(&it.counts)).sum::<u64>();
    let n_total: u64 = all.iter().map(|progress| progress.n_total).sum();
    format!(
        "{} of {n_total} samples done, {} errors, after {} s",
        sum(Counts::done),
        sum(Counts::errors),
        elapsed.as_secs()
    )
}

fn message(counts: &Counts) -> String {
    let mut message = match evalcore::metrics::accuracy(counts) {
        Some(accuracy) => format!("{:.1} % right (n={})", 100.0 * accuracy, counts.scored),
        None => String::new(),
    };
    if counts.errors() > 0 {
        message += &format!(", {} errors", counts.errors());
    }
    message
}
