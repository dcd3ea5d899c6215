//! Connections: to the endpoint with the level that was asked for, and to where writes go.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::time::timeout;

use super::Plan;
use crate::verify::claim::Claim;
use crate::verify::error::VerifyError;

/// How long a login, or a statement beside the workload, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the endpoint was told which level to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// No level was asked for.
    Nothing,
    /// `SET highwater_read_consistency`.
    Highwater,
    /// `SET aurora_replica_read_consistency`.
    Aurora,
    /// It knows neither variable: it is checked as it is.
    Unknown,
}

impl Told {
    /// The name in JSON output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Highwater => "highwater_read_consistency",
            Self::Aurora => "aurora_replica_read_consistency",
            Self::Unknown => "unknown",
        }
    }
}

/// Opens connections.
#[derive(Debug)]
pub(super) struct Dial {
    endpoint: Opts,
    writes: Option<Opts>,
    past: Option<Opts>,
    schema: String,
    told: Told,
    /// What every session says first.
    greeting: Vec<String>,
    /// What its group's name begins with, if the endpoint is told.
    group_key: Option<String>,
}

impl Dial {
    /// Logs in once everywhere, and finds out whether the endpoint knows levels: by asking, since an
    /// unknown SET makes some proxies stop splitting.
    pub(super) async fn new(plan: &Plan) -> Result<Self, VerifyError> {
        let schema = plan.endpoint.db_name().ok_or(VerifyError::NoSchema)?;
        let mut dial = Self {
            endpoint: prepared(&plan.endpoint, schema),
            writes: plan.writes.as_ref().map(|opts| prepared(opts, schema)),
            past: plan.past.as_ref().map(|opts| prepared(opts, schema)),
            schema: schema.to_owned(),
            told: Told::Nothing,
            greeting: Vec::new(),
            group_key: None,
        };
        let mut conn = connect(&dial.endpoint).await?;
        for other in dial.writes.iter().chain(&dial.past) {
            connect(other).await?.disconnect().await.ok();
        }
        if let Some(level) = plan.level {
            dial.told = knows(&mut conn, level).await;
            dial.greeting = greeting(dial.told, level, plan.max_staleness);
            if level == Claim::Group && dial.told == Told::Highwater {
                dial.group_key = Some(plan.group_key.clone());
            }
        }
        conn.disconnect().await.ok();
        dial.session(0).await?.disconnect().await.ok();
        Ok(dial)
    }

    pub(super) fn told(&self) -> Told {
        self.told
    }

    /// The schema of the table.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// A connection of a session to the endpoint, at the level that was asked for.
    pub(super) async fn session(&self, group: u32) -> Result<Conn, VerifyError> {
        let mut conn = connect(&self.endpoint).await?;
        self.greet(&mut conn, group).await?;
        Ok(conn)
    }

    /// Takes a connection back to how it was after its login, as a pool does between two borrowers, and
    /// asks for the level again.
    pub(super) async fn reset(&self, conn: &mut Conn, group: u32) -> Result<(), VerifyError> {
        let address = || {
            format!(
                "{}:{}",
                self.endpoint.ip_or_hostname(),
                self.endpoint.tcp_port()
            )
        };
        let reset = timeout(PATIENCE, conn.reset()).await;
        reset
            .unwrap_or_else(|_| Err(too_long()))
            .map_err(|source| VerifyError::Connect {
                address: address(),
                source,
            })?;
        self.greet(conn, group).await
    }

    async fn greet(&self, conn: &mut Conn, group: u32) -> Result<(), VerifyError> {
        let key = self.group_key.as_ref();
        let group = key.map(|key| format!("SET highwater_group = '{key}-{group}'"));
        for statement in self.greeting.iter().chain(&group) {
            let said = timeout(PATIENCE, conn.query_drop(statement)).await;
            let said = said.unwrap_or_else(|_| Err(too_long()));
            said.map_err(|source| VerifyError::Level {
                statement: statement.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// A connection for a session's writes, where they do not go to the endpoint.
    pub(super) async fn own_writes(&self) -> Result<Option<Conn>, VerifyError> {
        match &self.writes {
            Some(opts) => connect(opts).await.map(Some),
            None => Ok(None),
        }
    }

    /// A connection that writes past the endpoint.
    pub(super) async fn past(&self) -> Result<Conn, VerifyError> {
        connect(self.past.as_ref().unwrap_or(&self.endpoint)).await
    }

    /// A connection to where the table can be made and dropped, and the truth be read.
    pub(super) async fn primary(&self) -> Result<Conn, VerifyError> {
        connect(self.writes.as_ref().unwrap_or(&self.endpoint)).await
    }
}

/// The same schema everywhere; over TCP also where a socket could be had; no questions of the
/// driver's own at login.
fn prepared(opts: &Opts, schema: &str) -> Opts {
    OptsBuilder::from_opts(opts.clone())
        .db_name(Some(opts.db_name().unwrap_or(schema)))
        .prefer_socket(false)
        .tcp_nodelay(true)
        .max_allowed_packet(Some(1 << 20))
        .wait_timeout(Some(3600))
        .into()
}

async fn connect(opts: &Opts) -> Result<Conn, VerifyError> {
    let conn = timeout(PATIENCE, Conn::new(opts.clone())).await;
    conn.unwrap_or_else(|_| Err(too_long()))
        .map_err(|source| VerifyError::Connect {
            address: format!("{}:{}", opts.ip_or_hostname(), opts.tcp_port()),
            source,
        })
}

/// What a call that took too long ends with.
pub(super) fn too_long() -> mysql_async::Error {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// Which variable of ours or Aurora's the endpoint has.
async fn knows(conn: &mut Conn, level: Claim) -> Told {
    let aurora = matches!(level, Claim::Eventual | Claim::Session | Claim::Global);
    for (told, wanted) in [(Told::Highwater, true), (Told::Aurora, aurora)] {
        let sql = format!("SHOW VARIABLES LIKE '{}'", told.name());
        let row = timeout(PATIENCE, conn.query_first::<mysql_async::Row, _>(sql)).await;
        if wanted && matches!(row, Ok(Ok(Some(_)))) {
            return told;
        }
    }
    Told::Unknown
}

fn greeting(told: Told, level: Claim, max_staleness: Duration) -> Vec<String> {
    let set = |name: &str, value: &str| format!("SET {name} = {value}");
    let quoted = format!("'{}'", level.name());
    match told {
        Told::Nothing | Told::Unknown => Vec::new(),
        Told::Aurora => vec![set(told.name(), &quoted)],
        Told::Highwater if level == Claim::Bounded => vec![
            set(told.name(), &quoted),
            set(
                "highwater_max_staleness",
                &max_staleness.as_millis().to_string(),
            ),
        ],
        Told::Highwater => vec![set(told.name(), &quoted)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_asked_for_in_the_words_that_the_endpoint_knows() {
        let bound = Duration::from_millis(1_500);
        for (told, level, expected) in [
            (Told::Nothing, Claim::Session, &[][..]),
            (Told::Unknown, Claim::Session, &[]),
            (
                Told::Highwater,
                Claim::Proxy,
                &["SET highwater_read_consistency = 'proxy'"],
            ),
            (
                Told::Highwater,
                Claim::Bounded,
                &[
                    "SET highwater_read_consistency = 'bounded'",
                    "SET highwater_max_staleness = 1500",
                ],
            ),
            (
                Told::Aurora,
                Claim::Global,
                &["SET aurora_replica_read_consistency = 'global'"],
            ),
        ] {
            assert_eq!(greeting(told, level, bound), expected, "{told:?} {level:?}");
        }
    }
}
