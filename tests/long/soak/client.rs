//! A session of the soak: it has settings, variables and rows of its own, and looks whether they are its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use highwater::rig::APP;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::sync::Semaphore;

/// Accounts that sessions have in turn.
pub(crate) const USERS: [(&str, &str); 2] = [(APP.user, APP.password), ("soak", "soak-pw")];

/// Examples of what was wrong that are kept.
const EXAMPLES: usize = 20;

/// What all sessions have in common.
pub(crate) struct Shared {
    over: AtomicBool,
    statements: AtomicU64,
    /// As many sessions as this has permits may be bound to a connection at a time.
    bound: Semaphore,
    wrong: Mutex<Vec<String>>,
}

impl Shared {
    pub(crate) fn new(bound: Semaphore) -> Self {
        Self {
            over: AtomicBool::new(false),
            statements: AtomicU64::new(0),
            bound,
            wrong: Mutex::default(),
        }
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    pub(crate) fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }

    /// Something was wrong: the soak is over.
    fn found(&self, line: String) {
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() < EXAMPLES {
            wrong.push(line);
        }
        self.end();
    }
}

/// One client.
struct Client {
    shared: Arc<Shared>,
    conn: Conn,
    number: usize,
    chance: u64,
    schema: &'static str,
}

/// One session after the other on one client's behalf, until the soak is over.
pub(crate) async fn run(shared: Arc<Shared>, port: u16, number: usize) {
    let mut chance = number as u64;
    while !shared.is_over() {
        let (user, password) = USERS[number % USERS.len()];
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(port)
            .user(Some(user))
            .pass(Some(password))
            .db_name(Some("soak_a"))
            .prefer_socket(false);
        let conn = match Conn::new(Opts::from(opts)).await {
            Ok(conn) => conn,
            Err(error) => return shared.found(format!("{number}: login: {error}")),
        };
        let mut client = Client {
            shared: Arc::clone(&shared),
            conn,
            number,
            chance,
            schema: "soak_a",
        };
        let ended = client.live().await;
        chance = client.chance;
        let gone = match ended {
            Ok(()) => client.conn.disconnect().await,
            Err(error) => Err(error),
        };
        if let Err(error) = gone {
            return shared.found(format!("{number}: {error}"));
        }
    }
}

impl Client {
    fn below(&mut self, bound: u64) -> u64 {
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % bound
    }

    async fn run(&mut self, sql: &str) -> mysql_async::Result<()> {
        self.shared.statements.fetch_add(1, Ordering::Relaxed);
        self.conn.query_drop(sql).await
    }

    /// The first cell of an answer must be this.
    async fn sees(&mut self, sql: &str, expected: &str) -> mysql_async::Result<()> {
        self.shared.statements.fetch_add(1, Ordering::Relaxed);
        let row: Option<mysql_async::Row> = self.conn.query_first(sql).await?;
        let got: Option<String> = row.and_then(|mut row| row.take(0));
        if got.as_deref() != Some(expected) {
            let number = self.number;
            let line = format!("{number}: {sql}: expected {expected}, got {got:?}");
            self.shared.found(line);
        }
        Ok(())
    }

    /// A life of some hundred statements, which begins with a state and ends in one of three ways.
    async fn live(&mut self) -> mysql_async::Result<()> {
        self.settle().await?;
        for _ in 0..200 {
            if self.shared.is_over() {
                break;
            }
            match self.below(16) {
                0..6 => self.look().await?,
                6 | 7 => self.write().await?,
                8 => self.transaction().await?,
                9 => self.prepared().await?,
                10 => self.choose_schema().await?,
                11 => self.diagnostics().await?,
                12 => self.bound_by_table().await?,
                13 => self.bound_by_lock().await?,
                14 => self.bound_by_variable().await?,
                _ => self.anew().await?,
            }
        }
        Ok(())
    }

    /// What every later look must find.
    async fn settle(&mut self) -> mysql_async::Result<()> {
        let number = self.number;
        self.schema = "soak_a";
        self.run("USE soak_a").await?;
        self.run(&format!(
            "SET @canary = {number}, time_zone = '{}', group_concat_max_len = {}",
            zone(number),
            1000 + number
        ))
        .await
    }

    async fn look(&mut self) -> mysql_async::Result<()> {
        let number = self.number;
        let (user, _) = USERS[number % USERS.len()];
        let schema = self.schema;
        let expected = format!("{number} {} {} {user} {schema}", zone(number), 1000 + number);
        self.sees(
            "SELECT CONCAT_WS(' ', @canary, @@time_zone, @@group_concat_max_len, \
             SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE())",
            &expected,
        )
        .await?;
        self.sees("SELECT MAX(owner) FROM canary", "-1").await
    }

    async fn write(&mut self) -> mysql_async::Result<()> {
        let number = self.number;
        let v = self.below(1000);
        self.run(&format!("DELETE FROM rows_of WHERE owner = {number}")).await?;
        self.run(&format!("INSERT INTO rows_of (owner, v) VALUES (@canary, {v})")).await?;
        let mine = format!("SELECT v FROM rows_of WHERE owner = {number}");
        self.sees(&mine, &v.to_string()).await?;
        let mine = "SELECT owner FROM rows_of WHERE id = LAST_INSERT_ID()";
        self.sees(mine, &number.to_string()).await
    }

