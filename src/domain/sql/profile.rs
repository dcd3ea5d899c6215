//! What the text of a statement says about it: the result of classification.

/// How a statement relates to the servers. Unknown is never a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads replicated data only: any server that is fresh enough may answer.
    Read,
    /// A read whose answer belongs to the primary or to the session's connection there: locking
    /// reads, server-local variables, user variables, LAST_INSERT_ID(), named locks.
    PrimaryRead,
    /// Asks about the session's previous statement (SHOW WARNINGS, ROW_COUNT(), FOUND_ROWS()):
    /// it goes where that statement went.
    Diagnostics,
    /// Changes data or is not understood.
    Write,
    /// Changes session state only: SET, USE.
    Session,
    /// BEGIN / START TRANSACTION.
    Begin(Begin),
    /// COMMIT, ROLLBACK, SAVEPOINT, RELEASE SAVEPOINT: goes where the transaction is.
    TransactionEnd,
    /// KILL: the id must be translated before any server sees it.
    Kill,
    /// Reads or sets a variable that is Highwater's own (`highwater_*`,
    /// `aurora_replica_read_consistency`), or asks for one with SHOW VARIABLES LIKE.
    Own,
}

/// The characteristics that BEGIN / START TRANSACTION spells out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Begin {
    /// `Some(true)` for READ ONLY, `Some(false)` for READ WRITE.
    pub read_only: Option<bool>,
    /// WITH CONSISTENT SNAPSHOT.
    pub snapshot: bool,
}

/// Why a statement is not simply offloaded; shown by `explain`, logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// Nothing speaks against a replica.
    None,
    /// INSERT, UPDATE, DELETE, REPLACE, LOAD, DDL, CALL, administration: a write by its verb.
    Writes,
    /// FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE.
    Locks,
    /// INTO OUTFILE, DUMPFILE or @variable.
    Into,
    /// Reads or assigns a user variable.
    UserVariable,
    /// A built-in function with a side effect or a session- or server-local result.
    Function,
    /// A function that is not a known built-in: stored functions are writes whatever they declare.
    UnknownFunction,
    /// Answers differ from server to server: @@global.x, processlist, performance_schema …
    ServerLocal,
    /// Several statements in one packet.
    MultiStatement,
    /// A versioned comment (`/*!`), which one server may run and another skip.
    VersionedComment,
    /// The parser does not know it, or the two witnesses disagree.
    NotUnderstood,
    /// Too long or too nested to be read: the primary takes it unread.
    TooLarge,
}

/// What else a statement may do to its session, as a set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Effects(pub u32);

