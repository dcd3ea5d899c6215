//! The look at one server.

use std::collections::BTreeSet;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::line::{Answer, Line, Record};
use super::{Task, login};
use crate::doctor::facts::{Channel, Clock, Refusal, Seen, Silence};
use crate::domain::topology::{Engine, Receiver, Role};

/// Connections that are opened to see whether one server answers each of them.
const TWINS: usize = 4;
/// How often a clock is read; the quickest reading counts.
const READINGS: usize = 5;
/// ER_PARSE_ERROR: the server knows only the older word.
const PARSE_ERROR: u16 = 1064;

/// Everything that one server tells.
pub(super) async fn look(task: &Task) -> Result<Seen, Silence> {
    let mut line = Line::open(&task.address, &task.monitor, task.step).await?;
    let version = line.ask("SELECT @@version").await?;
    let engine = Engine::from_version(version.text(0).unwrap_or_default());
    let executed = executed(&mut line, engine).await?;
    let variables = line.ask("SHOW GLOBAL VARIABLES").await?;
    let seen = Seen {
        engine,
        variables: variables.pairs().collect(),
        identities: identities(task, engine).await?,
        account: login::account(&mut line).await?,
        grants: login::grants(&mut line).await?,
        channels: match task.role {
            Role::Primary => Ok(Vec::new()),
            Role::Replica => channels(&mut line, engine).await?,
        },
        binlog_filter: match task.role {
            Role::Primary => binlog_filter(&mut line).await?,
            Role::Replica => Ok(String::new()),
        },
        executed,
        executed_later: None,
        no_trackers: trackers(&mut line, engine).await?,
        clock: clock(&mut line).await?,
        named_zones: named_zones(&mut line).await?,
        connections: connections(&mut line).await?,
        arrival: None,
        logins: login::all(task).await,
    };
    line.close().await;
    Ok(seen)
}

/// Notes where the primary is now, and gives what replicas can be asked to wait for.
pub(super) async fn position_later(
    task: &Task,
    seen: &mut Seen,
) -> Result<Option<String>, Silence> {
    let mut line = Line::open(&task.address, &task.monitor, task.step).await?;
    let target = match seen.engine {
        Engine::MySql if seen.gtids().is_some() => {
            // In this order: a transaction moves from the first to the second.
            let owned = line.ask("SELECT @@global.gtid_owned").await?;
            let executed = executed(&mut line, seen.engine).await?;
            seen.executed_later = Some(join(owned.text(0).unwrap_or_default(), &executed));
            Some(executed)
        }
        Engine::MySql => None,
        Engine::MariaDb => {
            seen.executed_later = Some(executed(&mut line, seen.engine).await?);
            let at = line.ask("SELECT @@global.gtid_binlog_pos").await?;
            at.text(0).filter(|it| !it.is_empty()).map(str::to_owned)
        }
    };
    line.close().await;
    Ok(target.map(|text| text.replace('\n', "")))
}

/// An executed set with what is owned beside it, as text.
fn join(owned: &str, executed: &str) -> String {
    use crate::domain::position::GtidSet;
    let (Ok(mut all), Ok(owned)) = (
        GtidSet::parse(executed.as_bytes()),
        GtidSet::parse_owned(owned.as_bytes()),
    ) else {
        return executed.to_owned();
    };
    all.join(&owned);
    all.to_string()
}

async fn executed(line: &mut Line, engine: Engine) -> Result<String, Silence> {
    let sql = match engine {
        Engine::MySql => "SELECT @@global.gtid_executed",
        Engine::MariaDb => "SELECT @@global.gtid_binlog_state",
    };
    let answer = line.try_ask(sql).await?.unwrap_or_default();
    Ok(answer.text(0).unwrap_or_default().replace('\n', ""))
}

/// Who answers each of several connections.
async fn identities(task: &Task, engine: Engine) -> Result<BTreeSet<String>, Silence> {
    let sql = match engine {
        Engine::MySql => "SELECT @@server_uuid",
        Engine::MariaDb => "SELECT CONCAT('server ', @@server_id, ' on ', @@hostname, ':', @@port)",
    };
    let mut found = BTreeSet::new();
    for _ in 0..TWINS {
        let mut line = Line::open(&task.address, &task.monitor, task.step).await?;
        let answer = line.ask(sql).await?;
        found.extend(answer.text(0).map(str::to_owned));
        line.close().await;
    }
    Ok(found)
}

async fn channels(
    line: &mut Line,
    engine: Engine,
) -> Result<Result<Vec<Channel>, Refusal>, Silence> {
    let statements = match engine {
        Engine::MySql => ["SHOW REPLICA STATUS", "SHOW SLAVE STATUS"],
        // Only this one shows every connection.
        Engine::MariaDb => ["SHOW ALL REPLICAS STATUS", "SHOW ALL SLAVES STATUS"],
    };
    let mut answer = Err(Refusal {
        code: PARSE_ERROR,
        message: String::new(),
    });
    for sql in statements {
        if answer.as_ref().is_err_and(|it| it.code == PARSE_ERROR) {
            answer = line.try_ask(sql).await?;
        }
    }
    Ok(answer.map(|answer| answer.records().map(channel).collect()))
}

