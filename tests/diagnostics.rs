//! Statements that ask about the one before them answer for the session, wherever that one ran: through
//! the proxy as on one bare primary.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "diagnostics/commands.rs"]
mod commands;
#[path = "diagnostics/compare.rs"]
mod compare;
#[path = "diagnostics/forms.rs"]
mod forms;
#[path = "diagnostics/scripts.rs"]
mod scripts;
