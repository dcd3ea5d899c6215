//! Laws: a store that serves the oldest state which its level allows never contradicts its claim, and
//! each kind of staleness, put into the history of a store that is never stale, is found.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::*;
use crate::verify::history::{Actor, Key, Operation};

const SESSIONS: u32 = 6;
const KEYS: u32 = 3;
const BOUND: Duration = Duration::from_millis(40);

/// What a session wants to do next, and how long the parts of it take.
#[derive(Clone, Debug)]
struct Wish {
    session: u32,
    key: u32,
    list: bool,
    write: bool,
    /// Whether a write's answer arrives.
    answered: bool,
    /// From the end of the session's previous operation, to the effect, to the answer.
    times: [u64; 3],
}

fn wish() -> impl Strategy<Value = Wish> {
    (
        0..SESSIONS,
        0..KEYS,
        any::<bool>(),
        prop::bool::weighted(0.4),
        prop::bool::weighted(0.9),
        [0..20_u64, 1..10_u64, 1..30_u64],
    )
        .prop_map(|(session, key, list, write, answered, times)| Wish {
            session,
            key,
            list,
            write,
            answered,
            times,
        })
}

/// An operation with the time of its effect.
#[derive(Clone, Debug)]
struct Step {
    wish: Wish,
    invoked: Duration,
    effect: Duration,
    returned: Duration,
}

/// The wishes on one time line. Session 5 writes past the endpoint, and reads nothing.
fn steps(wishes: &[Wish]) -> Vec<Step> {
    let mut ready: HashMap<u32, u64> = HashMap::new();
    let mut steps = Vec::new();
    for (number, wish) in (0..).zip(wishes) {
        let ready = ready.entry(wish.session).or_default();
        let [pause, there, back] = wish.times;
        // No two effects at one moment: the number of the wish makes the difference.
        let at = |ms: u64| Duration::from_millis(ms);
        let effect = at(*ready + pause + there) + Duration::from_nanos(number);
        let step = Step {
            wish: Wish {
                write: wish.write || wish.session == SESSIONS - 1,
                ..wish.clone()
            },
            invoked: at(*ready + pause),
            effect,
            returned: at(*ready + pause + there + back),
        };
        *ready += pause + there + back;
        steps.push(step);
    }
    steps.sort_by_key(|step| step.effect);
    steps
}

/// One committed write.
struct Commit {
    session: u32,
    key: Key,
    number: u64,
    acknowledged: Option<Duration>,
    /// When it was committed.
    at: Duration,
}

/// How many commits the state of a read has: the fewest that a level allows.
fn oldest(level: Claim, commits: &[Commit], seen: &HashMap<u32, usize>, step: &Step) -> usize {
    let reader = step.wish.session;
    let upto = |wanted: &dyn Fn(&Commit) -> bool| {
        commits.iter().rposition(wanted).map_or(0, |last| last + 1)
    };
    let done = |commit: &Commit| commit.acknowledged.is_some_and(|at| at < step.invoked);
    let own = upto(&|commit| done(commit) && commit.session == reader);
    let session = own.max(seen.get(&reader).copied().unwrap_or(0));
    match level {
        Claim::Eventual => 0,
        Claim::Bounded => {
            let since = step.invoked.saturating_sub(BOUND);
            upto(&|commit| commit.at < since)
        }
        Claim::Session => session,
        Claim::Group => session.max(upto(&|commit| {
            done(commit) && commit.session / 2 == reader / 2
        })),
        Claim::Proxy => session.max(upto(&|commit| {
            done(commit) && commit.session != SESSIONS - 1
        })),
        Claim::Global => session.max(upto(&|commit| done(commit))),
    }
}

fn held(commits: &[Commit], key: Key) -> Vec<u64> {
    let of_key = commits.iter().filter(|commit| commit.key == key);
    of_key.map(|commit| commit.number).collect()
}

/// The history of a store whose reads are as old as the level allows; `None` for reads that are never
/// old.
fn history(wishes: &[Wish], level: Option<Claim>) -> History {
    let mut commits: Vec<Commit> = Vec::new();
    let mut seen: HashMap<u32, usize> = HashMap::new();
    let mut operations = Vec::new();
    for step in steps(wishes) {
        let wish = &step.wish;
        let key = if wish.list {
            Key::List(wish.key)
        } else {
            Key::Register(wish.key)
        };
        let action = if wish.write {
            let number = u64::try_from(commits.len() + 1).unwrap();
            commits.push(Commit {
                session: wish.session,
                key,
                number,
                acknowledged: wish.answered.then_some(step.returned),
                at: step.effect,
            });
            let acknowledged = wish.answered;
            match key {
                Key::Register(_) => Action::Write {
                    version: number,
                    acknowledged,
                },
                Key::List(_) => Action::Append {
                    element: number,
                    acknowledged,
                },
            }
        } else {
            let state = level.map_or(commits.len(), |level| oldest(level, &commits, &seen, &step));
            seen.insert(
                wish.session,
                state.max(seen.get(&wish.session).copied().unwrap_or(0)),
            );
            let held = held(&commits[..state], key);
            match key {
                Key::Register(_) => Action::Read {
                    version: held.last().copied().unwrap_or(0),
                },
                Key::List(_) => Action::ReadList {
                    elements: held.into(),
                },
            }
        };
        operations.push(Operation {
            session: wish.session,
            key,
            invoked: step.invoked,
            returned: step.returned,
            action,
        });
    }
    let actor = |session| Actor {
        group: session / 2,
        past: session == SESSIONS - 1,
    };
    let keys: Vec<Key> = commits.iter().map(|commit| commit.key).collect();
    let last: BTreeMap<Key, Box<[u64]>> = keys
        .into_iter()
        .map(|key| {
            let held = held(&commits, key);
            match key {
                Key::Register(_) => (key, held[held.len() - 1..].into()),
                Key::List(_) => (key, held.into()),
            }
        })
        .collect();
    History {
        actors: (0..SESSIONS).map(actor).collect(),
        operations,
        last: Some(last),
    }
}

