//! How old answers may be: one rule for each kind.

use std::collections::HashMap;
use std::time::Duration;

use super::facts::{Facts, Read};
use super::scope::{Demand, Line, Scope};
use super::{Case, Notes};
use crate::verify::claim::Kind;
use crate::verify::history::{History, Key};

/// Checks every read; gives, for each that missed anything, how long that had been acknowledged.
pub(super) fn check(
    history: &History,
    facts: &Facts,
    max_staleness: Duration,
    notes: &mut Notes<'_>,
) -> Vec<Duration> {
    let demands = Demands::of(history, facts);
    let mut seen: HashMap<u32, Seen> = HashMap::new();
    let mut staleness = Vec::new();
    for read in &facts.reads {
        let group = history.actor(read.session).group;
        for (kind, scope) in [
            (Kind::OwnWrites, demands.sessions.get(&read.session)),
            (Kind::Group, demands.groups.get(&group)),
            (Kind::Proxy, Some(&demands.endpoint)),
        ] {
            if let Some(scope) = scope {
                let direct = scope.version(read.key, read.invoked);
                let beyond = scope.beyond(&demands.all, read.key, read.invoked);
                compare(notes, kind, read, [direct, beyond], None);
            }
        }
        seen.entry(read.session)
            .or_default()
            .take(read, &demands, notes);
        staleness.extend(age(read, &demands, max_staleness, notes));
    }
    staleness
}

/// Takes down what became of the demands of one kind on a read.
fn compare(
    notes: &mut Notes<'_>,
    kind: Kind,
    read: &Read,
    demands: [Option<Demand>; 2],
    earlier: Option<usize>,
) {
    if demands.iter().all(Option::is_none) {
        return;
    }
    notes.checked(kind);
    let unmet = |demand: &Demand| demand.version > read.version;
    if let Some(demand) = demands.into_iter().flatten().find(unmet) {
        let case = Case {
            missed: Some(demand.write),
            through: demand.through,
            earlier,
            wrong: Some(read.operation),
        };
        notes.violated(kind, case);
    }
}

/// The rules of bounded and global: the age of the oldest acknowledged write that the read misses.
fn age(
    read: &Read,
    demands: &Demands,
    max_staleness: Duration,
    notes: &mut Notes<'_>,
) -> Option<Duration> {
    let bound = read.invoked.checked_sub(max_staleness);
    for (kind, time) in [(Kind::Global, Some(read.invoked)), (Kind::Bounded, bound)] {
        let demand = time.and_then(|time| demands.all.version(read.key, time));
        if demand.is_some() {
            notes.checked(kind);
        }
    }
    let line = demands.lines.get(&read.key)?;
    let (acknowledged, missed) = line.first_newer(read.version)?;
    let age = read.invoked.checked_sub(acknowledged)?;
    if age.is_zero() {
        return None;
    }
    let case = Case {
        missed: Some(missed),
        wrong: Some(read.operation),
        ..Case::default()
    };
    notes.violated(Kind::Global, case);
    if age > max_staleness {
        notes.violated(Kind::Bounded, case);
    }
    Some(age)
}

/// What writes demand, by whom they bind.
struct Demands {
    all: Scope,
    endpoint: Scope,
    groups: HashMap<u32, Scope>,
    sessions: HashMap<u32, Scope>,
    lines: HashMap<Key, Line>,
}

impl Demands {
    fn of(history: &History, facts: &Facts) -> Self {
        let (mut groups, mut sessions) = (HashMap::new(), HashMap::new());
        for write in &facts.writes {
            let actor = history.actor(write.session);
            // A group is one of sessions of the endpoint.
            if !actor.past {
                let scope: &mut Scope = groups.entry(actor.group).or_default();
                scope.add(write);
            }
            let scope: &mut Scope = sessions.entry(write.session).or_default();
            scope.add(write);
        }
        let scopes = groups.values_mut().chain(sessions.values_mut());
        scopes.for_each(Scope::settle);
        let writes = facts.writes.iter();
        let here = writes.filter(|write| !history.actor(write.session).past);
        Self {
            all: Scope::of(facts.writes.iter()),
            endpoint: Scope::of(here),
            groups,
            sessions,
            lines: Line::all(&facts.writes),
        }
    }
}

/// What a session has read so far.
#[derive(Default)]
struct Seen {
    /// The newest version of each key, and the read that showed it.
    keys: HashMap<Key, (u64, usize)>,
    /// The latest begun write that it saw: when that began, the write, and the read that showed it.
    latest: Option<(Duration, usize, usize)>,
}

impl Seen {
    /// Compares a read with what came before, and adds it to that.
    fn take(&mut self, read: &Read, demands: &Demands, notes: &mut Notes<'_>) {
        let line = demands.lines.get(&read.key);
        let known = self.keys.get(&read.key).copied();
        let direct = known.map(|(version, earlier)| Demand {
            version,
            write: line.and_then(|l| l.write(version)).unwrap_or(earlier),
            through: None,
        });
        let beyond = self.latest.and_then(|(begun, through, _)| {
            let demand = demands.all.version(read.key, begun)?;
            Some(Demand {
                through: Some(through),
                ..demand
            })
        });
        let older = known.is_some_and(|(version, _)| version > read.version);
        let earlier = if older {
            known.map(|(_, earlier)| earlier)
        } else {
            self.latest.map(|(_, _, earlier)| earlier)
        };
        compare(notes, Kind::Monotonic, read, [direct, beyond], earlier);
        if known.is_none_or(|(version, _)| version < read.version) {
            self.keys.insert(read.key, (read.version, read.operation));
        }
        if let Some((begun, write)) = line.and_then(|line| line.begun(read.version))
            && self.latest.is_none_or(|(latest, ..)| latest < begun)
        {
            self.latest = Some((begun, write, read.operation));
        }
    }
}
