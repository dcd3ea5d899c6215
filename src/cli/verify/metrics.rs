//! Fetches an endpoint's metrics page.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use crate::cli::failure::Failure;

/// The page must be there after this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// More of a page is not read.
const LONGEST: u64 = 8 << 20;

/// The page at `http://host:port/metrics`.
pub(super) fn page(url: &str) -> Result<String, Failure> {
    let (host, path) = split(url).ok_or_else(|| {
        Failure::usage(
            "the url of the metrics cannot be used",
            "write http://host:6034/metrics",
        )
    })?;
    let answer = ask(host, path).map_err(|error| {
        Failure::no(
            format!("nobody answers at {host}: {error}"),
            "is that [http] listen of Highwater? leave --metrics-url out to go without",
        )
    })?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => Err(Failure::no(
            format!("there is no metrics page at {host}{path}"),
            "write http://host:6034/metrics, or leave --metrics-url out",
        )),
    }
}

fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let path = if path.is_empty() { "/metrics" } else { path };
    host.contains(':').then_some((host, path))
}

fn ask(host: &str, path: &str) -> std::io::Result<String> {
    let unknown = || std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    let address = host.to_socket_addrs()?.next().ok_or_else(unknown)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0: the page comes whole, and its end is the end of the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_pages_are_taken_apart() {
        for (url, expected) in [
            (
                "http://127.0.0.1:6034/metrics",
                Some(("127.0.0.1:6034", "/metrics")),
            ),
            (
                "http://proxy.example:6034",
                Some(("proxy.example:6034", "/metrics")),
            ),
            ("https://proxy.example:6034/metrics", None),
            ("http://proxy.example/metrics", None),
        ] {
            assert_eq!(split(url), expected, "{url}");
        }
    }
}
