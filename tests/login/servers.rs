//! The backend's login and the reply tracker against real servers.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use highwater::backend::login::{ConnectError, LoggedIn, Login, Transport, login};
use highwater::protocol::caps::{CapabilityFlags, CapabilityProfile, OFFERED, backend_caps};
use highwater::protocol::command::{
    StmtExecute, com_init_db, com_ping, com_reset_connection, com_set_option, com_stmt_prepare,
};
use highwater::protocol::frame::{HEADER, append_packet, payload};
use highwater::protocol::ok::{OkView, TrackEntry, strip_ok_in_place};
use highwater::protocol::packets::ErrView;
use highwater::protocol::reply::EventKind::{self, Err, LocalInfile, Ok, Prepared, ResultEnd};
use highwater::protocol::reply::ReplyKind;
use highwater::protocol::status::Status;
use highwater::rig::{APP, Cluster, Engine, Server};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::link::Link;

async fn single(engine: Engine) -> Cluster {
    Cluster::builder()
        .engine(engine)
        .replicas(0)
        .option("local-infile=ON")
        .option("max-allowed-packet=64M")
        .start()
        .await
        .unwrap()
}

fn full() -> CapabilityProfile {
    backend_caps(OFFERED)
}

/// All that MariaDB has too.
fn shared() -> CapabilityProfile {
    backend_caps(OFFERED - CapabilityFlags::CLIENT_QUERY_ATTRIBUTES)
}

/// What a client has that is content with little, such as PyMySQL.
fn old() -> CapabilityProfile {
    let new = CapabilityFlags::CLIENT_DEPRECATE_EOF | CapabilityFlags::CLIENT_QUERY_ATTRIBUTES;
    backend_caps(OFFERED - new)
}

fn account<'a>(user: &'a str, password: &'a str, profile: CapabilityProfile) -> Login<'a> {
    Login {
        user: user.as_bytes(),
        password: password.as_bytes(),
        profile,
        charset: 45,
        database: None,
        transport: Transport::Open,
    }
}

fn app(profile: CapabilityProfile) -> Login<'static> {
    let database = APP.database.map(str::as_bytes);
    Login {
        database,
        ..account(APP.user, APP.password, profile)
    }
}

async fn tcp(server: &Server) -> TcpStream {
    TcpStream::connect(server.address()).await.unwrap()
}

async fn link(server: &Server, profile: CapabilityProfile) -> Link<TcpStream> {
    let mut stream = tcp(server).await;
    login(&mut stream, &app(profile)).await.unwrap();
    Link::new(stream, profile)
}

/// Remembers what was sent.
struct Spy<S> {
    inner: S,
    sent: Vec<u8>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Spy<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Spy<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Result::Ok(len)) = done {
            self.sent.extend(&buf[..len]);
        }
        done
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Logs in, checks that the connection works, and gives what was sent for the login.
async fn sent_for_login(stream: impl AsyncRead + AsyncWrite + Unpin, how: &Login<'_>) -> Vec<u8> {
    let mut spy = Spy {
        inner: stream,
        sent: Vec::new(),
    };
    let LoggedIn { server, status, .. } = login(&mut spy, how).await.unwrap();
    assert!(status.contains(Status::AUTOCOMMIT));
    let mut link = Link::new(spy.inner, how.profile);
    let reply = link.query("SELECT CONNECTION_ID(), DATABASE()").await;
    let expected = server.connection_id.to_string();
    let row = reply.passed.last().unwrap();
    assert!(
        row[1..].starts_with(expected.as_bytes()),
        "the greeting's id is the thread's"
    );
    assert!(row.ends_with(how.database.unwrap()));
    spy.sent
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[tokio::test]
async fn caching_sha2_has_its_full_exchange_and_its_fast_path() {
    let cluster = single(Engine::MySql).await;
    let server = cluster.primary();
    let asks_key = [1, 0, 0, 3, 2];
    let password = APP.password.as_bytes();

    server.exec("FLUSH PRIVILEGES").await.unwrap();
    let sent = sent_for_login(tcp(server).await, &app(full())).await;
    assert!(
        contains(&sent, &asks_key),
        "the full exchange asks for the key"
    );
    let sent = sent_for_login(tcp(server).await, &app(full())).await;
    assert!(!contains(&sent, &asks_key), "the server remembers");

    server.exec("FLUSH PRIVILEGES").await.unwrap();
    let private = Login {
        transport: Transport::Private,
        ..app(full())
    };
    let socket = UnixStream::connect(server.socket()).await.unwrap();
    let sent = sent_for_login(socket, &private).await;
    assert!(
        contains(&sent, password) && !contains(&sent, &asks_key),
        "a socket takes the password itself"
    );

    for flushed in [true, false] {
        if flushed {
            server.exec("FLUSH PRIVILEGES").await.unwrap();
        }
        let wrong = account(APP.user, "wrong", full());
        let error = login(&mut tcp(server).await, &wrong).await.unwrap_err();
        assert!(
            matches!(error, ConnectError::Refused { code: 1045, .. }),
            "{error}"
        );
        assert!(!error.may_retry());
        login(&mut tcp(server).await, &app(full())).await.unwrap();
    }
}

#[tokio::test]
async fn odd_accounts_and_schemas_of_mysql() {
    let cluster = single(Engine::MySql).await;
    let server = cluster.primary();
    let long = "p".repeat(150);
    server
        .exec("CREATE USER nopass IDENTIFIED BY ''")
        .await
        .unwrap();
    server
        .exec(&format!("CREATE USER longpass IDENTIFIED BY '{long}'"))
        .await
        .unwrap();
    for (user, password) in [("nopass", ""), ("longpass", &*long)] {
        let inside = login(&mut tcp(server).await, &account(user, password, full()))
            .await
            .unwrap();
        assert!(inside.server.version.starts_with(b"9."), "{inside:?}");
        assert_eq!((inside.server.charset, inside.caps), (255, full().flags()));
    }
    let nowhere = Login {
        database: Some(b"nowhere"),
        ..app(full())
    };
    let error = login(&mut tcp(server).await, &nowhere).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Refused { code: 1049, ref state, .. } if state == "42000"),
        "{error}"
    );

    let mut held = tcp(server).await;
    login(&mut held, &app(full())).await.unwrap();
    server.exec("SET GLOBAL max_connections = 1").await.unwrap();
    let error = login(&mut tcp(server).await, &app(full()))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::Refused { code: 1040, .. }) && error.may_retry(),
        "{error}"
    );
}

