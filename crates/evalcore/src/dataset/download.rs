//! Downloads: streamed to a temporary file, checked, and renamed to their name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::http;

/// Downloads `url` to `path`, whose folder is created if need be.
///
/// # Errors
///
/// When the download fails, breaks off, gives a web page, or its SHA-256 is not `sha256`; nothing is kept then.
pub(super) async fn download(
    url: &str,
    sha256: Option<&str>,
    path: &Path,
    progress: impl FnMut(u64, Option<u64>),
) -> Result<()> {
    try_download(url, sha256, path, progress).await.with_context(|| format!("download `{url}`"))
}

async fn try_download(
    url: &str,
    sha256: Option<&str>,
    path: &Path,
    mut progress: impl FnMut(u64, Option<u64>),
) -> Result<()> {
    let folder = path.parent().expect("a file of the cache folder");
    fs::create_dir_all(folder).with_context(|| format!("create `{}`", folder.display()))?;
    let mut partial = tempfile::Builder::new()
        .prefix(".partial-")
        .tempfile_in(folder)
        .with_context(|| format!("create a file in `{}`", folder.display()))?;
    let mut response = http::download_client(url)?.get(url).send().await.map_err(without_url)?;
    check_reply(&response)?;
    let n_expected = response.content_length();
    let mut n_bytes = 0;
    let mut hash = Sha256::new();
    progress(0, n_expected);
    loop {
        let chunk = response.chunk().await.map_err(without_url);
        let Some(chunk) = chunk.with_context(|| broken_off(n_bytes, n_expected))? else {
            break;
        };
        partial.write_all(&chunk).with_context(|| format!("write to `{}`", folder.display()))?;
        hash.update(&chunk);
        n_bytes += chunk.len() as u64;
        progress(n_bytes, n_expected);
    }
    if n_expected.is_some_and(|n_expected| n_expected != n_bytes) {
        bail!(broken_off(n_bytes, n_expected));
    }
    if let Some(expected) = sha256 {
        check_hash(hash, expected).context("not the file expected, nothing is kept")?;
    }
    keep(partial, path, folder).with_context(|| format!("write `{}`", path.display()))
}

fn check_reply(response: &Response) -> Result<()> {
    let status = response.status();
    if !status.is_success() {
        bail!("the server replied {status}");
    }
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|content_type| content_type.starts_with("text/html")) {
        bail!("the server sent a web page; give the URL of the file itself");
    }
    Ok(())
}

/// The URL is named once, around all causes; a redirect's URL may hold a signature.
fn without_url(error: reqwest::Error) -> anyhow::Error {
    anyhow!(error.without_url())
}

fn broken_off(n_bytes: u64, n_expected: Option<u64>) -> String {
    match n_expected {
        Some(n_expected) => format!("broke off after {n_bytes} of {n_expected} bytes, try again"),
        None => format!("broke off after {n_bytes} bytes, try again"),
    }
}

fn keep(partial: NamedTempFile, path: &Path, folder: &Path) -> io::Result<()> {
    partial.as_file().sync_all()?;
    partial.persist(path)?;
    File::open(folder)?.sync_all()
}

/// Whether `hash` is `expected`, in lower-case hex.
pub(super) fn check_hash(hash: Sha256, expected: &str) -> Result<()> {
    let found = format!("{:x}", hash.finalize());
    if found != expected {
        bail!("SHA-256 is {found}, expected {expected}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::http::canned::serve;

    async fn check(reply: &'static str, sha256: Option<&str>, part: &str) {
        let server = serve(move |_| format!("HTTP/1.1 {reply}").into_bytes());
        let url = &server.base_url;
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ones.csv");
        let error = download(url, sha256, &path, |_, _| {}).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(part) && error.contains(url), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn failed_download_names_the_url_and_leaves_nothing() {
        let page = "200 OK\r\nContent-Type: text/html\r\n\r\n<p>";
        let short = "200 OK\r\nContent-Length: 9\r\n\r\na\n1\n";
        let chunked = "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n";
        check("404 Not Found\r\n\r\n", None, "404 Not Found").await;
        check("nonsense", None, "download").await;
        check(page, None, "web page").await;
        check(short, None, "after 4 of 9 bytes").await;
        check(chunked, None, "after 2 bytes").await;
    }

    #[tokio::test]
    async fn wrong_file_is_reported_with_both_hashes_and_not_kept() {
        let reply = "200 OK\r\nContent-Length: 4\r\n\r\na\n1\n";
        let hash = format!("{:x}", Sha256::digest(b"a\n1\n"));
        let part = format!("SHA-256 is {hash}, expected 00ff");
        check(reply, Some("00ff"), &part).await;
    }
}
