//! What one client session has made true, as the **server's** replies tell it: transaction,
//! variables, positions, and what keeps it on the primary. Text says what a statement may do;
//! status flags and trackers say what it did.

pub mod aftermath;
pub mod lease;
pub mod mirror;
pub mod only_owned;
pub mod pins;
pub mod positions;
pub mod reading;
pub mod touched;
pub mod transaction;
pub mod wish;

use std::time::{Duration, Instant};

use super::consistency::{Level, Settings, TransactionReads};
use super::ids::BackendId;
use super::routing::rules::Ruled;
use super::sql::{Access, Doubt, Effects, HintTarget, Hints, StatementProfile};
use super::topology::Generation;

pub use aftermath::Aftermath;
pub use lease::{KeepReason, Lease};
pub use mirror::{Applied, Globals, Mirror, Restore, Way};
pub use only_owned::{OnlyOwned, SaidBy, Sights};
pub use pins::{Held, Pin, PinReason, Pins};
pub use positions::{LastRead, Positions};
pub use reading::{PreparedText, Under};
pub use touched::Ending;
pub use transaction::{Deferred, Transaction};
pub use wish::TrackerWish;

/// Which of a session's two server connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one to the primary.
    Primary,
    /// The one to a replica.
    Replica,
}

/// One entry of a reply's session state block.
#[derive(Clone, Copy, Debug)]
pub enum Tracked<'a> {
    /// A session variable has a new value.
    Variable(&'a [u8], &'a [u8]),
    /// The default schema changed.
    Schema(&'a [u8]),
    /// Some session state changed (user variables, temporary tables, prepared statements …).
    StateChange,
    /// Transaction characteristics as SQL; empty when there are none.
    Characteristics(&'a [u8]),
    /// The eight letters of the transaction state.
    TransactionState(&'a [u8]),
    /// On the primary: the GTIDs that the statement committed.
    OwnGtids(&'a [u8]),
}

/// How a statement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an OK packet or the end of its rows.
    Done {
        /// Rows that the server says it changed.
        affected: u64,
        /// Whether its last packet ended a result set.
        rows: bool,
    },
    /// With an error packet.
    Failed,
    /// The connection broke, or the client left, before the reply was complete.
    Lost,
}

/// What the end of a statement leaves unsaid of what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unsaid {
    /// Nothing: it wrote nothing, or its position was told.
    Nothing,
    /// Where the write is, if there was one.
    Position,
    /// The same, and perhaps it is in no binary log at all.
    Everything,
}

/// The server a statement ran on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RanOn {
    /// Which of the session's connections.
    pub side: Side,
    /// The server.
    pub backend: BackendId,
    /// The life of that server.
    pub generation: Generation,
}

/// What the client's capabilities mean for what its replies can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientTraits {
    /// FOUND_ROWS: "rows affected" counts matched rows, so it proves no change.
    pub found_rows: bool,
    /// DEPRECATE_EOF: the end of a result set carries the session state, not only an OK does.
    pub state_after_rows: bool,
}

/// Settings under which a write reaches no replica: it is in no binary log, or (MariaDB) in one that
/// replicas may be told to skip.
const UNLOGGED: [(&[u8], &[u8]); 2] = [(b"sql_log_bin", b"OFF"), (b"skip_replication", b"ON")];

