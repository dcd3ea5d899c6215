//! Clients against the frontend's login: the stock clients, mysql_async, and a raw one for the odd ways.

use std::net::SocketAddr;

use highwater::frontend::login::{Accepted, LoginError, Terms, Users, change_user, login};
use highwater::protocol::auth::{NONCE_LEN, Plugin};
use highwater::protocol::caps::{CapabilityFlags, OFFERED};
use highwater::protocol::command::{ChangeUser, CommandCode, query_text};
use highwater::protocol::frame::{FrameHeader, HEADER, append_packet};
use highwater::protocol::handshake::{AuthReply, HandshakeResponse, ServerGreeting, put_response};
use highwater::protocol::packets::{ErrView, OkPacket, put_err};
use highwater::protocol::resultset::text_resultset;
use highwater::protocol::status::Status;
use highwater::rig::{Engine, install};
use mysql_async::prelude::Queryable;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct TestUsers;

impl Users for TestUsers {
    fn password(&self, user: &[u8]) -> Option<&[u8]> {
        match user {
            b"app" => Some(b"s3cret \xc3\xbc"),
            b"nopass" => Some(b""),
            _ => None,
        }
    }
}

const PASSWORD: &str = "s3cret ü";

const TERMS: Terms<'static> = Terms {
    version: b"9.7.4",
    connection_id: 4711,
    caps: CapabilityFlags::all(),
    charset: 255,
    status: Status::AUTOCOMMIT,
    peer: "tester",
};

/// Logs one client in, then answers each query with who it is and every other command with OK.
async fn serve(mut stream: TcpStream) -> Result<Accepted, LoginError> {
    stream.set_nodelay(true)?;
    let mut who = login(&mut stream, &TERMS, &TestUsers).await?;
    let ok = OkPacket {
        status: Status::AUTOCOMMIT,
        ..OkPacket::default()
    };
    let mut seq = who.seq;
    loop {
        let mut out = Vec::new();
        ok.put(&mut out, &mut seq);
        stream.write_all(&out).await?;
        out.clear();
        let Some(mut command) = read_packet(&mut stream).await else {
            return Ok(who);
        };
        while command[0] == CommandCode::Query as u8 {
            answer(&who, &command, &mut out);
            stream.write_all(&out).await?;
            out.clear();
            let Some(next) = read_packet(&mut stream).await else {
                return Ok(who);
            };
            command = next;
        }
        seq = 1;
        if command[0] == CommandCode::ChangeUser as u8 {
            let request = ChangeUser::parse(&command, who.caps).unwrap();
            who = change_user(&mut stream, &who, &request, &TestUsers, "tester").await?;
            seq = who.seq;
        }
    }
}

fn answer(who: &Accepted, command: &[u8], out: &mut Vec<u8>) {
    let has = |flag| who.caps.contains(flag);
    let text = query_text(command, has(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES)).unwrap();
    let mut seq = 1;
    if &command[text] != b"select 1" {
        // The 9.7 client tries a dollar-quoted text first and expects it to fail.
        return put_err(
            1064,
            *b"42000",
            "only select 1 is known here",
            out,
            &mut seq,
        );
    }
    let row = [Some(&*who.user), who.database.as_deref(), Some(b"x")];
    let eof = has(CapabilityFlags::CLIENT_DEPRECATE_EOF);
    let columns = ["user", "db", "x"];
    text_resultset(
        out,
        &mut seq,
        &columns,
        [&row[..], &row[..]],
        Status::AUTOCOMMIT,
        eof,
    );
}

async fn read_packet<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Vec<u8>> {
    let mut bytes = [0; HEADER];
    stream.read_exact(&mut bytes).await.ok()?;
    let mut packet = vec![0; FrameHeader::parse(&bytes)?.len];
    stream.read_exact(&mut packet).await.ok()?;
    Some(packet)
}

