//! The corpus: what classification says of several hundred statements of MySQL and of MariaDB, and
//! laws that hold for any text.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "corpus/reader.rs"]
mod reader;

use highwater::domain::sql::{
    Access, Dialect, LexMode, Normalised, Scan, Scratch, Seed, StatementProfile, Verdict, confirm,
    explain, profile, scan,
};
use highwater::domain::topology::Engine;
use proptest::prelude::*;

const SEED: Seed = Seed::new(1);

#[test]
fn every_statement_is_classified_as_expected() {
    let wrong: Vec<String> = cases().iter().filter_map(complaint).collect();
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Both corpora.
fn cases() -> Vec<reader::Case> {
    [reader::mysql(), reader::mariadb()].concat()
}

fn complaint(case: &reader::Case) -> Option<String> {
    let found = explain(case.sql.as_bytes(), case.expected.mode, &SEED);
    let expected = &case.expected;
    let right = found.access == expected.access
        && found.doubt == expected.doubt
        && found.effects.contains(expected.effects);
    (!right).then(|| {
        format!(
            "{}: {:?}\n    normalised {:?}\n    expected {:?} {:?} {:?}\n    found    {:?} {:?} {:?}",
            case.place,
            case.sql,
            normalised(case.sql.as_bytes(), expected.mode),
            expected.access,
            expected.doubt,
            expected.effects,
            found.access,
            found.doubt,
            found.effects
        )
    })
}

#[test]
fn the_corpus_is_large() {
    for cases in [reader::mysql(), reader::mariadb()] {
        assert!(cases.len() >= 400, "{}", cases.len());
        let unrunnable = cases
            .iter()
            .filter(|c| c.expected.unrunnable.is_some())
            .count();
        assert!(unrunnable <= 10, "{unrunnable}");
    }
}

/// What is a read where the engine is unknown is one for both, whatever is in the corpora.
#[test]
fn an_unknown_engine_is_the_stricter_of_both() {
    let class_for = |case: &reader::Case, engine| {
        let mut mode = case.expected.mode;
        mode.dialect.engine = engine;
        explain(case.sql.as_bytes(), mode, &SEED).access
    };
    for case in cases() {
        if class_for(&case, None) == Access::Read {
            for engine in [Engine::MySql, Engine::MariaDb] {
                let known = class_for(&case, Some(engine));
                assert_eq!(
                    known,
                    Access::Read,
                    "{} {:?} {engine:?}",
                    case.place,
                    case.sql
                );
            }
        }
    }
}

fn normalised(text: &[u8], mode: LexMode) -> Option<String> {
    let mut scratch = Scratch::default();
    match scan(text, mode, &SEED, &mut scratch) {
        Scan::Read(read) => Some(String::from_utf8_lossy(read.text).into_owned()),
        Scan::Unread(_) => None,
    }
}

/// What a cache that is keyed by the normalised text would hold.
fn from_normalised(text: &str, fingerprint: u64, dialect: Dialect) -> StatementProfile {
    match profile(Normalised {
        text: text.as_bytes(),
        fingerprint,
        dialect,
    }) {
        Verdict::Decided(profile) => profile,
        Verdict::NeedsParse(pending) => confirm(text.as_bytes(), pending),
    }
}

fn corpus_statement() -> impl Strategy<Value = reader::Case> {
    proptest::sample::select(cases())
}

/// One spelling of a blank.
fn blank() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        " ",
        "\n",
        "\t ",
        " /* c */ ",
        "/**/",
        " -- c\n",
        " #c\n",
        "\r\n",
    ])
}

/// The statement with its blanks respelled and its letters' case changed outside of quotes; `None`
/// if it has quotes or comments, whose insides must stay.
fn respelled(sql: &str, blanks: &[&str], upper: bool) -> Option<String> {
    if sql.contains(['\'', '"', '`', '#', '/', '\\']) || sql.contains("--") {
        return None;
    }
    let mut blanks = blanks.iter().cycle();
    let mut out = String::new();
    for c in sql.chars() {
        match c {
            ' ' => out.push_str(blanks.next()?),
            _ if upper => out.push(c.to_ascii_uppercase()),
            _ => out.push(c.to_ascii_lowercase()),
        }
    }
    Some(out)
}

