//! One POST over HTTP/1.1, on a connection of its own.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is read of an answer at most; its first line is what counts.
const ANSWER: u64 = 64 << 10;

/// Why a request failed. Nobody tries it again.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    /// The connection could not be opened, or broke.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It was refused.
    #[error("it answered with status {0}")]
    Status(u16),
    /// That is no HTTP.
    #[error("its answer is no HTTP")]
    NotHttp,
    /// It took too long.
    #[error("no answer in time")]
    Late,
}

/// Sends JSON to `path` at `authority`, `host:port`.
pub(super) async fn post(authority: &str, path: &str, body: &[u8]) -> Result<(), PostError> {
    let mut socket = TcpStream::connect(authority).await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body).await?;
    let mut answer = Vec::new();
    socket.take(ANSWER).read_to_end(&mut answer).await?;
    match status(&answer) {
        Some(200..=299) => Ok(()),
        Some(status) => Err(PostError::Status(status)),
        None => Err(PostError::NotHttp),
    }
}

/// The number in `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.strip_prefix("HTTP/1.")?.split(' ');
    words.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::status;

    #[test]
    fn the_status_is_read() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}"), Some(200));
        assert_eq!(status(b"HTTP/1.0 503\r\n\r\n"), Some(503));
        for wrong in [
            &b""[..],
            b"HTTP/1.1",
            b"SSH-2.0",
            b"HTTP/1.1 ok\r\n",
            b"\xff\r",
        ] {
            assert_eq!(status(wrong), None);
        }
    }
}
