//! HTTP clients for APIs and for downloads.
//!
//! TLS is rustls with the `ring` provider and the certificates of the system. They are looked for only where a URL needs
//! them: a server on `http://` is reached from a container that has none.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long a download may stand still.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_REDIRECTS: usize = 10;

/// A client for the API at `url`: HTTP/1.1, no redirects, 10 s to connect, and no limit to the time of a whole request,
/// which is for the caller to set.
///
/// Proxies are those of the environment, except for loopback hosts, which are always reached directly.
///
/// # Errors
///
/// When `url` is not an `http` or `https` URL, or is `https` and the system has no CA certificates.
pub fn client(url: &str) -> Result<Client> {
    let url = parse(url)?;
    let builder = builder(&url).redirect(Policy::none());
    build(if url.scheme() == "https" { builder } else { without_certificates(builder) })
}

/// A client for downloading `url`: as [`client`], but it follows up to 10 redirects and gives up on a body that stands
/// still for 60 s.
///
/// # Errors
///
/// As for [`client`].
pub fn download_client(url: &str) -> Result<Client> {
    let url = parse(url)?;
    let builder =
        || builder(&url).redirect(Policy::limited(MAX_REDIRECTS)).read_timeout(STALL_TIMEOUT);
    match build(builder()) {
        // A redirect to `https` then fails with the URL it leads to.
        Err(_) if url.scheme() == "http" => build(without_certificates(builder())),
        built => built,
    }
}

/// `url` as an `http` or `https` URL with a host.
///
/// # Errors
///
/// When it is none, or carries a user name or password, which would end up in files.
pub(crate) fn parse(url: &str) -> Result<Url> {
    // What cannot be read is not repeated: it may hold a secret.
    let parsed = Url::parse(url).context("read URL")?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        // The URL itself is not repeated: it holds a secret.
        bail!("a URL carries a user name or password: take it out, URLs are written to files");
    }
    match parsed.scheme() {
        "http" | "https" => Ok(parsed),
        scheme => bail!("URL `{url}`: `{scheme}` is not supported, use `http` or `https`"),
    }
}

fn builder(url: &Url) -> ClientBuilder {
    // Fails only when a provider is installed already, which does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(KEEPALIVE)
        .pool_max_idle_per_host(usize::MAX)
        .user_agent(concat!("async-evals/", env!("CARGO_PKG_VERSION")));
    if is_loopback(url) { builder.no_proxy() } else { builder }
}

fn without_certificates(builder: ClientBuilder) -> ClientBuilder {
    builder.tls_certs_only([])
}

fn build(builder: ClientBuilder) -> Result<Client> {
    builder.build().map_err(|error| {
        let error = anyhow::Error::new(error);
        anyhow!(
            "set up HTTPS: {error:#}; install the package `ca-certificates` or set `SSL_CERT_FILE`"
        )
    })
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
pub(crate) mod canned {
    //! A server on loopback that gives canned replies.

    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    pub(crate) struct Canned {
        pub(crate) base_url: String,
        n_requests: Arc<AtomicUsize>,
    }

    impl Canned {
        pub(crate) fn n_requests(&self) -> usize {
            self.n_requests.load(Ordering::SeqCst)
        }
    }

    /// Answers every request with the bytes that `reply` gives for its path, and then closes the connection.
    pub(crate) fn serve(reply: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Canned {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let n_requests = Arc::new(AtomicUsize::new(0));
        let counter = n_requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> =
                    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let Some(request) = head.first() else {
                    continue;
                };
                counter.fetch_add(1, Ordering::SeqCst);
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let _ = stream.write_all(&reply(&path));
            }
        });
        Canned { base_url, n_requests }
    }

    /// A reply of status 200 with `body`.
    pub(crate) fn ok(body: &[u8]) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const CHILD: &str = "EVALCORE_TEST_WITHOUT_CERTIFICATES";

    #[test]
    fn system_without_certificates_reaches_http_and_names_the_remedy_for_https() {
        if std::env::var_os(CHILD).is_some() {
            return without_certificates_here();
        }
        // A child, because the certificates are found through variables of the process.
        let name =
            "http::tests::system_without_certificates_reaches_http_and_names_the_remedy_for_https";
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .env("http_proxy", "http://127.0.0.1:1");
        let output = child
            .env("SSL_CERT_FILE", "/nowhere")
            .env("SSL_CERT_DIR", "/nowhere")
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && stdout.contains("1 passed"), "{output:?}");
    }

    fn without_certificates_here() {
        let server = canned::serve(|_| canned::ok(b"hello"));
        for client in
            [client(&server.base_url).unwrap(), download_client(&server.base_url).unwrap()]
        {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let reply =
                runtime.block_on(async { client.get(&server.base_url).send().await?.text().await });
            assert_eq!(reply.unwrap(), "hello");
        }
        for error in [
            client("https://localhost/").unwrap_err(),
            download_client("https://localhost/").unwrap_err(),
        ] {
            let error = format!("{error:#}");
            assert!(
                error.contains("ca-certificates") && error.contains("SSL_CERT_FILE"),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn only_downloads_follow_a_redirect() {
        let server = canned::serve(|path| {
            match path {
            "/" => b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
            _ => canned::ok(b"there"),
        }
        });
        let url = &server.base_url;
        assert_eq!(client(url).unwrap().get(url).send().await.unwrap().status(), 302);
        assert_eq!(download_client(url).unwrap().get(url).send().await.unwrap().status(), 200);
        assert_eq!(server.n_requests(), 3);
    }

    #[track_caller]
    fn check_loopback(url: &str, is_local: bool) {
        assert_eq!(is_loopback(&Url::parse(url).unwrap()), is_local, "{url}");
    }

    #[test]
    fn loopback_hosts_are_recognised() {
        check_loopback("http://localhost:8000/v1", true);
        check_loopback("http://127.9.9.9/", true);
        check_loopback("http://[::1]:80/", true);
        check_loopback("http://localhost.example/", false);
        check_loopback("https://api.openai.com/v1", false);
    }

    #[track_caller]
    fn check_refused(url: &str, part: &str) {
        let error = format!("{:#}", client(url).unwrap_err());
        assert!(error.contains(part) && !error.contains("secret"), "{error}");
    }

    #[test]
    fn url_that_is_none_or_holds_a_secret_is_refused() {
        check_refused("api.openai.com/v1", "relative URL without a base");
        check_refused("https://user:secret@host:99999/", "invalid port");
        check_refused("ftp://host/", "use `http` or `https`");
        check_refused("https://user:secret@host/", "user name or password");
    }
}
