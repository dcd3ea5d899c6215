//! A connection of the monitor's own to one server: opened when needed, thrown away after any
//! doubt, every step under a time limit.

mod table;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder, Row};
use tokio::time::timeout;

use super::ProbeError;
use super::settings::{Address, Settings};
use super::source::Words;
use crate::domain::topology::{Engine, Incarnation};
pub(super) use table::{Record, Table};

/// How long a goodbye may take. It only has to reach the socket's buffer.
const GOODBYE: Duration = Duration::from_millis(20);

/// The servers of an Aurora cluster may share a uuid; their own names differ.
const AURORA_IDENTITY: &str = "CONCAT('aurora-', @@aurora_server_id)";

/// Who answered when the connection was opened. A connection never changes servers.
#[derive(Clone, Debug)]
pub(super) struct Greeting {
    pub(super) incarnation: Incarnation,
    pub(super) engine: Engine,
    pub(super) server_id: u64,
    pub(super) version: String,
    /// How this version spells its questions.
    pub(super) words: Words,
    /// SQL for who it is.
    pub(super) identity: &'static str,
}

impl Greeting {
    /// Whether it is a server of an Aurora cluster.
    pub(super) fn is_aurora(&self) -> bool {
        self.identity == AURORA_IDENTITY
    }
}

/// A connection that comes and goes.
pub(super) struct Link {
    settings: Arc<ArcSwap<Settings>>,
    address: Address,
    open: Option<(Conn, Greeting)>,
}

impl Link {
    pub(super) fn new(settings: Arc<ArcSwap<Settings>>, address: &Address) -> Self {
        Self {
            address: address.clone(),
            settings,
            open: None,
        }
    }

    /// How it connects, with the account that is configured now.
    fn opts(&self) -> Opts {
        let settings = self.settings.load();
        OptsBuilder::default()
            .ip_or_hostname(self.address.host.clone())
            .tcp_port(self.address.port)
            .user(Some(settings.user.clone()))
            .pass(Some(settings.password.clone()))
            // The default reads @@socket and connects again over it: another path than the data's.
            .prefer_socket(false)
            // Given, these two save a query at each connect.
            .max_allowed_packet(Some(64 << 20))
            .wait_timeout(Some(28_800))
            .stmt_cache_size(0)
            .into()
    }

    fn limit(&self) -> Duration {
        self.settings.load().timeout
    }

    /// Whether a connection is open, as far as one can tell without using it.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Who is at the other end; opens the connection if there is none.
    pub(super) async fn greeting(&mut self) -> Result<Greeting, ProbeError> {
        if let Some((_, greeting)) = &self.open {
            return Ok(greeting.clone());
        }
        let limit = self.limit();
        let mut conn = timeout(limit, Conn::new(self.opts()))
            .await
            .map_err(|_| ProbeError::Timeout(limit))?
            .map_err(|error| self.explain(error))?;
        let greeting = match timeout(limit, greet(&mut conn)).await {
            Ok(Ok(greeting)) => greeting,
            Ok(Err(error)) => {
                goodbye(conn).await;
                return Err(self.explain(error));
            }
            Err(_) => {
                goodbye(conn).await;
                return Err(ProbeError::Timeout(limit));
            }
        };
        self.open = Some((conn, greeting.clone()));
        Ok(greeting)
    }

