//! What a rule asks for a read, weighed against what the client asked for itself.

use std::time::Duration;

use super::Act;
use crate::domain::consistency::Level;
use crate::domain::sql::HintTarget;

/// What a rule asks for the statement at hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ruled {
    /// The level that it is read at.
    pub level: Option<Level>,
    /// How old a bounded answer may be.
    pub max_staleness: Option<Duration>,
    /// Whether the client's own bound holds besides a stronger level.
    pub bounded: bool,
    /// The kind of server that shall answer.
    pub target: Option<HintTarget>,
}

/// What the client itself asked for: by a hint, or by setting a variable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// The level.
    pub level: Option<Level>,
    /// The bound of the level bounded, if that is the client's own.
    pub max_staleness: Option<Duration>,
    /// The kind of server.
    pub target: Option<HintTarget>,
}

impl Ruled {
    /// What an act comes to: it takes the place of what the configuration says, and adds to what the
    /// client asked for, but never takes from that.
    pub fn of(act: &Act, own: Own) -> Self {
        let bounded_by = act.max_staleness.map(|_| Level::Bounded);
        let level = match (act.level.or(bounded_by), own.level) {
            (Some(level), Some(own)) if level <= own => None,
            (level, _) => level,
        };
        let max_staleness = match (act.max_staleness, own.max_staleness) {
            (Some(bound), Some(own)) => Some(bound.min(own)),
            (bound, _) => bound,
        };
        let target = match (act.target, own.target) {
            (Some(HintTarget::Replica), Some(_)) => None,
            (target, _) => target,
        };
        Self {
            level,
            max_staleness,
            bounded: level.is_some() && own.level == Some(Level::Bounded),
            target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_asked_for_is_never_lowered() {
        for own in [None].into_iter().chain(Level::ALL.map(Some)) {
            for rule in Level::ALL {
                let act = Act {
                    level: Some(rule),
                    ..Act::default()
                };
                let own_wish = Own {
                    level: own,
                    ..Own::default()
                };
                let ruled = Ruled::of(&act, own_wish);
                let level = ruled.level.or(own);
                assert_eq!(level, own.map_or(Some(rule), |own| Some(own.max(rule))));
                let both = own == Some(Level::Bounded) && rule > Level::Bounded;
                assert_eq!(ruled.bounded, both, "{own:?} {rule:?}");
            }
        }
    }

    #[test]
    fn the_closer_bound_and_the_primary_win() {
        let seconds = Duration::from_secs;
        let bound = |rule: u64, own: Option<u64>| {
            let act = Act {
                max_staleness: Some(seconds(rule)),
                ..Act::default()
            };
            let own = Own {
                max_staleness: own.map(seconds),
                ..Own::default()
            };
            Ruled::of(&act, own)
        };
        assert_eq!(bound(5, None).level, Some(Level::Bounded));
        assert_eq!(bound(5, Some(2)).max_staleness, Some(seconds(2)));
        assert_eq!(bound(1, Some(2)).max_staleness, Some(seconds(1)));
        let target = |rule, own| {
            let act = Act {
                target: Some(rule),
                ..Act::default()
            };
            let own = Own {
                target: own,
                ..Own::default()
            };
            Ruled::of(&act, own).target
        };
        let (primary, replica) = (HintTarget::Primary, HintTarget::Replica);
        assert_eq!(target(primary, Some(replica)), Some(primary));
        assert_eq!(target(replica, Some(primary)), None);
        assert_eq!(target(replica, None), Some(replica));
    }
}
