//! Sockets and buffers: what both sides of the proxy use to move bytes. Knows nothing of sessions.

pub mod buffer;
pub mod conn;
pub mod listen;
pub mod stream;

pub use buffer::Buffer;
pub use conn::Conn;
pub use listen::Listener;
pub use stream::Stream;
