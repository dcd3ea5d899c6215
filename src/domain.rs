//! What Highwater knows and decides. Pure: no tokio, sockets, clock, locks, randomness or tracing;
//! time and bytes come in as arguments.

pub mod consistency;
pub mod ids;
pub mod position;
pub mod routing;
pub mod servers;
pub mod session;
pub mod sql;
pub mod topology;
pub mod trace;
