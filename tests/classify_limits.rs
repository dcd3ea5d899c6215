//! Statements made to break a parser: none crashes or stalls classification.
//!
//! The lexer's part runs on a thread with tokio's 2 MiB of stack; the parser's on a large one, as
//! the relay does it.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::thread;
use std::time::{Duration, Instant};

use highwater::domain::sql::{
    Access, Charset, Doubt, Effects, LexMode, MAX_TEXT, Scan, Scratch, Seed, StatementProfile,
    Verdict, confirm, profile, scan,
};

const SEED: Seed = Seed::new(7);

/// What tokio gives a worker thread.
const SMALL_STACK: usize = 2 << 20;

/// What a thread that parses gets.
const LARGE_STACK: usize = 64 << 20;

/// Far above what any of these takes, even on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Classifies as the relay does: reading on a small stack, parsing on a large one.
fn classify(text: Vec<u8>, mode: LexMode) -> StatementProfile {
    let started = Instant::now();
    let (normalised, verdict) = on_stack(SMALL_STACK, move || {
        let mut scratch = Scratch::default();
        match scan(&text, mode, &SEED, &mut scratch) {
            Scan::Unread(profile) => (Vec::new(), Verdict::Decided(profile)),
            Scan::Read(read) => (read.text.to_vec(), profile(read)),
        }
    });
    let profile = match verdict {
        Verdict::Decided(profile) => profile,
        Verdict::NeedsParse(pending) => {
            on_stack(LARGE_STACK, move || confirm(&normalised, pending))
        }
    };
    assert!(started.elapsed() < PATIENCE, "took {:?}", started.elapsed());
    profile
}

fn on_stack<T: Send + 'static>(size: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    thread::Builder::new()
        .stack_size(size)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap()
}

fn read(text: impl Into<Vec<u8>>) -> StatementProfile {
    classify(text.into(), LexMode::default())
}

#[test]
fn sixty_four_megabytes() {
    let row = b"(1, 'some text', NOW()),";
    let mut text = b"INSERT INTO t VALUES ".to_vec();
    while text.len() < 64 << 20 {
        text.extend_from_slice(row);
    }
    text.extend_from_slice(b"(1, 'x', NOW())");
    assert_eq!(read(text), StatementProfile::unread(Doubt::TooLarge));

    let mut text = b"SELECT '".to_vec();
    text.resize(64 << 20, b'x');
    text.push(b'\'');
    assert_eq!(read(text), StatementProfile::unread(Doubt::TooLarge));
}

#[test]
fn a_kill_that_is_too_long_is_still_a_kill() {
    let text = format!("KILL /* {} */ 5", "x".repeat(MAX_TEXT));
    let found = read(text);
    assert_eq!((found.access, found.doubt), (Access::Kill, Doubt::TooLarge));
}

#[test]
fn the_longest_text_that_is_read() {
    let text = format!("SELECT * FROM t WHERE b = '{}'", "x".repeat(MAX_TEXT - 40));
    assert_eq!(read(text).access, Access::Read);

    let ids = vec!["12345"; MAX_TEXT / 8].join(",");
    let found = read(format!("SELECT * FROM t WHERE id IN ({ids})"));
    assert_eq!((found.access, found.doubt), (Access::Read, Doubt::None));
}

#[test]
fn thirty_three_thousand_ors() {
    let text = format!("SELECT * FROM t WHERE a=1{}", " OR a=1".repeat(33_000));
    let found = read(text);
    assert_eq!(
        (found.access, found.doubt),
        (Access::PrimaryRead, Doubt::TooLarge)
    );
}

#[test]
fn two_thousand_two_hundred_divisions() {
    let text = format!("SELECT 1{}", " DIV 1".repeat(2_200));
    let found = read(text);
    assert_eq!(
        (found.access, found.doubt),
        (Access::PrimaryRead, Doubt::TooLarge)
    );
}

#[test]
fn as_deep_as_the_caps_allow() {
    for (operator, count) in [
        (" DIV 1", 500),
        (" OR 1", 500),
        ("+1", 500),
        (" UNION SELECT 1", 250),
    ] {
        let found = read(format!("SELECT 1{}", operator.repeat(count)));
        assert_eq!(found.access, Access::Read, "{operator}");
    }
}

