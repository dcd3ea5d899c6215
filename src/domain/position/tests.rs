//! What holds for positions of every kind.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const OTHER: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

fn at(text: &str) -> Position {
    let text = text.replace("U:", &format!("{UUID}:"));
    text.replace("V:", &format!("{OTHER}:")).parse().unwrap()
}

#[test]
fn each_kind_is_read_and_written() {
    for (text, kind) in [
        ("", PositionKind::Nothing),
        ("U:1-7:9", PositionKind::Gtids),
        ("U:a_tag:1-7", PositionKind::Gtids),
        ("0-1-7", PositionKind::MariaDb),
        ("0-1-7,1-22-18446744073709551615", PositionKind::MariaDb),
        ("lsn:4711", PositionKind::Lsn),
        ("binlog:U:mysql-bin.000012:4711", PositionKind::Binlog),
        ("binlog:U:a.b.1000012:4", PositionKind::Binlog),
    ] {
        let position = at(text);
        assert_eq!(position.kind(), kind, "{text}");
        assert_eq!(
            position.to_string(),
            text.replace("U:", &format!("{UUID}:"))
        );
    }
    assert_eq!(at(" 1-1-9 , 0-1-7,\n0-2-9").to_string(), "0-2-9,1-1-9");
}

#[test]
fn what_is_no_position_is_refused() {
    for text in [
        "x",
        "1",
        "0-1",
        "0-1-",
        "0-1-7-8",
        "0-1-+7",
        "0-1-7,",
        "0-1-7,x",
        "4294967296-1-1",
        "0-1-18446744073709551616",
        "lsn:",
        "lsn:-1",
        "lsn:18446744073709551616",
        "binlog:",
        "binlog:x:a.000001:4",
        "binlog:3e11fa47-71ca-11e1-9e33-c80aa9429562",
        "binlog:3e11fa47-71ca-11e1-9e33-c80aa9429562:a:4",
        "binlog:3e11fa47-71ca-11e1-9e33-c80aa9429562:a.000001",
        "binlog:3e11fa47-71ca-11e1-9e33-c80aa9429562:a'.000001:4",
        "binlog:3e11fa47-71ca-11e1-9e33-c80aa9429562:a.000001:-4",
        "binlog:\u{e9}e11fa47-71ca-11e1-9e33-c80aa9429562:a.000001:4",
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:0",
    ] {
        assert!(Position::parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn covering() {
    for (mine, theirs, expected) in [
        ("", "", true),
        ("0-1-7", "", true),
        ("", "0-1-7", false),
        ("U:1-7", "0-1-7", false),
        ("0-1-7", "0-2-7", true),
        ("0-1-7", "0-1-8", false),
        ("0-1-7,1-1-3", "1-1-3", true),
        ("0-1-7", "0-1-7,1-1-1", false),
        ("0-1-7", "0-1-0", true),
        ("lsn:7", "lsn:7", true),
        ("lsn:7", "lsn:8", false),
        ("lsn:7", "U:1", false),
        ("U:1", "lsn:0", true),
        ("binlog:U:a.000002:4", "binlog:U:a.000001:900", true),
        ("binlog:U:a.000002:4", "binlog:U:a.000002:5", false),
        ("binlog:U:a.1000000:4", "binlog:U:a.999999:900", true),
        ("binlog:U:a.000002:4", "binlog:U:b.000001:4", false),
        ("binlog:U:a.000002:4", "binlog:V:a.000001:4", false),
    ] {
        assert_eq!(at(mine).covers(&at(theirs)), expected, "{mine} / {theirs}");
    }
}

#[test]
fn joining() {
    for (mine, theirs, expected) in [
        ("", "0-1-7", Some("0-1-7")),
        ("0-1-7", "", Some("0-1-7")),
        ("lsn:0", "U:1", Some("U:1")),
        ("U:1-7", "U:9", Some("U:1-7:9")),
        ("1-1-5", "0-1-7,1-2-6", Some("0-1-7,1-2-6")),
        ("0-1-7", "0-2-6", Some("0-1-7")),
        ("lsn:7", "lsn:9", Some("lsn:9")),
        (
            "binlog:U:a.000002:4",
            "binlog:U:a.000001:9",
            Some("binlog:U:a.000002:4"),
        ),
        (
            "binlog:U:a.000001:9",
            "binlog:U:a.000002:4",
            Some("binlog:U:a.000002:4"),
        ),
        ("binlog:U:a.000002:4", "binlog:V:a.000001:9", None),
        ("U:1", "0-1-7", None),
    ] {
        let mut joined = at(mine);
        let result = joined.join(&at(theirs)).map(|()| joined);
        assert_eq!(result.ok(), expected.map(at), "{mine} / {theirs}");
    }
}

#[test]
fn what_is_missing_and_how_far_away() {
    for (wanted, base, missing, ahead) in [
        ("U:1-9", "U:1-7", "U:8-9", Some(2)),
        ("0-1-9,1-1-3", "0-1-7,1-1-3", "0-1-9", Some(2)),
        ("0-1-9,2-1-1", "0-1-9", "2-1-1", None),
        ("lsn:9", "lsn:7", "lsn:9", Some(2)),
        (
            "binlog:U:a.000002:9",
            "binlog:U:a.000002:7",
            "binlog:U:a.000002:9",
            Some(2),
        ),
        (
            "binlog:U:a.000003:9",
            "binlog:U:a.000002:7",
            "binlog:U:a.000003:9",
            Some(1 << 32),
        ),
        (
            "binlog:V:a.000003:9",
            "binlog:U:a.000002:7",
            "binlog:V:a.000003:9",
            None,
        ),
        ("0-1-9", "U:1-7", "0-1-9", None),
    ] {
        let lacking = at(wanted).missing_from(&at(base));
        assert_eq!(lacking, at(missing), "{wanted} / {base}");
        assert_eq!(lacking.ahead_of(&at(base)), ahead, "{wanted} / {base}");
    }
}

#[test]
fn how_much_a_replica_lacks() {
    for (primary, replica, lacks) in [
        ("U:1-9", "U:1-9", Some(0)),
        ("U:1-9,V:1-3", "U:1-7,V:1-3", Some(2)),
        ("U:1-9", "U:1-12", Some(0)),
        ("U:1-9", "U:1-4:6-7", Some(3)),
        ("U:1-9,V:1-3", "U:1-9", Some(3)),
        ("0-1-9,1-1-3", "0-1-9,1-1-3", Some(0)),
        ("0-1-9", "0-1-7", Some(2)),
        ("0-1-9,1-1-3", "0-1-9", None),
        ("lsn:9", "lsn:9", Some(0)),
        ("lsn:9", "lsn:12", Some(0)),
        ("binlog:U:a.000002:9", "binlog:U:a.000002:9", Some(0)),
        ("binlog:U:a.000002:9", "binlog:U:a.000003:4", Some(0)),
        ("binlog:U:a.000002:9", "binlog:U:a.000002:4", Some(5)),
        ("binlog:U:a.000002:9", "binlog:V:a.000002:9", None),
        ("U:1-9", "", None),
        ("", "U:1-9", None),
    ] {
        let found = at(primary).lacked_by(&at(replica));
        assert_eq!(found, lacks, "{primary} / {replica}");
    }
}
