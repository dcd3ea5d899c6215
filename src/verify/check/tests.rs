//! Histories made by hand: what each shows, and no more than that.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;

use super::*;
use crate::verify::history::{Actor, Key, Operation};

const BOUND: Duration = Duration::from_millis(100);

/// Sessions 0 and 1 are one group, 2 and 3 another; 4 writes past the endpoint.
fn actors() -> Vec<Actor> {
    [0, 0, 1, 1, 2]
        .into_iter()
        .map(|group| Actor {
            group,
            past: group == 2,
        })
        .collect()
}

fn operation(session: u32, key: Key, from: u64, to: u64, action: Action) -> Operation {
    Operation {
        session,
        key,
        invoked: Duration::from_millis(from),
        returned: Duration::from_millis(to),
        action,
    }
}

/// A write of register `key` between two milliseconds.
fn write(session: u32, key: u32, version: u64, from: u64, to: u64) -> Operation {
    let acknowledged = true;
    let action = Action::Write {
        version,
        acknowledged,
    };
    operation(session, Key::Register(key), from, to, action)
}

/// The same without an answer.
fn unanswered(session: u32, key: u32, version: u64, from: u64, to: u64) -> Operation {
    let acknowledged = false;
    let action = Action::Write {
        version,
        acknowledged,
    };
    operation(session, Key::Register(key), from, to, action)
}

fn read(session: u32, key: u32, version: u64, from: u64, to: u64) -> Operation {
    let action = Action::Read { version };
    operation(session, Key::Register(key), from, to, action)
}

fn append(session: u32, element: u64, from: u64, to: u64) -> Operation {
    let acknowledged = true;
    let action = Action::Append {
        element,
        acknowledged,
    };
    operation(session, Key::List(0), from, to, action)
}

fn list(session: u32, elements: &[u64], from: u64, to: u64) -> Operation {
    let elements = elements.into();
    operation(
        session,
        Key::List(0),
        from,
        to,
        Action::ReadList { elements },
    )
}

fn found(operations: Vec<Operation>, last: Option<&[(Key, &[u64])]>) -> Findings {
    let last = last.map(|last| {
        last.iter()
            .map(|(key, held)| (*key, (*held).into()))
            .collect()
    });
    let history = History {
        actors: actors(),
        operations,
        last,
    };
    check(&history, BOUND)
}

fn kinds(findings: &Findings) -> BTreeSet<&'static str> {
    let violated = |kind: &&Kind| findings.tally(**kind).violations > 0;
    Kind::ALL
        .iter()
        .filter(violated)
        .map(|kind| kind.name())
        .collect()
}

#[track_caller]
fn shows(operations: Vec<Operation>, expected: &[&str]) {
    let findings = found(operations.clone(), None);
    assert_eq!(
        kinds(&findings),
        expected.iter().copied().collect(),
        "{operations:#?}"
    );
    for kind in Kind::ALL {
        let tally = findings.tally(kind);
        assert_eq!(tally.violations > 0, tally.example.is_some(), "{kind:?}");
    }
}

#[test]
fn a_session_sees_its_own_writes() {
    shows(vec![write(0, 1, 1, 0, 10), read(0, 1, 1, 11, 12)], &[]);
    let missed = vec![write(0, 1, 1, 0, 10), read(0, 1, 0, 11, 12)];
    shows(missed, &["own_writes", "group", "proxy", "global"]);
    // An older version than one of its own, though not the first one.
    let missed = vec![
        write(0, 1, 1, 0, 10),
        write(0, 1, 2, 20, 30),
        read(0, 1, 1, 31, 32),
    ];
    shows(missed, &["own_writes", "group", "proxy", "global"]);
    // What nobody acknowledged may be missed, and may be seen.
    shows(vec![unanswered(0, 1, 1, 0, 10), read(0, 1, 0, 11, 12)], &[]);
    shows(vec![unanswered(0, 1, 1, 0, 10), read(0, 1, 1, 11, 12)], &[]);
}

