//! A socket with its read buffer: the unit both sides are built on.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::{Buffer, Stream};

/// A socket and what was read from it but not yet used.
#[derive(Debug)]
pub struct Conn {
    /// The socket.
    pub stream: Stream,
    /// Bytes read and not yet consumed.
    pub input: Buffer,
}

impl Conn {
    /// A connection that has read nothing yet.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            input: Buffer::default(),
        }
    }

    /// Reads once into the buffer. `Ok(0)` is the end of the stream.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(self.input.spare());
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        self.input.filled(count);
        Poll::Ready(Ok(count))
    }

    /// Reads once into the buffer; the end of the stream is an error.
    ///
    /// # Errors
    /// The socket's error, or `UnexpectedEof`.
    pub async fn fill(&mut self) -> io::Result<()> {
        match poll_fn(|cx| self.poll_fill(cx)).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Reads until `total` bytes are in the buffer.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub async fn fill_to(&mut self, total: usize) -> io::Result<()> {
        self.input.reserve_total(total);
        while self.input.len() < total {
            self.fill().await?;
        }
        Ok(())
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// The socket's error; part may have been written.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        send_all(&self.stream, bytes).await
    }

    /// Writes the first `count` unconsumed bytes to another socket and consumes them.
    ///
    /// # Errors
    /// The other socket's error.
    pub async fn pass_on(&mut self, count: usize, to: &Stream) -> io::Result<()> {
        let count = count.min(self.input.len());
        send_all(to, self.input.data().get(..count).unwrap_or_default()).await?;
        self.input.consume(count);
        Ok(())
    }
}

/// Writes all bytes to a socket: at once where it takes them, else as it makes room.
///
/// # Errors
/// The socket's error; part may have been written.
pub async fn send_all(stream: &Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
