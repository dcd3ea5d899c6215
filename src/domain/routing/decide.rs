//! From a statement's profile and its session's state to a route.

use super::Reason;
use crate::domain::session::{Deferred, PinReason, Session, Side};
use crate::domain::sql::{
    Access, Doubt, Effects, HintTarget, StatementProfile, is_server_local_schema,
};

/// Where a statement goes, before freshness is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the primary.
    Primary(Reason),
    /// To the replica connection that the session holds, whatever its position: a transaction is
    /// open there, or the previous statement ran there.
    HeldReplica(Reason),
    /// To a replica that is fresh enough; the transaction that it opens stays there.
    Replica {
        /// Whether it opens a READ ONLY transaction.
        transaction: bool,
    },
    /// First COMMIT on the replica connection, where a READ ONLY transaction is open that this
    /// statement ends, then the primary.
    EndReplicaTransaction(Reason),
    /// The READ ONLY transaction on the replica, which has read nothing yet, is ended there and begun
    /// on the primary, where the statement then runs.
    MoveTransaction(Reason),
    /// Highwater answers BEGIN; the transaction is opened on the primary at its first write.
    Defer(Deferred),
    /// Highwater answers COMMIT or ROLLBACK of a transaction that was never opened, if it is a plain one;
    /// otherwise it is opened on the primary to be ended there.
    EndDeferred,
    /// Highwater answers.
    Own,
}

/// What outside of session and text speaks against a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// A replica refused statements of this shape as writes.
    pub refused: bool,
    /// The operator keeps the reads of this session on the primary.
    pub offload_off: bool,
}

/// [`route`], and what speaks against a replica besides.
pub fn routed(session: &Session, profile: &StatementProfile, outside: Outside) -> Route {
    match route(session, profile) {
        Route::Replica { .. } if outside.refused => Route::Primary(Reason::ReplicaRefused),
        Route::Replica { .. } if outside.offload_off => Route::Primary(Reason::OffloadOff),
        route => route,
    }
}

/// What a statement leaves on its connection for those after its transaction.
const OUTLIVES_TRANSACTIONS: Effects = Effects::ASSIGNS_USER_VARIABLE
    .with(Effects::NAMED_LOCK)
    .with(Effects::TEXT_PREPARE)
    .with(Effects::HANDLER);

/// What has to run where the transaction is, or what nobody knows.
const BELONGS_TO_TRANSACTION: Effects = OUTLIVES_TRANSACTIONS
    .with(Effects::OPAQUE)
    .with(Effects::MULTI)
    .with(Effects::COMMITS)
    .with(Effects::USER_VARIABLE)
    .with(Effects::READS_TABLES)
    .with(Effects::CHARACTERISTIC);

/// Decides the route of a statement.
pub fn route(session: &Session, profile: &StatementProfile) -> Route {
    if matches!(profile.access, Access::Own | Access::Kill) {
        return Route::Own;
    }
    match session.transaction.open_on() {
        Some(Side::Replica) => return in_replica_transaction(session, profile),
        Some(Side::Primary) => return Route::Primary(Reason::InTransaction),
        None => {}
    }
    if !session.transaction.autocommit() && !may_defer(session, profile) {
        return Route::Primary(Reason::AutocommitOff);
    }
    if session.transaction.is_unsure() && session.transaction.deferred().is_none() {
        return Route::Primary(Reason::InTransaction);
    }
    if let Some(reason) = stays_on_primary(session) {
        return Route::Primary(reason);
    }
    match profile.access {
        Access::Read if in_server_local_schema(session) => Route::Primary(Reason::ServerLocal),
        Access::Read => match asks_primary(session).or_else(|| needs(session, profile)) {
            Some(reason) => Route::Primary(reason),
            None => Route::Replica { transaction: false },
        },
        Access::PrimaryRead | Access::Write => Route::Primary(profile.doubt.into()),
        Access::Session => Route::Primary(Reason::SessionState),
        Access::Diagnostics => match session.previous {
            Some(Side::Replica) => Route::HeldReplica(Reason::FollowsPrevious),
            _ => Route::Primary(Reason::FollowsPrevious),
        },
        Access::Begin(begin) => {
            let by_session = session.is_read_only();
            if !begin.read_only.unwrap_or(by_session) {
                match !begin.snapshot && session.defers_transactions() {
                    true => Route::Defer(Deferred {
                        read_write: begin.read_only == Some(false),
                    }),
                    false => Route::Primary(Reason::InTransaction),
                }
            } else if !session.transaction.autocommit() {
                Route::Primary(Reason::AutocommitOff)
            } else if session.pins.bind_transactions() {
                Route::Primary(Reason::HeldState)
            } else if let Some(reason) = asks_primary(session) {
                Route::Primary(reason)
            } else {
                Route::Replica { transaction: true }
            }
        }
        Access::TransactionEnd if session.transaction.deferred().is_some() => Route::EndDeferred,
        Access::TransactionEnd => Route::Primary(Reason::InTransaction),
        Access::Own | Access::Kill => Route::Own,
    }
}

