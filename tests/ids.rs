//! The ids that clients are given: what shows them, and what takes them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "ids/kill.rs"]
mod kill;
#[path = "ids/mentions.rs"]
mod mentions;
#[path = "ids/processlist.rs"]
mod processlist;
mod support;
