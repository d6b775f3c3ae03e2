//! From what the user names to a data set on this machine.
//!
//! A URL is downloaded once, into a cache folder, under a name that begins with a hash of the URL and ends with the name the
//! file has there: `3f0c1c6a9d2e-browse_comp_test_set.csv`. A file enters the cache by a rename, complete or not at all, so any
//! number of processes may download it at once. Whoever has no network puts the file there by hand.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use etcetera::BaseStrategy;
use sha2::{Digest, Sha256};

use super::download::{check_hash, download};
use super::{Format, KnownDataset, Local, Source};
use crate::http;

/// The longest file name taken over from a URL, in bytes.
const MAX_NAME: usize = 100;

/// The folder for downloaded data sets: `async-evals/datasets` in the XDG cache folder, which is `$XDG_CACHE_HOME` or
/// `~/.cache`. The one function here that reads the environment.
///
/// # Errors
///
/// When there is no home folder.
pub fn default_cache_dir() -> Result<PathBuf> {
    let base = etcetera::base_strategy::Xdg::new().context("find the cache folder; set `HOME`")?;
    Ok(base.cache_dir().join("async-evals").join("datasets"))
}

/// The bytes of `source`: checked to be there, and downloaded into `cache_dir` if `source` is a URL not yet cached.
///
/// `known` lends its embedded sample, and its hash to a download from its own URL. `progress` is called during a download
/// with the number of bytes so far and, if the server tells it, of all bytes. With `offline` the network is not used.
///
/// # Errors
///
/// When a path is no readable file; when a download fails, breaks off, gives a web page or has a wrong hash, in which case nothing
/// is kept of it; when a file in the cache has a wrong hash; when `offline` finds no file in the cache.
pub async fn locate(
    source: &Source,
    known: &KnownDataset,
    cache_dir: &Path,
    offline: bool,
    progress: impl FnMut(u64, Option<u64>),
) -> Result<Local> {
    match source {
        Source::Sample => match known.embedded {
            Some(bytes) => Ok(Local::Embedded(bytes)),
            None => bail!("data set `{}` has no embedded sample: give a file or a URL", known.name),
        },
        Source::Path(path) => {
            check_file(path).with_context(|| format!("data set `{}`", path.display()))?;
            Ok(Local::File(path.clone()))
        }
        Source::Url(url) => {
            let sha256 = known.sha256.filter(|_| known.url == url);
            let path = cache_dir.join(cache_name(url)?);
            if path.exists() {
                check_cached(&path, sha256)
                    .with_context(|| format!("data set `{}`", path.display()))?;
            } else if offline {
                bail!(
                    "data set `{url}` is not cached: go online, or put the file at `{}`",
                    path.display()
                );
            } else {
                download(url, sha256, &path, progress).await?;
            }
            Ok(Local::File(path))
        }
    }
}

fn check_file(path: &Path) -> Result<()> {
    // Looked at before it is opened: opening a pipe would wait for its other end.
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        bail!("is a folder, give the file in it");
    }
    if !metadata.is_file() {
        bail!("is not a regular file, and a data set is read more than once; save it to a file");
    }
    File::open(path)?;
    Ok(())
}

fn check_cached(path: &Path, sha256: Option<&str>) -> Result<()> {
    check_file(path)?;
    let Some(expected) = sha256 else {
        return Ok(());
    };
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    check_hash(hash, expected).context("the cached file is damaged, delete it")
}

