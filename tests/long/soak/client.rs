//! A client of the soak: it comes, lives a session of some hundred statements, and leaves in one of three
//! ways, again and again.

use std::sync::Arc;

use mysql_async::prelude::Queryable;
use mysql_async::{ChangeUserOpts, Conn, Opts, OptsBuilder};

use super::shared::{GROUPS, Shared, USERS};

/// What a session does between its login and its end, at most.
const ACTS: usize = 200;

/// One session.
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) conn: Conn,
    /// All that is to be this session's own is made from this number.
    pub(crate) number: usize,
    pub(crate) user: usize,
    pub(crate) schema: &'static str,
    /// The highest mark of its group that it saw.
    pub(crate) seen: u64,
    chance: u64,
}

/// One session after the other on one client's behalf, until the soak is over.
pub(crate) async fn run(shared: Arc<Shared>, number: usize) {
    let (mut chance, mut user) = (number as u64, number % USERS.len());
    while !shared.is_over() {
        let conn = match come(&shared, user).await {
            Ok(conn) => conn,
            Err(error) => return shared.found(format!("{number}: login: {error}")),
        };
        let mut client = Client {
            shared: Arc::clone(&shared),
            conn,
            number,
            user,
            schema: "soak_a",
            seen: 0,
            chance,
        };
        let ended = client.live().await;
        (chance, user) = (client.chance, client.user);
        if let Err(error) = ended {
            return shared.found(format!("{number}: {error}"));
        }
        if let Err(error) = client.leave().await {
            return shared.found(format!("{number}, leaving: {error}"));
        }
    }
}

async fn come(shared: &Shared, user: usize) -> mysql_async::Result<Conn> {
    shared.came();
    let (user, password) = USERS[user];
    let opts = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(shared.port)
        .user(Some(user))
        .pass(Some(password))
        .db_name(Some("soak_a"))
        .prefer_socket(false);
    Conn::new(Opts::from(opts)).await
}

impl Client {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % bound
    }

    pub(crate) async fn run(&mut self, sql: &str) -> mysql_async::Result<()> {
        self.shared.ran();
        self.conn.query_drop(sql).await
    }

    /// The first cell of an answer.
    pub(crate) async fn cell(&mut self, sql: &str) -> mysql_async::Result<Option<String>> {
        self.shared.ran();
        let row: Option<mysql_async::Row> = self.conn.query_first(sql).await?;
        Ok(row.and_then(|mut row| row.take::<Option<String>, _>(0).flatten()))
    }

    /// The first cell of an answer must be this.
    pub(crate) async fn sees(&mut self, sql: &str, expected: &str) -> mysql_async::Result<()> {
        let got = self.cell(sql).await?;
        self.is(sql, expected, got.as_deref());
        Ok(())
    }

    pub(crate) fn is(&self, what: &str, expected: &str, got: Option<&str>) {
        self.shared.looked();
        if got != Some(expected) {
            let number = self.number;
            let line = format!("{number}: {what}: expected {expected}, got {got:?}");
            self.shared.found(line);
        }
    }

    /// This must fail with that code.
    pub(crate) async fn fails(&mut self, sql: &str, code: u16) -> mysql_async::Result<()> {
        self.shared.ran();
        let got = match self.conn.query_drop(sql).await {
            Ok(()) => "no error".to_owned(),
            Err(mysql_async::Error::Server(error)) => error.code.to_string(),
            Err(error) => return Err(error),
        };
        self.is(sql, &code.to_string(), Some(&got));
        Ok(())
    }

    pub(crate) fn group(&self) -> usize {
        self.number % GROUPS
    }

    async fn live(&mut self) -> mysql_async::Result<()> {
        self.is_new().await?;
        self.settle().await?;
        for _ in 0..ACTS {
            if self.shared.is_over() {
                break;
            }
            self.act().await?;
        }
        Ok(())
    }

    /// Says goodbye, some with something that nobody may find, or is killed.
    async fn leave(mut self) -> mysql_async::Result<()> {
        match self.below(3) {
            0 => self.conn.disconnect().await,
            1 => {
                let shared = Arc::clone(&self.shared);
                let _permit = shared.bound().await;
                self.hold_much().await?;
                self.conn.disconnect().await
            }
            _ => {
                let shared = Arc::clone(&self.shared);
                let _permit = shared.bound().await;
                self.hold_much().await?;
                self.run("BEGIN").await?;
                let kill = format!("KILL {}", self.conn.id());
                self.fails(&kill, 1317).await
            }
        }
    }

    /// Logs in as the other account, as pools do.
    pub(crate) async fn change_user(&mut self) -> mysql_async::Result<()> {
        self.shared.came();
        self.user = (self.user + 1) % USERS.len();
        let (user, password) = USERS[self.user];
        let opts = ChangeUserOpts::default()
            .with_user(Some(user.to_owned()))
            .with_pass(Some(password.to_owned()))
            .with_db_name(Some("soak_a".to_owned()));
        self.conn.change_user(opts).await?;
        self.is_new().await?;
        self.settle().await
    }
}
