//! The backend's codec against opensrv-mysql, an independent implementation of a server: login by switch and by scramble,
//! text results, statements, errors. One command at a time, which is all that it can do soundly.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "login/link.rs"]
mod link;

use std::io;

use async_trait::async_trait;
use highwater::backend::login::{ConnectError, Login, Transport, login};
use highwater::protocol::auth::{Plugin, nonce_from};
use highwater::protocol::caps::{CapabilityFlags, CapabilityProfile};
use highwater::protocol::command::{com_init_db, com_ping, com_stmt_prepare};
use highwater::protocol::ok::OkView;
use highwater::protocol::packets::ErrView;
use highwater::protocol::reply::EventKind::{self, Err, Ok, Prepared, ResultEnd};
use highwater::protocol::reply::ReplyKind;
use link::Link;
use opensrv_mysql::{
    AsyncMysqlIntermediary, AsyncMysqlShim, Column, ColumnFlags, ColumnType, ErrorKind, InitWriter,
    OkResponse, ParamParser, QueryResultWriter, StatementMetaWriter,
};
use tokio::io::AsyncWrite;
use tokio::net::{TcpListener, TcpStream};

const PASSWORD: &str = "open s3same";

/// What opensrv has of what a server needs: no session tracking, no attributes.
const PROFILE: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA);

struct Shim {
    plugin: Plugin,
}

fn column(name: &str) -> Column {
    Column {
        table: String::new(),
        column: name.to_owned(),
        coltype: ColumnType::MYSQL_TYPE_VAR_STRING,
        colflags: ColumnFlags::empty(),
    }
}

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> AsyncMysqlShim<W> for Shim {
    type Error = io::Error;

    fn default_auth_plugin(&self) -> &str {
        self.plugin.name()
    }

    async fn auth_plugin_for_username(&self, _user: &[u8]) -> &str {
        self.plugin.name()
    }

    async fn authenticate(&self, plugin: &str, user: &[u8], salt: &[u8], proof: &[u8]) -> bool {
        let plugin = Plugin::from_name(plugin.as_bytes()).unwrap();
        user == b"bob" && plugin.verify(PASSWORD.as_bytes(), salt.try_into().unwrap(), proof)
    }

    fn salt(&self) -> [u8; 20] {
        nonce_from([77; 20])
    }

    async fn on_prepare<'a>(
        &'a mut self,
        _: &'a str,
        info: StatementMetaWriter<'a, W>,
    ) -> io::Result<()> {
        info.reply(42, &[column("?")], &[column("a"), column("b")])
            .await
    }

    async fn on_execute<'a>(
        &'a mut self,
        _: u32,
        _: ParamParser<'a>,
        results: QueryResultWriter<'a, W>,
    ) -> io::Result<()> {
        let columns = [column("a")];
        let mut rows = results.start(&columns).await?;
        rows.write_row(["row"]).await?;
        rows.finish().await
    }

    async fn on_close<'a>(&'a mut self, _: u32)
    where
        W: 'async_trait,
    {
    }

    async fn on_query<'a>(
        &'a mut self,
        sql: &'a str,
        results: QueryResultWriter<'a, W>,
    ) -> io::Result<()> {
        match sql {
            "rows" => {
                let columns = [column("a"), column("b")];
                let mut rows = results.start(&columns).await?;
                rows.write_row([Some("1"), None]).await?;
                rows.write_row([None, Some("2")]).await?;
                rows.finish().await
            }
            "write" => {
                let ok = OkResponse {
                    affected_rows: 3,
                    last_insert_id: 300,
                    info: "done".into(),
                    ..OkResponse::default()
                };
                results.completed(ok).await
            }
            _ => {
                results
                    .error(ErrorKind::ER_PARSE_ERROR, b"no such thing")
                    .await
            }
        }
    }

    async fn on_init<'a>(&'a mut self, _: &'a str, writer: InitWriter<'a, W>) -> io::Result<()> {
        writer.ok().await
    }
}

/// A connection to a fresh opensrv.
async fn connect(plugin: Plugin) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, write) = stream.into_split();
        AsyncMysqlIntermediary::run_on(Shim { plugin }, read, write).await
    });
    TcpStream::connect(address).await.unwrap()
}

fn bob(password: &str, profile: CapabilityProfile) -> Login<'_> {
    Login {
        user: b"bob",
        password: password.as_bytes(),
        profile,
        charset: 45,
        database: None,
        transport: Transport::Open,
    }
}

#[tokio::test]
async fn logins_are_accepted_and_refused() {
    for plugin in [Plugin::Native, Plugin::CachingSha2] {
        for (password, right) in [(PASSWORD, true), ("wrong", false)] {
            let mut stream = connect(plugin).await;
            let how = bob(password, CapabilityProfile::new(PROFILE));
            match login(&mut stream, &how).await {
                Result::Ok(inside) => {
                    assert!(right && inside.server.plugin == plugin.name().as_bytes())
                }
                Result::Err(ConnectError::Refused { code: 1698, .. }) => assert!(!right),
                Result::Err(error) => panic!("{plugin:?}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn replies_are_followed() {
    for flags in [PROFILE, PROFILE | CapabilityFlags::CLIENT_DEPRECATE_EOF] {
        let mut stream = connect(Plugin::Native).await;
        let profile = CapabilityProfile::new(flags);
        login(&mut stream, &bob(PASSWORD, profile)).await.unwrap();
        let mut link = Link::new(stream, profile);

        let reply = link.query("rows").await;
        assert_eq!(reply.kinds(), [ResultEnd]);
        assert_eq!(
            reply.passed[reply.passed.len() - 2..],
            [b"\x011\xfb".to_vec(), b"\xfb\x012".to_vec()]
        );

        let reply = link.query("write").await;
        let ok = OkView::parse(reply.end()).unwrap();
        assert_eq!((ok.affected_rows, ok.last_insert_id), (3, 300));

        let reply = link.query("nonsense").await;
        let err = ErrView::parse(reply.end()).unwrap();
        assert_eq!(
            (err.code, &err.state, err.message),
            (1064, b"42000", &b"no such thing"[..])
        );
        assert_eq!(reply.kinds(), [Err]);

        statement(&mut link).await;
        for command in [com_ping().to_vec(), com_init_db(b"db")] {
            assert_eq!(
                link.command(&command, ReplyKind::Simple).await.kinds(),
                [Ok]
            );
        }
    }
}

async fn statement(link: &mut Link<TcpStream>) {
    let reply = link
        .command(&com_stmt_prepare(b"anything"), ReplyKind::Prepare)
        .await;
    let prepared: EventKind = Prepared {
        stmt_id: 42,
        params: 1,
        columns: 2,
    };
    assert_eq!(reply.kinds(), [prepared]);
    let execute = b"\x17\x2a\0\0\0\0\x01\0\0\0\0\x01\x03\0\x07\0\0\0";
    let reply = link
        .command(execute, ReplyKind::Execute { cursor: false })
        .await;
    assert_eq!(reply.kinds(), [ResultEnd]);
    assert_eq!(reply.passed.last().unwrap(), b"\0\0\x03row");
}
