//! OK packets and session state: captured ones, odd ones, rewritten ones.

use super::*;
use crate::protocol::frame::{self, FrameHeader, append_packet};
use TrackEntry::*;
use proptest::prelude::*;

fn var(name: &'static str, value: &'static str) -> TrackEntry<'static> {
    SystemVariable {
        name: name.as_bytes(),
        value: value.as_bytes(),
    }
}

type Case = (&'static [u8], Vec<TrackEntry<'static>>);

const NAMES: &[u8] = b"\x00\x00\x00\x02@\x00\x00\x00b\x00\x1c\x14character_set_client\x06latin1\
    \x00 \x18character_set_connection\x06latin1\x00\x1d\x15character_set_results\x06latin1\x02\x011";
const UPDATE: &[u8] = b"\x00\x01\x00\x02\x00\x00\x00(Rows matched: 1  Changed: 1  Warnings: 0";
const USE: &[u8] = b"\x00\x00\x00\x02@\x00\x00\x00\x07\x01\x02\x01t\x02\x011";

/// OK packets of MySQL 9.7.4 and MariaDB 10.11.19 with what they say.
fn captured() -> Vec<Case> {
    vec![
        (b"\x00\x00\x00\x02\x00\x00\x00", vec![]),
        (UPDATE, vec![]),
        (b"\xfe\x00\x00\x02\x00", vec![]),
        (b"\x00\x00\x00\x02@\x00\x00\x00\x10\x00\x0e\nautocommit\x02ON", vec![var("autocommit", "ON")]),
        (NAMES, vec![
            var("character_set_client", "latin1"),
            var("character_set_connection", "latin1"),
            var("character_set_results", "latin1"),
            StateChange(true),
        ]),
        (USE, vec![Schema(b"t"), StateChange(true)]),
        (
            b"\x00\x02\x00\x02@\x00\x00\x00+\x03)\x00'ea2f51a1-e5eb-11f1-a6ee-02fc00000001:13",
            vec![Gtids(b"ea2f51a1-e5eb-11f1-a6ee-02fc00000001:13")],
        ),
        (
            b"\x00\x00\x00\x03`\x00\x00\x00*\x05\t\x08T_______\x04\x1d\x1cSTART TRANSACTION READ ONLY;",
            vec![TransactionState(b"T_______"), TransactionCharacteristics(b"START TRANSACTION READ ONLY;")],
        ),
        (b"\xfe\x00\x00#`\x00\x00\x00\x0b\x05\t\x08T_R___S_", vec![TransactionState(b"T_R___S_")]),
        (
            b"\x00\x00\x00\x02@\x00\x00\x00\x0e\x05\t\x08________\x04\x01\x00",
            vec![TransactionState(b"________"), TransactionCharacteristics(b"")],
        ),
    ]
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    append_packet(&mut out, &mut 7, payload);
    out
}