#[test]
fn a_state_has_what_was_done_before_the_writes_that_it_has() {
    // Session 0 wrote key 2 when key 1 was done: whoever has the one has the other.
    let missed = vec![
        write(2, 1, 1, 0, 10),
        write(0, 2, 1, 20, 30),
        read(0, 1, 0, 40, 41),
    ];
    shows(missed, &["own_writes", "group", "proxy", "global"]);
    // Not so if they were at the same time.
    let concurrent = vec![
        write(2, 1, 1, 0, 21),
        write(0, 2, 1, 20, 30),
        read(0, 1, 0, 40, 41),
    ];
    shows(concurrent, &["proxy", "global"]);
    // And a session that has read the later one.
    let missed = vec![
        write(2, 1, 1, 0, 10),
        write(3, 2, 1, 20, 30),
        read(0, 2, 1, 40, 41),
        read(0, 1, 0, 50, 51),
    ];
    shows(missed, &["monotonic", "proxy", "global"]);
}

#[test]
fn a_session_never_goes_back() {
    // What was seen while it was being written counts.
    let back = vec![
        write(2, 1, 1, 0, 100),
        read(0, 1, 1, 10, 20),
        read(0, 1, 0, 30, 40),
    ];
    shows(back, &["monotonic"]);
    // Another session may be behind.
    let behind = vec![
        write(2, 1, 1, 0, 100),
        read(0, 1, 1, 10, 20),
        read(1, 1, 0, 30, 40),
    ];
    shows(behind, &[]);
    // Also what was never acknowledged.
    let back = vec![
        unanswered(2, 1, 1, 0, 100),
        read(0, 1, 1, 10, 20),
        read(0, 1, 0, 30, 40),
    ];
    shows(back, &["monotonic"]);
}

#[test]
fn writes_bind_those_whom_they_should() {
    for (reader, from, expected) in [
        // The same group, as soon as it is acknowledged.
        (1, 11, &["group", "proxy", "global"][..]),
        // Another group.
        (2, 11, &["proxy", "global"]),
        // Whoever began before that may miss it.
        (1, 10, &[]),
        (2, 5, &[]),
        // The bound is passed.
        (2, 111, &["bounded", "proxy", "global"]),
        (2, 110, &["proxy", "global"]),
    ] {
        let operations = vec![write(0, 1, 1, 0, 10), read(reader, 1, 0, from, from + 1)];
        shows(operations, expected);
    }
    let past = vec![write(4, 1, 1, 0, 10), read(2, 1, 0, 11, 12)];
    shows(past, &["global"]);
    let past = vec![write(4, 1, 1, 0, 10), read(2, 1, 0, 200, 201)];
    shows(past, &["bounded", "global"]);
    // A write here that came after one past the endpoint brings that with it.
    let past = vec![
        write(4, 1, 1, 0, 10),
        write(0, 2, 1, 20, 30),
        read(2, 1, 0, 40, 41),
    ];
    shows(past, &["proxy", "global"]);
}

#[test]
fn a_list_is_held_to_its_order() {
    let two = || vec![append(0, 7, 0, 10), append(2, 9, 20, 30)];
    let with = |reads: Vec<Operation>| two().into_iter().chain(reads).collect();
    shows(with(vec![list(0, &[7, 9], 40, 41)]), &[]);
    // Read when the second one was on its way.
    shows(
        with(vec![list(0, &[7], 25, 26), list(0, &[7, 9], 40, 41)]),
        &[],
    );
    shows(
        with(vec![list(0, &[7, 9], 40, 41), list(1, &[7], 50, 51)]),
        &["proxy", "global"],
    );
    shows(
        with(vec![list(0, &[7, 9], 40, 41), list(3, &[], 50, 51)]),
        &["group", "proxy", "global"],
    );
    // Another order is no matter of age, though less than the whole was seen.
    let found = kinds(&found(
        with(vec![list(0, &[7, 9], 40, 41), list(1, &[9, 7], 50, 51)]),
        None,
    ));
    assert!(found.contains("diverged"), "{found:?}");
    let gap = kinds(&super::tests::found(
        with(vec![list(0, &[7, 9], 40, 41), list(1, &[9], 50, 51)]),
        None,
    ));
    assert!(gap.contains("diverged"), "{gap:?}");
}

