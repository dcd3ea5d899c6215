//! Which server a statement goes to, decided once, with one reason.

pub mod advice;
pub mod balance;
pub mod decide;
pub mod offload;
pub mod reason;
pub mod rules;
pub mod toll;

pub use balance::{Candidate, pick};
pub use decide::{Outside, Route, route, routed};
pub use offload::takes_part;
pub use reason::Reason;
pub use toll::Toll;
