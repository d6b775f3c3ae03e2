//! The task-file store: `async_results/` and what stands in it.
//!
//! ```text
//! tasks_20261123_065500.json      a task file, see [`crate::task`]
//! latest_tasks.json               symlink to the newest one
//! tasks_20261123_065500/          its work folder: journals, reports, and
//!   run.lock                      held while a runner lives, see [`lock`]
//! ```
//!
//! A task file is only ever replaced as a whole, so a reader never sees half of one.

pub mod lock;
mod paths;
mod read;
mod write;

pub use paths::{LATEST, file_name, journal_path, newest, resolve, work_dir};
pub use read::read;
pub use write::{Created, create, replace};
