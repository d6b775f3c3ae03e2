//! Data sets: where they lie, how their rows are read, and which of them are run.
//!
//! A data set is read twice. [`scan`] goes through it when a task is submitted and gives what the task file records of it,
//! its hash and its number of rows; [`load`] goes through it again when the task runs, keeps only the rows chosen by
//! [`select()`], and refuses a file that is no longer the same. Neither holds more than one row that was not chosen.
//!
//! - [`fetch`]: from what the user names to bytes on this machine
//! - [`read`]: CSV, TSV and JSON Lines, each also compressed with gzip
//! - [`mod@select`]: the examples that the reference evals would draw
//! - [`cipher`]: the cipher of BrowseComp's questions and answers

pub mod cipher;
mod download;
pub mod fetch;
mod local;
pub mod read;
mod rows;
pub mod select;
mod source;

use std::ops::Index;

pub use fetch::{default_cache_dir, locate};
pub use read::{Format, Local, Scan, load, scan};
pub use select::{ids_sha256, select};
pub use source::Source;

/// One row of a data set: the values of the columns asked for, in their order.
///
/// `row[i]` is the value of the `i`-th column asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(Box<[Box<str>]>);

impl Row {
    /// A row of these values.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        Self(values.into_iter().map(Box::from).collect())
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl Index<usize> for Row {
    type Output = str;

    fn index(&self, column: usize) -> &str {
        &self.0[column]
    }
}

/// A data set the registry knows.
#[derive(Clone, Copy, Debug)]
pub struct KnownDataset {
    /// The name a task file records, such as `browse_comp_test_set`.
    pub name: &'static str,
    /// Where the official file is.
    pub url: &'static str,
    /// The SHA-256 of the official file in lower-case hex; `None` when it is not known.
    pub sha256: Option<&'static str>,
    /// The number of rows of the official file; `None` when it is not known.
    pub rows: Option<usize>,
    /// The columns that the eval reads; [`Row`] has them in this order.
    pub columns: &'static [&'static str],
    /// A small sample in the format of the official file, for a run without a download.
    pub embedded: Option<&'static [u8]>,
}

/// The files of real data that tests use when they are there.
#[cfg(test)]
pub(crate) mod shared {
    use std::path::{Path, PathBuf};

    /// The file `name` of the folder with real data; `None` (and a word on stderr) where there is no such file.
    ///
    /// # Panics
    ///
    /// When the file is missing on a CI system, which is to run all tests.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    pub(crate) fn file(name: &str) -> Option<PathBuf> {
        let folder = match std::env::var_os("ASYNC_EVALS_SHARED") {
            Some(folder) => PathBuf::from(folder).join("data"),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        };
        let path = folder.join(name);
        if path.is_file() {
            return Some(path);
        }
        assert!(
            std::env::var_os("CI").is_none(),
            "`{}` is missing: set `ASYNC_EVALS_SHARED`",
            path.display()
        );
        eprintln!(
            "skipped: `{}` is missing, set `ASYNC_EVALS_SHARED` to the folder above `data`",
            path.display()
        );
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_gives_its_values_by_position() {
        let row = Row::new(["question", ""]);
        assert_eq!((&row[0], &row[1]), ("question", ""));
        assert_eq!(row.iter().collect::<Vec<_>>(), ["question", ""]);
    }
}
