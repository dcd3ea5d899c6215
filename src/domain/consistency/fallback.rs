//! What a read does that found no replica in time, and how much of the primary such reads may use.

use super::search::GiveUp;

/// What a read does when no replica got there in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnTimeout {
    /// The primary answers, within its budget.
    #[default]
    Primary,
    /// The client gets an error that says so.
    Error,
    /// A replica answers with what it has, and the answer carries a warning.
    Stale,
}

impl OnTimeout {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::Primary, Self::Error, Self::Stale];

    /// The name used in configuration and SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Error => "error",
            Self::Stale => "stale",
        }
    }

    /// Reads an action's name, any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|action| action.name().eq_ignore_ascii_case(name))
    }
}

/// What becomes of a read that was meant for a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// It belongs on the primary: there is no replica to wait for at all, or positions are unknown
    /// to these servers.
    Belongs,
    /// The primary answers if its budget allows; `may_queue` says whether the read may wait for the
    /// budget until its deadline.
    Budgeted {
        /// Whether it may wait.
        may_queue: bool,
    },
    /// A replica answers with what it has.
    Stale,
    /// An error.
    Refused,
}

impl Fallback {
    /// What follows from giving up for this reason.
    pub fn of(why: GiveUp, on_timeout: OnTimeout) -> Self {
        match (why, on_timeout) {
            (GiveUp::NotConfigured | GiveUp::NoPositionsHere, _) => Self::Belongs,
            (_, OnTimeout::Error) => Self::Refused,
            (GiveUp::Timeout | GiveUp::NoPositions, OnTimeout::Stale) => Self::Stale,
            (GiveUp::Timeout | GiveUp::NoPositions, OnTimeout::Primary)
            | (GiveUp::Exhausted, _) => Self::Budgeted { may_queue: false },
            // Nobody waited yet, and there is no replica that could answer with anything.
            (GiveUp::NoReplica, _) => Self::Budgeted { may_queue: true },
        }
    }
}

/// A part of something, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u8);

impl Share {
    /// So many percent, at most 100.
    pub const fn percent(percent: u8) -> Self {
        Self(if percent > 100 { 100 } else { percent })
    }

    /// The percentage.
    pub const fn as_percent(self) -> u8 {
        self.0
    }

    /// This part of `whole`, rounded down, but at least one unless it is nothing.
    pub fn of(self, whole: usize) -> usize {
        let part = whole.saturating_mul(usize::from(self.0)) / 100;
        match self.0 {
            0 => 0,
            _ => part.max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_rounded_to_nothing() {
        for (percent, whole, part) in [(20, 200, 40), (20, 3, 1), (0, 200, 0), (100, 7, 7)] {
            assert_eq!(
                Share::percent(percent).of(whole),
                part,
                "{percent} % of {whole}"
            );
        }
    }

    #[test]
    fn the_budget_is_for_reads_that_were_meant_for_replicas() {
        use GiveUp as G;
        use OnTimeout as O;
        let queue = Fallback::Budgeted { may_queue: true };
        let now = Fallback::Budgeted { may_queue: false };
        for (why, on_timeout, expected) in [
            (G::NotConfigured, O::Error, Fallback::Belongs),
            (G::NoPositionsHere, O::Stale, Fallback::Belongs),
            (G::Timeout, O::Primary, now),
            (G::Timeout, O::Error, Fallback::Refused),
            (G::Timeout, O::Stale, Fallback::Stale),
            (G::NoPositions, O::Stale, Fallback::Stale),
            (G::NoReplica, O::Primary, queue),
            (G::NoReplica, O::Stale, queue),
            (G::NoReplica, O::Error, Fallback::Refused),
            (G::Exhausted, O::Stale, now),
        ] {
            assert_eq!(
                Fallback::of(why, on_timeout),
                expected,
                "{why:?} {on_timeout:?}"
            );
        }
    }
}