/// A server for any number of clients.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Runs a stock client and gives what it printed.
async fn stock(engine: Engine, args: &[&str]) -> String {
    let program = tokio::task::spawn_blocking(move || install(engine, &|_| ()))
        .await
        .unwrap();
    let mut client = program
        .unwrap()
        .client()
        .expect("the stock client comes with the server");
    client
        .args([
            "--host=127.0.0.1",
            "--protocol=tcp",
            "--connect-timeout=20",
            "-N",
        ])
        .args(args);
    let output = tokio::process::Command::from(client)
        .output()
        .await
        .unwrap();
    let all = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn the_stock_clients_log_in() {
    let port = format!("--port={}", server().await.port());
    let password = format!("--password={PASSWORD}");
    let cases: [(&[&str], &str); 6] = [
        (
            &["-uapp", &password, "-e", "select 1"],
            "app\tNULL\tx\napp\tNULL\tx\n",
        ),
        (
            &["-uapp", &password, "-Dshop", "-e", "select 1"],
            "app\tshop\tx\n",
        ),
        (&["-unopass", "-e", "select 1"], "nopass\tNULL\tx\n"),
        (
            &["-uapp", "-pwrong", "-e", "select 1"],
            "ERROR 1045 (28000): Access denied for user 'app'@'tester' (using password: YES)",
        ),
        (
            &["-uapp", "-e", "select 1"],
            "ERROR 1045 (28000): Access denied for user 'app'@'tester' (using password: NO)",
        ),
        (
            &["-unobody", &password, "-e", "select 1"],
            "ERROR 1045 (28000): Access denied for user 'nobody'@'tester'",
        ),
    ];
    for engine in [Engine::MySql, Engine::MariaDb] {
        for (args, expected) in cases {
            let printed = stock(engine, &[&[&*port], args].concat()).await;
            assert!(
                printed.contains(expected),
                "{engine} {args:?} printed {printed}"
            );
        }
    }
}

#[tokio::test]
async fn mysql_async_logs_in_and_changes_user() {
    let options = mysql_async::OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(server().await.port())
        .prefer_socket(false)
        .max_allowed_packet(Some(1 << 20))
        .wait_timeout(Some(100))
        .user(Some("app"))
        .pass(Some(PASSWORD))
        .db_name(Some("shop"));
    let mut conn = mysql_async::Conn::new(options).await.unwrap();
    let rows: Vec<(String, String, String)> = conn.query("select 1").await.unwrap();
    assert_eq!(rows[1], ("app".into(), "shop".into(), "x".into()));
    let other = mysql_async::ChangeUserOpts::new()
        .with_user(Some("nopass".into()))
        .with_pass(Some(String::new()));
    conn.change_user(other).await.unwrap();
    let row: Option<(String, Option<String>, String)> = conn.query_first("select 1").await.unwrap();
    assert_eq!(row.unwrap().0, "nopass");
    let wrong = mysql_async::ChangeUserOpts::new()
        .with_user(Some("app".into()))
        .with_pass(Some("wrong".into()));
    let error = conn.change_user(wrong).await.unwrap_err();
    assert!(
        matches!(error, mysql_async::Error::Server(ref error) if error.code == 1045),
        "{error}"
    );
}

/// A client whose every packet is the test's own.
struct Raw<S> {
    stream: S,
    seq: u8,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    async fn read(&mut self) -> Vec<u8> {
        let packet = read_packet(&mut self.stream)
            .await
            .expect("the server hung up");
        self.seq = self.seq.wrapping_add(1);
        packet
    }

    async fn send(&mut self, payload: &[u8]) {
        let mut out = Vec::new();
        append_packet(&mut out, &mut self.seq, payload);
        self.stream.write_all(&out).await.unwrap();
    }
}

/// What the client does with the greeting, and how the login ends.
async fn dialogue<F>(client: F) -> Result<Accepted, LoginError>
where
    F: AsyncFnOnce(&mut Raw<tokio::io::DuplexStream>, ServerGreeting),
{
    let (mut here, there) = tokio::io::duplex(1 << 17);
    let mut raw = Raw {
        stream: there,
        seq: 0,
    };
    let work = async {
        let greeting = ServerGreeting::parse(&raw.read().await).unwrap();
        client(&mut raw, greeting).await;
    };
    let (result, ()) = tokio::join!(login(&mut here, &TERMS, &TestUsers), work);
    result
}

fn response<'a>(caps: CapabilityFlags, plugin: &'a str, auth: &'a [u8]) -> HandshakeResponse<'a> {
    HandshakeResponse {
        caps,
        max_packet: 1 << 24,
        charset: 45,
        user: b"app",
        auth,
        database: b"",
        plugin: plugin.as_bytes(),
        connect_attrs: b"\x04name\x05value",
    }
}

async fn respond<S: AsyncRead + AsyncWrite + Unpin>(
    raw: &mut Raw<S>,
    response: &HandshakeResponse<'_>,
) {
    let mut out = Vec::new();
    put_response(response, &mut out, &mut raw.seq);
    raw.stream.write_all(&out).await.unwrap();
}

#[tokio::test]
async fn the_greeting_offers_what_is_supported() {
    let accepted = dialogue(async |raw, greeting| {
        assert_eq!(greeting.caps, OFFERED);
        assert_eq!(
            (&*greeting.version, greeting.connection_id),
            (&b"9.7.4"[..], 4711)
        );
        assert_eq!(
            (&*greeting.plugin, greeting.charset),
            (&b"caching_sha2_password"[..], 255)
        );
        let proof = Plugin::CachingSha2.scramble(PASSWORD.as_bytes(), &greeting.nonce);
        respond(
            raw,
            &response(CapabilityFlags::all(), "caching_sha2_password", &proof),
        )
        .await;
        assert_eq!(
            AuthReply::parse(&raw.read().await),
            Some(AuthReply::FastAuthOk)
        );
    })
    .await
    .unwrap();
    assert_eq!((accepted.caps, accepted.seq), (OFFERED, 3));
    assert_eq!((accepted.database, accepted.charset), (None, 45));
    assert_eq!(accepted.connect_attrs, b"\x04name\x05value");
}

#[tokio::test]
async fn a_native_proof_is_taken_at_once() {
    let accepted = dialogue(async |raw, greeting| {
        let proof = Plugin::Native.scramble(PASSWORD.as_bytes(), &greeting.nonce);
        respond(raw, &response(OFFERED, "mysql_native_password", &proof)).await;
    })
    .await
    .unwrap();
    assert_eq!(accepted.seq, 2);
}

#[tokio::test]
async fn a_client_without_plugins_proves_natively() {
    let caps =
        OFFERED - CapabilityFlags::CLIENT_PLUGIN_AUTH - CapabilityFlags::CLIENT_CONNECT_ATTRS;
    let accepted = dialogue(async |raw, greeting| {
        let proof = Plugin::Native.scramble(PASSWORD.as_bytes(), &greeting.nonce);
        respond(raw, &response(caps, "", &proof)).await;
    })
    .await
    .unwrap();
    assert_eq!(accepted.caps, caps);
}

#[tokio::test]
async fn another_plugin_is_switched_with_a_fresh_nonce() {
    for plugin in ["sha256_password", "mysql_clear_password", ""] {
        let accepted = dialogue(async |raw, greeting| {
            respond(raw, &response(OFFERED, plugin, b"whatever")).await;
            let packet = raw.read().await;
            let Some(AuthReply::Switch { plugin, data }) = AuthReply::parse(&packet) else {
                panic!("no switch: {packet:?}");
            };
            assert_eq!(
                (plugin, data.len()),
                (&b"caching_sha2_password"[..], NONCE_LEN)
            );
            assert_ne!(data, greeting.nonce);
            raw.send(&Plugin::CachingSha2.scramble(PASSWORD.as_bytes(), data))
                .await;
            assert_eq!(
                AuthReply::parse(&raw.read().await),
                Some(AuthReply::FastAuthOk)
            );
        })
        .await
        .unwrap();
        assert_eq!(accepted.seq, 5, "after a switch from {plugin:?}");
    }
}

#[tokio::test]
async fn what_is_no_login_is_told_so() {
    let ssl = [
        &OFFERED
            .union(CapabilityFlags::CLIENT_SSL)
            .bits()
            .to_le_bytes()[..],
        &[0; 28],
    ]
    .concat();
    let cases: [(&[u8], u8, u16); 5] = [
        (&ssl, 1, 1043),
        (b"\x85\x00\x00\x00\x00app\0", 1, 1251),
        (b"\x00\x02\x00\x00 far too short", 1, 1043),
        (&[1; 70_000], 1, 1153),
        (&ssl, 3, 1156),
    ];
    for (payload, seq, code) in cases {
        let result = dialogue(async |raw, _| {
            raw.seq = seq;
            raw.send(payload).await;
            let packet = raw.read().await;
            assert_eq!(ErrView::parse(&packet).unwrap().code, code);
        })
        .await;
        assert!(matches!(result, Err(LoginError::Rejected(_))), "{result:?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_at_once_is_no_error_of_its_own() {
    let (mut here, there) = tokio::io::duplex(1000);
    drop(there);
    let gone = login(&mut here, &TERMS, &TestUsers).await;
    assert!(
        matches!(gone, Err(LoginError::Closed | LoginError::Io(_))),
        "{gone:?}"
    );
    let (mut here, mut there) = tokio::io::duplex(1000);
    there.shutdown().await.unwrap();
    assert!(matches!(
        login(&mut here, &TERMS, &TestUsers).await,
        Err(LoginError::Closed)
    ));
}

#[tokio::test]
async fn nonces_are_not_repeated() {
    let mut nonces = Vec::new();
    for _ in 0..20 {
        let result = dialogue(async |raw, greeting| {
            nonces.push(greeting.nonce);
            raw.stream.shutdown().await.unwrap();
        })
        .await;
        assert!(matches!(result, Err(LoginError::Closed)));
    }
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 20);
}