#[tokio::test]
async fn mariadb_logs_in_natively() {
    let cluster = single(Engine::MariaDb).await;
    let server = cluster.primary();
    let sent = sent_for_login(tcp(server).await, &app(shared())).await;
    assert!(contains(&sent, b"mysql_native_password"));
    assert!(contains(&sent, b"program_name\x09highwater"));
    let wrong = account(APP.user, "wrong", shared());
    let error = login(&mut tcp(server).await, &wrong).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Refused { code: 1045, .. }),
        "{error}"
    );
    let error = login(&mut tcp(server).await, &app(full()))
        .await
        .unwrap_err();
    let missing = CapabilityFlags::CLIENT_QUERY_ATTRIBUTES;
    assert!(
        matches!(error, ConnectError::MissingCapabilities { missing: caps, .. } if caps == missing),
        "{error}"
    );
}

#[tokio::test]
async fn replies_of_mysql_are_followed() {
    let cluster = single(Engine::MySql).await;
    for profile in [full(), shared(), old()] {
        follow(cluster.primary(), profile).await;
    }
    for profile in [full(), old()] {
        big_rows(&mut link(cluster.primary(), profile).await).await;
    }
    tracked_gtids(cluster.primary()).await;
    stripped_is_untracked(cluster.primary()).await;
    types_travel(cluster.primary()).await;
}

#[tokio::test]
async fn replies_of_mariadb_are_followed() {
    let cluster = single(Engine::MariaDb).await;
    for profile in [shared(), old()] {
        follow(cluster.primary(), profile).await;
    }
}

/// Every shape of reply; that the bytes end where the tracker says is checked by the link.
async fn follow(server: &Server, profile: CapabilityProfile) {
    let mut link = link(server, profile).await;
    texts(&mut link).await;
    statements(&mut link, profile).await;

    let simple = [
        com_ping().to_vec(),
        com_init_db(b"app"),
        com_set_option(true).to_vec(),
        com_reset_connection().to_vec(),
    ];
    for command in simple {
        assert_eq!(
            link.command(&command, ReplyKind::Simple).await.kinds(),
            [Ok]
        );
    }
    let reply = link
        .command(&com_init_db(b"nowhere"), ReplyKind::Simple)
        .await;
    assert_eq!(ErrView::parse(reply.end()).unwrap().code, 1049);
    let reply = link.command(b"\x09", ReplyKind::Statistics).await;
    assert!(reply.passed[0].starts_with(b"Uptime"));
}

