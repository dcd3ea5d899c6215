//! The tracker: captured replies, any chunking, arbitrary bytes.

use super::*;
use crate::protocol::caps::CapabilityFlags;
use crate::protocol::frame::{append_packet, append_with};
use crate::protocol::packets::{OkPacket, put_eof, put_err};
use proptest::prelude::*;

const OLD: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41;
const NEW: CapabilityFlags = OLD.union(CapabilityFlags::CLIENT_DEPRECATE_EOF);

/// One piece of a reply: its bytes, and the event that it should be.
type Piece = (Vec<u8>, Option<(EventKind, bool)>);

fn tracker(kind: ReplyKind, flags: CapabilityFlags) -> ReplyTracker {
    ReplyTracker::new(kind, CapabilityProfile::new(flags))
}

/// Feeds the bytes in chunks of the given lengths (the last one repeats) and gives what was
/// forwarded and shown, in order, and how many bytes were left.
fn run(mut tracker: ReplyTracker, bytes: &[u8], chunks: &[usize]) -> (Vec<Piece>, usize) {
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut start, mut arrived) = (0, 0);
    let mut chunks = chunks
        .iter()
        .chain(std::iter::repeat(chunks.last().unwrap()));
    while !tracker.is_done() && arrived < bytes.len() {
        arrived = bytes.len().min(arrived + chunks.next().unwrap());
        loop {
            let scan = tracker.scan(&bytes[start..arrived]);
            pieces.push((bytes[start..start + scan.forward].to_vec(), None));
            start += scan.forward;
            let Some(event) = scan.event else { break };
            let packet = bytes[start..start + event.len].to_vec();
            pieces.push((packet, Some((event.kind, event.more))));
            start += event.len;
        }
    }
    assert!(tracker.is_done(), "reply not done: {tracker:?}");
    (joined(pieces), bytes.len() - start)
}

/// Joins neighbours that are merely forwarded.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for (bytes, event) in pieces {
        match (out.last_mut(), &event) {
            (Some((forwarded, None)), None) => forwarded.extend(bytes),
            (_, None) if bytes.is_empty() => {}
            _ => out.push((bytes, event)),
        }
    }
    out
}

fn check(kind: ReplyKind, flags: CapabilityFlags, pieces: Vec<Piece>, chunks: &[usize]) {
    let mut bytes: Vec<u8> = pieces.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
    bytes.extend(b"next reply");
    let (found, left) = run(tracker(kind, flags), &bytes, chunks);
    assert_eq!(found, joined(pieces));
    assert_eq!(left, b"next reply".len());
}

fn packet(payload: &[u8]) -> Vec<u8> {
    let (mut out, mut seq) = (Vec::new(), 1);
    append_packet(&mut out, &mut seq, payload);
    out
}

fn pass(payload: &[u8]) -> Piece {
    (packet(payload), None)
}

fn event(payload: &[u8], kind: EventKind, more: bool) -> Piece {
    (packet(payload), Some((kind, more)))
}

const COLUMN: &[u8] =
    b"\x03def\x00\x00\x00\x011\x00\x0c?\x00\x02\x00\x00\x00\x08\x81\x00\x00\x00\x00";
const EOF: &[u8] = b"\xfe\x00\x00\x02\x00";
const CURSOR_EOF: &[u8] = b"\xfe\x00\x00\x42\x00";
const END: &[u8] = b"\xfe\x00\x00\x02\x00\x00\x00";
const PREPARED: &[u8] = b"\x00\x01\x00\x00\x00\x02\x00\x01\x00\x00\x00\x00";

fn check_all(cases: Vec<(&str, ReplyKind, CapabilityFlags, Vec<Piece>)>) {
    for (name, kind, flags, pieces) in cases {
        println!("{name}");
        for chunk in [1, 2, 5, 1000] {
            check(kind, flags, pieces.clone(), &[chunk]);
        }
    }
}