#[test]
fn data_that_is_wrong_at_every_level_is_found() {
    let (register, list_key) = (Key::Register(1), Key::List(0));
    let written = || vec![write(0, 1, 2, 0, 10), append(0, 7, 20, 30)];
    for (last, expected) in [
        (&[(register, &[2][..]), (list_key, &[7][..])][..], &[][..]),
        (&[(register, &[1]), (list_key, &[7])], &["lost"]),
        (&[(register, &[2]), (list_key, &[])], &["lost"]),
        (&[(register, &[2])], &["lost"]),
        (&[(register, &[2]), (list_key, &[7, 7])], &["duplicated"]),
    ] {
        let found = found(written(), Some(last));
        assert_eq!(
            kinds(&found),
            expected.iter().copied().collect(),
            "{last:?}"
        );
        assert!(
            Claim::ALL
                .iter()
                .all(|claim| found.holds(*claim) == expected.is_empty())
        );
    }
    shows(
        vec![write(0, 1, 1, 0, 10), read(2, 1, 3, 20, 21)],
        &["invented"],
    );
    shows(
        vec![append(0, 7, 0, 10), list(1, &[7, 7], 20, 21)],
        &["duplicated"],
    );
    shows(
        vec![append(0, 7, 0, 10), list(1, &[7, 8], 20, 21)],
        &["invented"],
    );
}

#[test]
fn claims_are_about_their_own_kinds() {
    let holds = |operations| {
        let findings = found(operations, None);
        Claim::ALL
            .into_iter()
            .filter(|claim| findings.holds(*claim))
            .map(Claim::name)
            .collect::<Vec<_>>()
    };
    let all = ["eventual", "bounded", "session", "group", "proxy", "global"];
    assert_eq!(holds(vec![]), all);
    let past = vec![write(4, 1, 1, 0, 10), read(2, 1, 0, 11, 12)];
    assert_eq!(holds(past), all[..5]);
    let other_group = vec![write(0, 1, 1, 0, 10), read(2, 1, 0, 11, 12)];
    assert_eq!(holds(other_group), all[..4]);
    let own_group = vec![write(0, 1, 1, 0, 10), read(1, 1, 0, 11, 12)];
    assert_eq!(holds(own_group), all[..3]);
    let own = vec![write(0, 1, 1, 0, 10), read(0, 1, 0, 11, 12)];
    assert_eq!(holds(own), all[..2]);
    let long_ago = vec![write(0, 1, 1, 0, 10), read(0, 1, 0, 200, 201)];
    assert_eq!(holds(long_ago), all[..1]);
}

#[test]
fn what_no_read_tried_is_not_claimed() {
    let tried = |operations| {
        let claims = found(operations, None).consistent_with();
        claims.into_iter().map(Claim::name).collect::<Vec<_>>()
    };
    assert_eq!(tried(vec![]), ["eventual"]);
    let other = vec![write(0, 1, 1, 0, 10), read(2, 1, 1, 11, 12)];
    assert_eq!(tried(other), ["eventual", "proxy", "global"]);
    let own = vec![write(0, 1, 1, 0, 10), read(0, 1, 1, 200, 201)];
    let all = Claim::ALL.map(Claim::name);
    assert_eq!(tried(own), all);
}

#[test]
fn counts_and_ages_are_those_of_the_history() {
    let findings = found(
        vec![
            write(0, 1, 1, 0, 10),
            unanswered(0, 1, 2, 20, 30),
            write(0, 1, 3, 40, 44),
            // Misses version 1, acknowledged at 10, and everything after it.
            read(2, 1, 0, 60, 63),
            read(2, 1, 3, 70, 71),
        ],
        None,
    );
    assert_eq!(
        (findings.reads, findings.writes, findings.unknown),
        (2, 3, 1)
    );
    assert_eq!(findings.write_latency.count, 2);
    assert_eq!(findings.read_latency.max, Duration::from_millis(3));
    assert_eq!(findings.staleness.count, 1);
    assert_eq!(findings.staleness.max, Duration::from_millis(50));
    assert_eq!(findings.tally(Kind::Global).checked, 2);
    assert_eq!(findings.tally(Kind::OwnWrites).checked, 0);
}

#[test]
fn an_example_says_who_did_what_when() {
    let findings = found(vec![write(0, 1, 5, 0, 10), read(1, 1, 4, 12, 13)], None);
    let example = findings.tally(Kind::Group).example.as_ref().unwrap();
    let lines: Vec<_> = example.lines.iter().map(|line| line.trim_start()).collect();
    assert_eq!(
        lines,
        [
            "0.000 ms  session 0 begins to write 5 to register 1",
            "10.000 ms  session 0 is told that it is done",
            "12.000 ms  session 1 begins to read register 1",
            "13.000 ms  session 1 is answered 4 in register 1",
            "so the read misses acknowledged writes of the session's group, acknowledged 2.000 ms before it began",
        ]
    );
}
