//! What one text does to the state of its session, as far as no tracker tells it: user variables,
//! temporary tables, locks, handlers, statements prepared as text, roles.
//!
//! The text says what a statement does if it succeeds; whether it did is the server's to say. This
//! needs names and literals, so it reads the text again; callers ask only for the few statements
//! whose profile says that they touch such state. What is not understood is said to be so, and
//! counts as anything.

mod constant;
mod cursor;
mod expression;
mod names;
mod set;
mod verbs;

use super::chars;
use super::classify::{Verdict, profile};
use super::control::lexeme::{self, Lexeme, Placed};
use super::facts::{self, Calls};
use super::fingerprint::{Scan, Scratch, Seed, scan};
use super::mode::LexMode;
use super::profile::{Doubt, Effects, StatementProfile};
use super::token::Tokens;
use cursor::Cursor;

pub use constant::Constant;
pub use names::{Mention, mentions};

/// How deep statements that are prepared from texts are followed: `PREPARE a FROM 'PREPARE b …'`.
const MAX_DEPTH: usize = 2;

/// A table's name as a statement spells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableName {
    /// The schema; `None` for the session's own.
    pub schema: Option<Box<[u8]>>,
    /// The table.
    pub table: Box<[u8]>,
}

/// A lock of a whole server that only the text tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerLock {
    /// FLUSH TABLES WITH READ LOCK, until UNLOCK TABLES.
    Reads,
    /// LOCK INSTANCE FOR BACKUP, until UNLOCK INSTANCE.
    Instance,
    /// MariaDB's BACKUP STAGE and BACKUP LOCK, until STAGE END and UNLOCK.
    Backup,
}

/// What happens to an XA transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XaStep {
    /// XA START.
    Begins,
    /// XA PREPARE: where `xa_detach_on_prepare` is ON it leaves the connection.
    Prepared,
    /// XA COMMIT, XA ROLLBACK.
    Ends,
}

/// One thing that a statement does to its session if it succeeds. Names of user variables, handlers
/// and prepared statements are in lower case (ASCII), as the server compares them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateFact {
    /// Changes only what trackers tell.
    Settings,
    /// Gives a user variable a value: this constant, or one that only the server knows.
    Assigns(Box<[u8]>, Option<Constant>),
    /// Gives values to user variables whose names are not seen.
    AssignsSome,
    /// Makes a temporary table.
    CreatesTemporary(TableName),
    /// Drops a table, a temporary one first.
    Drops(TableName),
    /// Gives a table, a temporary one first, another name.
    Renames(TableName, TableName),
    /// May take a named lock: this one, or one whose name is not seen.
    Locks(Option<Box<[u8]>>),
    /// May free a named lock.
    Unlocks,
    /// Frees every named lock.
    UnlocksAll,
    /// Locks the server.
    LocksServer(ServerLock),
    /// Gives such a lock back.
    UnlocksServer(ServerLock),
    /// HANDLER … OPEN under this name.
    OpensHandler(Box<[u8]>),
    /// HANDLER … CLOSE.
    ClosesHandler(Box<[u8]>),
    /// PREPARE, and what the text does when it is executed.
    Prepares(Box<[u8]>, Touches),
    /// DEALLOCATE PREPARE.
    Deallocates(Box<[u8]>),
    /// EXECUTE of a statement that was prepared under this name.
    Executes(Box<[u8]>),
    /// SET ROLE with these words behind it; `None` if they mean different things by mode and charset.
    TakesRole(Option<Box<[u8]>>),
    /// SET RESOURCE GROUP.
    JoinsResourceGroup,
    /// XA.
    Xa(XaStep),
    /// A variable of the connection that no tracker tells; `true` when it is set back to its default.
    Untracked(Box<[u8]>, bool),
    /// Sets a tracker, which Highwater has set for itself. A packet of several may so make the server
    /// tell nothing of what it does besides.
    SetsTracker,
    /// Runs a routine, which may do anything of this.
    RunsRoutine,
    /// Not understood: may do anything of this, unless the server does not understand it either.
    Unread,
}

