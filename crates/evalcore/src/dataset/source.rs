//! What the user names as a data set.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};

use crate::http;

const SAMPLE: &str = "sample";

/// Where a data set comes from, as `--dataset` names it: the word `sample`, a URL, or else a path.
///
/// What is displayed is what a task file records; it reads back as the same source from any working directory. A file
/// whose name is `sample` is named `./sample`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The small sample that comes with the suite.
    Sample,
    /// A file on this machine, as an absolute path.
    Path(PathBuf),
    /// A file that is downloaded once, from an `http` or `https` URL.
    Url(String),
}

impl FromStr for Source {
    type Err = Error;

    /// Reads a source; a relative path is taken from the working directory.
    ///
    /// # Errors
    ///
    /// When the text is empty, or a URL that cannot be downloaded or that carries a password.
    fn from_str(text: &str) -> Result<Self> {
        if text == SAMPLE {
            return Ok(Self::Sample);
        }
        if text.is_empty() {
            bail!("data set ``: empty, give a file, a URL or `{SAMPLE}`");
        }
        if text.contains("://") {
            http::parse(text).context("data set")?;
            return Ok(Self::Url(text.to_owned()));
        }
        let path = std::path::absolute(text).with_context(|| format!("data set `{text}`"))?;
        Ok(Self::Path(path))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sample => f.write_str(SAMPLE),
            Self::Path(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, source: Source) {
        let read: Source = text.parse().unwrap();
        assert_eq!(read, source);
        assert_eq!(read.to_string().parse::<Source>().unwrap(), source, "round trip");
    }

    #[test]
    fn sample_urls_and_paths_are_told_apart() {
        let here = std::env::current_dir().unwrap();
        check("sample", Source::Sample);
        check("./sample", Source::Path(here.join("sample")));
        check("data/a b.csv", Source::Path(here.join("data/a b.csv")));
        check("/data/x.csv", Source::Path("/data/x.csv".into()));
        check("https://host/x.csv?v=1", Source::Url("https://host/x.csv?v=1".into()));
        check("HTTP://host/x.csv", Source::Url("HTTP://host/x.csv".into()));
    }

    #[track_caller]
    fn check_refused(text: &str, part: &str) {
        let error = format!("{:#}", text.parse::<Source>().unwrap_err());
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn source_that_cannot_be_read_is_refused() {
        check_refused("", "empty");
        check_refused("s3://bucket/x.csv", "`s3` is not supported");
        check_refused("https://", "data set: read URL: empty host");
        check_refused("https://me:pw@host/x.csv", "user name or password");
    }
}
