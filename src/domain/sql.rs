//! From a statement's text to its [`StatementProfile`]: the only room that sees sqlparser.
//!
//! Two witnesses: a single-pass lexer that erases literals, makes the fingerprint and has the veto;
//! and sqlparser, asked once per fingerprint, which gives the structure. A read is offloaded only
//! when both agree, or when the lexer alone is certain of a form sqlparser does not know.

pub mod profile;

pub use profile::{Access, Begin, Doubt, Effects, StatementProfile};