/// The state of one client session.
#[derive(Debug)]
pub struct Session {
    /// What its reads ask for.
    pub settings: Settings,
    /// What the client asks for the statement at hand alone.
    pub hints: Hints,
    /// What a rule asks for the statement at hand.
    pub ruled: Ruled,
    /// Transaction and autocommit, from status flags.
    pub transaction: Transaction,
    /// Session variables and schema, from trackers.
    pub mirror: Mirror,
    /// What it wrote and read.
    pub positions: Positions,
    /// What binds it to its connection to the primary.
    pub pins: Pins,
    /// What the statement at hand needs of the primary's connection, by its text.
    pub needs: Option<PinReason>,
    /// What it asked its server to track for it.
    pub wish: TrackerWish,
    /// Whether the servers' default isolation level is SERIALIZABLE.
    pub serializable_by_default: bool,
    /// Whether that level is READ COMMITTED.
    pub read_committed_by_default: bool,
    /// Whether COMMIT chains or releases by default (completion_type).
    pub completes_specially_by_default: bool,
    /// Where its previous statement ran: SHOW WARNINGS and its kin go there.
    pub previous: Option<Side>,
    /// What its previous statement left to be asked for.
    pub aftermath: Aftermath,
    /// Whether the primary's replies name the positions of the session's own writes, where all is
    /// well. Without that every write leaves its position unsaid.
    pub own_writes_told: bool,
    client: ClientTraits,
    statement: Statement,
}

/// What the replies of the statement in flight have told so far.
#[derive(Debug, Default)]
struct Statement {
    profile: Option<StatementProfile>,
    gtids: bool,
    state_change: bool,
    error: u16,
    log_bin_touched: bool,
    domain_touched: bool,
    trackers_touched: bool,
}

impl Session {
    /// A session that has just logged in.
    pub fn new(settings: Settings, client: ClientTraits) -> Self {
        Self {
            settings,
            hints: Hints::default(),
            ruled: Ruled::default(),
            transaction: Transaction::default(),
            mirror: Mirror::default(),
            positions: Positions::default(),
            pins: Pins::default(),
            needs: None,
            wish: TrackerWish::default(),
            serializable_by_default: false,
            read_committed_by_default: false,
            completes_specially_by_default: false,
            previous: None,
            aftermath: Aftermath::default(),
            own_writes_told: true,
            client,
            statement: Statement::default(),
        }
    }

    /// The level that is asked for the read at hand: its hint's, or the session's.
    pub fn asked_level(&self) -> Level {
        let asked = self.ruled.level.or(self.hints.level);
        asked.unwrap_or(self.settings.level)
    }

    /// Whether the read at hand may be no older than [`Self::max_staleness`], whatever its level is.
    pub fn is_bounded(&self) -> bool {
        self.asked_level() == Level::Bounded || self.ruled.bounded
    }

    /// How old the answer of a bounded read may be.
    pub fn max_staleness(&self) -> Duration {
        let ruled = self.ruled.max_staleness;
        ruled.unwrap_or(self.settings.max_staleness)
    }

    /// Whether a hint or a rule wants a replica to answer the statement at hand rather than the primary.
    pub fn asks_replica(&self) -> bool {
        self.hints.asks_replica() || self.ruled.target == Some(HintTarget::Replica)
    }

    /// The level of the read at hand. In a transaction whose reads may go to replicas it is no less than
    /// `session`: what the session committed before must be seen. What `bounded` promises holds besides.
    pub fn read_level(&self) -> Level {
        let level = self.asked_level();
        let in_transaction = self.transaction.is_open() || !self.transaction.autocommit();
        match level {
            Level::Eventual | Level::Bounded if in_transaction && self.defers_transactions() => {
                Level::Session
            }
            level => level,
        }
    }

    /// Whether a read-write transaction may be opened as late as at its first write.
    pub fn defers_transactions(&self) -> bool {
        self.settings.transaction_reads == TransactionReads::ReplicaUntilWrite
            && self.is_read_committed()
            && !self.wish.transaction_state
            && !self.completes_specially()
    }

