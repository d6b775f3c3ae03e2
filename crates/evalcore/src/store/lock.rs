//! The run lock: two runners cannot work on one task file, and `poll` can tell whether one lives.
//!
//! `run.lock` in the work folder is locked (advisory, whole file) while a runner lives, and the
//! kernel lets go of it however the runner ends. It holds one line of JSON about the holder. The
//! file stays when the lock is released: removing it would race with the next runner.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use chrono::DateTime;
use serde::{Deserialize, Serialize};

use super::paths::work_dir;

/// A look of `poll` holds the lock, shared, for an instant; longer than this it is another runner.
const PATIENCE: Duration = Duration::from_millis(300);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// A runner that lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id on `host`.
    pub pid: u32,
    /// The machine it runs on.
    pub host: String,
    /// When it took the lock, in Unix seconds.
    pub started_at: f64,
}

/// The right to work on a task file; dropping it gives it back.
#[derive(Debug)]
#[must_use]
pub struct Lock {
    /// Closing it releases the lock.
    _file: File,
}

impl Lock {
    /// Takes the lock of the task file at `path`, making its work folder if missing. Waits at most
    /// 300 ms.
    ///
    /// # Errors
    /// Another runner holds it, or its file cannot be written.
    pub fn take(path: &Path) -> Result<Self> {
        let lock_path = lock_path(path);
        let context = || format!("take lock `{}`", lock_path.display());
        fs::create_dir_all(work_dir(path)).with_context(context)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&lock_path).with_context(context)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => match holder(path)? {
                    Some(holder) => bail!("task file `{}` is {}", path.display(), held_by(&holder)),
                    None if Instant::now() > deadline + PATIENCE => {
                        bail!("lock `{}` is held by another program", lock_path.display())
                    }
                    None => thread::sleep(PAUSE), // it was let go just now
                },
                Err(TryLockError::Error(error)) => return Err(error).with_context(context),
            }
        }
        let holder =
            Holder { pid: std::process::id(), host: host_name(), started_at: unix_seconds() };
        file.set_len(0).with_context(context)?;
        let line = serde_json::to_string(&holder)? + "\n";
        file.write_all(line.as_bytes()).with_context(context)?;
        Ok(Self { _file: file })
    }
}

/// The runner that works on the task file at `path`; none when nobody does, also when one died and
/// left its file. Creates and writes nothing.
///
/// # Errors
/// The lock's file is there and cannot be read.
pub fn holder(path: &Path) -> Result<Option<Holder>> {
    let lock_path = lock_path(path);
    let context = || format!("look at lock `{}`", lock_path.display());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut file = match File::open(&lock_path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(context),
        };
        match file.try_lock_shared() {
            Ok(()) => return Ok(None), // closing the file releases it
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(context)?;
        match serde_json::from_str(&text) {
            Ok(holder) => return Ok(Some(holder)),
            // Between taking the lock and writing to it.
            Err(_) if Instant::now() < deadline => thread::sleep(PAUSE),
            Err(error) => return Err(error).with_context(context),
        }
    }
}

fn lock_path(task_file: &Path) -> PathBuf {
    work_dir(task_file).join("run.lock")
}

fn held_by(holder: &Holder) -> String {
    let Holder { pid, host, started_at } = holder;
    // UTC, because the library does not know the user's zone.
    let since = DateTime::from_timestamp(*started_at as i64, 0).map_or_else(String::new, |time| {
        format!(" since {}", time.format("%Y-%m-%d %H:%M:%S UTC"))
    });
    let there = if *host == host_name() { "" } else { " there" };
    format!("held by pid {pid} on {host}{since}: wait for it, or stop it{there} with `kill {pid}`")
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_runner_is_told_who_holds_the_lock() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("tasks_1.json");
        let lock = Lock::take(&path)?;
        let pid = std::process::id();
        let seen = holder(&path)?.expect("held");
        assert_eq!((seen.pid, seen.host), (pid, host_name()));
        assert!((unix_seconds() - seen.started_at).abs() < 60.0);
        let error = Lock::take(&path).expect_err("held").to_string();
        let start = format!("task file `{}` is held by pid {pid} on ", path.display());
        let end = format!(" UTC: wait for it, or stop it with `kill {pid}`");
        assert!(error.starts_with(&start) && error.ends_with(&end), "{error}");
        drop(lock);
        assert_eq!(holder(&path)?, None);
        drop(Lock::take(&path)?);
        Ok(())
    }

    #[test]
    fn a_runner_elsewhere_is_stopped_elsewhere() {
        let holder = Holder { pid: 7, host: "far.example".into(), started_at: 1_795_416_900.5 };
        assert_eq!(
            held_by(&holder),
            "held by pid 7 on far.example since 2026-11-23 06:55:00 UTC: \
             wait for it, or stop it there with `kill 7`"
        );
    }

    #[test]
    fn a_look_makes_nothing_and_a_stale_file_is_nobody() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("tasks_1.json");
        assert_eq!(holder(&path)?, None);
        assert!(!work_dir(&path).exists());
        fs::create_dir(work_dir(&path))?;
        fs::write(lock_path(&path), r#"{"pid":1,"host":"h","started_at":0}"#)?;
        assert_eq!(holder(&path)?, None);
        Ok(())
    }

    #[test]
    fn a_runner_waits_for_a_look_to_end() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("tasks_1.json");
        drop(Lock::take(&path)?);
        let look = File::open(lock_path(&path))?;
        look.lock_shared()?;
        let looking = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            drop(look);
        });
        drop(Lock::take(&path)?);
        looking.join().expect("thread ends");
        Ok(())
    }
}
