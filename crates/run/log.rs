//! The log: to its file, and to stderr unless that is the same file.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};
use indicatif::{MultiProgress, ProgressDrawTarget};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Opens the log for appending. Only this program's own events are taken: libraries know headers.
pub(crate) fn start(path: &Path, level: &str, bars: MultiProgress) -> Result<()> {
    let file = File::options().create(true).append(true).open(path).with_context(|| {
        format!("open log `{}`: choose another with --log-file", path.display())
    })?;
    let level: LevelFilter = level.parse().context("log level")?;
    let targets = Targets::new().with_target("evalcore", level).with_target("run", level);
    let is_stderr = is_same_file(io::stderr(), &file).unwrap_or(false);
    let to_file = layer().with_ansi(false).with_target(false).with_writer(Mutex::new(file));
    let to_stderr = (!is_stderr).then(|| {
        layer()
            .with_ansi(io::stderr().is_terminal())
            .with_target(false)
            .with_timer(TimeOfDay)
            .with_writer(AboveBars(bars))
    });
    tracing_subscriber::registry()
        .with(to_file.with_filter(targets.clone()))
        .with(to_stderr.with_filter(targets))
        .init();
    Ok(())
}

/// The local time of day: enough for eyes that watch.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", chrono::Local::now().format("%H:%M:%S"))
    }
}

/// Prints to standard output; behind the log's lines if standard output is the log.
pub(crate) fn print(log: &Path, text: &str) {
    let file = File::options().append(true).open(log);
    let log = file.ok().filter(|file| is_same_file(io::stdout(), file).unwrap_or(false));
    let _ = match log {
        // Redirected with `>`, standard output would write over the log's first lines.
        Some(mut log) => log.write_all(text.as_bytes()),
        None => io::stdout().write_all(text.as_bytes()),
    };
}

/// Whether an output has been redirected into `file` already.
fn is_same_file(output: impl AsFd, file: &File) -> io::Result<bool> {
    let output = File::from(output.as_fd().try_clone_to_owned()?).metadata()?;
    let file = file.metadata()?;
    Ok((output.dev(), output.ino()) == (file.dev(), file.ino()))
}

/// Writes to stderr without tearing the progress bars that are drawn there.
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    /// A terminal that has gone away is no reason to fail: the log file has the line as well.
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let stderr = io::stderr();
        if stderr.is_terminal() && rustix::termios::tcgetwinsize(&stderr).is_ok() {
            let _ = self.0.suspend(|| stderr.lock().write_all(text));
        } else {
            // Bars that cannot be cleared would panic.
            self.0.set_draw_target(ProgressDrawTarget::hidden());
            let _ = stderr.lock().write_all(text);
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for AboveBars {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self(self.0.clone())
    }
}
