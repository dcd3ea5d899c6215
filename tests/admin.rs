//! The admin port on real servers, through stock clients: its tables, switches and errors, and that what
//! it says of routes is what happens.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/answers.rs"]
mod answers;
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

use answers::{error, rows};
use highwater::daemon::Proxy;
use mysql_async::{Conn, Opts, OptsBuilder};

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
