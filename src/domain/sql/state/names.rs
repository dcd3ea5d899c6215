//! Whether a text names one of some tables.

use super::super::control::lexeme::{self, Lexeme};
use super::super::mode::LexMode;

/// What a text says of some tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mention {
    /// It names none of them.
    No,
    /// It may name one.
    Maybe,
}

/// Whether a text may name one of these tables: any name in it that is equal to one of theirs in any
/// case, whatever it stands for there. A text that cannot be read, and a table whose name has other
/// letters than ASCII's, may always be meant.
pub fn mentions<'n>(
    text: &[u8],
    mode: LexMode,
    tables: impl Iterator<Item = &'n [u8]> + Clone,
) -> Mention {
    let Some(lexemes) = lexeme::read(text, mode) else {
        return Mention::Maybe;
    };
    // MariaDB 11.2 lists a session's temporary tables there.
    let lists = |lexeme: &Lexeme<'_>| {
        mode.dialect.is_mariadb() && (lexeme.is("tables") || lexeme.is("show"))
    };
    let named = |lexeme: &Lexeme<'_>| {
        let Some(name) = lexeme.name() else {
            return false;
        };
        let mut tables = tables.clone();
        tables.any(|table| !table.is_ascii() || table.eq_ignore_ascii_case(name))
    };
    match lexemes
        .iter()
        .any(|(lexeme, _)| lists(lexeme) || named(lexeme))
    {
        true => Mention::Maybe,
        false => Mention::No,
    }
}
