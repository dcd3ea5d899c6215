//! Whether a server is as it was before a file ran, and making it so again where that is simple.

use std::collections::BTreeSet;

use highwater::rig::Server;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row, Value};

/// What a file may leave behind, one query each; every cell becomes part of a line.
const QUESTIONS: &[(&str, &str)] = &[
    (
        "global",
        "SELECT variable_name, variable_value FROM performance_schema.global_variables WHERE \
         variable_name NOT IN ('timestamp', 'server_uuid', 'gtid_executed', 'gtid_purged', \
         'innodb_thread_sleep_delay')",
    ),
    (
        "persisted",
        "SELECT variable_name FROM performance_schema.persisted_variables",
    ),
    (
        "schema",
        "SELECT schema_name, default_character_set_name, default_collation_name \
         FROM information_schema.schemata",
    ),
    ("account", "SELECT user, host FROM mysql.user"),
    (
        "table",
        "SELECT table_schema, table_name FROM information_schema.tables \
         WHERE table_schema IN ('test', 'mysql', 'mtr')",
    ),
    (
        "routine",
        "SELECT routine_schema, routine_name FROM information_schema.routines \
         WHERE routine_schema <> 'sys'",
    ),
    (
        "event",
        "SELECT event_schema, event_name FROM information_schema.events",
    ),
    (
        "plugin",
        "SELECT plugin_name, plugin_status FROM information_schema.plugins",
    ),
    ("component", "SELECT component_urn FROM mysql.component"),
    ("function", "SELECT name FROM mysql.func"),
    ("server", "SELECT server_name FROM mysql.servers"),
    (
        "resource group",
        "SELECT resource_group_name FROM information_schema.resource_groups",
    ),
    (
        "space",
        "SELECT space, name FROM information_schema.innodb_tablespaces WHERE name NOT LIKE '%/%'",
    ),
    (
        "consumer",
        "SELECT name, enabled FROM performance_schema.setup_consumers",
    ),
    (
        "instruments",
        "SELECT COUNT(*) FROM performance_schema.setup_instruments WHERE enabled = 'YES'",
    ),
    (
        "sum",
        "CHECKSUM TABLE mysql.columns_priv, mysql.db, mysql.default_roles, mysql.func, \
         mysql.global_grants, mysql.help_topic, mysql.procs_priv, mysql.proxies_priv, \
         mysql.role_edges, mysql.tables_priv, mysql.time_zone, mysql.time_zone_name, mysql.user",
    ),
];

/// Everything asked of a server, as lines; and what it has executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    lines: BTreeSet<Vec<String>>,
    executed: String,
}

pub(crate) async fn root(server: &Server) -> mysql_async::Result<Conn> {
    let opts = OptsBuilder::default()
        .socket(Some(server.socket().display().to_string()))
        .user(Some("root"));
    Conn::new(Opts::from(opts)).await
}

impl State {
    /// # Errors
    /// If the server does not answer as a living one.
    pub(crate) async fn of(server: &Server) -> mysql_async::Result<Self> {
        let mut conn = root(server).await?;
        let mut lines = BTreeSet::new();
        for (kind, question) in QUESTIONS {
            let rows: Vec<Row> = conn.query(*question).await?;
            for row in rows {
                let cells = row.unwrap().into_iter().map(text);
                lines.insert(std::iter::once((*kind).to_owned()).chain(cells).collect());
            }
        }
        let executed: Option<String> = conn.query_first("SELECT @@GLOBAL.gtid_executed").await?;
        conn.disconnect().await?;
        Ok(Self {
            lines,
            executed: executed.unwrap_or_default(),
        })
    }

    /// Whether `server` is as it was; mends what is simple. The line says what could not be mended.
    pub(crate) async fn restore(&self, server: &Server) -> Result<(), String> {
        let gone = |error: mysql_async::Error| error.to_string();
        let left = Self::of(server).await.map_err(gone)?;
        let mut conn = root(server).await.map_err(gone)?;
        let forgot = format!(
            "SELECT NOT GTID_SUBSET('{}', @@GLOBAL.gtid_executed)",
            self.executed
        );
        if conn.query_first(forgot).await.map_err(gone)? != Some(0) {
            return Err("its binary logs were reset".to_owned());
        }
        if left.lines == self.lines {
            let _ = conn.disconnect().await;
            return Ok(());
        }
        for statement in self.remedies(&left) {
            // What fails shows in the next look.
            let _ = conn.query_drop(statement).await;
        }
        let _ = conn.disconnect().await;
        let mended = Self::of(server).await.map_err(gone)?;
        match mended.lines.symmetric_difference(&self.lines).next() {
            None => Ok(()),
            Some(line) => Err(line.join(" ")),
        }
    }

    fn remedies(&self, left: &Self) -> Vec<String> {
        let mut statements = Vec::new();
        let mut test = false;
        for line in left.lines.difference(&self.lines) {
            let cells: Vec<&str> = line.iter().map(String::as_str).collect();
            match cells[..] {
                ["schema", "test" | "mtr" | "mysql" | "sys", ..] => test = true,
                ["schema", name, ..] => statements.push(format!("DROP DATABASE `{name}`")),
                ["account", user, host] => statements.push(format!("DROP USER '{user}'@'{host}'")),
                ["table" | "routine" | "event", "test", ..] => test = true,
                _ => {}
            }
        }
        for line in self.lines.difference(&left.lines) {
            let cells: Vec<&str> = line.iter().map(String::as_str).collect();
            match cells[..] {
                ["global", name, value] => {
                    let number = !value.is_empty() && value.parse::<f64>().is_ok();
                    let value = if number {
                        value.to_owned()
                    } else {
                        format!("'{value}'")
                    };
                    statements.push(format!("SET GLOBAL {name} = {value}"));
                }
                ["schema", "test", ..] => test = true,
                _ => {}
            }
        }
        if test {
            statements.push("DROP DATABASE IF EXISTS test".to_owned());
            statements.push("CREATE DATABASE test".to_owned());
        }
        statements
    }
}

fn text(value: Value) -> String {
    match value {
        Value::NULL => "NULL".to_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => other.as_sql(true),
    }
}
