//! Which server a statement goes to, decided once, with one reason.

pub mod balance;
pub mod decide;
pub mod reason;
pub mod toll;

pub use balance::{Candidate, pick};
pub use decide::{Route, route};
pub use reason::Reason;
pub use toll::Toll;
