//! One pass over a statement: erases literals, canonicalises spelling, and hashes the result.
//!
//! The normalised text is all that classification looks at, so two statements with the same one
//! have the same profile by construction, and a cache keyed by it is sound. It has lower-case
//! words, one blank where two tokens would otherwise run together and none elsewhere, `?` for a
//! number, `'?'` for a string, a single `?` for a list of literals, one row for rows that look
//! alike, and no comment but hints and versioned ones. Names in double quotes (ANSI_QUOTES) are
//! written in backticks, so the text means the same whatever the mode it was read in.
//!
//! Knows nothing of what statements mean, but for one thing: the pattern of SHOW VARIABLES
//! stays, as the name of one, if it is for variables of Highwater's own, since the class depends on it.

mod group;
mod literal;
mod name;
mod pass;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::control;
use super::mode::{Charset, Dialect, LexMode};
use super::profile::{Access, Doubt, StatementProfile};
use group::Groups;
use pass::normalise;

/// The longest text that is read, in bytes; longer ones go to the primary unread.
pub const MAX_TEXT: usize = 1 << 20;

/// What fingerprints depend on besides text and dialect. Collisions are possible, also by intent:
/// compare the normalised text on a cache hit.
#[derive(Clone, Copy, Debug)]
pub struct Seed(RapidSecrets);

impl Seed {
    /// The one that every proxy uses: a statement has the same fingerprint after a restart and in front
    /// of another cluster, so that a rule can name it.
    pub const SHARED: Self = Self::new(0);

    /// Derives the hash's secrets.
    pub const fn new(entropy: u64) -> Self {
        Self(RapidSecrets::seed(entropy))
    }
}

/// A reusable buffer for the normalised text. One per session.
#[derive(Debug, Default)]
pub struct Scratch {
    out: Vec<u8>,
    /// The open groups: the statement itself at 0, then one for each parenthesis.
    groups: Groups,
}

impl Scratch {
    /// The memory it holds, in bytes.
    pub fn capacity(&self) -> usize {
        self.out.capacity()
    }
}

/// A statement that was read: its normalised text and the hash of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normalised<'a> {
    /// The normalised text; not always UTF-8.
    pub text: &'a [u8],
    /// The hash of text and dialect; never 0.
    pub fingerprint: u64,
    /// Whose grammar it is to be understood by.
    pub dialect: Dialect,
}

/// What [`scan`] made of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan<'a> {
    /// It was read to its end.
    Read(Normalised<'a>),
    /// It cannot be read, and this is what to do with it.
    Unread(StatementProfile),
}

