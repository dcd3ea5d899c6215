//! One session: a connection that writes, tells others, and reads.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::chance::Chance;
use super::dial::{Dial, too_long};
use super::table::{NO_SUCH_TABLE, Table, elements};
use super::work::{News, Work};
use super::{Plan, raised};
use crate::verify::error::VerifyError;
use crate::verify::history::{Action, Actor, Key, Operation};

/// How long a statement may take before its outcome counts as unknown.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a session listens before it does something by itself.
const LISTEN: Duration = Duration::from_millis(3);
/// What a writer past the endpoint does between two writes.
const THINK: Duration = Duration::from_millis(2);
/// How many re-reads of one's own write there are for one that comes after a reset.
const RESET_ONE_IN: u32 = 6;
/// Between two attempts to connect.
const RECONNECT: Duration = Duration::from_millis(50);
/// A session that could not connect this often in a row ends.
const ATTEMPTS: u32 = 200;

/// One session, or one writer past the endpoint.
pub(super) struct Session {
    /// Where it is told news, and from which its group follows.
    seat: u32,
    past: bool,
    work: Arc<Work>,
    dial: Arc<Dial>,
    table: Arc<Table>,
    mailbox: mpsc::Receiver<News>,
    interrupted: watch::Receiver<bool>,
    chance: Chance,
    resets: bool,
    done: Vec<Operation>,
}

/// The connections of a session, while it has them.
struct Link {
    /// Its number in the history: a new connection is a new session.
    number: u32,
    endpoint: Conn,
    /// Where its writes go instead.
    writes: Option<Conn>,
}

impl Link {
    fn writer(&mut self) -> &mut Conn {
        self.writes.as_mut().unwrap_or(&mut self.endpoint)
    }
}

/// The connection cannot be used any more.
struct Broken;

impl Session {
    pub(super) fn new(
        seat: u32,
        past: bool,
        (work, dial, table): (Arc<Work>, Arc<Dial>, Arc<Table>),
        mailbox: mpsc::Receiver<News>,
        plan: &Plan,
    ) -> Self {
        Self {
            seat,
            past,
            interrupted: work.interrupted(),
            work,
            dial,
            table,
            mailbox,
            chance: Chance::new(plan.seed.wrapping_add(u64::from(seat))),
            resets: plan.resets,
            done: Vec::new(),
        }
    }

    /// Works until the run is over; gives what it did.
    pub(super) async fn run(mut self) -> Vec<Operation> {
        while let Some(mut link) = self.connect().await {
            loop {
                if self.work.is_over() {
                    link.endpoint.disconnect().await.ok();
                    return self.done;
                }
                if self.turn(&mut link).await.is_err() {
                    break;
                }
            }
        }
        self.done
    }

    async fn connect(&mut self) -> Option<Link> {
        for _ in 0..ATTEMPTS {
            if self.work.is_over() {
                return None;
            }
            match self.dial().await {
                Ok(link) => return Some(link),
                Err(error) => self.refused(&error),
            }
            sleep(RECONNECT).await;
        }
        None
    }

    /// Counts a connection that could not be had.
    fn refused(&self, error: &VerifyError) {
        if let VerifyError::Connect { source, .. } | VerifyError::Level { source, .. } = error {
            self.work.count_error(source);
        }
    }

    async fn dial(&self) -> Result<Link, VerifyError> {
        let group = self.group();
        let (endpoint, writes) = if self.past {
            (self.dial.past().await?, None)
        } else {
            (
                self.dial.session(group).await?,
                self.dial.own_writes().await?,
            )
        };
        let past = self.past;
        let number = self.work.enter(Actor { group, past });
        Ok(Link {
            number,
            endpoint,
            writes,
        })
    }

    fn group(&self) -> u32 {
        self.seat / 2
    }

    /// Does one thing.
    async fn turn(&mut self, link: &mut Link) -> Result<(), Broken> {
        if self.past {
            self.write(link).await?;
            sleep(THINK).await;
            return Ok(());
        }
        match self.chance.below(10) {
            0..3 => {
                if let Some(news) = self.write(link).await? {
                    if self.resets && self.chance.below(RESET_ONE_IN) == 0 {
                        self.reset(link).await?;
                    }
                    self.read(link, news.key, Some(news.number)).await?;
                }
            }
            3..8 => match timeout(LISTEN, self.mailbox.recv()).await {
                Ok(Some(news)) => self.read(link, news.key, Some(news.number)).await?,
                _ => self.read_any(link).await?,
            },
            _ => self.read_any(link).await?,
        }
        Ok(())
    }