    async fn transaction(&mut self) -> mysql_async::Result<()> {
        let bound = Arc::clone(&self.shared);
        let _permit = bound.bound.acquire().await.unwrap();
        let number = self.number;
        self.run("BEGIN").await?;
        self.run("INSERT INTO rows_of (owner, v) VALUES (@canary, -7)").await?;
        self.run("SAVEPOINT s").await?;
        self.run("INSERT INTO rows_of (owner, v) VALUES (@canary, -7)").await?;
        self.run("ROLLBACK TO s").await?;
        let mine = format!("SELECT COUNT(*) FROM rows_of WHERE v = -7 AND owner = {number}");
        self.sees(&mine, "1").await?;
        self.run("ROLLBACK").await?;
        self.sees(&mine, "0").await
    }

    async fn prepared(&mut self) -> mysql_async::Result<()> {
        let statement = self.conn.prep("SELECT CONCAT(@canary, ' ', ?, ' ', @@time_zone)").await?;
        for given in 0..3_u32 {
            self.shared.statements.fetch_add(1, Ordering::Relaxed);
            let got: Option<String> = self.conn.exec_first(&statement, (given,)).await?;
            let expected = format!("{} {given} {}", self.number, zone(self.number));
            if got.as_ref() != Some(&expected) {
                self.shared.found(format!("prepared: expected {expected}, got {got:?}"));
            }
        }
        self.conn.close(statement).await
    }

    async fn choose_schema(&mut self) -> mysql_async::Result<()> {
        self.schema = match self.schema {
            "soak_a" => "soak_b",
            _ => "soak_a",
        };
        self.run(&format!("USE {}", self.schema)).await?;
        self.sees("SELECT DATABASE()", self.schema).await
    }

    async fn diagnostics(&mut self) -> mysql_async::Result<()> {
        let some = 1 + self.below(3);
        let rows: Vec<String> = (0..some).map(|_| format!("({}, -1)", self.number)).collect();
        self.run(&format!("INSERT INTO rows_of (owner, v) VALUES {}", rows.join(", "))).await?;
        self.sees("SELECT ROW_COUNT()", &some.to_string()).await?;
        self.run(&format!("SELECT SQL_CALC_FOUND_ROWS 1 FROM (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT {some}) x LIMIT 1")).await?;
        self.sees("SELECT FOUND_ROWS()", "3").await?;
        self.run("SELECT CAST('x' AS SIGNED)").await?;
        self.sees("SHOW COUNT(*) WARNINGS", "1").await
    }

    async fn bound_by_table(&mut self) -> mysql_async::Result<()> {
        let bound = Arc::clone(&self.shared);
        let _permit = bound.bound.acquire().await.unwrap();
        let number = self.number;
        self.run("CREATE TEMPORARY TABLE canary (owner INT)").await?;
        self.run("INSERT INTO canary VALUES (@canary)").await?;
        self.sees("SELECT COUNT(*) + MAX(owner) FROM canary", &(number + 1).to_string()).await?;
        self.sees("SELECT @canary", &number.to_string()).await?;
        self.run("DROP TEMPORARY TABLE canary").await?;
        self.sees("SELECT MAX(owner) FROM canary", "-1").await
    }

    async fn bound_by_lock(&mut self) -> mysql_async::Result<()> {
        let bound = Arc::clone(&self.shared);
        let _permit = bound.bound.acquire().await.unwrap();
        let name = format!("soak_{}", self.number);
        self.sees(&format!("SELECT GET_LOCK('{name}', 0)"), "1").await?;
        self.sees(&format!("SELECT IS_FREE_LOCK('{name}')"), "0").await?;
        self.sees("SELECT RELEASE_ALL_LOCKS()", "1").await?;
        self.sees(&format!("SELECT IS_FREE_LOCK('{name}')"), "1").await
    }

    async fn bound_by_variable(&mut self) -> mysql_async::Result<()> {
        let bound = Arc::clone(&self.shared);
        let _permit = bound.bound.acquire().await.unwrap();
        let number = self.number;
        self.run("SET @computed = @canary + 1").await?;
        self.sees("SELECT @computed", &(number + 1).to_string()).await?;
        self.run("SET @computed = NULL").await
    }

    async fn anew(&mut self) -> mysql_async::Result<()> {
        self.run("SET @leaves = 5, sql_mode = 'ANSI'").await?;
        self.conn.reset().await?;
        self.sees("SELECT CONCAT(COALESCE(@leaves, 'none'), COALESCE(@canary, 'none'))", "nonenone").await?;
        self.sees("SELECT 'a' || 'b'", "0").await?;
        self.settle().await
    }
}

/// A time zone that few other sessions have.
fn zone(number: usize) -> String {
    format!("+{:02}:{:02}", number % 13, number / 13 % 60)
}