/// What the statements of one text do, in their order. Empty where nothing is to be known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touches {
    /// By statement; more than one only in a packet of several.
    pub statements: Vec<Vec<StateFact>>,
    /// Several results may belong to one statement: which one failed cannot be counted.
    pub uncounted: bool,
    /// It makes a stored program whose body looks like statements of the packet: nothing was touched if
    /// it had exactly one result.
    pub stored: bool,
    /// A statement of it changes rows, and so may run triggers.
    pub changes_rows: bool,
}

impl Touches {
    /// Of a text that was not read at all.
    pub fn unread() -> Self {
        Self {
            statements: vec![vec![StateFact::Unread]],
            ..Self::default()
        }
    }

    /// Whether the text touches nothing that has to be known.
    pub fn is_nothing(&self) -> bool {
        self.statements.iter().all(Vec::is_empty)
    }

    /// All that it may do.
    pub fn facts(&self) -> impl Iterator<Item = &StateFact> {
        self.statements.iter().flatten()
    }
}

/// Effects of statements whose text [`touches`] has to be asked about.
pub const TOUCHING: Effects = Effects::ASSIGNS_USER_VARIABLE
    .with(Effects::NAMED_LOCK)
    .with(Effects::TEMPORARY_TABLE)
    .with(Effects::TABLE_LOCK)
    .with(Effects::OPAQUE)
    .with(Effects::TEXT_PREPARE)
    .with(Effects::HANDLER)
    .with(Effects::XA)
    .with(Effects::MULTI);

/// Whether the state of the session may be touched by a statement with this profile.
pub fn may_touch(profile: &StatementProfile) -> bool {
    profile.effects.intersects(TOUCHING)
}

/// Whether a text begins with one of these words (lower case).
pub fn begins_with(text: &[u8], verbs: &[&str]) -> bool {
    let word = first_word(text);
    verbs
        .iter()
        .any(|verb| word.eq_ignore_ascii_case(verb.as_bytes()))
}

/// Verbs of statements that change rows, and so may run triggers.
const CHANGES_ROWS: [&str; 6] = ["delete", "insert", "load", "replace", "update", "with"];

/// Whether a text that writes may do so to a table with triggers.
pub fn may_trigger(text: &[u8]) -> bool {
    // None is there where a versioned comment or a parenthesis comes first.
    first_word(text).is_empty()
        || begins_with(text, &CHANGES_ROWS)
        || begins_with(text, &["do", "execute"])
}

fn first_word(text: &[u8]) -> &[u8] {
    let start = chars::skip_blanks(text, 0);
    text.get(start..chars::word_end(text, start))
        .unwrap_or_default()
}

/// What a text does.
pub fn touches(text: &[u8], mode: LexMode) -> Touches {
    read(text, mode, 0)
}

fn read(text: &[u8], mode: LexMode, depth: usize) -> Touches {
    let Some(lexemes) = lexeme::read(text, mode) else {
        return unread(text, mode);
    };
    let statements: Vec<_> = lexemes
        .split(|(lexeme, _)| *lexeme == Lexeme::Op(b';'))
        .filter(|statement| !statement.is_empty())
        .collect();
    let reader = Reader { text, mode, depth };
    match *statements {
        [] => Touches::default(),
        [statement] => Touches {
            statements: vec![reader.statement(statement)],
            changes_rows: changes_rows(statement),
            ..Touches::default()
        },
        [first, ..] if makes_stored_program(first) => Touches {
            statements: vec![vec![StateFact::Unread]],
            stored: true,
            ..Touches::default()
        },
        _ => reader.packet(&statements),
    }
}

/// A text with a versioned comment, or one that cannot be read to its end.
fn unread(text: &[u8], mode: LexMode) -> Touches {
    let mut scratch = Scratch::default();
    let facts = match scan(text, mode, &Seed::new(0), &mut scratch) {
        Scan::Unread(_) => return Touches::unread(),
        Scan::Read(read) => match verdict(profile(read)) {
            read if read.doubt == Doubt::VersionedComment
                || read.doubt == Doubt::MultiStatement =>
            {
                vec![StateFact::Unread]
            }
            read if !may_touch(&read) => vec![StateFact::Settings],
            // Its literals are hidden from the lexer of raw texts.
            read if read.effects.contains(Effects::OPAQUE) => vec![StateFact::RunsRoutine],
            read if read.effects.contains(Effects::ASSIGNS_USER_VARIABLE) => {
                vec![StateFact::AssignsSome, StateFact::Settings]
            }
            _ => vec![StateFact::Unread],
        },
    };
    Touches {
        statements: vec![facts],
        ..Touches::default()
    }
}

