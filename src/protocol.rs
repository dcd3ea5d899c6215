//! PURE bytes of the MySQL client/server protocol, for both hops.
//!
//! This room views, follows and builds packets; it knows no policy, no socket, no clock and no
//! randomness (nonces and seeds are arguments). Most callers begin with [`reply::ReplyTracker`], which follows one
//! command's reply in a byte stream, and [`ok::OkView`], which reads what a reply's end packet
//! says about the session.
//!
//! Nothing in here panics on bytes from the network: parsers give `None` for what they cannot read.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::cast_possible_truncation)
)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod auth;
pub mod caps;
pub mod command;
pub mod frame;
pub mod handshake;
pub mod ok;
pub mod packets;
pub mod reader;
pub mod reply;
pub mod resultset;
pub mod status;
mod writer;
