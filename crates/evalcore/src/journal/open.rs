//! Opening a journal: check, replay, and repair of a tail that a crash tore.

use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use super::{FORMAT, Header, Record};

/// A journal, ready to be appended to.
#[derive(Debug)]
pub struct Opened {
    /// Stands at the end.
    pub file: File,
    /// Bytes of a torn last line that were cut off; 0 for a sound journal.
    pub n_cut: u64,
}

/// Opens the journal at `path`, creating it if it is not there, and hands every record after the
/// header to `each`, with the byte offset of its line.
///
/// # Errors
///
/// A journal of another task or data set, of a newer format, or with a bad line before the last:
/// the line's number is named. Errors of `each` are passed on the same way.
pub fn open(
    path: &Path,
    header: &Header,
    mut each: impl FnMut(Record, u64) -> Result<()>,
) -> Result<Opened> {
    let name = || format!("journal `{}`", path.display());
    let mut file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("open {}", name()))?;
    // The task file's lock can be deleted; what stands in this file cannot be mended.
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        bail!("{}: another `run` is writing it", name());
    }
    let mut end = 0;
    let mut n_cut = 0;
    let mut reader = BufReader::with_capacity(1 << 16, &file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let length =
            reader.read_until(b'\n', &mut line).with_context(|| format!("read {}", name()))?;
        if length == 0 {
            break;
        }
        let record = serde_json::from_slice(&line);
        let is_torn = !line.ends_with(b"\n");
        match record {
            Err(_) if is_torn => {
                n_cut = length as u64;
                break;
            }
            Err(error) => Err(anyhow!("{error}: restore the file, or remove that line")),
            Ok(Record::Journal(found)) if number == 1 => check(&found, header),
            Ok(_) if number == 1 => Err(anyhow!("not a journal: its header is missing")),
            Ok(Record::Journal(_)) => Err(anyhow!("a second header")),
            Ok(record) => each(record, end),
        }
        .with_context(|| format!("{}, line {number}", name()))?;
        end += length as u64;
        if is_torn {
            // The record is whole, only its line end is missing.
            repair(&file, end, true).with_context(|| format!("repair {}", name()))?;
            end += 1;
        }
    }
    if n_cut > 0 {
        repair(&file, end, false).with_context(|| format!("repair {}", name()))?;
    }
    file.seek(SeekFrom::Start(end)).with_context(|| format!("open {}", name()))?;
    if end == 0 {
        let mut line = serde_json::to_vec(&Record::Journal(header.clone())).expect("is JSON");
        line.push(b'\n');
        file.write_all(&line)
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_folder(path))
            .with_context(|| format!("write {}", name()))?;
    }
    Ok(Opened { file, n_cut })
}

/// Reads the records at these byte offsets again.
///
/// # Errors
///
/// A file that is no longer what it was when it was opened.
pub fn records_at(path: &Path, offsets: &[u64]) -> Result<Vec<Record>> {
    let read = || -> Result<Vec<Record>> {
        let mut reader = BufReader::new(File::open(path)?);
        let mut line = Vec::new();
        offsets
            .iter()
            .map(|offset| {
                line.clear();
                reader.seek(SeekFrom::Start(*offset))?;
                reader.read_until(b'\n', &mut line)?;
                Ok(serde_json::from_slice(&line)?)
            })
            .collect()
    };
    read().with_context(|| format!("read journal `{}`", path.display()))
}

fn check(found: &Header, expected: &Header) -> Result<()> {
    if found.format > FORMAT {
        bail!("written by a newer version (format {}): update this program", found.format);
    }
    if found.task_id != expected.task_id {
        bail!("belongs to task `{}`, not to `{}`", found.task_id, expected.task_id);
    }
    if found.dataset_sha256 != expected.dataset_sha256 {
        bail!(
            "was written for a data set with SHA-256 {}, the task has {}",
            found.dataset_sha256,
            expected.dataset_sha256
        );
    }
    Ok(())
}