/// Bytes of real replies of MySQL 9.7.4.
#[test]
fn captured_results() {
    use EventKind::*;
    let execute = |cursor| ReplyKind::Execute { cursor };
    check_all(vec![
        (
            "select 1, old",
            ReplyKind::Query,
            OLD,
            vec![
                pass(b"\x01"),
                pass(COLUMN),
                pass(EOF),
                pass(b"\x011"),
                event(EOF, ResultEnd, false),
            ],
        ),
        (
            "select 1, new",
            ReplyKind::Query,
            NEW,
            vec![
                pass(b"\x01"),
                pass(COLUMN),
                pass(b"\x011"),
                event(END, ResultEnd, false),
            ],
        ),
        (
            "select null, new",
            ReplyKind::Query,
            NEW,
            vec![
                pass(b"\x01"),
                pass(COLUMN),
                pass(b"\xfb"),
                event(END, ResultEnd, false),
            ],
        ),
        (
            "use t with state",
            ReplyKind::Query,
            NEW,
            vec![event(
                b"\x00\x00\x00\x02@\x00\x00\x00\x04\x01\x02\x01t",
                Ok,
                false,
            )],
        ),
        (
            "select; select",
            ReplyKind::Query,
            NEW,
            vec![
                pass(b"\x01"),
                pass(COLUMN),
                pass(b"\x011"),
                event(b"\xfe\x00\x00\n\x00\x00\x00", ResultEnd, true),
                pass(b"\x01"),
                pass(COLUMN),
                pass(b"\x012"),
                event(END, ResultEnd, false),
            ],
        ),
        (
            "load data local",
            ReplyKind::Query,
            NEW,
            vec![
                event(b"\xfb/tmp/file", LocalInfile, true),
                event(b"\x00\x01\x00\x02\x00\x00\x00", Ok, false),
            ],
        ),
        (
            "error in rows",
            ReplyKind::Query,
            OLD,
            vec![
                pass(b"\x01"),
                pass(COLUMN),
                pass(EOF),
                pass(b"\x011"),
                event(b"\xff\x25\x05#70100gone", Err, false),
            ],
        ),
        (
            "cursor, old",
            execute(true),
            OLD,
            vec![
                pass(b"\x01"),
                pass(COLUMN),
                event(CURSOR_EOF, ResultEnd, false),
            ],
        ),
        (
            "cursor flag without having asked, old",
            execute(false),
            OLD,
            vec![
                pass(b"\x01"),
                pass(COLUMN),
                pass(CURSOR_EOF),
                pass(b"\x00\x00\x01"),
                event(EOF, ResultEnd, false),
            ],
        ),
        (
            "cursor, new",
            execute(true),
            NEW,
            vec![
                pass(b"\x01"),
                pass(COLUMN),
                event(b"\xfe\x00\x00B\x00\x00\x00", ResultEnd, false),
            ],
        ),
        (
            "fetch",
            ReplyKind::Fetch,
            NEW,
            vec![
                pass(b"\x00\x00\x01"),
                event(b"\xfe\x00\x00\x82\x00\x00\x00", ResultEnd, false),
            ],
        ),
    ]);
}

#[test]
fn captured_other_replies() {
    use EventKind::*;
    let prepared_kind = |params, columns| Prepared {
        stmt_id: 1,
        params,
        columns,
    };
    check_all(vec![
        (
            "prepare, old",
            ReplyKind::Prepare,
            OLD,
            vec![
                event(PREPARED, prepared_kind(1, 2), true),
                pass(COLUMN),
                pass(EOF),
                pass(COLUMN),
                pass(COLUMN),
                pass(EOF),
            ],
        ),
        (
            "prepare, new",
            ReplyKind::Prepare,
            NEW,
            vec![
                event(PREPARED, prepared_kind(1, 2), true),
                pass(COLUMN),
                pass(COLUMN),
                pass(COLUMN),
            ],
        ),
        (
            "prepare of DO 1",
            ReplyKind::Prepare,
            OLD,
            vec![event(
                b"\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
                prepared_kind(0, 0),
                false,
            )],
        ),
        (
            "statistics",
            ReplyKind::Statistics,
            NEW,
            vec![pass(b"Uptime: 44  Threads: 2")],
        ),
        (
            "statistics refused",
            ReplyKind::Statistics,
            NEW,
            vec![event(b"\xff\x17\x04#08S01no", Err, false)],
        ),
        (
            "field list",
            ReplyKind::FieldList,
            OLD,
            vec![pass(COLUMN), event(EOF, ResultEnd, false)],
        ),
        (
            "set option, old",
            ReplyKind::Simple,
            OLD,
            vec![event(EOF, Ok, false)],
        ),
        (
            "set option, new",
            ReplyKind::Simple,
            NEW,
            vec![event(END, Ok, false)],
        ),
    ]);
}

#[test]
fn what_cannot_be_a_reply_is_malformed() {
    let cases: [(ReplyKind, &[u8]); 6] = [
        (ReplyKind::Simple, b"\x01"),
        (ReplyKind::Query, b""),
        (ReplyKind::Prepare, b"\x00\x01\x00"),
        (ReplyKind::Prepare, b"\x01"),
        (ReplyKind::Query, b"\x00\x00\x00\x02"),
        (ReplyKind::Query, b"\x01 and much too long"),
    ];
    for (kind, payload) in cases {
        let bytes = packet(payload);
        let mut tracker = tracker(kind, NEW);
        let event = tracker.scan(&bytes).event.unwrap();
        assert_eq!((event.kind, event.more), (EventKind::Malformed, false));
        assert!(tracker.is_done());
    }
}

#[test]
fn the_status_flags_come_with_the_event() {
    let bytes = packet(b"\x00\x00\x00\x03\x20\x00\x00");
    let event = tracker(ReplyKind::Query, NEW).scan(&bytes).event.unwrap();
    assert!(
        event
            .status
            .contains(Status::IN_TRANS | Status::IN_TRANS_READONLY)
    );
}

