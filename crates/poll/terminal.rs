//! Standard output, be it a terminal, a file or a pipe.
//!
//! On a terminal a screen is drawn over the one before, in one write and without hiding the cursor
//! or leaving the main screen, so there is nothing to restore however `poll` ends.

use std::io::{self, IsTerminal, Write};
use std::process;
use std::thread;

use anyhow::{Context, Result};
use chrono::Local;
use evalcore::report::lines;
use evalcore::report::status::Status;
use rustix::termios::tcgetwinsize;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

/// Columns where there is no terminal to ask.
const DEFAULT_WIDTH: usize = 80;

/// Clears the terminal.
const CLEAR: &str = "\x1b[2J";

/// Moves to the upper left corner.
const HOME: &str = "\x1b[H";

/// Erases what an older, longer line left.
const ERASE_LINE_END: &str = "\x1b[K";

/// Erases what an older, longer screen left.
const ERASE_BELOW: &str = "\x1b[J";

/// Where screens are shown one after another.
pub(crate) struct Output {
    is_terminal: bool,
    is_first: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), is_first: true }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Shows `status` with `footer` below it: over the last screen on a terminal, cut to its height;
    /// else after it, with an empty line between.
    pub(crate) fn show(&mut self, status: &Status, footer: Option<&str>) -> Result<()> {
        let footer = footer.map_or_else(String::new, |footer| format!("\n{footer}\n"));
        let is_first = std::mem::take(&mut self.is_first);
        if !self.is_terminal {
            let gap = if is_first { "" } else { "\n" };
            return print(&(gap.to_owned() + &lines::screen(status, width(), &Local) + &footer));
        }
        let (width, height) = size().unwrap_or((DEFAULT_WIDTH, usize::MAX));
        // The last line is where the cursor rests.
        let room = height.saturating_sub(footer.lines().count() + 1);
        let screen = if status.all_ended {
            // The last screen stays, and is shown whole.
            lines::screen(status, width, &Local)
        } else {
            lines::fitted(status, width, room, &Local)
        };
        let mut text = String::from(if is_first { CLEAR } else { "" }) + HOME;
        for line in screen.lines().chain(footer.lines()) {
            text.push_str(line);
            text.push_str(ERASE_LINE_END);
            text.push_str("\r\n");
        }
        print(&(text + ERASE_BELOW))
    }
}

/// Writes `text` to standard output at once.
///
/// # Errors
/// An [`io::Error`], unwrapped so that a closed pipe can be told from a full disk.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Columns of the terminal that standard output is, or 80.
pub(crate) fn width() -> usize {
    size().map_or(DEFAULT_WIDTH, |(width, _)| width)
}

/// Columns and rows, where there is a terminal that knows them.
fn size() -> Option<(usize, usize)> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col.into(), size.ws_row.into()))
}

/// From now on Ctrl-C ends the process with exit code 0: leaving a watch is how a watch ends. Works
/// also while a slow reader keeps output from being written.
pub(crate) fn leave_quietly_on_interrupt(is_terminal: bool) -> Result<()> {
    let mut signals = Signals::new([SIGINT]).context("wait for Ctrl-C")?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            if is_terminal {
                // The terminal has shown `^C`; the shell's prompt goes below it.
                let _ = rustix::io::write(io::stdout(), b"\n");
            }
            process::exit(0);
        }
    });
    Ok(())
}
