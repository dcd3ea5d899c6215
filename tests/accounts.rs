//! Accounts that change while connections of theirs are pooled, and servers that refuse them: what a
//! session notices is what it would notice of one server.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "accounts/expired.rs"]
mod expired;
#[path = "support/measure.rs"]
mod measure;
#[path = "accounts/refusals.rs"]
mod refusals;
#[path = "accounts/rights.rs"]
mod rights;

use highwater::backend::login::ConnectError;
use highwater::config::{Account, Config, PoolMode};
use highwater::daemon::Proxy;
use highwater::rig::{Cluster, ROOT, Server};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder};
use support::raw::{Raw, usual};
use support::{config, run, usable};

/// A proxy that knows these accounts besides those of the rig; each one's password is `pw`.
async fn proxy(
    cluster: &Cluster,
    mode: PoolMode,
    users: &[&str],
    change: impl FnOnce(&mut Config),
) -> Proxy {
    let mut config = config(cluster);
    config.pool.mode = mode;
    config.pool.min_idle = 0;
    config.users.push(Account::new(ROOT.user, ROOT.password));
    let named = users.iter().map(|user| Account::new(*user, "pw"));
    config.users.extend(named);
    change(&mut config);
    let proxy = Proxy::start(config).await.unwrap();
    usable(&proxy, cluster.replicas().len()).await;
    proxy
}

fn opts(port: u16, (user, password): (&str, &str), schema: Option<&str>) -> Opts {
    let opts = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .user(Some(user))
        .pass(Some(password))
        .db_name(schema)
        .prefer_socket(false);
    Opts::from(opts)
}

/// A client of the proxy.
async fn login(proxy: &Proxy, user: &str, schema: Option<&str>) -> mysql_async::Result<Conn> {
    let port = proxy.addresses().mysql.port();
    Conn::new(opts(port, (user, "pw"), schema)).await
}

/// How a server itself refuses a client.
async fn refused_directly(
    server: &Server,
    user: &str,
    schema: Option<&str>,
) -> Option<(u16, String, String)> {
    let address = server.address();
    let login = Raw::connect(&address, (user, "pw"), schema, usual());
    match login.await {
        Ok(_) => None,
        Err(ConnectError::Refused {
            code,
            state,
            message,
            ..
        }) => Some((code, state, message)),
        Err(error) => panic!("{error}"),
    }
}

/// Who may do everything, through the proxy.
async fn boss(proxy: &Proxy) -> Conn {
    let port = proxy.addresses().mysql.port();
    let account = (ROOT.user, ROOT.password);
    Conn::new(opts(port, account, None)).await.unwrap()
}

async fn all(conn: &mut Conn, statements: &[String]) {
    for sql in statements {
        run(conn, sql).await;
    }
}

/// The error of a statement; 0 for none.
async fn code(conn: &mut Conn, sql: &str) -> u16 {
    refusal(conn.query_drop(sql).await).map_or(0, |(code, ..)| code)
}

/// What a server said; `None` if it was content.
fn refusal<T>(result: mysql_async::Result<T>) -> Option<(u16, String, String)> {
    match result {
        Ok(_) => None,
        Err(Error::Server(error)) => Some((error.code, error.state, error.message)),
        Err(error) => panic!("{error}"),
    }
}
