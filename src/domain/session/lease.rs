//! What may become of a server connection between two statements of its session: kept, handed on
//! as it is, or handed on after a reset.

use super::mirror::Applied;
use super::{PinReason, Session, Side};
use crate::domain::sql::Effects;
use crate::domain::sql::state::TOUCHING;

/// What may become of a connection that runs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The session needs this very connection.
    Keep(KeepReason),
    /// Another session may have it: what differs is known, and is restored there.
    AsIs,
    /// Another session may have it after a reset.
    Reset,
}

/// What a session has on one connection that cannot be given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepReason {
    /// An open transaction.
    Transaction,
    /// SET TRANSACTION, which waits for the next one.
    OneShot,
    /// A savepoint that was set with autocommit off, for the transaction that comes.
    Savepoint,
    /// What its pins say; this is the oldest.
    Pinned(PinReason),
    /// An open cursor, or parts of a parameter that were sent ahead.
    Statement,
    /// A session variable for which no SET can be written.
    Unwritable,
}

impl Session {
    /// What may become of the connection on that side, which is between two statements and whose
    /// state is `applied`. `is_home` says whether a cursor or parts of a parameter are there.
    pub fn lease(&self, side: Side, applied: &Applied, is_home: bool) -> Lease {
        if self.transaction.open_on() == Some(side) {
            return Lease::Keep(KeepReason::Transaction);
        }
        if is_home {
            return Lease::Keep(KeepReason::Statement);
        }
        if side == Side::Primary
            && let Some(reason) = self.keeps_primary()
        {
            return Lease::Keep(reason);
        }
        if applied.has_prepared_xa() {
            return Lease::Keep(KeepReason::Pinned(PinReason::Xa));
        }
        match applied.untold {
            true => Lease::Reset,
            false => Lease::AsIs,
        }
    }

    fn keeps_primary(&self) -> Option<KeepReason> {
        let Self {
            transaction, pins, ..
        } = self;
        if transaction.is_unsure() {
            Some(KeepReason::Transaction)
        } else if transaction.one_shot() {
            Some(KeepReason::OneShot)
        } else if transaction.has_savepoint() {
            Some(KeepReason::Savepoint)
        } else if let Some(pin) = pins.first() {
            Some(KeepReason::Pinned(pin.reason))
        } else if !self.mirror.is_writable() {
            Some(KeepReason::Unwritable)
        } else {
            None
        }
    }
}

/// Whether a statement with these effects leaves something on a replica's connection that nobody
/// tells. Nothing that is to last runs there, but a READ ONLY transaction may take such a statement
/// along.
pub fn leaves_untold(side: Side, effects: Effects) -> bool {
    side == Side::Replica && effects.intersects(TOUCHING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::consistency::Settings;
    use crate::domain::session::{ClientTraits, Deferred, Held, Tracked};
    use std::sync::Arc;
    use std::time::Instant;

    const IN_TRANSACTION: u16 = 0x0003;

    fn session() -> Session {
        let client = ClientTraits {
            found_rows: false,
            state_after_rows: true,
        };
        Session::new(Settings::default(), client)
    }

    #[test]
    fn what_keeps_a_connection() {
        type Change = fn(&mut Session);
        let keep = Lease::Keep;
        let cases: [(&str, Change, Lease, Lease); 13] = [
            ("nothing", |_| {}, Lease::AsIs, Lease::AsIs),
            (
                "a transaction",
                |s| s.on_status(Side::Primary, IN_TRANSACTION),
                keep(KeepReason::Transaction),
                Lease::AsIs,
            ),
            (
                "a failure with autocommit off, which may have begun one",
                |s| {
                    s.transaction.start_with_autocommit(false);
                    s.transaction.on_failed(false);
                },
                keep(KeepReason::Transaction),
                Lease::AsIs,
            ),
            (
                "the same, and the server says that there is none",
                |s| {
                    s.transaction.start_with_autocommit(false);
                    s.transaction.on_failed(false);
                    s.on_status(Side::Primary, 0);
                },
                Lease::AsIs,
                Lease::AsIs,
            ),
            (
                "a failure with autocommit on",
                |s| s.transaction.on_failed(false),
                Lease::AsIs,
                Lease::AsIs,
            ),
            (
                "a failure of what may have been several statements",
                |s| s.transaction.on_failed(true),
                keep(KeepReason::Transaction),
                Lease::AsIs,
            ),
            (
                "one on a replica",
                |s| s.on_status(Side::Replica, IN_TRANSACTION),
                Lease::AsIs,
                keep(KeepReason::Transaction),
            ),
            (
                "one that no server knows",
                |s| s.transaction.defer(Deferred { read_write: false }),
                Lease::AsIs,
                Lease::AsIs,
            ),
            (
                "SET TRANSACTION",
                |s| {
                    let sql = b"SET TRANSACTION READ ONLY;";
                    s.on_tracked(
                        Side::Primary,
                        Tracked::Characteristics(sql),
                        &mut Applied::default(),
                    );
                },
                keep(KeepReason::OneShot),
                Lease::AsIs,
            ),
            (
                "a savepoint before its transaction",
                |s| {
                    s.transaction.start_with_autocommit(false);
                    s.transaction.on_left_closed(true);
                },
                keep(KeepReason::Savepoint),
                Lease::AsIs,
            ),
            (
                "a pin",
                |s| s.pins.hold(Held::Xa, 1, Instant::now()),
                keep(KeepReason::Pinned(PinReason::Xa)),
                Lease::AsIs,
            ),
            (
                "a value that cannot be written",
                |s| s.mirror.set(b"init", b"a\\b"),
                keep(KeepReason::Unwritable),
                Lease::AsIs,
            ),
            (
                "a reset",
                |s| {
                    s.pins.hold(Held::Xa, 1, Instant::now());
                    s.on_reset(Settings::default());
                },
                Lease::AsIs,
                Lease::AsIs,
            ),
        ];
        for (what, change, primary, replica) in cases {
            let mut session = session();
            change(&mut session);
            let lease = |side| session.lease(side, &Applied::default(), false);
            assert_eq!(lease(Side::Primary), primary, "{what}, on the primary");
            assert_eq!(lease(Side::Replica), replica, "{what}, on a replica");
        }
    }

    #[test]
    fn what_is_on_the_connection_itself() {
        let mut applied = Applied::default();
        for side in [Side::Primary, Side::Replica] {
            let lease = session().lease(side, &applied, true);
            assert_eq!(lease, Lease::Keep(KeepReason::Statement));
        }
        applied.untold = leaves_untold(Side::Replica, Effects::ASSIGNS_USER_VARIABLE);
        assert_eq!(
            session().lease(Side::Replica, &applied, false),
            Lease::Reset
        );
        assert!(!leaves_untold(
            Side::Primary,
            Effects::ASSIGNS_USER_VARIABLE
        ));
        assert!(!leaves_untold(Side::Replica, Effects::READS_TABLES));
        // What a reset leaves keeps the connection.
        let mut applied = Applied::default();
        applied.set_prepared_xa(true);
        applied.on_reset(Arc::default());
        let lease = session().lease(Side::Primary, &applied, false);
        assert_eq!(lease, Lease::Keep(KeepReason::Pinned(PinReason::Xa)));
        assert!(applied.is_spoiled());
    }
}
