//! Commands: views of captured payloads, payloads built, arbitrary bytes.

use super::*;
use crate::protocol::caps::CapabilityFlags;
use proptest::prelude::*;

/// Executions that MySQL 9.7.4 answered, of `select i, s from a where i>=?`.
const PLAIN: &[u8] = b"\x17\x01\0\0\0\x01\x01\0\0\0\0\x01\x03\0\x01\0\0\0";
const ATTRIBUTES: &[u8] = b"\x17\x01\0\0\0\x00\x01\0\0\0\x01\0\x01\x03\0\0\x01\0\0\0";
const EXTRA: &[u8] = b"\x17\x01\0\0\0\x08\x01\0\0\0\x01\0\x01\xfe\0\x02n1\x01v";

/// A payload, whether query attributes are in force, and its text.
type QueryCase<'a> = (&'a [u8], bool, Option<&'a [u8]>);
/// A payload, the prepare's parameter count, whether query attributes are in force, its types, whether it asks for a cursor.
type ExecuteCase<'a> = (&'a [u8], u16, bool, Option<&'a [u8]>, bool);

#[test]
fn codes_are_known_or_not() {
    assert_eq!(CommandCode::from_byte(3), Some(CommandCode::Query));
    assert_eq!(
        CommandCode::from_byte(0x1F),
        Some(CommandCode::ResetConnection)
    );
    assert_eq!(CommandCode::from_byte(0xEE), None);
    for byte in 0..=0x21 {
        assert_eq!(
            CommandCode::from_byte(byte).map(|code| code as u8),
            Some(byte)
        );
    }
}

#[test]
fn the_text_of_a_query_is_found_behind_its_attributes() {
    let cases: &[QueryCase<'_>] = &[
        (b"\x03select 1", false, Some(b"select 1")),
        (b"\x03", false, Some(b"")),
        (b"\x03\0\x01select 1", true, Some(b"select 1")),
        (
            b"\x03\x01\x01\0\x01\xfe\0\x02n1\x01vselect 1",
            true,
            Some(b"select 1"),
        ),
        (
            b"\x03\x02\x01\x02\x01\xfe\0\x02n1\x0c\0\x02n2\x01vselect 1",
            true,
            Some(b"select 1"),
        ),
        (
            b"\x03\x03\x01\0\x01\x08\0\0\x0c\0\0\x01\x80\x0012345678\x04abcd1do 1",
            true,
            Some(b"do 1"),
        ),
        (b"\x03\x01\x01\0\0\xfe\0\x02n1\x01vselect 1", true, None),
        (b"\x03\0\x02select 1", true, None),
        (b"\x03\x01\x01\0\x01\x0e\0\0x", true, None),
        (b"\x03\x01\x01\0\x01\xfe\0\x02n1\x09v", true, None),
        (b"\x03\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", true, None),
        (b"\x04select 1", false, None),
        (b"", true, None),
    ];
    for &(payload, attributes, expected) in cases {
        let found = query_text(payload, attributes).map(|range| &payload[range]);
        assert_eq!(found, expected, "{}", payload.escape_ascii());
    }
}

#[test]
fn built_queries_are_read_back() {
    for attributes in [false, true] {
        let payload = com_query(b"do 1", attributes);
        let text = query_text(&payload, attributes).unwrap();
        assert_eq!(&payload[text], b"do 1");
    }
    assert_eq!(set_option(&com_set_option(true)), Some(0));
    assert_eq!(set_option(&com_set_option(false)), Some(1));
    assert_eq!(stmt_id(&com_stmt_close(77)), Some(77));
}

#[test]
fn executions_show_their_types_and_cursor() {
    let cases: &[ExecuteCase<'_>] = &[
        (PLAIN, 1, false, Some(b"\x03\0"), true),
        (ATTRIBUTES, 1, true, Some(b"\x03\0\0"), false),
        (EXTRA, 0, true, Some(b"\xfe\0\x02n1"), false),
        (b"\x17\x01\0\0\0\x08\x01\0\0\0\0", 0, true, None, false),
        (b"\x17\x01\0\0\0\x00\x01\0\0\0", 0, true, None, false),
        (
            b"\x17\x01\0\0\0\x00\x01\0\0\0\0\0\x01\0\0\0",
            1,
            false,
            None,
            false,
        ),
    ];
    for &(payload, params, attributes, types, cursor) in cases {
        let view = StmtExecute::parse(payload, params, attributes).unwrap();
        assert_eq!(
            (view.stmt_id, view.types(), view.asks_cursor()),
            (1, types, cursor)
        );
    }
    assert!(StmtExecute::parse(PLAIN, 60_000, false).is_none());
    assert!(StmtExecute::parse(&PLAIN[..10], 1, false).is_none());
    assert!(StmtExecute::parse(&PLAIN[..8], 0, false).is_none());
}

#[test]
fn types_bound_earlier_are_put_in() {
    for (first, attributes, flag_at, types_len) in
        [(PLAIN, false, 11, 2), (ATTRIBUTES, true, 12, 3)]
    {
        let types = StmtExecute::parse(first, 1, attributes)
            .unwrap()
            .types()
            .unwrap();
        let mut later = first.to_vec();
        later[flag_at] = 0;
        later.drain(flag_at + 1..=flag_at + types_len);
        let view = StmtExecute::parse(&later, 1, attributes).unwrap();
        assert!(view.needs_types() && view.types().is_none());

        let mut out = Vec::new();
        view.rewrite(&mut out, 0x0102_0304, Some(types));
        let mut expected = first.to_vec();
        set_stmt_id(&mut expected, 0x0102_0304);
        assert_eq!(out, expected);

        out.clear();
        view.rewrite(&mut out, 1, None);
        assert_eq!(out, later);
    }
}

