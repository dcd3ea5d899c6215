//! What Highwater itself acts on, read from the raw text: KILL and its own variables.
//!
//! Unlike classification this needs the literals, so it reads the statement again; callers ask only
//! when the profile says [`super::Access::Kill`] or [`super::Access::Own`].

mod completion;
mod kill;
pub(super) mod lexeme;
mod own;
mod warnings;

pub use super::variables::OwnVariable;
pub use completion::{ends_plainly, releases};
pub use kill::{Kill, begins_with_kill, parse_kill};
pub use own::{
    Literal, Mention, OwnAssignment, OwnItem, OwnSet, OwnSource, OwnStatement, OwnValue, Template,
    parse_known, parse_own, parse_own_prepared, sets_known,
};
pub use warnings::asks_for_warnings;