fn verdict(verdict: Verdict) -> StatementProfile {
    match verdict {
        Verdict::Decided(profile) => profile,
        Verdict::NeedsParse(pending) => pending.unconfirmed(Doubt::None),
    }
}

fn changes_rows(statement: &[Placed<'_>]) -> bool {
    let verb = statement.first().map(|(lexeme, _)| lexeme);
    verb.is_some_and(|verb| CHANGES_ROWS.iter().any(|it| verb.is(it)))
}

/// `CREATE … {PROCEDURE | FUNCTION | TRIGGER | EVENT | PACKAGE} …`.
fn makes_stored_program(statement: &[Placed<'_>]) -> bool {
    const KINDS: [&str; 5] = ["procedure", "function", "trigger", "event", "package"];
    let mut words = statement.iter().map(|(lexeme, _)| lexeme);
    words.next().is_some_and(|verb| verb.is("create"))
        && words
            .take_while(|lexeme| **lexeme != Lexeme::Op(b'('))
            .any(|lexeme| KINDS.iter().any(|kind| lexeme.is(kind)))
}

/// Reads the statements of one text.
#[derive(Clone, Copy)]
struct Reader<'t> {
    text: &'t [u8],
    mode: LexMode,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn packet(self, statements: &[&[Placed<'t>]]) -> Touches {
        if statements.iter().any(|it| makes_stored_program(it)) {
            return Touches::unread();
        }
        let facts: Vec<_> = statements.iter().map(|it| self.statement(it)).collect();
        let results = |fact: &StateFact| {
            matches!(
                fact,
                StateFact::RunsRoutine | StateFact::Unread | StateFact::Executes(_)
            )
        };
        Touches {
            uncounted: facts.iter().flatten().any(results),
            statements: facts,
            stored: false,
            changes_rows: statements.iter().any(|it| changes_rows(it)),
        }
    }

    fn statement(self, lexemes: &[Placed<'t>]) -> Vec<StateFact> {
        let mut cursor = Cursor::new(self.text, lexemes);
        while cursor.eat_op(b'(') {}
        let Some(verb) = cursor.word() else {
            return vec![StateFact::Unread];
        };
        let mut facts = verbs::facts(&verb, cursor, self);
        if !facts.contains(&StateFact::RunsRoutine) {
            facts.extend(self.calls(lexemes));
        }
        facts
    }

    /// A call of a function that is no built-in.
    fn calls(self, lexemes: &[Placed<'t>]) -> Option<StateFact> {
        let (verb, _) = lexemes.first()?;
        let lexemes = verbs::with_calls(verb, lexemes);
        let start = lexemes.first()?.1.start;
        let end = lexemes.last()?.1.end;
        let text = self.text.get(start..end)?;
        let mut scratch = Scratch::default();
        let Scan::Read(read) = scan(text, self.mode, &Seed::new(0), &mut scratch) else {
            return Some(StateFact::Unread);
        };
        let after_table = ["insert", "replace", "explain", "describe", "desc"];
        let calls = match after_table.iter().any(|it| verb.is(it)) {
            true => Calls::AfterTable,
            false => Calls::All,
        };
        let found = facts::collect(Tokens::new(read.text), calls, read.dialect);
        found.unknown_function.then_some(StateFact::RunsRoutine)
    }

    /// What a text that is prepared will do.
    fn prepared(self, text: &[u8]) -> Touches {
        match self.depth < MAX_DEPTH {
            true => read(text, self.mode, self.depth + 1),
            false => Touches::unread(),
        }
    }
}

#[cfg(test)]
mod tests;
