//! Statements that name a connection by its id: KILL, EXPLAIN FOR CONNECTION, and reads of what lists a
//! server's threads. And SHOW PROCESSLIST, which shows these ids.

use std::ops::Range;

use super::super::chars;
use super::super::mode::LexMode;
use super::lexeme::{self, Lexeme, Placed};
use super::own::{columns, template};

/// `KILL [HARD | SOFT] [CONNECTION | QUERY] id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// KILL QUERY: the connection stays.
    pub query_only: bool,
    /// The id as the client gave it: one that Highwater handed out, or a server's own.
    pub id: KillId,
}

/// How a KILL says whom it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillId {
    /// By a plain number.
    Number(u64),
    /// By an expression, which stands in these bytes of the text.
    Expression(Range<usize>),
}

/// A plain id of a connection, and the bytes of the text where it stands.
pub type NamedConnection = (Range<usize>, u64);

/// Reads a KILL that is a statement of its own. `None` for every form that names nobody by such an id:
/// MariaDB's QUERY ID and USER, what is no KILL at all.
pub fn parse_kill(text: &[u8], mode: LexMode) -> Option<Kill> {
    let lexemes = lexeme::read(text, mode)?;
    if lexemes
        .iter()
        .any(|(lexeme, _)| *lexeme == Lexeme::Op(b';'))
    {
        return None;
    }
    let (query_only, id) = behind_kill(&lexemes)?;
    let id = match plain(id) {
        Some((_, number)) => KillId::Number(number),
        None => KillId::Expression(id.first()?.1.start..id.last()?.1.end),
    };
    Some(Kill { query_only, id })
}

/// The plain ids of the KILLs in a packet of several statements.
pub fn killed_in_packet(text: &[u8], mode: LexMode) -> Vec<NamedConnection> {
    let lexemes = lexeme::read(text, mode).unwrap_or_default();
    lexemes
        .split(|(lexeme, _)| *lexeme == Lexeme::Op(b';'))
        .filter_map(|statement| plain(behind_kill(statement)?.1))
        .collect()
}

/// The KILLs of plain ids with which a packet of several statements begins, and where the text behind each of
/// them goes on.
pub fn leading_kills(text: &[u8], mode: LexMode) -> Vec<(Kill, usize)> {
    let lexemes = lexeme::read(text, mode).unwrap_or_default();
    let statements = lexemes.split(|(lexeme, _)| *lexeme == Lexeme::Op(b';'));
    let mut found = Vec::new();
    for statement in statements {
        let Some((query_only, [(_, last)])) = behind_kill(statement) else {
            break;
        };
        let Some((_, number)) = behind_kill(statement).and_then(|(_, id)| plain(id)) else {
            break;
        };
        let id = KillId::Number(number);
        let semicolon = lexemes.iter().find(|(_, place)| place.start >= last.end);
        let next = semicolon.map_or(text.len(), |(_, place)| place.end);
        found.push((Kill { query_only, id }, next));
    }
    found
}

/// The connection that `EXPLAIN [FORMAT = x] FOR CONNECTION id` is about.
pub fn explained_connection(text: &[u8], mode: LexMode) -> Option<NamedConnection> {
    let lexemes = lexeme::read(text, mode)?;
    let (verb, _) = lexemes.first()?;
    if !["explain", "describe", "desc"].iter().any(|w| verb.is(w)) {
        return None;
    }
    let (id, before) = lexemes.split_last()?;
    let [.., (by, _), (connection, _)] = before else {
        return None;
    };
    let named = by.is("for") && connection.is("connection");
    named.then(|| plain(std::slice::from_ref(id))).flatten()
}

/// The plain numbers in reads of what lists a server's threads (PROCESSLIST, performance_schema, …): each of
/// them may be the id of a connection. Not those by which a column of the answer gets its name.
pub fn numbers_beside_threads(text: &[u8], mode: LexMode) -> Vec<NamedConnection> {
    let lexemes = lexeme::read(text, mode).unwrap_or_default();
    let mut found = Vec::new();
    for statement in lexemes.split(|(lexeme, _)| *lexeme == Lexeme::Op(b';')) {
        if !template::is_evaluated(statement) || !template::names_threads(statement) {
            continue;
        }
        let names = columns::unnamed(statement);
        let numbers = statement.iter().enumerate().filter_map(|(at, lexeme)| {
            let named = names.iter().any(|column| column.contains(&at));
            (!named).then(|| plain(std::slice::from_ref(lexeme)))?
        });
        found.extend(numbers);
    }
    found
}

/// Whether the statement is SHOW PROCESSLIST or SHOW FULL PROCESSLIST.
pub fn asks_for_processlist(text: &[u8], mode: LexMode) -> bool {
    let Some(lexemes) = lexeme::read(text, mode) else {
        return false;
    };
    let is = |at: usize, word| lexemes.get(at).is_some_and(|(lexeme, _)| lexeme.is(word));
    let full = usize::from(is(1, "full"));
    is(0, "show") && is(1 + full, "processlist") && lexemes.len() == 2 + full
}

/// Whether it is KILL QUERY, and the tokens of the id.
fn behind_kill<'a, 't>(statement: &'a [Placed<'t>]) -> Option<(bool, &'a [Placed<'t>])> {
    let (verb, mut rest) = statement.split_first()?;
    if !verb.0.is("kill") {
        return None;
    }
    let mut eat = |words: &[&str]| {
        let found = rest.split_first().and_then(|((word, _), behind)| {
            let at = words.iter().position(|w| word.is(w))?;
            (!behind.is_empty()).then_some((at, behind))
        });
        if let Some((_, behind)) = found {
            rest = behind;
        }
        found.map(|(at, _)| at)
    };
    eat(&["hard", "soft"]);
    let query_only = eat(&["query", "connection"]) == Some(0);
    let two_words =
        matches!(rest, [(Lexeme::Word(_), _), (lexeme, _), ..] if !matches!(lexeme, Lexeme::Op(_)));
    let others = two_words && rest.iter().take(1).any(|(w, _)| w.is("id") || w.is("user"));
    (!rest.is_empty() && !others).then_some((query_only, rest))
}