async fn texts(link: &mut Link<TcpStream>) {
    assert_eq!(link.query("DROP TABLE IF EXISTS t").await.kinds(), [Ok]);
    link.query("CREATE TABLE t (id INT PRIMARY KEY, s LONGTEXT)")
        .await;
    let reply = link.query("INSERT INTO t VALUES (1, NULL), (2, '')").await;
    let ok = OkView::parse(reply.end()).unwrap();
    assert_eq!(ok.affected_rows, 2);
    assert!(ok.info.starts_with(b"Records: 2  Duplicates: 0"));

    let reply = link.query("SELECT s FROM t ORDER BY id").await;
    assert_eq!(reply.kinds(), [ResultEnd]);
    assert_eq!(
        reply.passed[reply.passed.len() - 2..],
        [b"\xfb".to_vec(), b"\0".to_vec()]
    );

    let reply = link
        .query("SELECT 1; DO 1; SELECT 2; SELECT nothing; SELECT 3")
        .await;
    assert_eq!(reply.kinds(), [ResultEnd, Ok, ResultEnd, Err]);
    link.query("DROP PROCEDURE IF EXISTS p").await;
    link.query("CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END")
        .await;
    assert_eq!(
        link.query("CALL p()").await.kinds(),
        [ResultEnd, ResultEnd, Ok]
    );
    // A row, then an error.
    let reply = link
        .query("SELECT CASE id WHEN 1 THEN 1 ELSE (SELECT id FROM t) END FROM t ORDER BY id")
        .await;
    assert_eq!(reply.kinds(), [Err]);

    link.infile = b"10\tten\n11\televen\n".to_vec();
    let reply = link
        .query("LOAD DATA LOCAL INFILE 'anything' INTO TABLE t; SELECT 4")
        .await;
    assert_eq!(reply.kinds(), [LocalInfile, Ok, ResultEnd]);
    assert_eq!(OkView::parse(&reply.events[1].1).unwrap().affected_rows, 2);

    let reply = link.command(b"\x04t\0", ReplyKind::FieldList).await;
    assert_eq!((reply.passed.len(), reply.kinds()), (2, vec![ResultEnd]));
}

async fn statements(link: &mut Link<TcpStream>, profile: CapabilityProfile) {
    let reply = link
        .command(
            &com_stmt_prepare(b"SELECT id, s FROM t WHERE id >= ? AND id < 3"),
            ReplyKind::Prepare,
        )
        .await;
    let [
        Prepared {
            stmt_id,
            params: 1,
            columns: 2,
        },
    ] = reply.kinds()[..]
    else {
        panic!("{:?}", reply.kinds());
    };
    let execute = |cursor: u8| {
        let (count, name): (&[u8], &[u8]) = if profile.query_attributes() {
            (&[1], &[0])
        } else {
            (&[], &[])
        };
        [
            &[0x17],
            &stmt_id.to_le_bytes()[..],
            &[cursor, 1, 0, 0, 0],
            count,
            &[0, 1, 3, 0],
            name,
            &[1, 0, 0, 0],
        ]
        .concat()
    };
    let reply = link
        .command(&execute(0), ReplyKind::Execute { cursor: false })
        .await;
    assert_eq!(reply.kinds(), [ResultEnd]);
    let without_cursor = reply.passed.len();

    let reply = link
        .command(&execute(1), ReplyKind::Execute { cursor: true })
        .await;
    assert_eq!(
        (reply.kinds(), reply.passed.len()),
        (vec![EventKind::ResultEnd], 3),
        "columns only"
    );
    assert!(without_cursor > 3);
    let fetch = [&[0x1C], &stmt_id.to_le_bytes()[..], &[1, 0, 0, 0]].concat();
    for rows in [1, 1, 0] {
        let reply = link.command(&fetch, ReplyKind::Fetch).await;
        assert_eq!((reply.kinds(), reply.passed.len()), (vec![ResultEnd], rows));
        let last = OkView::parse(reply.end())
            .unwrap()
            .status
            .contains(Status::LAST_ROW_SENT);
        assert_eq!(last, rows == 0);
    }
    let reply = link
        .command(&com_stmt_prepare(b"DO 1"), ReplyKind::Prepare)
        .await;
    assert!(matches!(
        reply.kinds()[..],
        [Prepared {
            params: 0,
            columns: 0,
            ..
        }]
    ));
    let reply = link
        .command(&com_stmt_prepare(b"SELEC"), ReplyKind::Prepare)
        .await;
    assert_eq!(reply.kinds(), [Err]);
    let reset = [&[0x1A], &stmt_id.to_le_bytes()[..]].concat();
    assert_eq!(link.command(&reset, ReplyKind::Simple).await.kinds(), [Ok]);
}