#[test]
fn nesting() {
    for (open, inner, close) in [
        ("(", "1", ")"),
        ("NOT ", "1", ""),
        ("-", "1", ""),
        ("(SELECT ", "1", ")"),
        ("CASE WHEN 1 THEN ", "1", " END"),
        ("IF(1,", "1", ",2)"),
        ("ABS(", "1", ")"),
        ("1 IN (", "1", ")"),
        ("EXISTS (SELECT ", "1", ")"),
    ] {
        for depth in [10, 60, 400, 20_000] {
            let text = format!(
                "SELECT {}{inner}{}",
                open.repeat(depth),
                close.repeat(depth)
            );
            let found = read(text);
            assert_ne!(found.access, Access::Write, "{open} {depth}");
            assert!(
                depth < 20_000 || found.access != Access::Read,
                "{open} {depth}"
            );
        }
    }
}

#[test]
fn unbalanced_and_repeated_bytes() {
    for piece in [
        "(", ")", "'", "\"", "`", "/*", "*/", "/*!", "/*+", "@", "@@", ".", ";", ",", "\\",
    ] {
        for verb in [
            "",
            "SELECT ",
            "SET ",
            "SHOW ",
            "EXPLAIN ",
            "WITH a AS (SELECT 1) SELECT ",
        ] {
            let found = read(format!("{verb}{}", piece.repeat(50_001)));
            assert_ne!(found.access, Access::Read, "{verb}{piece}…");
        }
    }
}

#[test]
fn many_column_lists_are_not_looked_through_again_and_again() {
    let found = read(format!(
        "WITH a AS (SELECT 1) SELECT 1{}",
        ",f(".repeat(100_000)
    ));
    assert_eq!(found.access, Access::Write);
    let nested = format!(
        "WITH a AS (SELECT 1) SELECT 1{}{}",
        ",f(x".repeat(80_000),
        ")as(".repeat(80_000)
    );
    assert_ne!(read(nested).access, Access::Read);
}

#[test]
fn text_that_is_not_utf8() {
    // Bytes of another charset in a string do not matter.
    assert_eq!(
        read(b"SELECT * FROM t WHERE b = '\xff\xfe\x80'".to_vec()).access,
        Access::Read
    );
    // In a name they do: the parser reads UTF-8 only.
    let found = read(b"SELECT \xe9t\xe9 FROM t".to_vec());
    assert_eq!(
        (found.access, found.doubt),
        (Access::PrimaryRead, Doubt::NotUnderstood)
    );
    assert_eq!(
        read(b"INSERT INTO \xe9 VALUES (1)".to_vec()).access,
        Access::Write
    );
    assert_eq!(read(vec![0xff; 1000]).access, Access::Write);
}

#[test]
fn charsets() {
    let mode = |charset| LexMode {
        charset,
        ..LexMode::default()
    };
    let text = b"SELECT * FROM t WHERE b = 'x'".to_vec();
    assert_eq!(
        classify(text.clone(), mode(Charset::SingleByte)).access,
        Access::Read
    );
    // The end of a string cannot be found where a backslash may be half a character.
    let found = classify(text, mode(Charset::Unsafe));
    assert_eq!(found, StatementProfile::unread(Doubt::NotUnderstood));
    let found = classify(b"KILL 5".to_vec(), mode(Charset::Unsafe));
    assert_eq!(
        (found.access, found.effects),
        (Access::Kill, Effects::OPAQUE)
    );
    // 0xA0 is a blank in latin1, and part of a character in UTF-8.
    let text = "SELECT 1 \u{a0}INTO x".as_bytes().to_vec();
    assert_eq!(
        classify(text, mode(Charset::SingleByte)).access,
        Access::Write
    );
}

#[test]
fn nul_and_control_bytes() {
    for text in [
        &b"SELECT 1\0"[..],
        b"\0",
        b"SELECT \x01",
        b"SELECT 1 -- \0\nFOR UPDATE",
    ] {
        assert_ne!(read(text.to_vec()).access, Access::Read, "{text:?}");
    }
    assert_eq!(read(b"SELECT 'a\0b\x01'".to_vec()).access, Access::Read);
}

#[test]
fn a_scratch_buffer_gives_memory_back() {
    let mut scratch = Scratch::default();
    let long = format!("SELECT {}", vec!["a.b"; 200_000].join("+"));
    assert!(matches!(
        scan(long.as_bytes(), LexMode::default(), &SEED, &mut scratch),
        Scan::Read(_)
    ));
    assert!(scratch.capacity() > 500_000);
    scan(b"SELECT 1", LexMode::default(), &SEED, &mut scratch);
    assert!(scratch.capacity() <= 100_000, "{}", scratch.capacity());
}