    /// Whether the session made a plain COMMIT or ROLLBACK end its connection.
    pub fn releases_by_itself(&self) -> bool {
        let kind = self.mirror.get(b"completion_type");
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"RELEASE") || kind == b"2")
    }

    fn is_read_committed(&self) -> bool {
        match self.isolation() {
            Some(level) => level.eq_ignore_ascii_case(b"READ-COMMITTED"),
            None => self.read_committed_by_default,
        }
    }

    /// Whether a plain COMMIT does more than to commit (completion_type CHAIN or RELEASE).
    fn completes_specially(&self) -> bool {
        match self.mirror.get(b"completion_type") {
            Some(kind) => !is_no_chain(kind),
            None => self.completes_specially_by_default,
        }
    }

    /// The isolation level that the session set, by the names it has on MySQL and MariaDB.
    fn isolation(&self) -> Option<&[u8]> {
        let named = |name: &[u8]| self.mirror.get(name);
        named(b"transaction_isolation").or_else(|| named(b"tx_isolation"))
    }

    /// A statement is about to be sent.
    pub fn on_start(&mut self, profile: &StatementProfile) {
        self.statement = Statement {
            profile: Some(*profile),
            ..Statement::default()
        };
    }

    /// Its reply ended with this error.
    pub fn on_error(&mut self, code: u16) {
        self.statement.error = code;
    }

    /// Before the statement that is in flight on the primary is acknowledged with this outcome: what
    /// its reply, taken in so far, leaves unsaid. Of a packet that more results follow (`more`) only
    /// what is certain to be at its end already.
    pub fn unsaid(&self, outcome: Outcome, more: bool) -> Unsaid {
        match &self.statement.profile {
            Some(profile) if more => self.unsaid_between(profile, outcome),
            Some(profile) => self.unsaid_at_end(profile, outcome),
            None => Unsaid::Nothing,
        }
    }

    /// Takes in one entry of a reply's state block. `applied` is the state of the connection that
    /// replied.
    pub fn on_tracked(&mut self, side: Side, entry: Tracked<'_>, applied: &mut Applied) {
        match entry {
            Tracked::Variable(name, value) => {
                self.statement.log_bin_touched |= UNLOGGED.iter().any(|(it, _)| *it == name);
                self.statement.domain_touched |= name == b"gtid_domain_id";
                if name == b"last_gtid" {
                    self.on_last_gtid(side, value);
                } else if self.wish.on_variable(name, value) {
                    applied.guard_changed = true;
                    applied.gtids_changed |= name == b"session_track_gtids";
                    self.statement.trackers_touched = true;
                } else {
                    let read_only = matches!(name, b"transaction_read_only" | b"tx_read_only");
                    applied.guard_changed |= read_only && side == Side::Replica;
                    if !self.settings_pass() {
                        self.mirror.on_tracked(name, value);
                        applied.on_tracked(name, value);
                    }
                }
            }
            Tracked::Schema(name) => {
                self.mirror.set_schema(name);
                applied.set_schema(name);
            }
            Tracked::StateChange => self.statement.state_change = true,
            Tracked::Characteristics(sql) => self.transaction.on_characteristics(sql),
            Tracked::TransactionState(letters) => {
                self.transaction.on_letters(side, letters);
                let ends = |profile: StatementProfile| profile.access == Access::TransactionEnd;
                if self.statement.profile.is_some_and(ends) {
                    self.transaction.on_letters_at_end(side, letters);
                }
            }
            Tracked::OwnGtids(text) if side == Side::Primary => {
                self.statement.gtids = true;
                self.positions.on_own_gtids(text);
            }
            Tracked::OwnGtids(_) => {}
        }
    }

    /// MariaDB tells the GTID that a statement committed as a variable, which is no state of the
    /// session.
    fn on_last_gtid(&mut self, side: Side, value: &[u8]) {
        if side == Side::Primary && !value.is_empty() {
            self.statement.gtids = true;
            self.positions.on_last_gtid(value);
        }
    }

    /// Whether variables that the reply in flight tells have their old values again already.
    fn settings_pass(&self) -> bool {
        let passing =
            |profile: StatementProfile| profile.effects.contains(Effects::PASSING_SETTINGS);
        self.statement.profile.is_some_and(passing)
    }

    /// Takes in the status flags of an OK, EOF or end of rows, also of those between results.
    pub fn on_status(&mut self, side: Side, status: u16) {
        self.transaction.on_status(side, status);
    }

    /// Takes in the end of a statement: everything its reply said was given before.
    pub fn on_end(
        &mut self,
        profile: &StatementProfile,
        on: RanOn,
        outcome: Outcome,
        now: Instant,
    ) {
        self.previous = Some(on.side);
        if on.side == Side::Primary {
            if profile.access == Access::Write && self.transaction.is_open() {
                // Whatever the trackers say: a procedure may have turned them off.
                self.transaction.on_write();
            }
            self.after_primary(profile, outcome, now);
            if outcome == Outcome::Failed {
                let opaque = profile.effects.contains(Effects::OPAQUE);
                self.transaction.on_failed(opaque);
            }
        }
        if profile.may_show_data() {
            // Also where the end of rows cannot carry the trackers' letters.
            self.transaction.on_read();
        }
        if self.showed_data(profile, outcome) {
            self.positions.on_read(LastRead {
                backend: on.backend,
                generation: on.generation,
                ended: now,
            });
        }
        if self.transaction.tables_locked() {
            self.pins.hold(Held::Tables, profile.fingerprint, now);
        } else if unlocks_tables(profile) {
            self.pins.release(&Held::Tables);
        }
        self.transaction.on_statement_end();
    }

    fn after_primary(&mut self, profile: &StatementProfile, outcome: Outcome, now: Instant) {
        match self.unsaid_at_end(profile, outcome) {
            Unsaid::Nothing => {}
            Unsaid::Position => self.positions.on_unknown(now),
            Unsaid::Everything => self.positions.on_untracked_write(now),
        }
    }

    /// One of several statements of a packet may have committed without a word. The rows that one
    /// statement sends before its end acknowledge nothing.
    fn unsaid_between(&self, profile: &StatementProfile, outcome: Outcome) -> Unsaid {
        let one_statement = matches!(profile.doubt, Doubt::None | Doubt::Writes);
        let only_rows = one_statement && matches!(outcome, Outcome::Done { rows: true, .. });
        let silent = !self.statement.gtids && !self.transaction.is_open();
        if may_commit(profile) && silent && !only_rows {
            Unsaid::Position
        } else {
            Unsaid::Nothing
        }
    }

    /// Of a primary whose replies never say where a write is.
    fn unsaid_by_silent_primary(&self, profile: &StatementProfile) -> Unsaid {
        let opaque = profile.effects.contains(Effects::OPAQUE);
        let inside = profile.access == Access::Write && self.transaction.is_open() && !opaque;
        match may_commit(profile) && !inside {
            true => Unsaid::Position,
            false => Unsaid::Nothing,
        }
    }

    fn unsaid_at_end(&self, profile: &StatementProfile, outcome: Outcome) -> Unsaid {
        let may_commit = may_commit(profile);
        let unlogged = |(name, value): &(&[u8], &[u8])| self.mirror.is(name, value);
        let unlogged = self.statement.log_bin_touched || UNLOGGED.iter().any(unlogged);
        if unlogged && may_commit {
            return Unsaid::Everything;
        }
        if !self.own_writes_told {
            return self.unsaid_by_silent_primary(profile);
        }
        // What it wrote after it turned the trackers off, or in another domain, went untold.
        let silenced = (self.statement.trackers_touched || self.statement.domain_touched)
            && profile.access == Access::Write;
        let by_outcome = match outcome {
            Outcome::Failed | Outcome::Lost if may_commit => Unsaid::Position,
            // A ROLLBACK names no GTID, yet changes to tables without transactions stay.
            Outcome::Done { .. }
                if (profile.access == Access::TransactionEnd || !self.transaction.is_open())
                    && !self.statement.gtids
                    && self.transaction.may_have_written() =>
            {
                Unsaid::Position
            }
            Outcome::Done { affected, .. }
                if affected > 0
                    && profile.access == Access::Write
                    && !profile.effects.contains(Effects::OPAQUE)
                    && !self.statement.gtids
                    && !self.transaction.is_open()
                    && self.transaction.autocommit()
                    && !profile.effects.contains(Effects::TEMPORARY_TABLE)
                    && !self.names_temporary_table() =>
            {
                match self.client.found_rows {
                    // Perhaps nothing changed.
                    true => Unsaid::Position,
                    false => Unsaid::Everything,
                }
            }
            // Its GTIDs, if any, had no packet to come in.
            Outcome::Done { rows: true, .. } if may_commit && !self.client.state_after_rows => {
                Unsaid::Position
            }
            _ => Unsaid::Nothing,
        };
        match silenced {
            true => by_outcome.max(Unsaid::Position),
            false => by_outcome,
        }
    }

    /// Whether the statement at hand may name a temporary table: what it writes there is no one else's,
    /// and has no position. A write to any other table that has none is in no binary log.
    fn names_temporary_table(&self) -> bool {
        self.pins.has_temporary_tables() && self.needs == Some(PinReason::TemporaryTable)
    }

    /// Whether the statement showed the session data that others may have written. An error shows
    /// some too: that a table is gone, that a key is taken.
    fn showed_data(&self, profile: &StatementProfile, outcome: Outcome) -> bool {
        let changed_nothing = !self.statement.gtids && !self.transaction.is_open();
        match outcome {
            Outcome::Done { rows, .. } if profile.access == Access::Write => {
                // INSERT IGNORE that found the row there shows it as clearly as a SELECT.
                rows || changed_nothing || profile.may_show_data()
            }
            _ => profile.may_show_data(),
        }
    }

    /// Whether the session's isolation level is SERIALIZABLE: its reads lock.
    pub fn is_serializable(&self) -> bool {
        match self.isolation() {
            Some(level) => level.eq_ignore_ascii_case(b"SERIALIZABLE"),
            None => self.serializable_by_default,
        }
    }

    /// Whether its transactions are READ ONLY unless they say otherwise.
    pub fn is_read_only(&self) -> bool {
        // The second is MariaDB's word before 11.1.
        let names: [&[u8]; 2] = [b"transaction_read_only", b"tx_read_only"];
        names.iter().any(|name| self.mirror.is(name, b"ON"))
    }

    /// Whether the session has something on its primary connection that another one would lack.
    pub fn holds_connection(&self) -> bool {
        self.pins.any() || self.transaction.one_shot()
    }

    /// COM_RESET_CONNECTION succeeded: settings, variables and pins are as after a login; the positions
    /// stay, since client pools reset between borrow and reuse, and so does a role.
    pub fn on_reset(&mut self, settings: Settings) {
        let mut positions = std::mem::take(&mut self.positions);
        positions.on_reset();
        let mut mirror = std::mem::take(&mut self.mirror);
        mirror.reset();
        let mut pins = std::mem::take(&mut self.pins);
        pins.on_reset();
        *self = Self::new(settings, self.client);
        self.positions = positions;
        self.mirror = mirror;
        self.pins = pins;
    }

    /// COM_CHANGE_USER succeeded: what a reset leaves goes, too.
    pub fn on_other_user(&mut self) {
        self.mirror.on_other_user();
        self.pins = Pins::default();
    }
}

