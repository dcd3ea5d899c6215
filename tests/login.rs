//! Logins on both sides, on real peers: clients against the frontend's, servers against the backend's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "login/clients.rs"]
mod clients;
#[path = "login/link.rs"]
mod link;
#[path = "login/servers.rs"]
mod servers;
