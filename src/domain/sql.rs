//! From a statement's text to its [`StatementProfile`]: the only room that sees sqlparser.
//!
//! Two witnesses. A single-pass lexer erases literals and makes the fingerprint ([`scan`]), and its
//! normalised text alone decides what the statement is ([`profile()`]); it has the veto. sqlparser
//! is asked once per fingerprint, on the normalised text ([`confirm`]). A read is offloaded only
//! when both agree, or when the lexer alone is certain of a form sqlparser does not know.
//!
//! A caller with a cache: [`scan`]; look the fingerprint up and compare text and dialect; on a miss
//! [`profile()`], and if that says [`Verdict::NeedsParse`], [`confirm`] on a thread with a large
//! stack. The profile is a pure function of the normalised text and the dialect it is understood by,
//! so what is cached under both is what would be found again.

mod chars;
mod classify;
pub mod control;
mod facts;
mod fingerprint;
mod functions;
pub mod hint;
mod known;
pub mod mode;
pub mod profile;
mod schemas;
pub mod state;
mod tables;
mod tag;
mod token;
mod variables;
mod witness;

pub use classify::{Pending, Verdict, confirm, profile};
pub use fingerprint::{MAX_TEXT, Normalised, Scan, Scratch, Seed, scan};
pub use hint::{HintError, HintTarget, Hints};
pub use known::Known;
pub use mode::{Charset, Dialect, LexMode};
pub use profile::{Access, Begin, Doubt, Effects, StatementProfile};
pub use schemas::is_server_local_schema;
pub use state::TableName;
pub use tables::tables_of;
pub use tag::has_tag;
pub use variables::{OwnVariable, like};

/// Reads and classifies a statement in one call, on the caller's thread.
///
/// Parses, so the thread needs a stack of several megabytes; without a cache this is for `explain`
/// and tests. The fingerprint is that of the given seed.
pub fn explain(text: &[u8], mode: LexMode, seed: &Seed) -> StatementProfile {
    let mut scratch = Scratch::default();
    match scan(text, mode, seed, &mut scratch) {
        Scan::Unread(profile) => profile,
        Scan::Read(statement) => match profile(statement) {
            Verdict::Decided(profile) => profile,
            Verdict::NeedsParse(pending) => confirm(statement.text, pending),
        },
    }
}
