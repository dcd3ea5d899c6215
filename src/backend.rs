//! The server side: connecting, logging in, pools. Knows nothing of clients.

pub mod accounts;
pub mod conn;
pub mod dial;
pub mod error;
pub mod lent;
pub mod login;
pub mod pool;
mod simple;
pub mod statements;
pub mod threads;

pub use accounts::{Accounts, Changing, Shown};
pub use conn::{Identity, ServerConn};
pub use dial::{Credentials, Dialer, Knowledge, Setup};
pub use error::{BackendError, Refusal};
pub use lent::{Bell, Listener};
pub use pool::{Pool, PoolKey, PoolLimits, Want};
pub use simple::Typed;
pub use statements::{Copies, CopyAt};
pub use threads::Threads;