#[test]
fn types_sent_anew_win() {
    let mut out = Vec::new();
    let view = StmtExecute::parse(PLAIN, 1, false).unwrap();
    view.rewrite(&mut out, 1, Some(b"\xfe\0"));
    assert_eq!(out, PLAIN);
}

#[test]
fn a_change_of_user_is_read_in_all_its_lengths() {
    let caps = CapabilityFlags::CLIENT_PLUGIN_AUTH | CapabilityFlags::CLIENT_CONNECT_ATTRS;
    let full = b"\x11bob\0\x02xydb\0\x2d\0mysql_native_password\0\x04\x01a\x01b";
    let view = ChangeUser::parse(full, caps).unwrap();
    assert_eq!(
        (view.user, view.auth, view.database),
        (&b"bob"[..], &b"xy"[..], &b"db"[..])
    );
    assert_eq!(
        (view.charset, view.plugin),
        (Some(45), &b"mysql_native_password"[..])
    );
    assert_eq!(view.connect_attrs, b"\x01a\x01b");
    let short = ChangeUser::parse(b"\x11bob\0\0\0", caps).unwrap();
    assert_eq!(
        (short.user, short.charset, short.plugin),
        (&b"bob"[..], None, &b""[..])
    );
    assert_eq!(ChangeUser::parse(b"\x11bob", caps), None);
}

#[test]
fn ids_are_read() {
    assert_eq!(process_kill_id(b"\x0c\x05\0\0\0"), Some(5));
    assert_eq!(process_kill_id(b"\x0c\x05"), None);
    assert_eq!(stmt_id(b"\x18\x05\0\0\0\0\0data"), Some(5));
    assert_eq!(stmt_id(b"\x03\x05\0\0\0"), None);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(code in 0u8..0x22, rest: Vec<u8>, params: u16, flags: u32) {
        let payload = [vec![code], rest].concat();
        for attributes in [true, false] {
            let _ = query_attributes(&payload, attributes);
            if let Some(text) = query_text(&payload, attributes) {
                prop_assert_eq!(text.end, payload.len());
            }
            for payload in [&payload[..], &[&[0x17], &payload[1..]].concat()] {
                for params in [params, params % 4] {
                    if let Some(view) = StmtExecute::parse(payload, params, attributes) {
                        view.rewrite(&mut Vec::new(), 1, Some(b"types"));
                        let _ = (view.types(), view.values(b"\xfe\0\0\x01\0\0", &[1]));
                    }
                }
            }
        }
        let caps = CapabilityFlags::from_bits_retain(flags);
        let _ = ChangeUser::parse(&[&[0x11], &payload[1..]].concat(), caps);
        let _ = (process_kill_id(&payload), set_option(&payload), stmt_id(&payload));
    }
}

#[test]
fn attributes_of_a_query() {
    let text = |name: &'static [u8], value: &'static [u8]| Parameter {
        name,
        value: ParameterValue::Text(value),
    };
    let none = query_attributes(b"\x03\0\x01select 1", true);
    assert_eq!(none, Some(Vec::new()));
    assert_eq!(
        query_attributes(b"\x03\x01\x01\0\x01\xfe\0\x02n1\x01vselect 1", true),
        Some(vec![text(b"n1", b"v")])
    );
    let mixed = b"\x03\x04\x01\x01\x01\xfe\0\x01a\x02\x80\x01b\x01\0\x01c\x04\0\x01d\xff\xff\xfe\0\0\x80?do 1";
    let named = |name: &'static [u8], value| Parameter { name, value };
    assert_eq!(
        query_attributes(mixed, true),
        Some(vec![
            named(b"a", ParameterValue::Null),
            named(b"b", ParameterValue::UInt(0xFFFF)),
            named(b"c", ParameterValue::Int(-2)),
            named(b"d", ParameterValue::Other),
        ])
    );
    assert_eq!(query_attributes(b"\x03select 1", false), Some(Vec::new()));
    assert_eq!(query_attributes(b"\x03\x01\x01\0", true), None);
}

#[test]
fn values_of_an_execution() {
    let view =
        |payload, params, attributes| StmtExecute::parse(payload, params, attributes).unwrap();
    let plain = view(PLAIN, 1, false);
    assert!(!plain.has_attributes());
    let one = Parameter {
        name: b"",
        value: ParameterValue::Int(1),
    };
    assert_eq!(plain.values(&[], &[]), Some((vec![one], vec![])));
    let extra = view(EXTRA, 0, true);
    assert!(extra.has_attributes());
    let attribute = Parameter {
        name: b"n1",
        value: ParameterValue::Text(b"v"),
    };
    assert_eq!(extra.values(&[], &[]), Some((vec![], vec![attribute])));

    // The second of two parameters was sent ahead, a query attribute follows, the types were bound before.
    let later = view(b"\x17\x01\0\0\0\x08\x01\0\0\0\x03\0\0\x07\x01v", 2, true);
    let types = b"\x01\0\0\xfe\0\0\xfe\0\x02n1";
    let seven = Parameter {
        name: b"",
        value: ParameterValue::Int(7),
    };
    let ahead = Parameter {
        name: b"",
        value: ParameterValue::Other,
    };
    assert_eq!(
        later.values(types, &[1]),
        Some((vec![seven, ahead], vec![attribute]))
    );
    assert_eq!(later.values(b"", &[1]), None);
    assert_eq!(later.values(types, &[]), None);
    assert_eq!(long_data_param(b"\x18\x01\0\0\0\x02\0xyz"), Some(2));
}
