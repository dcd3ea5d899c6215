//! Metric labels: every label value comes from an enum, so that the number of series is bounded and
//! no SQL text and no user data can become one.

use crate::domain::consistency::Level;
use crate::domain::routing::Reason;
use crate::domain::session::PinReason;
use crate::domain::sql::Access;
use crate::domain::topology::Role;

/// A fixed set of label values.
pub trait Label: Copy + 'static {
    /// Every value; `ALL[x.index()]` is `x`.
    const ALL: &'static [Self];

    /// The place of this value in [`Label::ALL`].
    fn index(self) -> usize;

    /// The text of the label.
    fn name(self) -> &'static str;
}

/// Writes the [`Label`] of an enum without data from one list of its values and names.
macro_rules! label {
    ($type:ident { $($variant:ident => $name:literal,)+ }) => {
        impl Label for $type {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn index(self) -> usize {
                self as usize
            }

            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

/// What kind of statement it was: [`Access`] without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessLabel {
    /// Any server that is fresh enough may answer.
    Read,
    /// A read whose answer belongs to the primary.
    PrimaryRead,
    /// Asks about the previous statement.
    Diagnostics,
    /// Changes data or is not understood.
    Write,
    /// SET, USE.
    Session,
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, ROLLBACK, SAVEPOINT.
    TransactionEnd,
    /// KILL.
    Kill,
    /// About a variable of Highwater itself.
    Own,
}

label!(AccessLabel {
    Read => "read",
    PrimaryRead => "primary_read",
    Diagnostics => "diagnostics",
    Write => "write",
    Session => "session",
    Begin => "begin",
    TransactionEnd => "transaction_end",
    Kill => "kill",
    Own => "own",
});

impl From<Access> for AccessLabel {
    fn from(access: Access) -> Self {
        match access {
            Access::Read => Self::Read,
            Access::PrimaryRead => Self::PrimaryRead,
            Access::Diagnostics => Self::Diagnostics,
            Access::Write => Self::Write,
            Access::Session => Self::Session,
            Access::Begin(_) => Self::Begin,
            Access::TransactionEnd => Self::TransactionEnd,
            Access::Kill => Self::Kill,
            Access::Own => Self::Own,
        }
    }
}

/// Who answered a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The primary.
    Primary,
    /// A replica.
    Replica,
    /// Highwater itself.
    Proxy,
}

label!(Target {
    Primary => "primary",
    Replica => "replica",
    Proxy => "proxy",
});

/// How a read's consistency requirement was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A replica was there already.
    Fresh,
    /// A replica got there while the read waited.
    Waited,
    /// The primary answered instead.
    Primary,
    /// The read was refused.
    Error,
    /// An older answer was given, with a warning.
    Stale,
}

label!(Outcome {
    Fresh => "fresh",
    Waited => "waited",
    Primary => "primary",
    Error => "error",
    Stale => "stale",
});

/// Whether a read at `eventual` would have missed something that its session had to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Foreseen {
    /// The replica was known to have all of it when the read arrived.
    Fresh,
    /// The replica still lacked something when it was asked after the read had arrived.
    Stale,
    /// The replica had it when it was asked; whether also when the read arrived is not known.
    Unsure,
}

label!(Foreseen {
    Fresh => "fresh",
    Stale => "stale",
    Unsure => "unsure",
});

/// Whether the transaction of a read had written something before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrote {
    /// It had not: `transaction_reads = "replica_until_write"` could let a replica answer.
    No,
    /// It had: the read belongs to the primary.
    Yes,
}

label!(Wrote {
    No => "no",
    Yes => "yes",
});

/// What a client session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Has not finished its login.
    LoggingIn,
    /// Waits for the client's next command.
    Idle,
    /// Waits for a server to catch up.
    CatchingUp,
    /// A command is being carried out.
    Active,
}

label!(SessionState {
    LoggingIn => "logging_in",
    Idle => "idle",
    CatchingUp => "catching_up",
    Active => "active",
});

/// What a pooled server connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Waits in the pool.
    Idle,
    /// A session needs it: it runs a statement there, or has something there that keeps it.
    Leased,
    /// A session keeps it between statements and can be asked to give it back.
    Lent,
}

label!(ConnectionState {
    Idle => "idle",
    Leased => "leased",
    Lent => "lent",
});

/// How a server connection went from a session to its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handover {
    /// As it was: the next session restores what differs.
    AsIs,
    /// After a reset.
    Reset,
}

label!(Handover {
    AsIs => "as_is",
    Reset => "reset",
});

/// What happened to prepared statements on server connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PreparedEvent {
    /// A client sent a PREPARE, which a server ran.
    Asked,
    /// A statement was prepared on one more connection when it was needed there.
    Again,
    /// A connection had the statement that was needed.
    Reused,
    /// One was closed for want of room.
    Evicted,
    /// A server did not know one that it had prepared.
    Lost,
}

label!(PreparedEvent {
    Asked => "asked",
    Again => "again",
    Reused => "reused",
    Evicted => "evicted",
    Lost => "lost",
});

/// What became of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpanEvent {
    /// The collector has it.
    Sent,
    /// The collector could not be reached, or refused it.
    Failed,
    /// There was no room for it.
    Dropped,
}

label!(SpanEvent {
    Sent => "sent",
    Failed => "failed",
    Dropped => "dropped",
});

/// What came of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReloadOutcome {
    /// The configuration that was read is in force.
    Done,
    /// It was refused, and the old one stays in force.
    Refused,
}

label!(ReloadOutcome {
    Done => "done",
    Refused => "refused",
});

impl Label for PinReason {
    const ALL: &'static [Self] = &Self::ALL;

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Label for Reason {
    const ALL: &'static [Self] = Self::ALL;

    fn index(self) -> usize {
        Self::index(self)
    }

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Label for Level {
    const ALL: &'static [Self] = &Self::ALL;

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Label for Role {
    const ALL: &'static [Self] = &[Self::Primary, Self::Replica];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{ErrorKind, Retry, Side};

    /// Every value stands at its own index, and names are fit for a metric label and differ.
    fn check<L: Label + PartialEq + std::fmt::Debug>() {
        let mut names = std::collections::HashSet::new();
        for (place, &value) in L::ALL.iter().enumerate() {
            assert_eq!(value.index(), place, "{value:?}");
            let fit = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(value.name().chars().all(fit), "{value:?}");
            assert!(names.insert(value.name()), "{value:?} shares its name");
        }
    }

    #[test]
    fn indices_and_names_are_true() {
        check::<AccessLabel>();
        check::<Target>();
        check::<Reason>();
        check::<Level>();
        check::<Role>();
        check::<Outcome>();
        check::<Foreseen>();
        check::<SessionState>();
        check::<ConnectionState>();
        check::<PinReason>();
        check::<PreparedEvent>();
        check::<ReloadOutcome>();
        check::<SpanEvent>();
        check::<ErrorKind>();
        check::<Side>();
        check::<Retry>();
    }
}
