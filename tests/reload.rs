//! A new configuration takes effect without ending a session, and a bad one is refused whole: on real servers,
//! by the admin port and by SIGHUP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/answers.rs"]
mod answers;
#[path = "reload/binary.rs"]
mod binary;
#[path = "reload/passwords.rs"]
mod passwords;
#[path = "reload/servers.rs"]
mod servers;
#[path = "reload/sessions.rs"]
mod sessions;
mod support;

use std::sync::{Arc, Mutex};

use answers::{error, rows};
use highwater::config::{Account, Config};
use highwater::daemon::{Origin, Proxy};
use highwater::rig::{Cluster, ClusterBuilder};
use mysql_async::{Conn, Opts, OptsBuilder};
use support::{Setup, cell, config, run, stage, usable};

/// A proxy whose configuration can be written anew.
struct Staged {
    setup: Setup,
    wanted: Arc<Mutex<Config>>,
}

/// A proxy in front of these servers that starts with the `change`d configuration.
async fn staged(builder: ClusterBuilder, change: impl FnOnce(&mut Config)) -> Staged {
    let level = std::env::var("HW_LOG").unwrap_or("off".into());
    let _ = highwater::telemetry::log::init(highwater::telemetry::log::Format::Text, &level);
    let cluster = builder.start().await.unwrap();
    let mut config = config(&cluster);
    change(&mut config);
    let replicas = config.cluster.replicas.len();
    let wanted = Arc::new(Mutex::new(config.clone()));
    let read = Arc::clone(&wanted);
    let origin = Origin {
        source: Some(Arc::new(move || Ok(read.lock().unwrap().clone()))),
        log: None,
    };
    let proxy = Proxy::start_from(config, origin).await.unwrap();
    usable(&proxy, replicas).await;
    Staged {
        setup: Setup { proxy, cluster },
        wanted,
    }
}

impl Staged {
    /// Writes the configuration anew and has it read; gives what is said of it, as `key: change`.
    async fn reload(&self, change: impl FnOnce(&mut Config)) -> Vec<String> {
        change(&mut self.wanted.lock().unwrap());
        let rows = rows(&mut self.admin().await, "RELOAD").await;
        rows.into_iter().map(|row| row.join(": ")).collect()
    }

    async fn admin(&self) -> Conn {
        let address = self.setup.proxy.addresses().admin;
        admin(&address.to_string(), "").await.unwrap()
    }

    /// A client of the proxy with another account.
    async fn login(&self, account: &Account) -> mysql_async::Result<Conn> {
        let opts = self
            .setup
            .opts()
            .user(Some(account.name.clone()))
            .pass(Some(account.password.expose()));
        Conn::new(Opts::from(opts)).await
    }
}

async fn admin(address: &str, password: &str) -> mysql_async::Result<Conn> {
    let (host, port) = address.rsplit_once(':').unwrap();
    let opts = OptsBuilder::default()
        .ip_or_hostname(host)
        .tcp_port(port.parse().unwrap())
        .user(Some("admin"))
        .pass(Some(password).filter(|it| !it.is_empty()))
        .prefer_socket(false);
    Conn::new(Opts::from(opts)).await
}

/// The number of a login's error.
fn refused(login: mysql_async::Result<Conn>) -> u16 {
    match login {
        Err(mysql_async::Error::Server(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

/// A table with one row on every server.
async fn fill(setup: &Setup) {
    let mut app = setup.connect().await;
    run(&mut app, "CREATE TABLE kept (v INT)").await;
    run(&mut app, "INSERT INTO kept VALUES (7)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
}

#[tokio::test]
async fn a_proxy_that_was_started_from_no_file_says_so() {
    let setup = Setup::with(Cluster::builder().replicas(0), |_| {}).await;
    let address = setup.proxy.addresses().admin.to_string();
    let mut conn = admin(&address, "").await.unwrap();
    let (code, text) = error(&mut conn, "RELOAD").await;
    assert_eq!(code, 1105);
    assert!(text.contains("restart it to change it"), "{text}");
    assert!(setup.proxy.reload().await.is_err());
    cell(&mut setup.connect().await, "SELECT 1").await;
}
