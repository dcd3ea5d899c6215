//! Positions: how much of the primary's history a server has, or a session has seen.

pub mod gtid;

pub use gtid::GtidSet;
