//! One pass over a data set: its hash, its number of rows, and those rows that are wanted.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};

use anyhow::{Context, Result, bail};
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

pub use super::local::{Format, Local};
use super::{Row, rows};

const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
const BUFFER_SIZE: usize = 64 * 1024;

/// What is recorded of a data set when a task is submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// SHA-256, in lower-case hex, of the bytes as stored: of the compressed ones if the file is compressed.
    pub sha256: String,
    /// The number of rows, without a header; at least 1.
    pub n_rows: usize,
}

/// Reads all of `local`, as a stream, and checks that every row has `columns`.
///
/// # Errors
///
/// When the file cannot be read, is in no known format, has no rows, lacks a column, or has a broken row.
pub fn scan(local: &Local, columns: &[&str]) -> Result<Scan> {
    let (sha256, n_rows) = pass(local, columns, &mut |_, _| {})?;
    Ok(Scan { sha256, n_rows: n_rows? })
}

/// The `chosen` rows of `local` with their values of `columns`, in the order of `chosen`.
///
/// The file is read once, as a stream; rows that were not chosen are not kept.
///
/// # Errors
///
/// When the file is not the one `expected` was taken of, naming both hashes; when a row is chosen twice or is not there;
/// and for the reasons of [`scan`].
pub fn load(
    local: &Local,
    columns: &[&str],
    chosen: &[usize],
    expected: &Scan,
) -> Result<Vec<Row>> {
    let mut places = HashMap::with_capacity(chosen.len());
    for (place, &row) in chosen.iter().enumerate() {
        if row >= expected.n_rows {
            bail!("{local}: row {row} was chosen of {} rows", expected.n_rows);
        }
        if places.insert(row, place).is_some() {
            bail!("{local}: row {row} was chosen twice");
        }
    }
    let mut found = vec![None; chosen.len()];
    let (sha256, n_rows) = pass(local, columns, &mut |row, values| {
        if let Some(&place) = places.get(&row) {
            found[place] = Some(Row::new(values.iter().copied()));
        }
    })?;
    if sha256 != expected.sha256 {
        let was = &expected.sha256;
        bail!(
            "{local} changed since submission: SHA-256 was {was}, is {sha256}; restore it or submit again"
        );
    }
    let n_rows = n_rows?;
    if n_rows != expected.n_rows {
        bail!("{local} has {n_rows} rows, at submission it had {}; submit again", expected.n_rows);
    }
    Ok(found.into_iter().map(|row| row.expect("chosen rows are below `n_rows`")).collect())
}

/// The hash of the whole file, also where its rows could not be read to the end, and the number of rows.
fn pass(
    local: &Local,
    columns: &[&str],
    visit: &mut dyn FnMut(usize, &[&str]),
) -> Result<(String, Result<usize>)> {
    let format = local.format()?;
    let mut stored = Hashing { inner: local.open()?, hash: Sha256::new() };
    let n_rows = {
        let mut stored = BufReader::with_capacity(BUFFER_SIZE, &mut stored);
        match stored.fill_buf().with_context(|| format!("read {local}"))?.starts_with(GZIP_MAGIC) {
            true => rows::each(format, &mut MultiGzDecoder::new(stored), columns, visit),
            false => rows::each(format, &mut stored, columns, visit),
        }
    };
    io::copy(&mut stored, &mut io::sink()).with_context(|| format!("read {local}"))?;
    let sha256 = format!("{:x}", stored.hash.finalize());
    Ok((sha256, n_rows.with_context(|| local.to_string())))
}

struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n_bytes]);
        Ok(n_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::super::shared;
    use super::*;

    fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> Local {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Local::File(path)
    }

    #[test]
    fn changed_file_is_refused_with_both_hashes_even_if_it_is_broken_now() {
        let folder = TempDir::new().unwrap();
        let local = file(&folder, "a.csv", b"a,b\n1,2\n");
        let before = scan(&local, &["a"]).unwrap();
        for bytes in [&b"a,b\n1,3\n"[..], b"b\n1\n"] {
            let now = format!("{:x}", Sha256::digest(bytes));
            let error = load(&file(&folder, "a.csv", bytes), &["a"], &[0], &before).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains("changed since submission"), "{error}");
            assert!(error.contains(&before.sha256) && error.contains(&now), "{error}");
        }
    }

    #[test]
    fn row_is_chosen_once_and_must_be_there() {
        let local = Local::Embedded(b"a\n1\n2\n");
        let expected = scan(&local, &["a"]).unwrap();
        let error =
            |chosen: &[usize]| load(&local, &["a"], chosen, &expected).unwrap_err().to_string();
        assert!(error(&[1, 1]).contains("row 1 was chosen twice"));
        assert!(error(&[2]).contains("row 2 was chosen of 2 rows"));
    }

    #[track_caller]
    fn check_shared(name: &str, columns: &[&str], n_rows: usize, sha256: &str) {
        let Some(path) = shared::file(name) else {
            return;
        };
        assert_eq!(
            scan(&Local::File(path), columns).unwrap(),
            Scan { sha256: sha256.to_owned(), n_rows }
        );
    }

    #[test]
    fn official_files_have_the_published_rows_and_hashes() {
        let human_eval = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef";
        check_shared("HumanEval.jsonl.gz", &["task_id", "prompt"], 164, human_eval);
        let mgsm = "50021d0f28cc957edcb44e7806425b1c7fbd648ddcb9e0a8ec689d10e57d40fa";
        check_shared("mgsm_en.tsv", &["1", "2"], 250, mgsm);
        let math = "b00de3ae0655dda1eba8f2324e58ac5a44819290a56d6320952c1126717e1e18";
        check_shared("math_500_test.csv", &["Question", "Answer"], 500, math);
    }

    #[test]
    fn missing_file_is_named() {
        let error = scan(&Local::File(Path::new("/nowhere/a.csv").into()), &["a"]).unwrap_err();
        assert!(format!("{error:#}").contains("`/nowhere/a.csv`"), "{error:#}");
    }
}