/// A READ ONLY transaction on a replica takes everything, so that it sees one snapshot and a write
/// in it fails as on a single server; except for what ends it and begins something else, and for what
/// is to outlive it: that belongs to the primary's connection. Once a snapshot is taken it is kept,
/// and a user variable that is assigned then is known to this transaction only.
fn in_replica_transaction(session: &Session, profile: &StatementProfile) -> Route {
    if profile.effects.intersects(OUTLIVES_TRANSACTIONS) {
        if !session.transaction.has_read() {
            return Route::MoveTransaction(Reason::HeldState);
        }
        let no_data = !profile.effects.contains(Effects::READS_TABLES);
        if profile.effects.contains(Effects::NAMED_LOCK) && no_data {
            return Route::Primary(Reason::HeldState);
        }
    }
    // Nobody knows what a procedure or a packet leaves behind.
    let opaque = profile.effects.contains(Effects::OPAQUE);
    if opaque && !profile.effects.contains(Effects::COMMITS) && !session.transaction.has_read() {
        return Route::MoveTransaction(Reason::HeldState);
    }
    // What a SET of this transaction made of a variable that cannot be restored is on the replica only.
    let settings = session.pins.has_reason(PinReason::Setting);
    let local =
        profile.access == Access::PrimaryRead && profile.doubt == Doubt::ServerLocal && !settings;
    if local || profile.effects.contains(Effects::SERVERS_OWN) {
        // The replica has values of its own. What reads no table needs no snapshot.
        if !profile.effects.intersects(BELONGS_TO_TRANSACTION) {
            let reason = match local {
                true => Reason::ServerLocal,
                false => Reason::SessionState,
            };
            return Route::Primary(reason);
        }
        if !local && !session.transaction.has_read() {
            return Route::MoveTransaction(Reason::SessionState);
        }
    }
    if !session.transaction.has_read() {
        if profile.doubt == Doubt::Locks {
            // Rows locked on a replica exclude nobody, and can stop its appliers.
            return Route::MoveTransaction(Reason::LockingRead);
        }
        if let (Some(reason), Access::Read) = (asks_primary(session), profile.access) {
            return Route::MoveTransaction(reason);
        }
    }
    if matches!(profile.access, Access::Begin(_)) || profile.effects.contains(Effects::COMMITS) {
        return Route::EndReplicaTransaction(Reason::InTransaction);
    }
    if profile.effects.contains(Effects::TABLE_LOCK) {
        return Route::EndReplicaTransaction(Reason::TableLocks);
    }
    Route::HeldReplica(Reason::ReadOnlyTransaction)
}

/// What asks for the primary: the statement's hint, or a rule.
fn asks_primary(session: &Session) -> Option<Reason> {
    let ruled = session.ruled.target == Some(HintTarget::Primary);
    let hinted = session.hints.asks_primary().then_some(Reason::Hint);
    hinted.or(ruled.then_some(Reason::Rule))
}

/// What a read needs that only the primary's connection has: a temporary table, or a user variable
/// whose value only that connection knows.
fn needs(session: &Session, profile: &StatementProfile) -> Option<Reason> {
    match session.needs {
        Some(PinReason::TemporaryTable) => return Some(Reason::TemporaryTables),
        Some(_) => return Some(Reason::UserVariable),
        None => {}
    }
    let variables = profile.effects.contains(Effects::USER_VARIABLE);
    let untold = variables && session.pins.has_user_variables();
    untold.then_some(Reason::UserVariable)
}