/// An id that is nothing but a number. What is too large for one is the largest.
fn plain(id: &[Placed<'_>]) -> Option<NamedConnection> {
    let [(Lexeme::Word(digits), place)] = id else {
        return None;
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse();
    Some((place.clone(), number.unwrap_or(u64::MAX)))
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
        let number = |query_only, id| {
            let id = KillId::Number(id);
            Some(Kill { query_only, id })
        };
        let expression = |query_only, range| {
            let id = KillId::Expression(range);
            Some(Kill { query_only, id })
        };
        for (text, expected) in [
            ("KILL 5", number(false, 5)),
            ("kill query 12;", number(true, 12)),
            ("/* mysql */ Kill CONNECTION /* x */ 7 ; ", number(false, 7)),
            ("KILL HARD 7", number(false, 7)),
            ("KILL SOFT QUERY 7", number(true, 7)),
            ("KILL 18446744073709551615", number(false, u64::MAX)),
            ("KILL 18446744073709551616", number(false, u64::MAX)),
            ("KILL @id", expression(false, 5..8)),
            ("KILL CONNECTION_ID()", expression(false, 5..20)),
            ("KILL QUERY 1+1;", expression(true, 11..14)),
            ("KILL user", expression(false, 5..9)),
            ("KILL QUERY ID 7", None),
            ("KILL USER root", None),
            ("KILL /*!50000 7 */", None),
            ("KILL 5; KILL 6", None),
            ("KILL", None),
            ("KILLER 5", None),
            ("", None),
        ] {
            assert_eq!(
                parse_kill(text.as_bytes(), LexMode::default()),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn ids_in_texts() {
        let mode = LexMode::default();
        let packet = |text: &str| killed_in_packet(text.as_bytes(), mode);
        assert_eq!(
            packet("SELECT 'KILL 5'; KILL QUERY 6;kill 7"),
            [(28..29, 6), (35..36, 7)]
        );
        assert_eq!(packet("SELECT 1"), []);
        let leading = |text: &str| -> Vec<(bool, usize)> {
            let kills = leading_kills(text.as_bytes(), mode);
            let one = |(kill, next): (Kill, usize)| (kill.query_only, next);
            kills.into_iter().map(one).collect()
        };
        assert_eq!(
            leading("KILL QUERY 6 ; kill 7; SELECT 1; KILL 8"),
            [(true, 14), (false, 22)]
        );
        assert_eq!(leading("kill 7;"), [(false, 7)]);
        assert_eq!(leading("SELECT 1; KILL 8"), []);
        assert_eq!(leading("KILL 1 + 1; KILL 8"), []);
        let explained = |text: &str| explained_connection(text.as_bytes(), mode);
        assert_eq!(explained("EXPLAIN FOR CONNECTION 12"), Some((23..25, 12)));
        assert_eq!(
            explained("desc format=json for connection 1;"),
            Some((32..33, 1))
        );
        assert_eq!(explained("EXPLAIN SELECT 1"), None);
        assert_eq!(explained("SELECT 1 FOR CONNECTION 1"), None);
    }

    #[test]
    fn numbers_where_threads_are_listed() {
        let numbers = |text: &str| -> Vec<u64> {
            let found = numbers_beside_threads(text.as_bytes(), LexMode::default());
            found.into_iter().map(|(_, number)| number).collect()
        };
        for (text, expected) in [
            (
                "SELECT 1 FROM information_schema.PROCESSLIST WHERE id IN (7, 8)",
                vec![7, 8],
            ),
            (
                "SELECT thread_id = 5 FROM performance_schema.threads WHERE processlist_id=7 LIMIT 3",
                vec![7, 3],
            ),
            ("SELECT IS_USED_LOCK('a') = 7 AS mine", vec![7]),
            (
                "SELECT '7' FROM sys.session WHERE a = '8' OR b = -9",
                vec![9],
            ),
            ("SELECT id FROM t WHERE id = 7", vec![]),
            ("SELECT a7 FROM sys.session WHERE c = '7'", vec![]),
            (
                "SELECT id FROM t WHERE id = 6; SELECT id FROM `processlist` WHERE id = 7",
                vec![7],
            ),
            (
                "CREATE VIEW v AS SELECT id FROM sys.session WHERE id = 7",
                vec![],
            ),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
    }

    #[test]
    fn processlists() {
        let asks = |text: &str| asks_for_processlist(text.as_bytes(), LexMode::default());
        assert!(asks("SHOW PROCESSLIST"));
        assert!(asks("/* x */ show full processlist ;"));
        assert!(!asks("SHOW FULL"));
        assert!(!asks("SHOW FULL TABLES"));
        assert!(!asks("SHOW PROCESSLIST; SELECT 1"));
    }

    #[test]
    fn unread_texts_that_begin_with_kill() {
        assert!(begins_with_kill(b"  /* a */ KILL 'never closed"));
        assert!(begins_with_kill(b"/*!50000 kill 5"));
        assert!(!begins_with_kill(b"select 'kill"));
        assert!(!begins_with_kill(b""));
    }
}
