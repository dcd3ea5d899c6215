//! The consistency checker: makes histories of reads and writes through any endpoint that speaks
//! MySQL, and finds what reads should have shown and did not.
//!
//! [`run`] makes a [`History`]: many sessions write registers and append to lists, and re-read at the
//! moments at which a split shows old data. [`check`] is a pure function of that history; it counts
//! every [`Kind`] of violation, whatever was asked for, with one worked example each. A [`Claim`] names
//! the kinds that a consistency level excludes.
//!
//! This room knows nothing of the proxy: what it finds, it finds from outside, with one clock.

mod check;
mod claim;
mod error;
mod example;
mod history;
mod percentile;
mod report;
mod run;
mod waits;

pub use check::{Findings, Tally, check};
pub use claim::{Claim, Kind};
pub use error::VerifyError;
pub use example::Example;
pub use history::{Action, Actor, History, Key, Operation};
pub use percentile::Percentiles;
pub use report::Report;
pub use run::{Made, Plan, Progress, Stop, Told, run};
pub use waits::{WaitBuckets, Waits};