fn channel(record: Record<'_>) -> Channel {
    let number = |names: &[&str]| record.any(names).parse().ok();
    let complaints = [
        record.any(&["Last_IO_Error"]),
        record.any(&["Last_SQL_Error"]),
    ];
    Channel {
        name: record.any(&["Channel_Name", "Connection_name"]).to_owned(),
        receiver: match record.any(&["Replica_IO_Running", "Slave_IO_Running"]) {
            "Yes" => Some(Receiver::Running),
            "Connecting" | "Preparing" => Some(Receiver::Connecting),
            "No" => Some(Receiver::Stopped),
            _ => None,
        },
        applier: record.any(&["Replica_SQL_Running", "Slave_SQL_Running"]) == "Yes",
        complaint: complaints.join(" ").trim().to_owned(),
        source_uuid: match record.any(&["Source_UUID", "Master_UUID"]) {
            "" => None,
            uuid => Some(uuid.to_owned()),
        },
        source_id: number(&["Source_Server_Id", "Master_Server_Id"]).unwrap_or(0),
        source: format!(
            "{}:{}",
            record.any(&["Source_Host", "Master_Host"]),
            record.any(&["Source_Port", "Master_Port"])
        ),
        by_gtid: !matches!(
            record.any(&["Auto_Position", "Using_Gtid"]),
            "" | "0" | "No"
        ),
        filters: filters(record),
        delay: number(&["SQL_Delay"]).unwrap_or(0),
        seconds_behind: number(&["Seconds_Behind_Source", "Seconds_Behind_Master"]),
    }
}

/// Whatever restricts or rewrites what is applied.
fn filters(record: Record<'_>) -> Vec<(String, String)> {
    record
        .beginning("Replicate_")
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

async fn binlog_filter(line: &mut Line) -> Result<Result<String, Refusal>, Silence> {
    let mut answer = line.try_ask("SHOW BINARY LOG STATUS").await?;
    if answer.as_ref().is_err_and(|it| it.code == PARSE_ERROR) {
        answer = line.try_ask("SHOW MASTER STATUS").await?;
    }
    Ok(answer.map(|answer| {
        let shown = answer.records().flat_map(|record| {
            ["Binlog_Do_DB", "Binlog_Ignore_DB"]
                .map(|name| (name, record.any(&[name])))
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| format!("{name} = {value}"))
                .collect::<Vec<_>>()
        });
        shown.collect::<Vec<_>>().join(", ")
    }))
}

async fn trackers(line: &mut Line, engine: Engine) -> Result<Option<Refusal>, Silence> {
    let statements: &[&str] = match engine {
        Engine::MySql => &[
            "SET SESSION session_track_gtids = 'OWN_GTID'",
            "SET SESSION session_track_transaction_info = 'CHARACTERISTICS'",
            "SET SESSION session_track_system_variables = 'autocommit'",
        ],
        Engine::MariaDb => &[
            "SET SESSION session_track_system_variables = 'autocommit,last_gtid'",
            "SET SESSION session_track_transaction_info = 'CHARACTERISTICS'",
        ],
    };
    for sql in statements {
        if let Err(refusal) = line.try_ask(sql).await? {
            return Ok(Some(refusal));
        }
    }
    Ok(None)
}

/// The server's clock against ours, from the quickest of a few readings.
async fn clock(line: &mut Line) -> Result<Option<Clock>, Silence> {
    let mut best: Option<Clock> = None;
    for _ in 0..READINGS {
        let before = SystemTime::now();
        let began = Instant::now();
        let answer = line
            .ask("SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)")
            .await?;
        let half = began.elapsed() / 2;
        let ours = before
            .checked_add(half)
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|time| i64::try_from(time.as_micros()).ok());
        let error = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        if let (Some(ours), Some(theirs)) = (ours, answer.number(0))
            && best.is_none_or(|best| error < best.error)
        {
            let ahead = theirs.saturating_sub(ours);
            best = Some(Clock { ahead, error });
        }
    }
    Ok(best)
}

async fn named_zones(line: &mut Line) -> Result<bool, Silence> {
    let sql = "SELECT CONVERT_TZ('2000-01-01 00:00:00', 'UTC', 'Europe/Berlin')";
    Ok(line.ask(sql).await?.text(0).is_some())
}

async fn connections(line: &mut Line) -> Result<u64, Silence> {
    let answer: Answer = line
        .ask("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
        .await?;
    let count = answer.number(1).unwrap_or(0);
    Ok(u64::try_from(count).unwrap_or(0))
}
