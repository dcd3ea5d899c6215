//! The search and the primary's gate against servers that a test moves by hand.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::*;
use crate::domain::consistency::{Level, PrimaryGate, Watermark};
use crate::domain::position::GtidSet;
use crate::domain::session::SaidBy;

const PATIENCE: Duration = Duration::from_secs(1);

fn at(last: u64) -> Position {
    if last == 0 {
        return Position::Nothing;
    }
    let text = format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-{last}");
    GtidSet::parse(text.as_bytes()).unwrap().into()
}

fn certain(last: u64) -> Sights {
    Sights::certain(at(last))
}

/// What the primary says at a time: executed until `last`, and one more owned.
fn owning(last: u64, owned: Option<u64>, sent: Instant) -> Sights {
    let owned = owned.map(|number| format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:{number}"));
    Sights {
        certain: at(last),
        owned: owned.map(|text| text.parse().unwrap()).unwrap_or_default(),
        said_by: Some(SaidBy {
            life: Generation(1),
            sent,
        }),
    }
}

fn server(backend: u16) -> Server {
    Server {
        backend: BackendId(backend),
        generation: Generation(1),
    }
}

/// The primary first; each with how far it is, and how many connections it has.
struct World {
    applied: Vec<u64>,
    leased: Vec<usize>,
    turns: Cell<usize>,
}

impl World {
    fn at(applied: &[u64]) -> Self {
        Self {
            applied: applied.to_vec(),
            leased: vec![0; applied.len()],
            turns: Cell::new(0),
        }
    }
}

impl Servers for World {
    fn usable(&self) -> Vec<Server> {
        (1..self.applied.len())
            .map(|id| server(u16::try_from(id).unwrap()))
            .collect()
    }

    fn primary(&self) -> Option<Server> {
        Some(server(0))
    }

    fn covers(&self, server: Server, position: &Position) -> bool {
        server.generation == Generation(1)
            && at(self.applied[server.backend.index()]).covers(position)
    }

    fn load(&self, backend: BackendId) -> usize {
        self.leased[backend.index()]
    }

    fn turn(&self) -> usize {
        self.turns.replace(self.turns.get() + 1)
    }

    fn compact(&self, _: &mut Position) {}
}

struct Case {
    world: World,
    positions: Positions,
    held: Option<BackendId>,
    requirement: Requirement,
    now: Instant,
}

impl Case {
    fn new(level: Level, applied: &[u64]) -> Self {
        let now = Instant::now();
        Self {
            world: World::at(applied),
            positions: Positions::default(),
            held: None,
            requirement: Requirement::new(level, now),
            now,
        }
    }

    fn read_at(&mut self, backend: u16) -> LastRead {
        let read = LastRead {
            backend: BackendId(backend),
            generation: Generation(1),
            ended: self.now,
        };
        self.positions.on_read(read);
        read
    }

    fn search(&self) -> Search {
        let situation = Situation {
            held: self.held,
            bound: None,
            lost: Vec::new(),
            replicas_configured: self.world.applied.len() > 1,
        };
        Search::new(self.requirement.clone(), situation, self.now, PATIENCE)
    }

    fn poll(&mut self, search: &mut Search) -> Step {
        search.poll(&mut self.positions, &self.world, self.now)
    }
}

#[test]
fn a_session_waits_for_its_own_writes_and_then_reads_where_they_are() {
    let mut case = Case::new(Level::Session, &[9, 5, 6]);
    case.positions.on_read_after(&at(7));
    let mut search = case.search();
    let Step::Wait {
        servers,
        position,
        deadline,
    } = case.poll(&mut search)
    else {
        panic!("nobody covers 7");
    };
    assert_eq!(servers, [server(1), server(2)]);
    assert_eq!((position, deadline), (at(7), case.now + PATIENCE));
    case.world.applied[2] = 7;
    search.on_wait(Waited::There);
    assert_eq!(case.poll(&mut search), Step::Read(server(2)));
    assert!(search.waited());
}

#[test]
fn a_timeout_of_nothing_does_not_wait() {
    let mut case = Case::new(Level::Session, &[9, 5]);
    case.positions.on_read_after(&at(7));
    let situation = Situation {
        replicas_configured: true,
        ..Situation::default()
    };
    let requirement = case.requirement.clone();
    let mut search = Search::new(requirement, situation, case.now, Duration::ZERO);
    assert_eq!(case.poll(&mut search), Step::GiveUp(GiveUp::Timeout));
    assert!(!search.waited());
}

#[test]
fn reads_keep_to_their_replica_and_leave_it_only_with_what_was_seen() {
    let mut case = Case::new(Level::Session, &[9, 5, 6]);
    case.world.leased = vec![0, 7, 0];
    let read = case.read_at(1);
    let mut search = case.search();
    assert_eq!(case.poll(&mut search), Step::Read(server(1)), "affinity");
    // Its replica falls behind what the session now needs: it may go, but not yet.
    case.positions.on_read_after(&at(6));
    let mut search = case.search();
    assert_eq!(case.poll(&mut search), Step::AskSeen(read));
    search.on_seen(&mut case.positions, Ok(&certain(7)));
    assert!(matches!(case.poll(&mut search), Step::Wait { position, .. } if position == at(7)));
    case.world.applied[2] = 7;
    search.on_wait(Waited::There);
    assert_eq!(case.poll(&mut search), Step::Read(server(2)));
}

#[test]
fn another_life_of_the_same_server_is_another_server() {
    let mut case = Case::new(Level::Session, &[9, 5]);
    let read = LastRead {
        backend: BackendId(1),
        generation: Generation(0),
        ended: case.now,
    };
    case.positions.on_read(read);
    let mut search = case.search();
    assert_eq!(case.poll(&mut search), Step::AskSeen(read));
}

#[test]
fn what_is_unknown_is_asked_of_the_primary_first() {
    let mut case = Case::new(Level::Session, &[9, 5]);
    case.positions.on_unknown(case.now);
    let mut search = case.search();
    let not_before = case.now;
    assert_eq!(case.poll(&mut search), Step::AskPrimary { not_before });
    search.on_primary(&mut case.positions, Ok(&certain(9)));
    assert!(matches!(case.poll(&mut search), Step::Wait { .. }));
    let mut search = case.search();
    case.positions.on_unknown(case.now);
    case.poll(&mut search);
    search.on_primary(&mut case.positions, Err(GiveUp::NoPositions));
    assert_eq!(case.poll(&mut search), Step::GiveUp(GiveUp::NoPositions));
}

#[test]
fn eventual_and_bounded_take_any_replica_and_leave_the_books_right() {
    for level in [Level::Eventual, Level::Bounded] {
        let mut case = Case::new(level, &[9, 5, 6]);
        case.positions.on_read_after(&at(9));
        case.read_at(1);
        case.held = Some(BackendId(2));
        if level == Level::Bounded {
            let requirement = case.requirement.clone();
            case.requirement = requirement.within(Some(&at(6)), case.now).unwrap();
        }
        let mut search = case.search();
        assert_eq!(case.poll(&mut search), Step::Read(server(2)), "{level:?}");
        assert_eq!(case.positions.last_read(), None, "{level:?}");
        let unasked = case.positions.unasked_since();
        assert_eq!(unasked, Some(case.now), "{level:?}");
    }
}

#[test]
fn bounded_asks_the_primary_when_no_sample_is_young_enough() {
    let mut case = Case::new(Level::Bounded, &[9, 5]);
    let requirement = case.requirement.clone();
    case.requirement = requirement.within(None, case.now).unwrap();
    let mut search = case.search();
    let not_before = case.now;
    assert_eq!(case.poll(&mut search), Step::AskExecuted { not_before });
    let executed = Executed {
        position: at(8),
        sent: case.now,
    };
    search.on_executed(Ok(&executed));
    assert!(matches!(case.poll(&mut search), Step::Wait { position, .. } if position == at(8)));
}

#[test]
fn a_mark_with_something_unknown_needs_a_probe_sent_later() {
    for level in [Level::Group, Level::Proxy] {
        let mut case = Case::new(level, &[9, 9]);
        let mut mark = Watermark::starting(case.now);
        mark.raise(&at(5), case.now);
        let requirement = case.requirement.clone();
        case.requirement = requirement.at(&mark).unwrap();
        let mut search = case.search();
        let not_before = case.now;
        assert_eq!(case.poll(&mut search), Step::AskExecuted { not_before });
        let mut executed = Executed {
            position: at(4),
            sent: case.now - PATIENCE,
        };
        search.on_executed(Ok(&executed));
        let again = case.poll(&mut search);
        assert_eq!(again, Step::AskExecuted { not_before }, "sent too early");
        executed.sent = case.now;
        search.on_executed(Ok(&executed));
        assert_eq!(case.poll(&mut search), Step::Read(server(1)));
    }
}

#[test]
fn global_asks_from_its_arrival_on() {
    let mut case = Case::new(Level::Global, &[9, 9]);
    let mut search = case.search();
    let not_before = case.now;
    case.now += PATIENCE / 2;
    assert_eq!(case.poll(&mut search), Step::AskExecuted { not_before });
}

#[test]
fn without_a_usable_replica_there_is_nothing_to_wait_for() {
    for (applied, why) in [
        (&[9][..], GiveUp::NotConfigured),
        (&[9, 9][..], GiveUp::NoReplica),
    ] {
        let mut case = Case::new(Level::Session, applied);
        let mut search = case.search();
        search.situation.lost = vec![BackendId(1)];
        assert_eq!(case.poll(&mut search), Step::GiveUp(why));
    }
}

#[test]
fn a_replica_without_a_free_connection_is_chosen_last() {
    let mut case = Case::new(Level::Session, &[9, 5, 5]);
    case.world.leased = vec![0, usize::MAX, 3];
    let read = case.read_at(1);
    let mut search = case.search();
    assert_eq!(case.poll(&mut search), Step::AskSeen(read));
    case.held = Some(BackendId(1));
    let mut search = case.search();
    assert_eq!(case.poll(&mut search), Step::Read(server(1)), "it has one");
}

#[test]
fn a_transaction_waits_for_its_own_replica() {
    let mut case = Case::new(Level::Session, &[9, 5, 9]);
    case.positions.on_read_after(&at(7));
    let mut search = case.search();
    search.situation.bound = Some(BackendId(1));
    assert!(matches!(case.poll(&mut search), Step::Wait { servers, .. } if servers == [server(1)]));
}

#[test]
fn an_older_answer_comes_from_the_replica_of_the_last_read_first() {
    let mut case = Case::new(Level::Session, &[9, 5, 6]);
    case.read_at(2);
    case.positions.on_read_after(&at(9));
    let search = case.search();
    assert_eq!(search.stale(&case.positions, &case.world), Some(server(2)));
}

#[test]
fn the_primary_waits_for_what_a_replica_showed() {
    let mut case = Case::new(Level::Session, &[5, 6]);
    let read = case.read_at(1);
    let mut gate = PrimaryGate::new(Level::Session, case.now, Duration::ZERO);
    let poll = |case: &mut Case, gate: &mut PrimaryGate| {
        gate.poll(&mut case.positions, &case.world, case.now)
    };
    assert_eq!(poll(&mut case, &mut gate), Some(Step::AskSeen(read)));
    gate.on_seen(Ok(&certain(6)));
    let Some(Step::Wait { servers, .. }) = poll(&mut case, &mut gate) else {
        panic!("the primary is behind");
    };
    assert_eq!(servers, [server(0)]);
    case.world.applied[0] = 6;
    gate.on_wait(Waited::There);
    assert_eq!(poll(&mut case, &mut gate), None);
    assert_eq!(case.positions.last_read(), None);
    assert_eq!(*case.positions.need(), at(6));
}

/// Naming what was seen does not make the primary show it: whether a search named it before it gave
/// up, or whoever asked for the session's position.
#[test]
fn the_primary_waits_also_for_what_was_named_meanwhile() {
    for unasked in [false, true] {
        let mut case = Case::new(Level::Session, &[5, 4, 6]);
        let read = case.read_at(2);
        if unasked {
            case.positions.on_left_unasked(case.now);
            case.positions.on_primary_bound(&certain(6));
        } else {
            case.positions.on_seen_bound(&certain(6));
        }
        let mut gate = PrimaryGate::new(Level::Session, case.now, Duration::ZERO);
        let not_before = read.ended;
        let step = gate.poll(&mut case.positions, &case.world, case.now);
        assert_eq!(step, Some(Step::AskPrimary { not_before }), "{unasked}");
        gate.on_primary(&mut case.positions, Ok(&certain(6)));
        let step = gate.poll(&mut case.positions, &case.world, case.now);
        assert!(matches!(step, Some(Step::Wait { .. })), "{step:?}");
        case.world.applied[0] = 6;
        gate.on_wait(Waited::There);
        assert_eq!(gate.poll(&mut case.positions, &case.world, case.now), None);
        assert_eq!(case.positions.elsewhere_since(), None);
    }
}

#[test]
fn the_primary_waits_also_for_what_was_read_before_the_level_was_raised() {
    let mut case = Case::new(Level::Session, &[5, 6, 6]);
    case.read_at(1);
    // At eventual, without asking; and then on the primary itself.
    case.read_at(2);
    case.read_at(0);
    let mut gate = PrimaryGate::new(Level::Session, case.now, Duration::ZERO);
    let not_before = case.now;
    let step = gate.poll(&mut case.positions, &case.world, case.now);
    assert_eq!(step, Some(Step::AskPrimary { not_before }));
    gate.on_primary(&mut case.positions, Ok(&certain(6)));
    let step = gate.poll(&mut case.positions, &case.world, case.now);
    assert!(matches!(step, Some(Step::Wait { .. })), "{step:?}");
    case.now += PATIENCE * 2;
    let step = gate.poll(&mut case.positions, &case.world, case.now);
    assert_eq!(step, Some(Step::GiveUp(GiveUp::Timeout)));
    let mut gate = PrimaryGate::new(Level::Eventual, case.now, Duration::ZERO);
    assert_eq!(gate.poll(&mut case.positions, &case.world, case.now), None);
}

/// Whoever owns a transaction may never commit it: the primary is asked again, soon and once more
/// before the read gives up, and what is gone by then is demanded of nobody.
#[test]
fn what_was_only_owned_is_waited_for_as_long_as_it_may_come() {
    let start = |applied: &[u64]| {
        let mut case = Case::new(Level::Session, applied);
        case.read_at(0);
        let mut search = case.search();
        assert!(matches!(case.poll(&mut search), Step::AskSeen(_)));
        search.on_seen(&mut case.positions, Ok(&owning(5, Some(6), case.now)));
        let Step::Wait {
            position, deadline, ..
        } = case.poll(&mut search)
        else {
            panic!("nobody has 6");
        };
        assert_eq!((position, deadline), (at(6), case.now + DOUBT_WAITS));
        case.now = deadline;
        search.on_wait(Waited::TimedOut);
        let not_before = case.now;
        assert_eq!(case.poll(&mut search), Step::AskAgain { not_before });
        (case, search)
    };
    // It was rolled back.
    let (mut case, mut search) = start(&[5, 5]);
    search.on_asked_again(&mut case.positions, Ok(&owning(5, None, case.now)));
    assert_eq!(case.poll(&mut search), Step::Read(server(1)));
    // It was committed.
    let (mut case, mut search) = start(&[5, 5]);
    case.world.applied[0] = 6;
    search.on_asked_again(&mut case.positions, Ok(&owning(6, None, case.now)));
    let step = case.poll(&mut search);
    assert!(matches!(step, Step::Wait { position, deadline, .. }
        if position == at(6) && deadline == search.deadline()));
    // Its owner takes long, and gives it up at last.
    let (mut case, mut search) = start(&[5, 5]);
    search.on_asked_again(&mut case.positions, Ok(&owning(5, Some(6), case.now)));
    assert!(matches!(case.poll(&mut search), Step::Wait { deadline, .. }
        if deadline == case.now + 2 * DOUBT_WAITS));
    case.now = search.deadline();
    search.on_wait(Waited::TimedOut);
    assert!(matches!(case.poll(&mut search), Step::AskAgain { .. }));
    let unanswered = Err(GiveUp::NoPositions);
    search.on_asked_again(&mut case.positions, unanswered);
    assert_eq!(case.poll(&mut search), Step::GiveUp(GiveUp::Timeout));
    // The next read finds it gone.
    let mut search = case.search();
    search.deadline = case.now;
    assert!(matches!(case.poll(&mut search), Step::AskAgain { .. }));
    search.on_asked_again(&mut case.positions, Ok(&owning(5, None, case.now)));
    assert_eq!(case.poll(&mut search), Step::Read(server(1)));
}

/// A server that went is no reason to stop looking while another one is there, or may get there.
#[test]
fn a_wait_whose_server_went_is_no_timeout() {
    let mut case = Case::new(Level::Session, &[9, 5, 5]);
    case.positions.on_read_after(&at(7));
    let mut search = case.search();
    assert!(matches!(case.poll(&mut search), Step::Wait { .. }));
    search.on_wait(Waited::Lost);
    let step = case.poll(&mut search);
    assert!(matches!(step, Step::Wait { .. }), "{step:?}");
    case.world.applied[2] = 7;
    search.on_wait(Waited::Lost);
    assert_eq!(case.poll(&mut search), Step::Read(server(2)));
    search.on_wait(Waited::Lost);
    assert_eq!(case.poll(&mut search), Step::GiveUp(GiveUp::NoReplica));
}

/// What the primary owns for long, and a replica never showed, is nothing that a read on the primary
/// waits for; what was perhaps seen elsewhere is, until it is gone.
#[test]
fn the_primary_shows_what_it_owns_only_to_whom_a_replica_may_have_shown_it() {
    for unasked in [false, true] {
        let mut case = Case::new(Level::Session, &[6, 6, 6]);
        case.read_at(2);
        match unasked {
            true => case.positions.on_left_unasked(case.now),
            false => case.positions.on_seen_bound(&certain(6)),
        }
        let mut gate = PrimaryGate::new(Level::Session, case.now, Duration::ZERO);
        let step = gate.poll(&mut case.positions, &case.world, case.now);
        assert!(matches!(step, Some(Step::AskPrimary { .. })), "{step:?}");
        gate.on_primary(&mut case.positions, Ok(&owning(6, Some(7), case.now)));
        let step = gate.poll(&mut case.positions, &case.world, case.now);
        if !unasked {
            assert_eq!(step, None);
            continue;
        }
        assert!(matches!(step, Some(Step::Wait { position, .. }) if position == at(7)));
        gate.on_wait(Waited::TimedOut);
        let step = gate.poll(&mut case.positions, &case.world, case.now);
        assert!(matches!(step, Some(Step::AskAgain { .. })), "{step:?}");
        gate.on_asked_again(&mut case.positions, Ok(&owning(6, None, case.now)));
        assert_eq!(gate.poll(&mut case.positions, &case.world, case.now), None);
        assert_eq!(case.positions.doubt(), None);
    }
}
