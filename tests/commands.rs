//! Every command of the protocol, packet by packet, compared with the same packets straight at the
//! primary.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "commands/charsets.rs"]
mod charsets;
#[path = "commands/dialogue.rs"]
mod dialogue;
#[path = "commands/inactivity.rs"]
mod inactivity;
#[path = "commands/large.rs"]
mod large;
#[path = "commands/leaving.rs"]
mod leaving;
#[path = "support/measure.rs"]
mod measure;
#[path = "commands/prepared.rs"]
mod prepared;
#[path = "commands/session.rs"]
mod session;
#[path = "commands/standing.rs"]
mod standing;
mod support;
