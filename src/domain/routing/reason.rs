//! Why a statement went where it went: one enum for metrics, logs and `explain`.

use crate::domain::sql::Doubt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $text:literal;)*) => {
        /// Why a statement went where it went.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$doc])* #[doc = $text] $variant,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The metric label and log field.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The reason as a sentence for people.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

reasons! {
    Fresh => "fresh", "a read, and its replica is fresh enough";
    Waited => "waited", "a read that waited for its replica to catch up";
    ReadOnlyTransaction => "read_only_transaction", "belongs to a READ ONLY transaction on a replica";
    FollowsPrevious => "follows_previous", "asks about the previous statement and follows it";
    ReplicaLost => "replica_lost", "a read whose replica was lost before it answered";
    Hint => "hint", "the statement's own hint asks for the primary";
    Rule => "rule", "a rule of the configuration asks for the primary";
    Denied => "denied", "a rule of the configuration refused it";
    Write => "write", "a write by its verb";
    LockingRead => "locking_read", "a read that locks rows";
    Into => "into", "SELECT … INTO writes a file or a variable";
    UserVariable => "user_variable", "reads or assigns a user variable, which lives on the primary's connection";
    Function => "function", "calls a function with a side effect or a session- or server-local result";
    UnknownFunction => "unknown_function", "calls a function that is not a known built-in; stored functions may write";
    ServerLocal => "server_local", "the answer differs from server to server";
    MultiStatement => "multi_statement", "several statements in one packet";
    VersionedComment => "versioned_comment", "has a versioned comment, which servers read differently";
    NotUnderstood => "not_understood", "not understood; when in doubt, the primary";
    TooLarge => "too_large", "too large to be read; the primary takes it unread";
    InTransaction => "in_transaction", "belongs to a read-write transaction";
    AutocommitOff => "autocommit_off", "autocommit is off, so it opens or continues a transaction";
    Serializable => "serializable", "the session's isolation level is SERIALIZABLE";
    SessionState => "session_state", "changes session state";
    OneShot => "one_shot", "SET TRANSACTION waits for the next transaction";
    TemporaryTables => "temporary_tables", "the session may have temporary tables";
    TableLocks => "table_locks", "the session holds LOCK TABLES";
    HeldState => "held_state", "a transaction of a session with user variables, named locks or temporary tables";
    UntrackedWrite => "untracked_write", "the session wrote something that no GTID names";
    CannotRestore => "cannot_restore", "the session's state cannot be restored on a replica";
    ReplicaRefused => "replica_refused", "a replica refused this statement as a write";
    NoReplica => "no_replica", "no usable replica";
    NoPositions => "no_positions", "the servers give no positions, so freshness cannot be known";
    CatchUpTimeout => "catch_up_timeout", "no replica caught up in time";
    PoolExhausted => "pool_exhausted", "every connection to the replicas is taken";
    Stale => "stale", "no replica caught up in time, and one answers with what it has, with a warning";
    NotFresh => "not_fresh", "no replica caught up in time, and the session asked for an error then";
    LevelBroken => "level_broken", "the primary's settings break the level, so it is refused";
    Shadow => "shadow", "shadow mode: a replica could answer, and everything goes to the primary";
    OverBudget => "over_budget", "no replica can answer, and fallen-back reads use up the primary's budget";
    OffloadOff => "offload_off", "the operator keeps the reads of this session on the primary (OFFLOAD)";
    LongData => "long_data", "its parameters were sent to the primary ahead";
    Cursor => "cursor", "opens or uses a cursor, which lives on the primary's connection";
    Command => "command", "a protocol command that the primary answers";
    PasswordExpired => "password_expired", "the account's password expired: the server takes nothing but a new one";
    Deferred => "deferred", "a transaction that is opened on the primary at its first write";
    Own => "own", "answered by Highwater itself";
}

impl Reason {
    /// The place in tables that hold one entry per reason.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl From<Doubt> for Reason {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::None | Doubt::NotUnderstood => Self::NotUnderstood,
            Doubt::Writes => Self::Write,
            Doubt::Locks => Self::LockingRead,
            Doubt::Into => Self::Into,
            Doubt::UserVariable => Self::UserVariable,
            Doubt::Function => Self::Function,
            Doubt::UnknownFunction => Self::UnknownFunction,
            Doubt::ServerLocal => Self::ServerLocal,
            Doubt::MultiStatement => Self::MultiStatement,
            Doubt::VersionedComment => Self::VersionedComment,
            Doubt::TooLarge => Self::TooLarge,
        }
    }
}