/// Whether a statement with this profile may commit something.
fn may_commit(profile: &StatementProfile) -> bool {
    let reads = matches!(
        profile.access,
        Access::Read | Access::PrimaryRead | Access::Diagnostics
    );
    !reads || profile.effects.contains(Effects::OPAQUE)
}

/// Whether this value of completion_type lets COMMIT be a plain one.
pub fn is_no_chain(completion_type: &[u8]) -> bool {
    completion_type.eq_ignore_ascii_case(b"NO_CHAIN") || completion_type == b"0"
}

/// Whether a statement says that it ends LOCK TABLES. The tracker alone is not believed: MySQL (9.7) takes
/// its letter back where a temporary table is made or dropped, though all tables stay locked.
fn unlocks_tables(profile: &StatementProfile) -> bool {
    let unlocks = profile.effects.contains(Effects::TABLE_LOCK);
    unlocks || matches!(profile.access, Access::Begin(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sql::{Dialect, LexMode, Seed, explain};

    const SILENT: ClientTraits = ClientTraits {
        found_rows: false,
        state_after_rows: true,
    };

    fn started(sql: &str) -> Session {
        let mut session = Session::new(Settings::default(), SILENT);
        let mode = LexMode::default();
        session.on_start(&explain(sql.as_bytes(), mode, &Seed::new(1)));
        session
    }

    #[test]
    fn what_a_primary_without_trackers_leaves_unsaid() {
        const DONE: Outcome = Outcome::Done {
            affected: 1,
            rows: false,
        };
        const AUTOCOMMIT: u16 = 0x0002;
        const IN_TRANSACTION: u16 = 0x0003;
        for (sql, status, expected) in [
            ("SELECT 1", AUTOCOMMIT, Unsaid::Nothing),
            ("SELECT 1 FOR UPDATE", AUTOCOMMIT, Unsaid::Nothing),
            ("INSERT INTO t VALUES (1)", AUTOCOMMIT, Unsaid::Position),
            ("INSERT INTO t VALUES (1)", IN_TRANSACTION, Unsaid::Nothing),
            ("CALL p()", IN_TRANSACTION, Unsaid::Position),
            ("COMMIT", AUTOCOMMIT, Unsaid::Position),
            ("COMMIT AND CHAIN", IN_TRANSACTION, Unsaid::Position),
            ("BEGIN", IN_TRANSACTION, Unsaid::Position),
            ("SET autocommit = 1", AUTOCOMMIT, Unsaid::Position),
        ] {
            let mut session = started(sql);
            session.own_writes_told = false;
            session.on_status(Side::Primary, status);
            assert_eq!(session.unsaid(DONE, false), expected, "{sql}");
        }
    }

    #[test]
    fn mariadbs_last_gtid_is_a_position_and_no_variable() {
        let reply = |names: &[(&[u8], &[u8])]| {
            let mut session = started("INSERT INTO t VALUES (1)");
            let mut applied = Applied::default();
            for (name, value) in names {
                let entry = Tracked::Variable(name, value);
                session.on_tracked(Side::Primary, entry, &mut applied);
            }
            session.on_status(Side::Primary, 0x0002);
            let outcome = Outcome::Done {
                affected: 1,
                rows: false,
            };
            (session.unsaid(outcome, false), session)
        };
        let (unsaid, session) = reply(&[(b"last_gtid", b"0-1-7")]);
        assert_eq!(unsaid, Unsaid::Nothing);
        assert_eq!(session.positions.need().to_string(), "0-1-7");
        assert_eq!(session.mirror.get(b"last_gtid"), None);
        let (unsaid, _) = reply(&[]);
        assert_eq!(unsaid, Unsaid::Everything, "in no binary log");
        let (unsaid, _) = reply(&[(b"gtid_domain_id", b"3"), (b"last_gtid", b"3-1-7")]);
        assert_eq!(
            unsaid,
            Unsaid::Position,
            "another domain may have been written"
        );
        let (unsaid, _) = reply(&[(b"last_gtid", b"0-1-7"), (b"skip_replication", b"ON")]);
        assert_eq!(unsaid, Unsaid::Everything, "replicas may skip it");
    }

    #[test]
    fn settings_of_one_statement_leave_the_mirror_alone() {
        let client = ClientTraits {
            found_rows: false,
            state_after_rows: true,
        };
        for (sql, told) in [
            ("SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR SELECT 1", None),
            ("SET sql_mode = 'ANSI_QUOTES'", Some(&b"ANSI_QUOTES"[..])),
        ] {
            let mode = LexMode {
                dialect: Dialect::MARIADB,
                ..LexMode::default()
            };
            let mut session = Session::new(Settings::default(), client);
            let mut applied = Applied::default();
            session.on_start(&explain(sql.as_bytes(), mode, &Seed::new(1)));
            let reported = Tracked::Variable(b"sql_mode", b"ANSI_QUOTES");
            session.on_tracked(Side::Primary, reported, &mut applied);
            assert_eq!(session.mirror.get(b"sql_mode"), told, "{sql}");
        }
    }
}
