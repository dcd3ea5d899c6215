//! What is told of single statements: the log of slow ones, and spans.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "telling/slow.rs"]
mod slow;
mod support;
#[path = "telling/traces.rs"]
mod traces;
