//! The admin port on real servers, through stock clients: its tables, switches and errors, and that what
//! it says of routes is what happens.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/java.rs"]
mod java;
#[path = "admin/login.rs"]
mod login;
#[path = "admin/manual.rs"]
mod manual;
#[path = "support/programs.rs"]
mod programs;
#[path = "support/python.rs"]
mod python;
#[path = "admin/routes.rs"]
mod routes;
#[path = "admin/stock.rs"]
mod stock;
mod support;
#[path = "admin/switches.rs"]
mod switches;
#[path = "admin/tables.rs"]
mod tables;

use std::time::Duration;

use highwater::daemon::Proxy;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row};

/// A client of the admin port, without a password.
async fn admin(proxy: &Proxy) -> Conn {
    Conn::new(Opts::from(admin_opts(proxy))).await.unwrap()
}

fn admin_opts(proxy: &Proxy) -> OptsBuilder {
    let address = proxy.addresses().admin;
    OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some("admin"))
        .prefer_socket(false)
}

/// A statement's rows as texts; `NULL` for none.
async fn rows(conn: &mut Conn, sql: &str) -> Vec<Vec<String>> {
    let rows: Vec<Row> = conn
        .query(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let cell = |value: mysql_async::Value| match value {
        mysql_async::Value::NULL => "NULL".to_owned(),
        mysql_async::Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => other.as_sql(true).trim_matches('\'').to_owned(),
    };
    rows.into_iter()
        .map(|row| row.unwrap().into_iter().map(cell).collect())
        .collect()
}

/// The number and text of a statement's error.
async fn error(conn: &mut Conn, sql: &str) -> (u16, String) {
    match conn.query_drop(sql).await {
        Err(mysql_async::Error::Server(error)) => (error.code, error.message),
        other => panic!("{sql}: {other:?}"),
    }
}

/// The lines of EXPLAIN ROUTE, as `what: found`.
async fn explained(conn: &mut Conn, sql: &str) -> Vec<String> {
    let rows = rows(conn, &format!("EXPLAIN ROUTE {sql}")).await;
    rows.into_iter().map(|row| row.join(": ")).collect()
}

/// Waits until the rows of a statement are as wanted.
async fn until_rows(
    conn: &mut Conn,
    sql: &str,
    wanted: impl Fn(&[Vec<String>]) -> bool,
) -> Vec<Vec<String>> {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let found = rows(conn, sql).await;
        if wanted(&found) {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "{sql}: {found:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