    async fn reset(&self, link: &mut Link) -> Result<(), Broken> {
        match self.dial.reset(&mut link.endpoint, self.group()).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.refused(&error);
                Err(Broken)
            }
        }
    }

    async fn read_any(&mut self, link: &mut Link) -> Result<(), Broken> {
        let place = self.chance.below(self.work.keys());
        let key = match self.chance.below(2) {
            0 => Key::Register(place),
            _ => self.work.list(place),
        };
        self.read(link, key, None).await
    }

    /// Writes a register or a list, and tells two other sessions as soon as it is acknowledged.
    async fn write(&mut self, link: &mut Link) -> Result<Option<News>, Broken> {
        let work = Arc::clone(&self.work);
        let place = self.chance.below(work.keys());
        let claim = match self.chance.below(2) {
            0 => work.claim(place),
            _ => None,
        };
        let (key, number) = match &claim {
            Some(version) => (Key::Register(place), **version + 1),
            None => (work.next_list(place), work.new_element()),
        };
        let prepared = self.chance.below(2) == 0;
        let table = self.table.name().to_owned();
        let invoked = work.now();
        let conn = link.writer();
        let result = self
            .patiently(send_write(conn, &table, key, number, prepared))
            .await;
        let acknowledged = result.is_ok();
        self.done.push(Operation {
            session: link.number,
            key,
            invoked,
            returned: work.now(),
            action: match key {
                Key::Register(_) => Action::Write {
                    version: number,
                    acknowledged,
                },
                Key::List(_) => Action::Append {
                    element: number,
                    acknowledged,
                },
            },
        });
        work.count_write();
        if let Some(mut version) = claim {
            *version = number;
        }
        match result {
            Ok(()) => {
                let news = News { key, number };
                work.tell(self.seat ^ 1, news);
                work.tell(self.chance.below(work.listeners()), news);
                Ok(Some(news))
            }
            Err(error) => self.failed(&error).map(|()| None),
        }
    }

    /// Reads a key; `expected` is the version or element that somebody had acknowledged before.
    async fn read(
        &mut self,
        link: &mut Link,
        key: Key,
        expected: Option<u64>,
    ) -> Result<(), Broken> {
        let prepared = self.chance.below(2) == 0;
        let table = self.table.name().to_owned();
        let invoked = self.work.now();
        let result = self
            .patiently(send_read(&mut link.endpoint, &table, key, prepared))
            .await;
        let returned = self.work.now();
        if result.is_ok() && link.endpoint.get_warnings() > 0 {
            // The endpoint itself says that this may be old.
            self.work.count_flagged();
            return Ok(());
        }
        let action = match result {
            Ok(action) => action,
            Err(error) => return self.failed(&error),
        };
        let old = expected.is_some_and(|expected| match &action {
            Action::Read { version } => *version < expected,
            Action::ReadList { elements } => !elements.contains(&expected),
            Action::Write { .. } | Action::Append { .. } => false,
        });
        self.work.count_read(old);
        self.done.push(Operation {
            session: link.number,
            key,
            invoked,
            returned,
            action,
        });
        Ok(())
    }

    /// Counts an error; says whether the connection is still good.
    fn failed(&self, error: &Error) -> Result<(), Broken> {
        // What an interrupt cuts off is no error of the endpoint.
        if !*self.interrupted.borrow() {
            self.work.count_error(error);
        }
        if error.is_fatal() {
            Err(Broken)
        } else {
            Ok(())
        }
    }

    /// Waits for an answer, but not for ever, and no longer when the run is interrupted.
    async fn patiently<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut interrupted = self.interrupted.clone();
        tokio::select! {
            done = timeout(PATIENCE, work) => done.unwrap_or_else(|_| Err(too_long())),
            () = raised(&mut interrupted) => Err(too_long()),
        }
    }
}

/// Writes a number. A register only grows, so that a write whose outcome is unknown cannot undo a
/// later one.
async fn send_write(
    conn: &mut Conn,
    table: &str,
    key: Key,
    number: u64,
    prepared: bool,
) -> Result<(), Error> {
    let row = Table::row(key);
    match (key, prepared) {
        (Key::Register(_), true) => {
            let sql = format!("UPDATE {table} SET v = ? WHERE k = ? AND v < ?");
            conn.exec_drop(sql, (number, row, number)).await?;
        }
        (Key::Register(_), false) => {
            let sql = format!("UPDATE {table} SET v = {number} WHERE k = {row} AND v < {number}");
            conn.query_drop(sql).await?;
        }
        (Key::List(_), true) => {
            let sql = format!(
                "INSERT INTO {table} (k, v, items) VALUES (?, 0, ?) \
                 ON DUPLICATE KEY UPDATE items = CONCAT(items, ?)"
            );
            let parameters = (row, number.to_string(), format!(",{number}"));
            conn.exec_drop(sql, parameters).await?;
        }
        (Key::List(_), false) => {
            let sql = format!(
                "INSERT INTO {table} (k, v, items) VALUES ({row}, 0, '{number}') \
                 ON DUPLICATE KEY UPDATE items = CONCAT(items, ',{number}')"
            );
            conn.query_drop(sql).await?;
        }
    }
    if conn.affected_rows() == 0 {
        let kind = std::io::ErrorKind::NotFound;
        return Err(std::io::Error::new(kind, "a write changed no row").into());
    }
    Ok(())
}

/// Reads a register or list. A server that does not have the row or the table yet shows nothing.
async fn send_read(
    conn: &mut Conn,
    table: &str,
    key: Key,
    prepared: bool,
) -> Result<Action, Error> {
    let row = Table::row(key);
    match key {
        Key::Register(_) => {
            let sql = format!("SELECT v FROM {table} WHERE k = ");
            let version: Option<u64> = first(conn, sql, row, prepared).await?;
            let version = version.unwrap_or(0);
            Ok(Action::Read { version })
        }
        Key::List(_) => {
            let sql = format!("SELECT items FROM {table} WHERE k = ");
            let items: Option<String> = first(conn, sql, row, prepared).await?;
            let elements = elements(items.as_deref().unwrap_or(""));
            Ok(Action::ReadList { elements })
        }
    }
}

async fn first<T: mysql_async::prelude::FromRow + Send + 'static>(
    conn: &mut Conn,
    sql: String,
    row: u32,
    prepared: bool,
) -> Result<Option<T>, Error> {
    let answer = if prepared {
        conn.exec_first(format!("{sql}?"), (row,)).await
    } else {
        conn.query_first(format!("{sql}{row}")).await
    };
    match answer {
        Err(Error::Server(error)) if error.code == NO_SUCH_TABLE => Ok(None),
        answer => answer,
    }
}
