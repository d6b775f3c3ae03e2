//! Exit codes.

use std::process::ExitCode;

use evalcore::task::{TaskFile, TaskStatus};

/// What `run` exits with; 2, for wrong usage, is clap's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// 0: every task is completed.
    Completed,
    /// 1: every task has ended, some of them failed.
    Failed,
    /// 3: stopped before the end; the next run goes on.
    Interrupted,
}

impl Code {
    /// The code for a task file as a run has left it.
    pub(crate) fn of(file: &TaskFile) -> Self {
        let all = |statuses: &[TaskStatus]| {
            file.tasks.values().all(|task| statuses.contains(&task.status))
        };
        match () {
            () if all(&[TaskStatus::Completed]) => Self::Completed,
            () if all(&[TaskStatus::Completed, TaskStatus::Failed]) => Self::Failed,
            () => Self::Interrupted,
        }
    }

    /// The code in words.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Completed => "all tasks are completed",
            Self::Failed => "some tasks failed: start `run` again once the cause is mended",
            Self::Interrupted => "stopped before the end: start `run` again to go on",
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        match code {
            Code::Completed => Self::SUCCESS,
            Code::Failed => Self::FAILURE,
            Code::Interrupted => Self::from(3),
        }
    }
}
