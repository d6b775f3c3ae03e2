//! How a server is recognised by its address.

/// Host and port of a URL.
pub(super) fn host_of(url: &str) -> Option<(String, Option<u16>)> {
    let url = reqwest::Url::parse(url).ok()?;
    Some((url.host_str()?.to_owned(), url.port_or_known_default()))
}

/// Whether `HOST`, `HOST:PORT`, `*.DOMAIN` or `*:PORT` is this host and port.
pub(super) fn matches(pattern: &str, host: &str, port: Option<u16>) -> bool {
    let (pattern_host, pattern_port) = match pattern.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (pattern, None),
    };
    let is_host = match pattern_host.strip_prefix('*') {
        Some(domain) => host.ends_with(domain),
        None => host == pattern_host,
    };
    is_host && pattern_port.is_none_or(|wanted| port.is_some_and(|port| wanted == port.to_string()))
}