fn rewritten(payload: &[u8], track: bool, keep: impl FnMut(&TrackEntry<'_>) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(rewrite_ok(&framed(payload), &mut out, track, keep));
    assert_eq!(out[3], 7, "the sequence id stays");
    frame::payload(&out).unwrap().to_vec()
}

fn stripped(payload: &[u8]) -> Vec<u8> {
    let mut frame = framed(payload);
    let len = strip_ok_in_place(&mut frame);
    assert_eq!(frame[3], 7, "the sequence id stays");
    frame::payload(&frame[..len]).unwrap().to_vec()
}

#[test]
fn captured_packets_are_understood() {
    for (payload, expected) in captured() {
        let ok = OkView::parse(payload).unwrap();
        assert_eq!(ok.session_track().collect::<Vec<_>>(), expected);
        assert_eq!(
            ok.status.contains(Status::STATE_CHANGED),
            !expected.is_empty()
        );
    }
    let update = OkView::parse(UPDATE).unwrap();
    assert_eq!(
        (update.affected_rows, update.status),
        (1, Status::AUTOCOMMIT)
    );
    assert_eq!(update.info, b"Rows matched: 1  Changed: 1  Warnings: 0");
}

/// No server was seen to send these.
#[test]
fn odd_entries_are_given_and_not_hidden() {
    let cases: Vec<Case> = vec![
        (
            b"\x00\x07\x01a\x01b\x01c\x00",
            vec![var("a", "b"), var("c", "")],
        ),
        (
            b"\x09\x02hi\x02\x010",
            vec![
                Other {
                    kind: 9,
                    data: b"hi",
                },
                StateChange(false),
            ],
        ),
        (
            b"\x01\x01\x05",
            vec![Other {
                kind: 1,
                data: b"\x05",
            }],
        ),
        (
            b"\x00\x03\x01a\x05",
            vec![Other {
                kind: 0,
                data: b"\x01a\x05",
            }],
        ),
        (
            b"\x03\x30\x00\x02",
            vec![Other {
                kind: 3,
                data: b"\x30\x00\x02",
            }],
        ),
    ];
    for (block, expected) in cases {
        assert_eq!(SessionTrack::new(block).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn keeping_all_changes_nothing() {
    for (payload, _) in captured() {
        assert_eq!(rewritten(payload, true, |_| true), payload);
    }
}

#[test]
fn without_state_a_packet_is_as_if_nothing_had_changed() {
    let plain = b"\x00\x00\x00\x02\x00\x00\x00";
    assert_eq!(rewritten(USE, false, |_| true), plain);
    assert_eq!(rewritten(USE, true, |_| false), plain);
    for (payload, _) in captured() {
        assert_eq!(stripped(payload), rewritten(payload, false, |_| true));
    }
}

#[test]
fn the_info_survives_the_loss_of_the_state() {
    let info = vec![b'i'; 300];
    let mut payload = b"\x00\x01\x02\x02@\x05\x00\xfc\x2c\x01".to_vec();
    payload.extend(&info);
    let mut expected = payload.clone();
    expected[4] = 0;
    payload.extend(b"\x04\x01\x02\x01t");
    assert_eq!(stripped(&payload), expected);
    assert_eq!(rewritten(&payload, false, |_| true), expected);
    let ok = OkView::parse(&expected).unwrap();
    assert_eq!((ok.info, ok.warnings, ok.last_insert_id), (&*info, 5, 2));
}

#[test]
fn single_variables_can_be_kept() {
    let kept = rewritten(
        NAMES,
        true,
        |entry| matches!(entry, SystemVariable { name, .. } if name.ends_with(b"results")),
    );
    let ok = OkView::parse(&kept).unwrap();
    let entries: Vec<_> = ok.session_track().collect();
    assert_eq!(entries, [var("character_set_results", "latin1")]);
    assert!(ok.status.contains(Status::STATE_CHANGED));
}

#[test]
fn several_variables_of_one_entry_stay_one_entry() {
    let payload = b"\x00\x00\x00\x02@\x00\x00\x00\x0e\x00\x0c\x01a\x01b\x01c\x01d\x01e\x01f";
    let kept = rewritten(payload, true, |entry| {
        !matches!(entry, SystemVariable { name: b"c", .. })
    });
    assert_eq!(
        kept,
        b"\x00\x00\x00\x02@\x00\x00\x00\x0a\x00\x08\x01a\x01b\x01e\x01f"
    );
}

#[test]
fn a_state_block_that_is_cut_off_is_not_taken_for_an_empty_one() {
    assert_eq!(OkView::parse(b"\x00\x00\x00\x02@\x00\x00"), None);
    assert_eq!(
        OkView::parse(b"\x00\x00\x00\x02@\x00\x00\x00\x05\x01"),
        None
    );
    assert!(!rewrite_ok(
        b"\x03\x00\x00\x01\xff\x00\x00",
        &mut Vec::new(),
        true,
        |_| true
    ));
}

#[test]
fn an_eof_packet_keeps_its_length() {
    // As MariaDB 10.11 ends the rows of a procedure that wrote.
    let eof = b"\xfe\x00\x00\x0a@";
    assert_eq!(stripped(eof), b"\xfe\x00\x00\x0a\x00");
    assert_eq!(rewritten(eof, true, |_| true), b"\xfe\x00\x00\x0a\x00");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, long in prop::collection::vec(any::<u8>(), 0..400), keep: bool) {
        let payloads = [
            bytes.clone(),
            [b"\x00\x00\x00\x02@\x00\x00\x00", &*bytes].concat(),
            [b"\xfe\x00\x00\x02@\x00\x00", &*long].concat(),
        ];
        for payload in payloads {
            if let Some(ok) = OkView::parse(&payload) {
                prop_assert!(ok.session_track().count() <= payload.len());
                prop_assert!(OkView::parse(&rewritten(&payload, true, |_| keep)).is_some());
                let without = stripped(&payload);
                prop_assert_eq!(OkView::parse(&without).unwrap().state, b"");
            }
        }
        let mut frame = bytes.clone();
        let len = strip_ok_in_place(&mut frame);
        prop_assert!(len <= bytes.len() || FrameHeader::parse(&bytes).is_some());
        rewrite_ok(&bytes, &mut Vec::new(), true, |_| keep);
    }
}
