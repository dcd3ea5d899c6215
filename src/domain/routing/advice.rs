//! What keeps statements from replicas, and what would change it: one sentence a reason.

use super::Reason;

impl Reason {
    /// What would let a replica answer statements that stay away from replicas for this reason; `None`
    /// where a replica answers, or where nothing is to be gained.
    pub const fn change(self) -> Option<&'static str> {
        Some(match self {
            Self::Fresh
            | Self::Waited
            | Self::ReadOnlyTransaction
            | Self::ReplicaLost
            | Self::Stale
            | Self::Write
            | Self::Own
            | Self::Deferred
            | Self::SessionState
            | Self::OneShot
            | Self::Command
            | Self::PasswordExpired
            | Self::LongData
            | Self::Denied
            | Self::FollowsPrevious => return None,
            Self::Hint => "leave the hint out of its text or its query attributes",
            Self::Rule => "EXPLAIN ROUTE names the rule, and SHOW RULES what it does",
            Self::LockingRead => {
                "leave FOR UPDATE, FOR SHARE or LOCK IN SHARE MODE out where the rows are only read"
            }
            Self::Into => "read the rows and write them elsewhere, instead of SELECT … INTO",
            Self::UserVariable => {
                "pass values as parameters; a variable that was SET to a constant may be read on replicas"
            }
            Self::Function => {
                "leave out functions that lock, sleep, or tell of this server or connection"
            }
            Self::UnknownFunction => {
                "stored functions may write, whatever they declare: put what they compute into the query or a view"
            }
            Self::ServerLocal => {
                "it tells of one server: ask a replica for itself where its own answer is wanted"
            }
            Self::MultiStatement => "send the statements one by one",
            Self::VersionedComment => {
                "leave out /*! … */ comments, or the driver's switch that adds them"
            }
            Self::NotUnderstood => {
                "EXPLAIN ROUTE says more; a simpler spelling of it may be understood"
            }
            Self::TooLarge => "raise [limits] max_command_held, or send less in one statement",
            Self::InTransaction => {
                "read outside of read-write transactions, begin with START TRANSACTION READ ONLY, or set [consistency] transaction_reads = \"replica_until_write\" (at READ COMMITTED)"
            }
            Self::AutocommitOff => {
                "turn autocommit on, or set [consistency] transaction_reads = \"replica_until_write\" (at READ COMMITTED)"
            }
            Self::Serializable => {
                "use REPEATABLE READ or READ COMMITTED where SERIALIZABLE is not needed"
            }
            Self::TemporaryTables => {
                "DROP TEMPORARY TABLE as soon as it is not needed; reads that do not name one may leave"
            }
            Self::TableLocks => "UNLOCK TABLES as soon as the locks are not needed",
            Self::HeldState => {
                "begin READ ONLY transactions in sessions without user variables, named locks and temporary tables"
            }
            Self::UntrackedWrite => {
                "leave sql_log_bin on, or reset the connection (COM_RESET_CONNECTION) after such writes"
            }
            Self::CannotRestore => {
                "leave out session settings that no tracker tells, or reset the connection after them"
            }
            Self::ReplicaRefused => {
                "a function or a view in it writes: keep reads apart from what writes"
            }
            Self::NoReplica => {
                "SHOW BACKENDS says why no replica may be used; highwater doctor what mends it"
            }
            Self::NoPositions => "turn GTIDs on (gtid_mode = ON); highwater doctor says how",
            Self::CatchUpTimeout | Self::NotFresh => {
                "a longer catch_up_timeout, a weaker level where older data will do, or faster replicas (SHOW POSITIONS)"
            }
            Self::PoolExhausted => {
                "raise [pool] max_connections, or see what binds sessions to theirs (SHOW PINS; [pool] mode = \"session\" binds all)"
            }
            Self::LevelBroken => {
                "highwater doctor says which setting of the primary breaks the level"
            }
            Self::Shadow => "[proxy] mode = \"split\" lets replicas answer",
            Self::OverBudget => {
                "raise [consistency] primary_budget, or see why replicas are late (SHOW POSITIONS)"
            }
            Self::OffloadOff => "OFFLOAD ON lets replicas answer again",
            Self::Cursor => "read without a server-side cursor",
        })
    }
}
