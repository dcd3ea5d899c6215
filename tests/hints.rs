//! Hints of single statements and variables of Highwater's own, in the spellings that clients,
//! drivers and ORMs send.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hints {
    mod own;
    mod statement;
}
mod support;