#[test]
fn a_row_is_forwarded_before_it_is_whole() {
    let mut bytes = packet(b"\x01");
    bytes.extend(packet(b"\x03def"));
    let rows_at = bytes.len();
    bytes.extend([0xE8, 0x03, 0x00, 0x03, 0xFC]);
    let mut tracker = tracker(ReplyKind::Query, NEW);
    assert_eq!(tracker.scan(&bytes[..rows_at + 4]).forward, rows_at);
    assert_eq!(tracker.scan(&bytes[rows_at..]).forward, 5);
    assert_eq!(tracker.scan(&[7; 994]).forward, 994);
    assert!(!tracker.is_done());
}

/// 0xFE and 0xFF at the start of a continued frame, and a row that begins with an eight-byte length.
#[test]
fn packets_of_many_frames_hold_no_markers() {
    let mut row = vec![0xFF; MAX_PAYLOAD + 3];
    row[0] = 0xFE;
    for flags in [OLD, NEW] {
        let end = if flags == OLD { EOF } else { END };
        let mut pieces = vec![pass(b"\x01"), pass(COLUMN)];
        if flags == OLD {
            pieces.push(pass(EOF));
        }
        pieces.push(pass(&row));
        pieces.push(pass(&row[..MAX_PAYLOAD]));
        pieces.push(event(end, EventKind::ResultEnd, false));
        let bytes: Vec<u8> = pieces.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let (found, left) = run(tracker(ReplyKind::Query, flags), &bytes, &[1 << 20]);
        assert!(found == joined(pieces) && left == 0);
    }
}

fn ok_event(flags: CapabilityFlags, end_of_rows: bool, more: bool, info: &[u8]) -> Piece {
    let status = if more {
        Status::MORE_RESULTS
    } else {
        Status::AUTOCOMMIT
    };
    let ok = OkPacket {
        status,
        info,
        ..OkPacket::default()
    };
    let mut out = Vec::new();
    if end_of_rows {
        ok.put_result_end(flags == NEW, &mut out, &mut 9);
        (out, Some((EventKind::ResultEnd, more)))
    } else {
        ok.put(&mut out, &mut 9);
        (out, Some((EventKind::Ok, more)))
    }
}

#[derive(Clone, Debug)]
enum Item {
    Ok(Vec<u8>),
    Rows { columns: u8, rows: Vec<Vec<u8>> },
    Infile,
}

fn item() -> impl Strategy<Value = Item> {
    let row = (0u8..=0xFC, prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(first, rest)| [vec![first], rest].concat());
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Item::Ok),
        (1u8..4, prop::collection::vec(row, 0..6))
            .prop_map(|(columns, rows)| Item::Rows { columns, rows }),
        Just(Item::Infile),
    ]
}

fn pieces_of(items: &[Item], flags: CapabilityFlags, error: bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let more = error || index + 1 < items.len();
        match item {
            Item::Ok(info) => pieces.push(ok_event(flags, false, more, info)),
            Item::Infile => {
                pieces.push(event(b"\xfbfile", EventKind::LocalInfile, true));
                pieces.push(ok_event(flags, false, more, b""));
            }
            Item::Rows { columns, rows } => {
                let mut out = Vec::new();
                append_with(&mut out, &mut 1, |out| out.push(*columns));
                for _ in 0..*columns {
                    append_packet(&mut out, &mut 2, b"\x03def and so on");
                }
                if flags == OLD {
                    put_eof(Status::CURSOR_EXISTS, 0, &mut out, &mut 3);
                }
                for row in rows {
                    append_packet(&mut out, &mut 4, row);
                }
                pieces.push((out, None));
                pieces.push(ok_event(flags, true, more, b""));
            }
        }
    }
    if error {
        let mut out = Vec::new();
        put_err(1064, *b"42000", "no", &mut out, &mut 5);
        pieces.push((out, Some((EventKind::Err, false))));
    }
    pieces
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same(
        items in prop::collection::vec(item(), 1..5),
        chunks in prop::collection::vec(1usize..60, 1..20),
        new: bool,
        error: bool,
    ) {
        let flags = if new { NEW } else { OLD };
        check(ReplyKind::Query, flags, pieces_of(&items, flags, error), &chunks);
    }

    #[test]
    fn arbitrary_bytes_neither_panic_nor_loop(
        bytes: Vec<u8>,
        frames in prop::collection::vec((0u8..12, any::<u8>()), 0..20),
        new: bool,
        kind in prop::sample::select(vec![
            ReplyKind::Query, ReplyKind::Execute { cursor: true }, ReplyKind::Prepare, ReplyKind::Fetch,
            ReplyKind::FieldList, ReplyKind::Simple, ReplyKind::Statistics,
        ]),
    ) {
        let framed: Vec<u8> = frames.iter().flat_map(|&(len, byte)| packet(&vec![byte; usize::from(len)])).collect();
        for bytes in [bytes, framed] {
            let mut tracker = tracker(kind, if new { NEW } else { OLD });
            let mut rest = &bytes[..];
            loop {
                let scan = tracker.scan(rest);
                rest = &rest[scan.forward..];
                let Some(event) = scan.event else { break };
                rest = &rest[event.len..];
            }
        }
    }
}