/// The statement with other digits in place of its numbers.
fn other_numbers(sql: &str, digit: char) -> String {
    let mut previous = ' ';
    sql.chars()
        .map(|c| {
            let number = c.is_ascii_digit() && matches!(previous, ' ' | '(' | ',' | '=');
            previous = c;
            if number { digit } else { c }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cached_is_uncached(case in corpus_statement(), digit in proptest::char::range('1', '9')) {
        let mode = case.expected.mode;
        let changed = other_numbers(&case.sql, digit);
        let direct = explain(changed.as_bytes(), mode, &SEED);
        let (Some(original), Some(other)) = (
            normalised(case.sql.as_bytes(), mode),
            normalised(changed.as_bytes(), mode),
        ) else {
            return Ok(());
        };
        if original == other {
            prop_assert_eq!(direct, explain(case.sql.as_bytes(), mode, &SEED));
        }
        prop_assert_eq!(direct, from_normalised(&other, direct.fingerprint, mode.dialect));
    }

    #[test]
    fn spelling_does_not_change_the_class(
        case in corpus_statement(),
        blanks in proptest::collection::vec(blank(), 1..6),
        upper in any::<bool>(),
    ) {
        let Some(sql) = respelled(&case.sql, &blanks, upper) else {
            return Ok(());
        };
        let found = explain(sql.as_bytes(), case.expected.mode, &SEED);
        prop_assert_eq!(found.access, case.expected.access, "{:?}", sql);
        prop_assert_eq!(found.doubt, case.expected.doubt, "{:?}", sql);
    }

    #[test]
    fn normalising_is_idempotent(case in corpus_statement()) {
        if let Some(once) = normalised(case.sql.as_bytes(), case.expected.mode) {
            let canonical = LexMode {
                dialect: case.expected.mode.dialect,
                ..LexMode::default()
            };
            prop_assert_eq!(normalised(once.as_bytes(), canonical), Some(once));
        }
    }

    #[test]
    fn a_damaged_statement_is_no_new_read(
        case in corpus_statement(),
        place in any::<proptest::sample::Index>(),
        piece in proptest::sample::select(vec![
            " INTO @a ", " FOR UPDATE ", "; DELETE FROM t", ",GET_LOCK('a',1)", ",f(1)", " @a:=1 ",
        ]),
    ) {
        // Put in at a blank outside of quotes and comments, such a piece makes any read suspect.
        if case.sql.contains(['\'', '"', '`', '#', '/', '-']) {
            return Ok(());
        }
        let blanks: Vec<usize> = case.sql.match_indices(' ').map(|(at, _)| at).collect();
        if blanks.is_empty() {
            return Ok(());
        }
        let at = blanks[place.index(blanks.len())];
        let sql = format!("{}{piece}{}", &case.sql[..at], &case.sql[at..]);
        let found = explain(sql.as_bytes(), case.expected.mode, &SEED);
        prop_assert_ne!(found.access, Access::Read, "{:?}", sql);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        text in proptest::collection::vec(any::<u8>(), 0..200),
        ansi_quotes in any::<bool>(),
        no_backslash_escapes in any::<bool>(),
    ) {
        let mode = LexMode { ansi_quotes, no_backslash_escapes, ..LexMode::default() };
        explain(&text, mode, &SEED);
    }

    #[test]
    fn arbitrary_sql_like_text_never_panics(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "select", "set", "show", "kill", "explain", "with", "@", "@@", "@a", "@@global", ".",
            ",", "(", ")", "'", "\"", "`", "`a`", "'a'", "1", "1e", "0x", "x'1'", "/*", "*/", "/*!",
            "/*!99999", "/*+", "--", "#", ";", ":=", "=", "\n", " ", "for", "update", "into",
            "from", "t", "-", "+", "\\", "?", "_utf8mb4", "variables", "like", "transaction",
        ]), 0..40),
    ) {
        let text = words.join(" ");
        explain(text.as_bytes(), LexMode::default(), &SEED);
        let text = words.concat();
        explain(text.as_bytes(), LexMode::default(), &SEED);
    }
}