/// Reads a statement once and normalises it into `scratch`.
///
/// Allocates only while the scratch buffer grows to the longest statement seen.
pub fn scan<'a>(text: &[u8], mode: LexMode, seed: &Seed, scratch: &'a mut Scratch) -> Scan<'a> {
    let doubt = if text.len() > MAX_TEXT {
        Doubt::TooLarge
    } else if mode.charset == Charset::Unsafe {
        Doubt::NotUnderstood
    } else if normalise(text, mode, &mut scratch.out, &mut scratch.groups).is_some() {
        let hash = rapidhash_v3_seeded(&scratch.out, &seed.0);
        return Scan::Read(Normalised {
            text: &scratch.out,
            fingerprint: hash.wrapping_add(mode.dialect.number()).max(1),
            dialect: mode.dialect,
        });
    } else {
        Doubt::NotUnderstood
    };
    let mut profile = StatementProfile::unread(doubt);
    if control::begins_with_kill(text) {
        profile.access = Access::Kill;
    }
    Scan::Unread(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Seed = Seed::new(1);

    fn check_in(mode: LexMode, text: &str, expected: Option<&str>) {
        let mut scratch = Scratch::default();
        let found = match scan(text.as_bytes(), mode, &SEED, &mut scratch) {
            Scan::Read(read) => Some(String::from_utf8_lossy(read.text).into_owned()),
            Scan::Unread(_) => None,
        };
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    fn check(text: &str, expected: &str) {
        check_in(LexMode::default(), text, Some(expected));
    }

    #[test]
    fn spelling() {
        check(
            "SELECT  a , B\n\tFROM `T` -- c\nWHERE x=1;",
            "select a,b from `T` where x=?",
        );
        check("select a . b, c.1d, db.2t.3c", "select a. b,c.1d,db.2t.3c");
        check("SELECT t . into", "select t. into");
        check("a - -b, a--1, a - - b", "a- -b,a-?,a- -b");
        check("a < = b, a<=b, a/ *b", "a< =b,a<=b,a/ *b");
        check(
            "SELECT @A, @@Global.X, @`q`, root@localhost",
            "select @a,@@global.x,@`q`,root @localhost",
        );
    }

    #[test]
    fn literals() {
        check(
            "1 .5 1.5 1e5 1.e-5 0x1F 0b01 x'1f' b'01'",
            "? ? ? ? ? ? ? ? ?",
        );
        check("1a 0xg 1e 0x", "1a 0xg 1e 0x");
        check("'a' \"b\" 'c'", "'?'");
        check("(_utf8mb4'a', _latin1 'b', _x)", "('?',_x)");
        check("-1, a-1, (-1), =-1", "-?,a-?,(?),=?");
        check(r"'it''s' 'it\'s' '\\'", "'?'");
        check("a 'b' as 'c', 1", "a '?' as '?',?");
    }

    #[test]
    fn lists() {
        check("in (1, 2, 3)", "in(?)");
        check("in (1, 'a', NULL, true, x'1')", "in(?)");
        check("in (null)", "in(?)");
        check("(null is null, default(a))", "(null is null,default(a))");
        check("values (1, 'a'), (2, 'b'), (3, NULL)", "values(?)");
        check("values (1, now(), a), (2, now(), a)", "values(?,now(),a)");
        check(
            "values (1, now()), (2, then())",
            "values(?,now()),(?,then())",
        );
        check(
            "in ((1, 2), (3, 4)) and b in ((1, 2), (3, 4))",
            "in((?)) and b in((?))",
        );
        check("f(1), f(2)", "f(?),f(?)");
    }

    #[test]
    fn comments() {
        check("a /* b */ c # d\n -- e\n f", "a c f");
        check("a /*+ Hint(T) */ b", "a/*+ Hint(T) */b");
        check("a /*!50000 b */ c", "a/*!50000 b*/c");
        check("a /*!b*/ c", "a/*! b*/c");
        check("a --b", "a--b");
        check("/* only */", "");
    }

    #[test]
    fn several_statements() {
        check("a;", "a");
        check("a; /* c */ ;", "a");
        check("a;b", "a;b");
        check(";a", "a");
    }

    #[test]
    fn modes() {
        let ansi_quotes = LexMode {
            ansi_quotes: true,
            ..LexMode::default()
        };
        check_in(ansi_quotes, r#"a "b""c`d" 'e'"#, Some("a `b\"c``d` '?'"));
        let no_backslash_escapes = LexMode {
            no_backslash_escapes: true,
            ..LexMode::default()
        };
        check_in(no_backslash_escapes, r"'a\' b", Some("'?' b"));
        check_in(LexMode::default(), r"'a\' b", None);
    }

    #[test]
    fn patterns_of_own_variables_stay() {
        check(
            "SHOW VARIABLES LIKE 'Highwater_position'",
            "show variables like 'highwater_position'",
        );
        check(
            "SHOW VARIABLES LIKE 'wait_timeout'",
            "show variables like '?'",
        );
        check(
            "SHOW SESSION VARIABLES LIKE 'highwater%'",
            "show session variables like 'highwater_read_consistency'",
        );
        check(
            "SHOW VARIABLES WHERE `Variable_name` = 'highwater_GROUP'",
            "show variables where `Variable_name`='highwater_group'",
        );
        check(
            "SHOW VARIABLES WHERE Variable_name LIKE 'aurora_replica%'",
            "show variables where variable_name like 'aurora_replica_read_consistency'",
        );
        check(
            "SHOW VARIABLES WHERE Value = 'highwater_group'",
            "show variables where value='?'",
        );
        check("SELECT a LIKE 'highwater_position'", "select a like '?'");
    }

    #[test]
    fn fingerprints_depend_on_the_seed_only() {
        let fingerprint = |text: &str, seed: &Seed| match scan(
            text.as_bytes(),
            LexMode::default(),
            seed,
            &mut Scratch::default(),
        ) {
            Scan::Read(read) => read.fingerprint,
            Scan::Unread(_) => 0,
        };
        assert_eq!(
            fingerprint("SELECT 1", &SEED),
            fingerprint("select  2", &SEED)
        );
        assert_ne!(
            fingerprint("SELECT 1", &SEED),
            fingerprint("SELECT a", &SEED)
        );
        assert_ne!(
            fingerprint("SELECT 1", &SEED),
            fingerprint("SELECT 1", &Seed::new(2))
        );
    }
}
