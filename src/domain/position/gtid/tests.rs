//! Laws of GTID sets against a naive set, and the forms a server prints.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const B: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429563";

fn set(text: &str) -> GtidSet {
    GtidSet::parse(named(text).as_bytes()).unwrap()
}

fn named(text: &str) -> String {
    text.replace("{A}", A).replace("{B}", B)
}

#[test]
fn reads_what_servers_print_and_prints_it_canonically() {
    let cases = [
        ("", ""),
        (" \n", ""),
        ("{A}:1-7", "{A}:1-7"),
        ("{A}:7", "{A}:7"),
        ("{A}:1-7:tagx:1:3-5", "{A}:1-7:tagx:1:3-5"),
        ("{A}:tagx:1,{A}:5", "{A}:5:tagx:1"),
        ("{A}:1-7,\n{B}:1", "{A}:1-7,{B}:1"),
        ("{B}:1,{A}:1-7", "{A}:1-7,{B}:1"),
        ("{A}:1-3:4-6:9", "{A}:1-6:9"),
        ("{A}:5-3", ""),
        (",,{A}:1,,", "{A}:1"),
        ("{A} : 1 - 7 : TagX : 1 , {B}:2", "{A}:1-7:tagx:1,{B}:2"),
        ("{A}:1-9223372036854775806", "{A}:1-9223372036854775806"),
    ];
    for (text, expected) in cases {
        let text = named(text);
        assert_eq!(set(&text).to_string(), named(expected), "{text}");
        let upper = text.to_uppercase();
        assert_eq!(set(&upper).to_string(), named(expected), "{upper}");
    }
}

#[test]
fn refuses_what_is_no_set() {
    let cases = [
        ("x", GtidError::Uuid(0)),
        ("3e11fa47-71ca-11e1-9e33-c80aa942956", GtidError::Uuid(0)),
        ("{A}:", GtidError::Number(37)),
        ("{A}:0", GtidError::Range(37)),
        ("{A}:9223372036854775807", GtidError::Range(37)),
        ("{A}:99999999999999999999999", GtidError::Range(37)),
        ("{A}:1-", GtidError::Number(39)),
        ("{A}:1;", GtidError::Trailing(38)),
        ("{A}:1#5", GtidError::Trailing(38)),
        (
            "{A}:a23456789012345678901234567890123:1",
            GtidError::Tag(37),
        ),
        ("{A}:\u{e4}:1", GtidError::Number(37)),
    ];
    for (text, expected) in cases {
        let text = named(text);
        assert_eq!(GtidSet::parse(text.as_bytes()), Err(expected), "{text}");
    }
}

#[test]
fn hostile_sizes_are_refused() {
    let many: String = (1..200_000).map(|n| format!(":{}", n * 2)).collect();
    let text = format!("{A}{many}");
    assert_eq!(GtidSet::parse(text.as_bytes()), Err(GtidError::TooLarge));
    let long = vec![b' '; 5 << 20];
    assert_eq!(GtidSet::parse(&long), Err(GtidError::TooLarge));
}

#[test]
fn reads_owned_sets() {
    let cases = [
        ("", ""),
        ("{A}:5#12", "{A}:5"),
        ("{A}:5#12:6#13", "{A}:5-6"),
        ("{A}:5#12#14,\n{B}:tag:7#15", "{A}:5,{B}:tag:7"),
        ("{A}:9#1:tag:7#15:5#3", "{A}:9:tag:5:7"),
        // As MySQL 9.7 prints it.
        (
            "{A}:2#38:11#37:9#34{A}:w1:5#31{A}:w2:7#33:6#32{B}:3#35{B}:w1:5#36",
            "{A}:2:9:11:w1:5:w2:6-7,{B}:3:w1:5",
        ),
        ("{A}:2#3{B}:5#6,{A}:4#1", "{A}:2:4,{B}:5"),
    ];
    for (text, expected) in cases {
        let owned = GtidSet::parse_owned(named(text).as_bytes()).unwrap();
        assert_eq!(owned.to_string(), named(expected), "{text}");
    }
}