/// Rows about the length of a frame, with 0xFE (an eight-byte length) as their first byte.
async fn big_rows(link: &mut Link<TcpStream>) {
    for len in [
        0xFF_FFFF - 9,
        0xFF_FFFF - 5,
        0xFF_FFFF - 4,
        0xFF_FFFF - 3,
        0xFF_FFFF,
        0x1FF_FFFE - 9,
    ] {
        let reply = link
            .query(&format!("SELECT REPEAT('x', {len}) UNION ALL SELECT 'end'"))
            .await;
        assert_eq!(reply.kinds(), [ResultEnd], "row of {len}");
        let [.., big, end] = &reply.passed[..] else {
            panic!("rows are missing")
        };
        assert!(
            big.len() > len && big.ends_with(b"xxx"),
            "row of {len} came as {}",
            big.len()
        );
        assert_eq!(end, b"\x03end");
    }
}

/// The block of state that an OK carries.
async fn tracked_gtids(server: &Server) {
    let mut link = link(server, full()).await;
    link.query("SET SESSION session_track_gtids = OWN_GTID, session_track_state_change = ON")
        .await;
    let reply = link.query("INSERT INTO t VALUES (77, 'x')").await;
    let uuid = server.value("SELECT @@server_uuid").await.unwrap().unwrap();
    let ok = OkView::parse(reply.end()).unwrap();
    let entries: Vec<_> = ok.session_track().collect();
    assert!(
        matches!(entries[..], [TrackEntry::Gtids(gtids)] if gtids.starts_with(uuid.as_bytes())),
        "{entries:?}"
    );
    let reply = link.query("USE app").await;
    let ok = OkView::parse(reply.end()).unwrap();
    let entries: Vec<_> = ok.session_track().collect();
    assert_eq!(
        entries,
        [TrackEntry::Schema(b"app"), TrackEntry::StateChange(true)]
    );
}

/// An OK without its state is what a client without session tracking gets from the server itself.
async fn stripped_is_untracked(server: &Server) {
    let untracked = full().flags() - CapabilityFlags::CLIENT_SESSION_TRACK;
    let mut with = link(server, full()).await;
    let mut without = link(server, CapabilityProfile::new(untracked)).await;
    for sql in [
        "SET autocommit = 1",
        "USE app",
        "UPDATE t SET s = id",
        "SET NAMES latin1",
    ] {
        let tracked = with.query(sql).await.end().to_vec();
        let expected = without.query(sql).await.end().to_vec();
        let mut frame = Vec::new();
        append_packet(&mut frame, &mut 1, &tracked);
        let len = strip_ok_in_place(&mut frame);
        if sql.starts_with("UPDATE") {
            // The second one changes no row: the counts differ, the shape does not.
            assert_eq!(len - HEADER, expected.len());
        } else {
            assert_ne!(tracked, expected, "{sql} is tracked");
            assert_eq!(payload(&frame[..len]).unwrap(), expected, "{sql}");
        }
    }
}

/// Parameter types that a client bound on one connection, put in for a statement on another.
async fn types_travel(server: &Server) {
    for profile in [full(), old()] {
        let named = profile.query_attributes();
        let (mut here, mut there) = (link(server, profile).await, link(server, profile).await);
        there
            .command(&com_stmt_prepare(b"DO ?"), ReplyKind::Prepare)
            .await;
        let mut ids = Vec::new();
        for link in [&mut here, &mut there] {
            let reply = link
                .command(&com_stmt_prepare(b"SELECT ? + 1"), ReplyKind::Prepare)
                .await;
            let [Prepared { stmt_id, .. }] = reply.kinds()[..] else {
                panic!("{:?}", reply.kinds())
            };
            ids.push(stmt_id);
        }
        assert_ne!(ids[0], ids[1]);
        let (count, name): (&[u8], &[u8]) = if named { (&[1], &[0]) } else { (&[], &[]) };
        let execute = |bound: &[u8], value: u8| {
            let id = ids[0].to_le_bytes();
            [
                &[0x17][..],
                &id,
                &[0, 1, 0, 0, 0],
                count,
                &[0],
                bound,
                &[value],
            ]
            .concat()
        };
        let first = execute(&[&[1, 1, 0], name].concat(), 41);
        let kind = ReplyKind::Execute { cursor: false };
        assert_eq!(here.command(&first, kind).await.kinds(), [ResultEnd]);
        let types = StmtExecute::parse(&first, 1, named)
            .unwrap()
            .types()
            .unwrap();

        let later = execute(&[0], 6);
        let view = StmtExecute::parse(&later, 1, named).unwrap();
        let mut moved = Vec::new();
        view.rewrite(&mut moved, ids[1], None);
        assert_eq!(
            there.command(&moved, kind).await.kinds(),
            [Err],
            "no types were bound there"
        );
        moved.clear();
        view.rewrite(&mut moved, ids[1], Some(types));
        let reply = there.command(&moved, kind).await;
        assert_eq!(reply.kinds(), [ResultEnd]);
        assert_eq!(reply.passed.last().unwrap()[2..10], 7u64.to_le_bytes());
    }
}
