//! Appends with group commit: what has piled up while one fsync ran goes to disk with the next.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How many appends one fsync covers at most.
const GROUP: usize = 1024;

/// How long the first append of a group waits for others. Next to the time of a request it is
/// nothing, and every fsync that is saved is time of the processor and the disk.
const GATHERING: Duration = Duration::from_millis(1);

/// Owns the open journals and appends to them on a thread of its own. A token travels with each
/// append and comes back once its lines are on disk, in the order of appending.
#[derive(Debug)]
pub struct Committer<T> {
    queue: Option<mpsc::Sender<Append<T>>>,
    committed: UnboundedReceiver<Result<T>>,
    thread: Option<JoinHandle<()>>,
    pending: usize,
}

#[derive(Debug)]
struct Append<T> {
    journal: usize,
    lines: Vec<u8>,
    token: T,
}

impl<T: Send + 'static> Committer<T> {
    /// Takes the journals over, each opened for appending.
    pub fn start(journals: Vec<(PathBuf, File)>) -> Self {
        let (queue, appends) = mpsc::channel();
        let (done, committed) = unbounded_channel();
        let thread = thread::spawn(move || work(journals, &appends, &done));
        Self { queue: Some(queue), committed, thread: Some(thread), pending: 0 }
    }

    /// Hands over whole lines for journal number `journal`.
    pub fn append(&mut self, journal: usize, lines: Vec<u8>, token: T) {
        debug_assert!(lines.ends_with(b"\n"));
        self.pending += 1;
        if let Some(queue) = &self.queue {
            // After a failed write the thread is gone, and `next` tells why.
            let _ = queue.send(Append { journal, lines, token });
        }
    }

    /// The next token whose lines are on disk; waits for ever when nothing is pending.
    ///
    /// # Errors
    ///
    /// A write that failed. Nothing is written any more after that.
    pub async fn next(&mut self) -> Result<T> {
        if self.pending == 0 {
            std::future::pending::<()>().await;
        }
        let token = self.committed.recv().await.ok_or_else(|| anyhow!("journal is closed"))??;
        self.pending -= 1;
        Ok(token)
    }

    /// Whether all that was appended is on disk.
    pub fn is_idle(&self) -> bool {
        self.pending == 0
    }
}

impl<T> Drop for Committer<T> {
    /// What has been handed over is written before the journals are closed.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work<T>(
    mut journals: Vec<(PathBuf, File)>,
    appends: &mpsc::Receiver<Append<T>>,
    done: &UnboundedSender<Result<T>>,
) {
    let mut lines = vec![Vec::new(); journals.len()];
    let mut tokens = Vec::new();
    while let Ok(first) = appends.recv() {
        thread::sleep(GATHERING);
        for append in std::iter::once(first).chain(appends.try_iter().take(GROUP - 1)) {
            lines[append.journal].extend_from_slice(&append.lines);
            tokens.push(append.token);
        }
        for ((path, file), lines) in journals.iter_mut().zip(&mut lines) {
            if lines.is_empty() {
                continue;
            }
            if let Err(error) = file.write_all(lines).and_then(|()| file.sync_data()) {
                let error = Err(error).with_context(|| {
                    format!("write journal `{}`: make room and start `run` again", path.display())
                });
                let _ = done.send(error);
                return;
            }
            lines.clear();
        }
        for token in tokens.drain(..) {
            let _ = done.send(Ok(token));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tokens_come_back_in_order_once_their_lines_are_on_disk() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        let journals = paths.clone().map(|path| (path.clone(), File::create(path).expect("file")));
        let mut committer = Committer::start(journals.into());
        for number in 0..100 {
            committer.append(number % 2, format!("{number}\n").into_bytes(), number);
        }
        for number in 0..100 {
            assert_eq!(committer.next().await.expect("written"), number);
            let text = std::fs::read_to_string(&paths[number % 2]).expect("readable");
            assert!(text.lines().any(|line| line == number.to_string()));
        }
        assert!(committer.is_idle());
    }

    #[test]
    fn what_was_handed_over_is_written_before_the_journals_close() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let journal = (file.path().to_owned(), file.reopen().expect("file"));
        let mut committer = Committer::start(vec![journal]);
        committer.append(0, b"x\n".to_vec(), ());
        drop(committer);
        assert_eq!(std::fs::read(file.path()).expect("readable"), b"x\n");
    }

    #[tokio::test]
    async fn a_full_disk_is_told_with_the_journals_path() {
        let Ok(full) = File::options().write(true).open("/dev/full") else {
            return;
        };
        let mut committer = Committer::start(vec![("j.jsonl".into(), full)]);
        committer.append(0, b"x\n".to_vec(), ());
        let error = format!("{:#}", committer.next().await.expect_err("nothing fits"));
        assert!(error.starts_with("write journal `j.jsonl`: make room"), "{error}");
    }
}
