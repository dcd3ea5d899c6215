//! What the primary's `init_connect` does to a client's session it does behind Highwater, too.

use highwater::config::Account;
use highwater::rig::{APP, Cluster, Engine, ROOT};
use mysql_async::prelude::Queryable;
use mysql_async::{ChangeUserOpts, Conn, Error, Opts, OptsBuilder};

use crate::support::Setup;

/// What shows of it in a session.
const SHOWS: &str = "SELECT CONCAT_WS(' ', @@sql_mode, @@character_set_client, @@autocommit, @@time_zone, \
    IFNULL(@a, 'NULL'), DATABASE()) FROM t FOR UPDATE";

const INITS: [&str; 5] = [
    "SET sql_mode = 'ANSI', @a = 7",
    "SET NAMES latin1; SET @a = 'x;y', time_zone = '+03:00'; SELECT 1;",
    "SET autocommit = 0",
    "SET @a = 1; SELECT nosuch",
    "",
];

/// Where a client goes.
struct Way {
    host: String,
    port: u16,
}

impl Way {
    async fn connect(&self, user: &str, password: &str) -> Result<Conn, Error> {
        let opts = OptsBuilder::default()
            .ip_or_hostname(&self.host)
            .tcp_port(self.port)
            .user(Some(user))
            .pass(Some(password))
            .db_name(APP.database)
            .prefer_socket(false);
        Conn::new(Opts::from(opts)).await
    }

    /// What sessions see: the application's after its login, a reset and a change of user, and the administrator's.
    async fn seen(&self) -> Vec<Result<Option<String>, u16>> {
        let mut seen = Vec::new();
        let code = |error: Error| match error {
            Error::Server(error) => error.code,
            other => panic!("{other}"),
        };
        match self.connect(APP.user, APP.password).await {
            Err(error) => seen.push(Err(code(error))),
            Ok(mut conn) => {
                seen.push(conn.query_first(SHOWS).await.map_err(code));
                conn.reset().await.unwrap();
                seen.push(conn.query_first(SHOWS).await.map_err(code));
                let same = ChangeUserOpts::new().with_db_name(APP.database.map(str::to_owned));
                conn.change_user(same).await.unwrap();
                seen.push(conn.query_first(SHOWS).await.map_err(code));
            }
        }
        let mut root = self.connect(ROOT.user, ROOT.password).await.unwrap();
        seen.push(root.query_first(SHOWS).await.map_err(code));
        seen
    }
}

#[tokio::test]
async fn a_session_is_what_it_makes_of_it() {
    for engine in [Engine::MySql, Engine::MariaDb] {
        let setup = Setup::with(Cluster::builder().engine(engine).replicas(1), |config| {
            config.users.push(Account::new(ROOT.user, ROOT.password));
        })
        .await;
        let primary = setup.cluster.primary();
        let right = match engine {
            Engine::MySql => "CONNECTION_ADMIN",
            Engine::MariaDb => "CONNECTION ADMIN",
        };
        for sql in [
            "CREATE TABLE app.t (id INT PRIMARY KEY)",
            "INSERT INTO app.t VALUES (1)",
            // The monitor is a client, too.
            &format!("GRANT {right} ON *.* TO highwater"),
        ] {
            primary.exec(sql).await.unwrap();
        }
        let address = setup.proxy.addresses().mysql;
        let through = Way {
            host: address.ip().to_string(),
            port: address.port(),
        };
        let directly = Way {
            host: primary.host().to_owned(),
            port: primary.port(),
        };
        for init in INITS {
            let set = format!("SET GLOBAL init_connect = '{}'", init.replace('\'', "''"));
            primary.exec(&set).await.unwrap();
            setup.proxy.watch().defaults_changed();
            assert_eq!(
                through.seen().await,
                directly.seen().await,
                "{engine:?}: {init}"
            );
        }
        setup.proxy.shut_down().await;
    }
}

/// What it does besides, it does for each client.
#[tokio::test]
async fn each_client_leaves_what_it_writes() {
    let setup = Setup::with(Cluster::builder().replicas(1), |_| {}).await;
    let primary = setup.cluster.primary();
    for sql in [
        "CREATE TABLE app.logins (client BIGINT PRIMARY KEY)",
        // The monitor is a client, too.
        "GRANT CONNECTION_ADMIN ON *.* TO highwater",
        "SET GLOBAL init_connect = 'INSERT INTO app.logins VALUES (CONNECTION_ID())'",
    ] {
        primary.exec(sql).await.unwrap();
    }
    setup.proxy.watch().defaults_changed();
    for _ in 0..3 {
        let mut conn = setup.connect().await;
        let own = "SELECT COUNT(*) FROM logins WHERE client = CONNECTION_ID()";
        let count: Option<u64> = conn.query_first(own).await.unwrap();
        assert_eq!(count, Some(1));
        conn.disconnect().await.unwrap();
    }
    setup.proxy.shut_down().await;
}
