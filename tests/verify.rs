//! `verify` on real servers: what it finds where a promise is missing, and that it finds nothing where
//! Highwater made one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "verify/command.rs"]
mod command;
#[path = "verify/lag.rs"]
mod lag;
#[path = "verify/levels.rs"]
mod levels;
#[path = "support/measure.rs"]
mod measure;