fn found(wishes: &[Wish], level: Option<Claim>) -> Findings {
    check(&history(wishes, level), BOUND)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Reads at the moment of their effect contradict nothing.
    #[test]
    fn a_store_that_is_never_stale_is_never_blamed(wishes in prop::collection::vec(wish(), 0..120)) {
        let findings = found(&wishes, None);
        for kind in Kind::ALL {
            prop_assert_eq!(findings.tally(kind).violations, 0, "{:?}: {:?}", kind, findings.tally(kind).example);
        }
    }

    /// Reads as old as a level allows do not contradict that level.
    #[test]
    fn a_store_at_the_edge_of_its_level_is_never_blamed(wishes in prop::collection::vec(wish(), 0..120)) {
        for level in Claim::ALL {
            let findings = found(&wishes, Some(level));
            for kind in Kind::ALL.into_iter().filter(|kind| level.excludes(*kind)) {
                prop_assert_eq!(findings.tally(kind).violations, 0, "{:?}, {:?}: {:?}", level, kind, findings.tally(kind).example);
            }
        }
    }

    /// One read put back to before something that a rule demands of it is found by that rule.
    #[test]
    fn every_kind_of_staleness_is_found(
        wishes in prop::collection::vec(wish(), 40..120),
        choice in any::<prop::sample::Index>(),
    ) {
        let mut history = history(&wishes, None);
        let facts = Facts::of(&history);
        for (kind, binds) in RULES {
            // Every read, and the newest version before it that this rule demands.
            let demands: Vec<_> = facts.reads.iter().filter_map(|read| {
                let bound = facts.writes.iter().filter(|write| {
                    let known = |returned| binds(&history, (write.session, returned), (read.session, read.invoked));
                    write.key == read.key && write.returned.is_some_and(known)
                });
                Some((read.operation, bound.map(|write| write.version).max()?))
            }).collect();
            if demands.is_empty() {
                continue;
            }
            let (at, version) = demands[choice.index(demands.len())];
            let before = history.operations[at].clone();
            put_back(&mut history.operations[at].action, version);
            let findings = check(&history, BOUND);
            prop_assert!(findings.tally(kind).violations > 0, "{:?}: {:#?}", kind, history.operations[at]);
            history.operations[at] = before;
        }
        let going_back: Vec<_> = facts.reads.iter().filter_map(|read| {
            let seen = facts.reads.iter().filter(|other| {
                other.session == read.session && other.key == read.key && other.invoked < read.invoked
            });
            let version = seen.map(|other| other.version).max()?;
            (version > 0).then_some((read.operation, version))
        }).collect();
        if !going_back.is_empty() {
            let (at, version) = going_back[choice.index(going_back.len())];
            put_back(&mut history.operations[at].action, version);
            let findings = check(&history, BOUND);
            prop_assert!(findings.tally(Kind::Monotonic).violations > 0);
        }
    }
}

/// Whether a write (its session, when it was acknowledged) binds a read (its session, when it began).
type Binds = fn(&History, (u32, Duration), (u32, Duration)) -> bool;

/// The rules once more, as simply as they can be said.
const RULES: [(Kind, Binds); 5] = [
    (Kind::OwnWrites, |_, write, read| {
        write.0 == read.0 && write.1 < read.1
    }),
    (Kind::Group, |history, write, read| {
        let (writer, reader) = (history.actor(write.0), history.actor(read.0));
        writer.group == reader.group && !writer.past && write.1 < read.1
    }),
    (Kind::Proxy, |history, write, read| {
        !history.actor(write.0).past && write.1 < read.1
    }),
    (Kind::Global, |_, write, read| write.1 < read.1),
    (Kind::Bounded, |_, write, read| write.1 + BOUND < read.1),
];

/// Makes a read show the version before this one.
fn put_back(action: &mut Action, version: u64) {
    match action {
        Action::Read { version: seen } => *seen = version - 1,
        Action::ReadList { elements } => {
            let keep = usize::try_from(version).unwrap() - 1;
            *elements = elements[..keep.min(elements.len())].into();
        }
        Action::Write { .. } | Action::Append { .. } => unreachable!("only reads are chosen"),
    }
}

/// Every level's edge contradicts each stronger level in some history: the stores differ.
#[test]
fn the_edge_of_a_level_is_found_by_the_stronger_ones() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let wishes = prop::collection::vec(wish(), 120);
    let mut contradicted: HashMap<&str, Vec<&str>> = HashMap::new();
    for _ in 0..48 {
        let wishes = wishes.new_tree(&mut runner).unwrap().current();
        for level in Claim::ALL {
            let findings = found(&wishes, Some(level));
            let known = contradicted.entry(level.name()).or_default();
            for other in Claim::ALL
                .into_iter()
                .filter(|claim| !findings.holds(*claim))
            {
                if !known.contains(&other.name()) {
                    known.push(other.name());
                }
            }
        }
    }
    for (level, expected) in [
        (
            "eventual",
            &["bounded", "session", "group", "proxy", "global"][..],
        ),
        ("bounded", &["session", "group", "proxy", "global"]),
        ("session", &["bounded", "group", "proxy", "global"]),
        ("group", &["bounded", "proxy", "global"]),
        ("proxy", &["bounded", "global"]),
        ("global", &[]),
    ] {
        let mut known = contradicted.remove(level).unwrap();
        known.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(known, expected, "{level}");
    }
}