    /// Asks one or more statements, separated by `;`, and gives one table for each. A connection
    /// that was idle and turns out to be broken is replaced once.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<Vec<Table>, ProbeError> {
        let was_idle = self.is_open();
        match self.ask_once(sql).await {
            Err(ProbeError::Unreachable(_)) if was_idle => self.ask_once(sql).await,
            answer => answer,
        }
    }

    async fn ask_once(&mut self, sql: &str) -> Result<Vec<Table>, ProbeError> {
        self.greeting().await?;
        let limit = self.limit();
        let Some((conn, _)) = &mut self.open else {
            return Err(ProbeError::Unreachable("not connected".to_owned()));
        };
        let answer = match timeout(limit, tables(conn, sql)).await {
            Ok(answer) => answer.map_err(|error| self.explain(error)),
            Err(_) => Err(ProbeError::Timeout(limit)),
        };
        // After an error of the server itself the connection is as good as before.
        if !matches!(answer, Ok(_) | Err(ProbeError::Server { .. })) {
            self.close().await;
        }
        answer
    }

    /// Closes the connection if there is one.
    pub(super) async fn close(&mut self) {
        if let Some((conn, _)) = self.open.take() {
            goodbye(conn).await;
        }
    }

    fn explain(&self, error: Error) -> ProbeError {
        match error {
            Error::Server(error) => ProbeError::Server {
                message: match missing_grant(error.code) {
                    true => format!(
                        "{}; run: GRANT REPLICATION CLIENT ON *.* TO '{}' (on MariaDB also SLAVE MONITOR)",
                        error.message,
                        self.settings.load().user
                    ),
                    false => error.message,
                },
                code: error.code,
            },
            other => ProbeError::Unreachable(other.to_string()),
        }
    }
}

/// ER_SPECIFIC_ACCESS_DENIED_ERROR and ER_TABLEACCESS_DENIED_ERROR.
fn missing_grant(code: u16) -> bool {
    matches!(code, 1227 | 1142)
}

/// Says goodbye without waiting for the server: even an unfinished goodbye keeps the library from
/// reading on in the background from a server that may be frozen.
async fn goodbye(conn: Conn) {
    let _ = timeout(GOODBYE, conn.disconnect()).await;
}

async fn greet(conn: &mut Conn) -> Result<Greeting, Error> {
    let answer = tables(conn, "SELECT @@version, @@server_id").await?;
    let first = Table::first(&answer);
    let version = first.text(0).unwrap_or_default();
    let engine = Engine::from_version(&version);
    let server_id = first.number(1).unwrap_or(0);
    let aurora = tables(conn, "SHOW GLOBAL VARIABLES LIKE 'aurora_server_id'").await?;
    let identity = match engine {
        _ if Table::first(&aurora).bytes(1).is_some() => AURORA_IDENTITY,
        Engine::MySql => "@@server_uuid",
        // MariaDB has no uuid of old; the server id is what its GTIDs carry.
        Engine::MariaDb => "CONCAT('mariadb-', @@server_id)",
    };
    let sql = format!("SELECT {identity}, UNIX_TIMESTAMP(); SHOW GLOBAL STATUS LIKE 'Uptime'");
    let answer = tables(conn, &sql).await?;
    let who = Table::first(&answer);
    let uptime = answer.get(1).and_then(|table| table.number(1)).unwrap_or(0);
    let now = who.number(1).unwrap_or(0);
    Ok(Greeting {
        incarnation: Incarnation {
            server_uuid: who.text(0).unwrap_or_default(),
            started: now.saturating_sub(uptime),
        },
        words: Words::of(engine, &version),
        identity,
        engine,
        server_id,
        version,
    })
}

async fn tables(conn: &mut Conn, sql: &str) -> Result<Vec<Table>, Error> {
    let mut result = conn.query_iter(sql).await?;
    let mut tables = Vec::new();
    while !result.is_empty() {
        let columns = result.columns().map(|columns| columns.to_vec());
        let rows: Vec<Row> = result.collect().await?;
        tables.push(Table::new(columns.unwrap_or_default(), rows));
    }
    result.drop_result().await?;
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_grant_is_named() {
        let mut settings = Settings::new("a:1", Vec::new());
        settings.user = "watcher".to_owned();
        let address = Address {
            host: "a".to_owned(),
            port: 1,
        };
        let link = Link::new(Arc::new(ArcSwap::from_pointee(settings)), &address);
        let error = |code| {
            link.explain(Error::Server(mysql_async::ServerError {
                code,
                message: "no".to_owned(),
                state: "42000".to_owned(),
            }))
        };
        let text = error(1227).to_string();
        assert!(
            text.contains("GRANT REPLICATION CLIENT ON *.* TO 'watcher'"),
            "{text}"
        );
        assert!(!error(1064).to_string().contains("GRANT"));
    }
}
