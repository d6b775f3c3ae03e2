//! A data set on this machine, and the format it is in.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The format of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, RFC 4180: a header line, fields in double quotes may hold commas, quotes and line breaks.
    Csv,
    /// Tab-separated, quotes being ordinary characters, with a header line. When every column asked for is a number,
    /// the file has no header line and its fields are numbered from 1.
    Tsv,
    /// JSON Lines: an object per line. Strings are taken as they are, other values as compact JSON.
    Jsonl,
}

impl Format {
    /// The format that a file's name tells; a final `.gz` is looked past.
    ///
    /// # Errors
    ///
    /// When the name ends otherwise than in `.csv`, `.tsv`, `.jsonl` or `.ndjson`.
    pub fn of(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("csv") => Ok(Self::Csv),
            Some("tsv") => Ok(Self::Tsv),
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            _ => bail!(
                "data set `{}`: unknown format, the name must end in `.csv`, `.tsv` or `.jsonl`, or in one of these and `.gz`",
                path.display()
            ),
        }
    }
}

/// A data set whose bytes are on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// A sample that is part of the program: JSON Lines when it starts with a brace, else CSV.
    Embedded(&'static [u8]),
    /// A file.
    File(PathBuf),
}

impl Local {
    pub(super) fn format(&self) -> Result<Format> {
        match self {
            Self::Embedded(bytes) if bytes.starts_with(b"{") => Ok(Format::Jsonl),
            Self::Embedded(_) => Ok(Format::Csv),
            Self::File(path) => Format::of(path),
        }
    }

    /// The bytes as they are stored, from the first on.
    pub(super) fn open(&self) -> Result<Box<dyn Read>> {
        Ok(match self {
            Self::Embedded(bytes) => Box::new(*bytes),
            Self::File(path) => Box::new(File::open(path).with_context(|| format!("open {self}"))?),
        })
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(_) => f.write_str("embedded sample"),
            Self::File(path) => write!(f, "data set `{}`", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, format: Option<Format>) {
        assert_eq!(Format::of(Path::new(name)).ok(), format, "{name}");
    }

    #[test]
    fn format_is_told_by_the_ending() {
        check("/data/a.csv", Some(Format::Csv));
        check("A.CSV.GZ", Some(Format::Csv));
        check("mgsm_en.tsv", Some(Format::Tsv));
        check("a.b.jsonl.gz", Some(Format::Jsonl));
        check("a.ndjson", Some(Format::Jsonl));
        check("a.parquet", None);
        check("csv", None);
        check("a.gz", None);
        check("/", None);
    }
}