fn repair(file: &File, end: u64, add_line_end: bool) -> std::io::Result<()> {
    let mut file = file;
    file.set_len(end)?;
    if add_line_end {
        file.seek(SeekFrom::Start(end))?;
        file.write_all(b"\n")?;
    }
    file.sync_all()
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    const HEADER: &str =
        "{\"type\":\"journal\",\"format\":1,\"task_id\":\"t\",\"dataset_sha256\":\"d\"}\n";
    const FAILED: &str = "{\"type\":\"failed\",\"sample\":\"3\",\"epoch\":1,\"slot\":\"answer\",\
                          \"at\":1.5,\"error\":\"e\"}\n";

    fn header() -> Header {
        Header { format: FORMAT, task_id: "t".into(), dataset_sha256: "d".into() }
    }

    fn journal(text: &str) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("t.jsonl");
        std::fs::write(&path, text).expect("writable");
        (folder, path)
    }

    /// Opens a journal that holds `text`; gives what it holds after that, and what was cut off.
    #[track_caller]
    fn check_repair(text: &str, repaired: &str, expected_cut: u64) {
        let (_folder, path) = journal(text);
        let opened = open(&path, &header(), |_, _| Ok(())).expect("opens");
        assert_eq!(opened.n_cut, expected_cut);
        assert_eq!(std::fs::read_to_string(path).expect("readable"), repaired);
    }

    #[test]
    fn a_torn_tail_is_cut_off() {
        check_repair(
            &format!("{HEADER}{FAILED}{{\"type\":\"rep"),
            &format!("{HEADER}{FAILED}"),
            12,
        );
        check_repair(&format!("{HEADER}\0\0\0"), HEADER, 3);
        check_repair("{\"type\":\"jour", HEADER, 13);
    }

    #[test]
    fn a_whole_record_without_its_line_end_is_kept() {
        let text = format!("{HEADER}{FAILED}");
        check_repair(text.trim_end(), &text, 0);
        check_repair(HEADER.trim_end(), HEADER, 0);
    }

    #[test]
    fn a_new_journal_gets_its_header() {
        check_repair("", HEADER, 0);
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let (_folder, path) = journal(text);
        let error = open(&path, &header(), |_, _| Ok(())).expect_err("is refused");
        let error = format!("{error:#}");
        assert!(error.contains(expected), "{error}");
        assert_eq!(std::fs::read_to_string(path).expect("readable"), text, "left as it was");
    }

    #[test]
    fn a_bad_line_before_the_last_is_named() {
        check_error(&format!("{HEADER}x\n{FAILED}"), "t.jsonl`, line 2: expected value");
        check_error(&format!("{HEADER}{FAILED}x\n"), "t.jsonl`, line 3: expected value");
    }

    #[test]
    fn the_journal_of_another_task_is_refused() {
        let other = HEADER.replace("\"t\"", "\"other\"");
        check_error(&other, "belongs to task `other`, not to `t`");
        check_error(&HEADER.replace("\"d\"", "\"e\""), "SHA-256 e, the task has d");
        check_error(&HEADER.replace("t\":1", "t\":2"), "newer version (format 2)");
        check_error(FAILED, "its header is missing");
    }

    #[test]
    fn records_are_found_again_at_their_offsets() {
        let (_folder, path) = journal(&format!("{HEADER}{FAILED}{FAILED}"));
        let mut seen = Vec::new();
        open(&path, &header(), |record, offset| {
            seen.push((record, offset));
            Ok(())
        })
        .expect("opens");
        let (records, offsets): (Vec<Record>, Vec<u64>) = seen.into_iter().unzip();
        assert_eq!(offsets, [HEADER.len() as u64, (HEADER.len() + FAILED.len()) as u64]);
        assert_eq!(records_at(&path, &offsets).expect("readable"), records);
    }
}