/// The name of a URL's file in the cache: different URLs have different names, and a person recognises it.
fn cache_name(url: &str) -> Result<String> {
    let parsed = http::parse(url)?;
    let last =
        parsed.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = last.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    // The format is told by the ending; better to miss it now than after the download.
    Format::of(Path::new(&name)).with_context(|| format!("data set `{url}`"))?;
    let hash = format!("{:x}", Sha256::digest(url));
    Ok(format!("{}-{}", &hash[..12], &name[name.len().saturating_sub(MAX_NAME)..]))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::http::canned::{ok, serve};

    const CSV: &[u8] = b"a\n1\n";
    const KNOWN: KnownDataset = KnownDataset {
        name: "ones",
        url: "https://host/ones.csv",
        sha256: None,
        rows: Some(1),
        columns: &["a"],
        embedded: Some(CSV),
    };

    fn known(url: &str, sha256: &str) -> KnownDataset {
        KnownDataset { url: url.to_owned().leak(), sha256: Some(sha256.to_owned().leak()), ..KNOWN }
    }

    async fn get(url: &str, known: &KnownDataset, cache: &TempDir, offline: bool) -> Result<Local> {
        locate(&Source::Url(url.to_owned()), known, cache.path(), offline, |_, _| {}).await
    }

    fn read(local: Local) -> Vec<u8> {
        match local {
            Local::File(path) => fs::read(path).unwrap(),
            Local::Embedded(bytes) => bytes.to_vec(),
        }
    }

    #[tokio::test]
    async fn url_is_downloaded_once_and_progress_told() {
        let server = serve(|_| ok(CSV));
        let cache = TempDir::new().unwrap();
        let source = Source::Url(format!("{}/ones.csv", server.base_url));
        let mut told = Vec::new();
        for _ in 0..2 {
            let folder = cache.path().join("not/there/yet");
            let local =
                locate(&source, &KNOWN, &folder, false, |n, total| told.push((n, total))).await;
            assert_eq!(read(local.unwrap()), CSV);
        }
        assert_eq!(server.n_requests(), 1);
        assert_eq!((told.first(), told.last()), (Some(&(0, Some(4))), Some(&(4, Some(4)))));
    }

    #[tokio::test]
    async fn downloads_at_the_same_time_both_succeed() {
        let server = serve(|_| ok(CSV));
        let cache = TempDir::new().unwrap();
        let url = format!("{}/ones.csv", server.base_url);
        let (one, other) =
            tokio::join!(get(&url, &KNOWN, &cache, false), get(&url, &KNOWN, &cache, false));
        assert_eq!(read(one.unwrap()), read(other.unwrap()));
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn hash_is_checked_for_the_known_url_also_when_the_file_is_cached() {
        let server = serve(|_| ok(CSV));
        let url = format!("{}/ones.csv", server.base_url);
        let sha256 = format!("{:x}", Sha256::digest(CSV));
        let cache = TempDir::new().unwrap();
        get(&url, &known(&url, "00ff"), &cache, false).await.unwrap_err();
        get(&url, &known("https://host/other.csv", "00ff"), &cache, false).await.unwrap();
        get(&url, &known(&url, &sha256), &cache, true).await.unwrap();
        let error = get(&url, &known(&url, "00ff"), &cache, true).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("delete it") && error.contains(&sha256), "{error}");
    }

    #[tokio::test]
    async fn offline_uses_the_cache_and_names_the_place_of_a_missing_file() {
        let cache = TempDir::new().unwrap();
        let error = get(KNOWN.url, &KNOWN, &cache, true).await.unwrap_err().to_string();
        let path = cache.path().join(cache_name(KNOWN.url).unwrap());
        assert!(
            error.contains(KNOWN.url) && error.contains(&path.display().to_string()),
            "{error}"
        );
        fs::write(&path, CSV).unwrap();
        assert_eq!(read(get(KNOWN.url, &KNOWN, &cache, true).await.unwrap()), CSV);
    }

    #[track_caller]
    fn check_name(url: &str, ending: Option<&str>) {
        let name = cache_name(url).ok();
        assert_eq!(name.as_ref().map(|name| &name[12..]), ending, "{url}");
    }

    #[test]
    fn cached_file_keeps_a_name_to_recognise_it_by() {
        check_name("https://host/path/x.csv?token=1", Some("-x.csv"));
        check_name("https://host/a%20b.jsonl.gz", Some("-a_20b.jsonl.gz"));
        check_name("https://host/", None);
        check_name("https://host/x.zip", None);
        assert_ne!(
            cache_name("https://host/x.csv?v=1").unwrap(),
            cache_name("https://host/x.csv").unwrap()
        );
    }

    async fn check_path(path: &Path, part: &str) {
        let cache = TempDir::new().unwrap();
        let source = Source::Path(path.to_owned());
        let error = locate(&source, &KNOWN, cache.path(), false, |_, _| {}).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(part) && error.contains(&path.display().to_string()), "{error}");
    }

    #[tokio::test]
    async fn path_must_be_a_file() {
        check_path(&std::env::temp_dir(), "is a folder").await;
        check_path(Path::new("/nowhere/x.csv"), "No such file").await;
        check_path(Path::new("/dev/null"), "not a regular file").await;
    }

    #[tokio::test]
    async fn sample_is_the_embedded_one() {
        let dir = Path::new("/nowhere");
        let local = locate(&Source::Sample, &KNOWN, dir, true, |_, _| {}).await.unwrap();
        assert_eq!(read(local), CSV);
        let none = KnownDataset { embedded: None, ..KNOWN };
        let error = locate(&Source::Sample, &none, dir, true, |_, _| {}).await.unwrap_err();
        assert!(error.to_string().contains("`ones` has no embedded sample"), "{error}");
    }
}
