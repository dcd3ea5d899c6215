//! KILL, whose id must be translated before any server sees it.

use super::super::chars;
use super::super::mode::LexMode;
use super::lexeme::{self, Lexeme};

/// `KILL [CONNECTION | QUERY] id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// KILL QUERY: the connection stays.
    pub query_only: bool,
    /// The id as the client gave it: one that Highwater handed out, or a stranger's.
    pub id: u64,
}

/// Reads a KILL. `None` for every form whose id is not plain to see (expressions, user variables,
/// placeholders) and for MariaDB's own forms (HARD, SOFT, QUERY ID, USER): no such statement may
/// reach a server.
pub fn parse_kill(text: &[u8]) -> Option<Kill> {
    let lexemes = lexeme::read(text, LexMode::default())?;
    let mut words = lexemes.iter().map(|(lexeme, _)| lexeme);
    if !words.next()?.is("kill") {
        return None;
    }
    let mut next = words.next()?;
    let query_only = next.is("query");
    if query_only || next.is("connection") {
        next = words.next()?;
    }
    let Lexeme::Word(digits) = next else {
        return None;
    };
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !plain || words.next().is_some() {
        return None;
    }
    let id = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Kill { query_only, id })
}

/// Whether a text that cannot be read, or of which only the beginning is there, begins with KILL.
pub fn begins_with_kill(text: &[u8]) -> bool {
    let mut start = chars::skip_blanks(text, 0);
    while let Some(b'(' | b';') = text.get(start) {
        start = chars::skip_blanks(text, start + 1);
    }
    if let chars::Comment::Versioned(inside) = chars::comment_at(text, start) {
        start = chars::skip_blanks(text, chars::digits_end(text, inside));
    }
    let word = text
        .get(start..chars::word_end(text, start))
        .unwrap_or_default();
    word.eq_ignore_ascii_case(b"kill")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let kill = |query_only, id| Some(Kill { query_only, id });
        for (text, expected) in [
            ("KILL 5", kill(false, 5)),
            ("kill query 12;", kill(true, 12)),
            ("/* mysql */ Kill CONNECTION /* x */ 7 ; ", kill(false, 7)),
            ("KILL 18446744073709551615", kill(false, u64::MAX)),
            ("KILL 18446744073709551616", None),
            ("KILL @id", None),
            ("KILL CONNECTION_ID()", None),
            ("KILL 1+1", None),
            ("KILL ?", None),
            ("KILL QUERY ID 7", None),
            ("KILL HARD 7", None),
            ("KILL SOFT QUERY 7", None),
            ("KILL USER root", None),
            ("KILL /*!50000 7 */", None),
            ("KILL 5; KILL 6", None),
            ("KILL", None),
            ("KILLER 5", None),
            ("", None),
        ] {
            assert_eq!(parse_kill(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn unread_texts_that_begin_with_kill() {
        assert!(begins_with_kill(b"  /* a */ KILL 'never closed"));
        assert!(begins_with_kill(b"/*!50000 kill 5"));
        assert!(!begins_with_kill(b"select 'kill"));
        assert!(!begins_with_kill(b""));
    }
}