#[test]
fn gaps_fill_only_as_far_as_they_are_known() {
    let cases = [
        ("{A}:5:9:12", "{A}:1-20", "{A}:1-12"),
        ("{A}:5:9:12", "{A}:1-10:12", "{A}:1-9:12"),
        ("{A}:5:9", "{A}:1-7", "{A}:1-5:9"),
        ("{A}:9", "{A}:1-8", "{A}:1-9"),
        ("{A}:1", "{A}:1-8", "{A}:1"),
        ("{A}:5:9", "{B}:1-20", "{A}:5:9"),
        ("{A}:tag:5", "{A}:1-20", "{A}:tag:5"),
    ];
    for (demand, known, expected) in cases {
        let mut filled = set(demand);
        filled.fill_gaps(&set(known));
        assert_eq!(filled, set(expected), "{demand} within {known}");
    }
}

#[test]
fn knows_what_continues_a_history() {
    let cases = [
        ("", "{A}:1-7", Some(0)),
        ("{A}:8", "{A}:1-7", Some(1)),
        ("{A}:8:12", "{A}:1-7", Some(5)),
        ("{A}:8,{B}:5", "{A}:1-7,{B}:1-2", Some(3)),
        ("{A}:5", "{A}:1-4:6-7", None),
        ("{A}:5:9", "{A}:1-4:6-7", None),
        ("{B}:1", "{A}:1-7", None),
        ("{A}:1", "{B}:1-7", None),
        ("{A}:tag:8", "{A}:1-7", None),
        ("{A}:tag:8", "{A}:1-7:tag:1-7", Some(1)),
    ];
    for (missing, base, expected) in cases {
        assert_eq!(set(missing).ahead_of(&set(base)), expected, "{missing}");
    }
}

type Naive = BTreeSet<(u8, u8, u64)>;

fn naive() -> impl Strategy<Value = Naive> {
    proptest::collection::btree_set((0u8..3, 0u8..3, 1u64..16), 0..40)
}

fn element((server, tag, number): (u8, u8, u64)) -> (Source, u64) {
    let source = Source {
        uuid: u128::from(server),
        tag: (tag > 0).then(|| Tag::new(&format!("t{tag}"))),
    };
    (source, number)
}

/// Builds through the text form, one element a piece, so that parsing is under test as well.
fn real(naive: &Naive) -> GtidSet {
    let pieces: Vec<String> = naive
        .iter()
        .rev()
        .map(|(server, tag, number)| {
            let uuid = Uuid(u128::from(*server));
            match tag {
                0 => format!("{uuid}:{number}"),
                tag => format!("{uuid}:t{tag}:{number}"),
            }
        })
        .collect();
    set(&pieces.join(","))
}

/// The representation is canonical, so that equality of sets is equality of values.
fn check_invariants(set: &GtidSet) {
    for pair in set.runs.windows(2) {
        let [left, right] = pair else { unreachable!() };
        let apart = left.source == right.source && left.last + 1 < right.first;
        assert!(left.source < right.source || apart, "{set}");
    }
}

proptest! {
    #[test]
    fn agrees_with_a_naive_set(left in naive(), right in naive()) {
        let (a, b) = (real(&left), real(&right));
        prop_assert_eq!(a.count(), left.len() as u64);
        prop_assert_eq!(a.is_empty(), left.is_empty());
        prop_assert_eq!(a.covers(&b), left.is_superset(&right));
        for item in left.union(&right) {
            let (source, number) = element(*item);
            prop_assert_eq!(a.contains(&source, number), left.contains(item));
        }
        let mut joined = a.clone();
        joined.join(&b);
        check_invariants(&joined);
        prop_assert_eq!(&joined, &real(&left.union(&right).copied().collect()));
        prop_assert!(joined.covers(&a) && joined.covers(&b));
        let mut less = a.clone();
        less.subtract(&b);
        check_invariants(&less);
        prop_assert_eq!(&less, &real(&left.difference(&right).copied().collect()));
        let mut filled = a.clone();
        filled.fill_gaps(&b);
        check_invariants(&filled);
        prop_assert!(filled.covers(&a) && joined.covers(&filled));
        prop_assert_eq!(set(&a.to_string()), a);
    }

    #[test]
    fn never_panics(text in "[0-9a-f:,#_ \\-]{0,80}") {
        let _ = GtidSet::parse(text.as_bytes());
        let _ = GtidSet::parse_owned(text.as_bytes());
        let _ = GtidSet::parse_owned(format!("{A}:{text}").as_bytes());
    }
}
