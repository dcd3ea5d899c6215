//! What rules of the configuration do to statements, on real servers: each condition, each act, and that
//! none of them takes from what a session was promised.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rules {
    mod admin;
    mod limits;
    mod mirror;
    mod page;
    mod refusals;
    mod routes;
    mod share;
    mod texts;
    mod time;

    use highwater::config::{Config, Flags};
    use highwater::domain::routing::rules::Rule;
    use highwater::rig::ROOT;
    use mysql_async::prelude::Queryable;
    use mysql_async::{Conn, Opts, OptsBuilder};

    use crate::support::Setup;
    use crate::support::script::{Answer, observed};
    use crate::support::stage::{Stage, stage};

    /// What every rule file of these tests begins with.
    const BASE: &str = "[cluster]\nprimary = \"127.0.0.1:1\"\n[monitor]\nuser = \"m\"\npassword_env = \"P\"\n\
                        [[user]]\nname = \"app\"\npassword_env = \"P\"\n";

    /// Rules as a configuration file says them.
    pub(crate) fn parsed(name: &str, rules: &str) -> Vec<Rule> {
        let file = format!("highwater-rules-{}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, format!("{BASE}{rules}")).unwrap();
        let config = Config::load(Some(&path), &Flags::default(), &|name| {
            (name == "P").then(|| "p".to_owned())
        });
        std::fs::remove_file(&path).unwrap();
        config.unwrap_or_else(|error| panic!("{error}")).rules
    }

    /// A turn on the stage in a schema of its own, with a table `t` of one row and a table `u` of none. No
    /// rule outlives it.
    pub(crate) struct Room {
        pub(crate) stage: Stage,
        pub(crate) schema: String,
        pub(crate) client: Conn,
    }

    impl Room {
        pub(crate) async fn new(name: &str) -> Self {
            let stage = stage().await;
            let schema = format!("rules_{name}");
            stage.schema(&schema).await;
            let mut client = stage.client(&schema).await;
            for sql in [
                "CREATE TABLE t (a INT PRIMARY KEY, b INT)",
                "CREATE TABLE u (a INT)",
                "INSERT INTO t VALUES (1, 7)",
            ] {
                client.query_drop(sql).await.unwrap();
            }
            stage.setup.cluster.wait_all_caught_up().await.unwrap();
            Self {
                stage,
                schema,
                client,
            }
        }

        pub(crate) fn setup(&self) -> &'static Setup {
            self.stage.setup
        }

        /// Puts these rules in force.
        pub(crate) fn rules(&self, rules: &str) {
            self.setup().proxy.set_rules(&parsed(&self.schema, rules));
        }

        pub(crate) async fn another(&self) -> Conn {
            self.stage.client(&self.schema).await
        }

        /// Keeps replication away from a table of the room on every replica; reads go on.
        pub(crate) async fn hold_replicas(&self, table: &str) -> Vec<Conn> {
            let mut holds = Vec::new();
            for replica in self.setup().cluster.replicas() {
                let mut hold = replica.connect(&ROOT).await.unwrap();
                let sql = format!("LOCK TABLES {}.{table} READ", self.schema);
                hold.query_drop(sql).await.unwrap();
                holds.push(hold);
            }
            holds
        }

        pub(crate) async fn let_go(holds: Vec<Conn>) {
            for mut hold in holds {
                hold.query_drop("UNLOCK TABLES").await.unwrap();
            }
        }

        /// Where a statement of the first client went, as `target reason`, or the number of its error.
        pub(crate) async fn went(&mut self, sql: &str) -> String {
            let (answer, went) = observed(self.stage.setup, &mut self.client, sql).await;
            told(&answer, &went)
        }

        pub(crate) async fn admin(&self) -> Conn {
            let address = self.setup().proxy.addresses().admin;
            let opts = OptsBuilder::default()
                .ip_or_hostname(address.ip().to_string())
                .tcp_port(address.port())
                .user(Some("admin"))
                .prefer_socket(false);
            Conn::new(Opts::from(opts)).await.unwrap()
        }

        /// A number of SHOW RULES.
        pub(crate) async fn count(&self, rule: &str, column: &str) -> u64 {
            let mut admin = self.admin().await;
            let sql = format!("SELECT {column} FROM rules WHERE name = '{rule}'");
            let count: Option<String> = admin.query_first(sql).await.unwrap();
            admin.disconnect().await.unwrap();
            count
                .unwrap_or_else(|| panic!("no rule {rule}"))
                .parse()
                .unwrap()
        }
    }

    impl Drop for Room {
        fn drop(&mut self) {
            self.stage.setup.proxy.set_rules(&[]);
        }
    }

    fn told(answer: &Answer, went: &[crate::support::script::Went]) -> String {
        if let Some(code) = answer.error {
            return code.to_string();
        }
        let went: Vec<_> = went
            .iter()
            .map(|it| format!("{} {}", it.target, it.reason.replace("waited", "fresh")))
            .collect();
        went.join(", ")
    }

    /// The number, state and text of a statement's error.
    pub(crate) async fn error(conn: &mut Conn, sql: &str) -> (u16, String, String) {
        server_error(sql, conn.query_drop(sql).await)
    }

    pub(crate) fn server_error(
        what: &str,
        result: mysql_async::Result<()>,
    ) -> (u16, String, String) {
        match result {
            Err(mysql_async::Error::Server(error)) => (error.code, error.state, error.message),
            other => panic!("{what}: {other:?}"),
        }
    }
}
mod support;
