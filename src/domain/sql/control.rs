//! What Highwater itself acts on, read from the raw text: KILL and its own variables.
//!
//! Unlike classification this needs the literals, so it reads the statement again; callers ask only
//! when the profile says [`super::Access::Kill`] or [`super::Access::Own`].

mod completion;
mod kill;
pub(super) mod lexeme;
mod own;
mod previous;
mod split;

pub use super::variables::OwnVariable;
pub use completion::{ends_plainly, releases};
pub use kill::{
    Kill, KillId, NamedConnection, asks_for_processlist, begins_with_kill, explained_connection,
    killed_in_packet, leading_kills, numbers_beside_threads, parse_kill,
};
pub use own::{
    Literal, Mention, OwnAssignment, OwnItem, OwnSet, OwnSource, OwnStatement, OwnValue, Template,
    parse_known, parse_own, parse_own_prepared, sets_known,
};
pub use previous::{Answers, Field, Item, Mentions, Previous, Target, parse_previous};
pub use split::statements;
