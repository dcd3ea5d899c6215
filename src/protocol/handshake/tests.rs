//! Login packets: real greetings, responses, arbitrary bytes.

use super::super::caps::CapabilityFlags;
use super::super::status::Status;
use super::*;
use proptest::prelude::*;

/// Greetings as the servers sent them.
const MYSQL_9_7: &[u8] =
    b"\n9.7.4-2\x00\x11\x00\x00\x00_\r#\x11]!%|\x00\xff\xff\xff\x02\x00\xff\xdf\x15\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08R\x0e1w\tJX\tA\x1c(\x00caching_sha2_password\x00";
const MARIADB_10_11: &[u8] = b"\n5.5.5-10.11.19-MariaDB-0+deb12u1\x00\x08\x00\x00\x00*k\\j#lv.\x00\xfe\xf7\x08\
    \x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00~Th/Mv-x7JK|\x00mysql_native_password\x00";

fn payload(put: impl FnOnce(&mut Vec<u8>, &mut u8)) -> Vec<u8> {
    let (mut out, mut seq) = (Vec::new(), 0);
    put(&mut out, &mut seq);
    assert_eq!(seq, 1);
    frame::payload(&out).unwrap().to_vec()
}

#[test]
fn real_greetings_are_read() {
    let mysql = ServerGreeting::parse(MYSQL_9_7).unwrap();
    assert_eq!(
        (&*mysql.version, mysql.connection_id, mysql.charset),
        (&b"9.7.4-2"[..], 17, 255)
    );
    assert_eq!(mysql.caps.bits(), 0xdfff_ffff);
    assert_eq!(&mysql.nonce, b"_\r#\x11]!%|\x08R\x0e1w\tJX\tA\x1c(");
    assert_eq!(
        (&*mysql.plugin, mysql.status),
        (&b"caching_sha2_password"[..], Status::AUTOCOMMIT)
    );
    let mariadb = ServerGreeting::parse(MARIADB_10_11).unwrap();
    assert_eq!(mariadb.caps.bits(), 0x81ff_f7fe);
    assert_eq!(mariadb.plugin, b"mysql_native_password");
}

#[test]
fn a_greeting_is_sent_as_mysql_sends_it() {
    let mysql = ServerGreeting::parse(MYSQL_9_7).unwrap();
    let greeting = Greeting {
        version: &mysql.version,
        connection_id: mysql.connection_id,
        caps: mysql.caps,
        charset: mysql.charset,
        status: mysql.status,
        nonce: mysql.nonce,
        plugin: "caching_sha2_password",
    };
    assert_eq!(payload(|out, seq| greeting.put(out, seq)), MYSQL_9_7);
}

fn response<'a>(caps: CapabilityFlags) -> HandshakeResponse<'a> {
    HandshakeResponse {
        caps,
        max_packet: 1 << 24,
        charset: 45,
        user: b"bob",
        auth: b"12345678901234567890",
        database: b"db",
        plugin: b"mysql_native_password",
        connect_attrs: b"\x01a\x01b\x01a\x01c",
    }
}

#[test]
fn a_response_reads_back() {
    let caps = super::super::caps::OFFERED;
    let sent = response(caps);
    let bytes = payload(|out, seq| put_response(&sent, out, seq));
    assert_eq!(hello(&bytes), Some(ClientHello::Response(sent)));

    let sent = response(
        caps - CapabilityFlags::CLIENT_CONNECT_ATTRS - CapabilityFlags::CLIENT_CONNECT_WITH_DB,
    );
    let bytes = payload(|out, seq| put_response(&sent, out, seq));
    let expected = HandshakeResponse {
        database: b"",
        connect_attrs: b"",
        ..sent
    };
    assert_eq!(
        hello(&bytes[..bytes.len() - 1]),
        Some(ClientHello::Response(expected)),
        "without the last NUL"
    );
}

#[test]
fn other_hellos_are_told_apart() {
    let mut ssl = payload(|out, seq| put_response(&response(CapabilityFlags::all()), out, seq));
    ssl.truncate(32);
    assert_eq!(hello(&ssl), Some(ClientHello::SslRequest));
    assert_eq!(
        hello(b"\x85\x00\x00\x00\x00bob\0"),
        Some(ClientHello::TooOld)
    );
    assert_eq!(hello(&ssl[..31]), None);
    assert_eq!(hello(b""), None);
}

#[test]
fn auth_replies_are_told_apart() {
    let nonce = [b'n'; NONCE_LEN];
    let switch = payload(|out, seq| put_auth_switch("mysql_native_password", &nonce, out, seq));
    let fast = payload(put_fast_auth_ok);
    let cases: &[(&[u8], Option<AuthReply<'_>>)] = &[
        (
            &switch,
            Some(AuthReply::Switch {
                plugin: b"mysql_native_password",
                data: &nonce,
            }),
        ),
        (&fast, Some(AuthReply::FastAuthOk)),
        (b"\x01\x04", Some(AuthReply::FullAuth)),
        (b"\x01key", Some(AuthReply::Data(b"key"))),
        (b"\x00ok", Some(AuthReply::Ok(b"\x00ok"))),
        (b"\xffno", Some(AuthReply::Err(b"\xffno"))),
        (b"\xfe", None),
        (b"\x02", None),
        (b"", None),
    ];
    for (bytes, expected) in cases {
        assert_eq!(AuthReply::parse(bytes), *expected);
    }
    assert_eq!(nonce_of(&nonce), Some(nonce));
    assert_eq!(nonce_of(&nonce[1..]), None);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), caps: u32) {
        let _ = (ServerGreeting::parse(&bytes), hello(&bytes), AuthReply::parse(&bytes));
        let _ = ServerGreeting::parse(&[b"\n5\0", &*bytes].concat());
        let caps = caps | CapabilityFlags::CLIENT_PROTOCOL_41.bits();
        let _ = hello(&[&caps.to_le_bytes()[..], &[0; 28], &*bytes].concat());
    }
}