impl Effects {
    /// Mentions a user variable (`@x`).
    pub const USER_VARIABLE: Self = Self(1);
    /// May assign a user variable (SET @x, `:=`, INTO @x).
    pub const ASSIGNS_USER_VARIABLE: Self = Self(1 << 1);
    /// Takes or frees a named lock (GET_LOCK family).
    pub const NAMED_LOCK: Self = Self(1 << 2);
    /// Creates or drops a temporary table.
    pub const TEMPORARY_TABLE: Self = Self(1 << 3);
    /// LOCK TABLES, FLUSH TABLES WITH READ LOCK, LOCK INSTANCE and their UNLOCK.
    pub const TABLE_LOCK: Self = Self(1 << 4);
    /// Runs what the text does not show: CALL, EXECUTE, an unknown function, several statements.
    pub const OPAQUE: Self = Self(1 << 5);
    /// PREPARE, DEALLOCATE PREPARE.
    pub const TEXT_PREPARE: Self = Self(1 << 6);
    /// HANDLER … OPEN / READ / CLOSE.
    pub const HANDLER: Self = Self(1 << 7);
    /// XA of any kind.
    pub const XA: Self = Self(1 << 8);
    /// Reads at least one table, or the definitions of tables and other things that replicate; for a
    /// write: tells of the rows it found (RETURNING).
    pub const READS_TABLES: Self = Self(1 << 9);
    /// Mentions a session tracker variable (`session_track_…`) or `transaction_read_only`, which
    /// Highwater sets for itself on its connections.
    pub const MENTIONS_MANAGED_VARIABLE: Self = Self(1 << 10);
    /// Several statements in one packet.
    pub const MULTI: Self = Self(1 << 11);
    /// Sets variables for its own length only (SET STATEMENT … FOR). MariaDB's tracker tells their
    /// values in its reply and does not tell that they were put back.
    pub const PASSING_SETTINGS: Self = Self(1 << 12);
    /// Commits the open transaction before it runs, or is about the server itself: definitions, accounts,
    /// administration.
    pub const COMMITS: Self = Self(1 << 13);
    /// Mentions something whose value the session knows ([`super::Known`]), or sets it.
    pub const MENTIONS_KNOWN: Self = Self(1 << 15);
    /// Mentions ROW_COUNT(), FOUND_ROWS(), @@warning_count or @@error_count.
    pub const ASKS_PREVIOUS: Self = Self(1 << 16);
    /// Mentions LAST_INSERT_ID(), @@last_insert_id or @@identity, or sets one.
    pub const LAST_INSERT_ID: Self = Self(1 << 17);
    /// FOUND_ROWS() after it is the number of rows that it sent.
    pub const COUNTS_ROWS: Self = Self(1 << 18);
    /// FOUND_ROWS() after it is as before.
    pub const KEEPS_FOUND_ROWS: Self = Self(1 << 19);
    /// FOUND_ROWS() after it is something else than before, which only the server knows.
    pub const SETS_FOUND_ROWS: Self = Self(1 << 20);

    /// SET with what the server at hand has: DEFAULT, `@@global.x`, or SET GLOBAL itself.
    pub const SERVERS_OWN: Self = Self(1 << 14);
    /// SET of a characteristic of transactions, which inside of one a server may refuse.
    pub const CHARACTERISTIC: Self = Self(1 << 23);

    /// May change accounts, their passwords, rights or roles, or what else a server reads when a connection
    /// logs in: the optimizer's costs.
    pub const ACCOUNTS: Self = Self(1 << 21);
    /// Gives global variables values, with which sessions begin from then on.
    pub const GLOBALS: Self = Self(1 << 22);
    /// Makes, changes or drops routines, triggers or views.
    pub const PROGRAMS: Self = Self(1 << 24);
    /// Begins the server's history anew: RESET BINARY LOGS AND GTIDS, RESET MASTER.
    pub const HISTORY: Self = Self(1 << 25);

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any flag of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What is known of a statement from its text. Computed once per fingerprint and cached; it holds
/// no literal of the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementProfile {
    /// What it is to the router.
    pub access: Access,
    /// What it may do to its session.
    pub effects: Effects,
    /// Why it is not simply offloaded.
    pub doubt: Doubt,
    /// Hash of the normalised text; 0 when the text was not read.
    pub fingerprint: u64,
}

impl StatementProfile {
    /// The profile of a statement that was not read: the primary, and anything may have happened.
    pub const fn unread(doubt: Doubt) -> Self {
        Self {
            access: Access::Write,
            effects: Effects::OPAQUE,
            doubt,
            fingerprint: 0,
        }
    }
}

/// By what a write may show what it read.
const SHOWS_DATA: Effects = Effects::USER_VARIABLE
    .with(Effects::OPAQUE)
    .with(Effects::READS_TABLES);

impl StatementProfile {
    /// Whether the statement may show its session data that others wrote, other than by a plain
    /// count of changed rows.
    pub fn may_show_data(&self) -> bool {
        match self.access {
            Access::Read | Access::PrimaryRead => self.effects.contains(Effects::READS_TABLES),
            Access::Write => {
                self.effects.intersects(SHOWS_DATA) || self.doubt == Doubt::NotUnderstood
            }
            Access::Begin(begin) => begin.snapshot,
            _ => false,
        }
    }
}