/// Whether a table without a schema in its name is one whose contents differ from server to server.
fn in_server_local_schema(session: &Session) -> bool {
    session.mirror.schema().is_some_and(|schema| {
        is_server_local_schema(schema) || schema.eq_ignore_ascii_case(b"information_schema")
    })
}

/// Whether a statement need not open or find a transaction on the primary though autocommit is off. To
/// open it there later would drop a savepoint that was set before.
fn may_defer(session: &Session, profile: &StatementProfile) -> bool {
    let can = match profile.access {
        Access::Read | Access::Diagnostics | Access::Begin(_) => true,
        Access::TransactionEnd => session.transaction.deferred().is_some(),
        _ => false,
    };
    can && session.defers_transactions() && !session.transaction.has_savepoint()
}

/// What keeps a whole session on the primary.
fn stays_on_primary(session: &Session) -> Option<Reason> {
    if session.transaction.one_shot() {
        return Some(Reason::OneShot);
    }
    if session.pins.locks_tables() {
        return Some(Reason::TableLocks);
    }
    if session.pins.has_reason(PinReason::Setting) {
        return Some(Reason::CannotRestore);
    }
    if session.positions.untracked_write() {
        return Some(Reason::UntrackedWrite);
    }
    session.is_serializable().then_some(Reason::Serializable)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::domain::consistency::{Settings, TransactionReads};
    use crate::domain::ids::BackendId;
    use crate::domain::session::{ClientTraits, Held, Outcome, RanOn};
    use crate::domain::sql::Begin;
    use crate::domain::topology::Generation;

    const IN_TRANSACTION: u16 = 0x2003;

    fn profile(access: Access, effects: Effects) -> StatementProfile {
        StatementProfile {
            access,
            effects,
            doubt: Doubt::None,
            fingerprint: 0,
        }
    }

    #[test]
    fn a_snapshot_that_was_taken_is_kept() {
        let client = ClientTraits {
            found_rows: false,
            state_after_rows: false,
        };
        let mut session = Session::new(Settings::default(), client);
        let assigns = profile(Access::Session, Effects::ASSIGNS_USER_VARIABLE);
        let locks = profile(Access::PrimaryRead, Effects::NAMED_LOCK);
        session.on_status(Side::Replica, IN_TRANSACTION);
        let moves = Route::MoveTransaction(Reason::HeldState);
        assert_eq!(route(&session, &assigns), moves);
        assert_eq!(route(&session, &locks), moves);
        let defaults = profile(Access::Session, Effects::SERVERS_OWN);
        let of_all = profile(Access::Write, Effects::SERVERS_OWN);
        let call = profile(Access::Write, Effects::OPAQUE);
        assert_eq!(route(&session, &call), moves);
        let next = profile(
            Access::Session,
            Effects::SERVERS_OWN.with(Effects::CHARACTERISTIC),
        );
        let moves = Route::MoveTransaction(Reason::SessionState);
        assert_eq!(route(&session, &next), moves);
        let by_primary = |session: &Session| {
            let local = StatementProfile {
                doubt: Doubt::ServerLocal,
                ..profile(Access::PrimaryRead, Effects::default())
            };
            let primary = Route::Primary(Reason::ServerLocal);
            assert_eq!(route(session, &local), primary);
            let primary = Route::Primary(Reason::SessionState);
            assert_eq!(route(session, &defaults), primary);
            assert_eq!(route(session, &of_all), primary);
        };
        by_primary(&session);
        let for_share = StatementProfile {
            doubt: Doubt::Locks,
            ..profile(Access::PrimaryRead, Effects::READS_TABLES)
        };
        let moves = Route::MoveTransaction(Reason::LockingRead);
        assert_eq!(route(&session, &for_share), moves);

        let on = RanOn {
            side: Side::Replica,
            backend: BackendId(1),
            generation: Generation(1),
        };
        let read = profile(Access::Read, Effects::READS_TABLES);
        let rows = Outcome::Done {
            affected: 0,
            rows: true,
        };
        session.on_end(&read, on, rows, Instant::now());
        let held = Route::HeldReplica(Reason::ReadOnlyTransaction);
        assert_eq!(route(&session, &assigns), held);
        assert_eq!(route(&session, &call), held);
        assert_eq!(route(&session, &for_share), held);
        assert_eq!(route(&session, &locks), Route::Primary(Reason::HeldState));
        by_primary(&session);
        for more in [Effects::CHARACTERISTIC, Effects::ASSIGNS_USER_VARIABLE] {
            let more = profile(Access::Session, Effects::SERVERS_OWN.with(more));
            assert_eq!(route(&session, &more), held);
        }
        let ddl = profile(Access::Write, Effects::COMMITS);
        let ends = Route::EndReplicaTransaction(Reason::InTransaction);
        assert_eq!(route(&session, &ddl), ends);

        // The replica has what was set there, and nobody else.
        let set = Held::Setting(b"timestamp".as_slice().into());
        session.pins.hold(set, 0, Instant::now());
        let local = StatementProfile {
            doubt: Doubt::ServerLocal,
            ..profile(Access::PrimaryRead, Effects::default())
        };
        assert_eq!(route(&session, &local), held);
    }

    /// A session at READ COMMITTED whose transactions are opened late.
    fn deferring(autocommit: bool) -> Session {
        let client = ClientTraits {
            found_rows: false,
            state_after_rows: true,
        };
        let settings = Settings {
            transaction_reads: TransactionReads::ReplicaUntilWrite,
            ..Settings::default()
        };
        let mut session = Session::new(settings, client);
        session.read_committed_by_default = true;
        session.transaction.start_with_autocommit(autocommit);
        session
    }

    #[test]
    fn reads_before_the_first_write_are_for_replicas() {
        let read = profile(Access::Read, Effects::READS_TABLES);
        let write = profile(Access::Write, Effects::default());
        let begin = profile(Access::Begin(Begin::default()), Effects::default());
        let end = profile(Access::TransactionEnd, Effects::default());
        let replica = Route::Replica { transaction: false };
        let waits = Deferred { read_write: false };
        for autocommit in [true, false] {
            let mut session = deferring(autocommit);
            assert_eq!(route(&session, &begin), Route::Defer(waits));
            assert_eq!(route(&session, &read), replica);
            assert!(matches!(route(&session, &end), Route::Primary(_)));
            session.transaction.defer(waits);
            assert_eq!(route(&session, &begin), Route::Defer(waits));
            assert_eq!(route(&session, &read), replica);
            assert_eq!(route(&session, &end), Route::EndDeferred);
            assert!(matches!(route(&session, &write), Route::Primary(_)));
            assert_eq!(
                session.transaction.status_flags() & 1,
                1,
                "the client is told that it is open"
            );
            session.transaction.on_deferred_opened();
            assert_eq!(
                route(&session, &read),
                Route::Primary(Reason::InTransaction)
            );
            session.on_status(Side::Primary, if autocommit { 2 } else { 0 });
            assert_eq!(route(&session, &read), replica);
        }
    }

    #[test]
    fn transactions_that_are_not_deferred() {
        let read = profile(Access::Read, Effects::READS_TABLES);
        let begin = |read_only, snapshot| {
            profile(
                Access::Begin(Begin {
                    read_only,
                    snapshot,
                }),
                Effects::default(),
            )
        };
        type Change = fn(&mut Session);
        let changes: [(&str, Change); 6] = [
            ("by the configuration", |s| s.settings = Settings::default()),
            ("isolation", |s| {
                s.mirror.set(b"transaction_isolation", b"REPEATABLE-READ")
            }),
            ("isolation by default", |s| {
                s.read_committed_by_default = false
            }),
            ("completion", |s| s.mirror.set(b"completion_type", b"CHAIN")),
            ("completion by default", |s| {
                s.completes_specially_by_default = true
            }),
            ("tracker", |s| s.wish.transaction_state = true),
        ];
        for (what, change) in changes {
            let mut session = deferring(true);
            change(&mut session);
            let primary = Route::Primary(Reason::InTransaction);
            assert_eq!(route(&session, &begin(None, false)), primary, "{what}");
            session.transaction.start_with_autocommit(false);
            let off = Route::Primary(Reason::AutocommitOff);
            assert_eq!(route(&session, &read), off, "{what}");
        }
        let session = deferring(true);
        let primary = Route::Primary(Reason::InTransaction);
        assert_eq!(route(&session, &begin(None, true)), primary);
        let whole = Route::Replica { transaction: true };
        assert_eq!(route(&session, &begin(Some(true), false)), whole);
        let waits = Route::Defer(Deferred { read_write: true });
        assert_eq!(route(&session, &begin(Some(false), false)), waits);
    }
}
