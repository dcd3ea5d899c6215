//! The same statements straight at a primary and through the proxy, each with its own schema.

use highwater::rig::{APP, ROOT, Server};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Value};

use super::support::Setup;

/// The tables that statements are about.
const TABLES: [&str; 9] = [
    "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v TINYINT, UNIQUE (v))",
    "CREATE TABLE u (id INT PRIMARY KEY, v INT)",
    "CREATE TABLE n (a BIGINT, b BIGINT)",
    "INSERT INTO u VALUES (1, 1), (2, 2), (3, 3)",
    "INSERT INTO t VALUES (50, 5)",
    "CREATE PROCEDURE rows_and_id() BEGIN INSERT INTO t (v) VALUES (NULL); SELECT 1 UNION SELECT 2; END",
    "CREATE PROCEDURE keeps_id() INSERT INTO n VALUES (LAST_INSERT_ID(), ROW_COUNT())",
    "CREATE PROCEDURE warns() SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'w'",
    "CREATE PROCEDURE fails() SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'e'",
];

/// Two sessions that must not be told apart.
pub(crate) struct Pair<'s> {
    setup: &'s Setup,
    names: [String; 2],
    pub direct: Conn,
    pub proxied: Conn,
    pub wrong: Vec<String>,
}

impl<'s> Pair<'s> {
    /// Makes a schema for each, with the same tables.
    pub(crate) async fn new(setup: &'s Setup, name: &str) -> Self {
        let names = [format!("{name}_d"), format!("{name}_p")];
        let primary = setup.cluster.primary();
        for schema in &names {
            primary
                .exec(&format!("CREATE DATABASE {schema}"))
                .await
                .unwrap();
        }
        setup.cluster.wait_all_caught_up().await.unwrap();
        let mut pair = Self {
            direct: direct(primary, &names[0]).await,
            proxied: proxied(setup, &names[1]).await,
            setup,
            names,
            wrong: Vec::new(),
        };
        for sql in TABLES {
            pair.run(sql).await;
        }
        pair.setup.cluster.wait_all_caught_up().await.unwrap();
        pair
    }

    /// New sessions in the same schemas.
    pub(crate) async fn anew(&mut self) {
        self.direct = direct(self.setup.cluster.primary(), &self.names[0]).await;
        self.proxied = proxied(self.setup, &self.names[1]).await;
    }

    /// Runs a statement in both and takes note if the answers differ. `!` stands for what is no statement:
    /// `!ping`, `!cut` (every connection of the proxy is lost), `!prepare SQL`, `!prepared SQL` (and executed).
    pub(crate) async fn run(&mut self, sql: &str) {
        self.check("", sql).await;
    }

    /// The same, and says what came before if the answers differ.
    pub(crate) async fn check(&mut self, before: &str, sql: &str) {
        if sql == "!cut" {
            let kept = self.direct.id();
            for server in self.servers() {
                cut(server, kept).await;
            }
            return;
        }
        let expected = seen(&mut self.direct, sql).await;
        let got = seen(&mut self.proxied, sql).await;
        let got = got.replace(&self.names[1], &self.names[0]);
        if got != expected {
            self.wrong.push(format!(
                "{before}\n  {sql}\n    expected {expected}\n    got      {got}"
            ));
        }
    }

    fn servers(&self) -> impl Iterator<Item = &'s Server> + use<'s> {
        let cluster = &self.setup.cluster;
        std::iter::once(cluster.primary()).chain(cluster.replicas())
    }

    /// Fails if any answer differed.
    pub(crate) fn verdict(self) {
        assert!(
            self.wrong.is_empty(),
            "{} differ:\n{}",
            self.wrong.len(),
            self.wrong.join("\n")
        );
    }
}

async fn direct(primary: &Server, schema: &str) -> Conn {
    let opts = OptsBuilder::from_opts(primary.opts(&APP)).db_name(Some(schema));
    Conn::new(Opts::from(opts)).await.unwrap()
}

async fn proxied(setup: &Setup, schema: &str) -> Conn {
    let opts = setup.opts().db_name(Some(schema));
    Conn::new(Opts::from(opts)).await.unwrap()
}

/// Closes every connection of the application but one, and returns once they are gone.
async fn cut(server: &Server, kept: u32) {
    let mut root = server.connect(&ROOT).await.unwrap();
    let threads = format!(
        "SELECT id FROM information_schema.processlist WHERE user = 'app' AND id <> {kept}"
    );
    let killed: Vec<u64> = root.query(&threads).await.unwrap();
    for id in &killed {
        let _ = root.query_drop(format!("KILL {id}")).await;
    }
    // The proxy may open others at once.
    loop {
        let there: Vec<u64> = root.query(&threads).await.unwrap();
        if !there.iter().any(|id| killed.contains(id)) {
            break;
        }
    }
    root.disconnect().await.unwrap();
}

/// What a client sees of a statement's answer, types of columns included.
async fn seen(conn: &mut Conn, sql: &str) -> String {
    let answer = match sql.strip_prefix('!') {
        Some("ping") => return format!("{:?}", conn.ping().await.is_ok()),
        Some(prepared) => {
            if let Some(sql) = prepared.strip_prefix("prepare ") {
                return format!("{:?}", conn.prep(sql).await.is_ok());
            }
            let sql = prepared.strip_prefix("prepared ").unwrap();
            match conn.exec_iter(sql, ()).await {
                Ok(result) => results(result).await,
                Err(error) => Err(error),
            }
        }
        None => match conn.query_iter(sql).await {
            Ok(result) => results(result).await,
            Err(error) => Err(error),
        },
    };
    match answer {
        Ok(answer) => answer,
        Err(mysql_async::Error::Server(error)) => format!("{error:?}"),
        Err(error) => format!("{error}"),
    }
}

async fn results<P: mysql_async::prelude::Protocol>(
    mut result: mysql_async::QueryResult<'_, '_, P>,
) -> mysql_async::Result<String> {
    let mut all = String::new();
    loop {
        let columns: Vec<_> = result
            .columns_ref()
            .iter()
            .map(|column| {
                let (kind, flags) = (column.column_type(), column.flags());
                let length = column.column_length();
                format!("{} {kind:?} {length} {flags:?}", column.name_str())
            })
            .collect();
        let rows: Vec<mysql_async::Row> = result.collect().await?;
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .map(|row| row.unwrap().into_iter().map(cell).collect())
            .collect();
        all.push_str(&format!(
            "{columns:?} {rows:?} affected {} id {:?} warnings {}; ",
            result.affected_rows(),
            result.last_insert_id(),
            result.warnings()
        ));
        if result.is_empty() {
            result.drop_result().await?;
            return Ok(all);
        }
    }
}

fn cell(value: Value) -> String {
    match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => format!("{other:?}"),
    }
}
