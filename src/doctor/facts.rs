//! What was seen, as plain data: all that the rules know.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::Config;
use crate::domain::consistency::Level;
use crate::domain::position::GtidSet;
use crate::domain::topology::guarantee::HistorySettings;
use crate::domain::topology::{Engine, Receiver, Role};

/// Everything that was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What the configuration wants.
    pub asked: Asked,
    /// The primary first, then the replicas in the order of the configuration.
    pub servers: Vec<Server>,
    /// What a running proxy counted, if one answers.
    pub traffic: Option<Traffic>,
}

/// What the configuration wants.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Each configured level, and the key that asks for it.
    pub levels: Vec<(Level, String)>,
    /// `[consistency] max_lag`.
    pub max_lag: Duration,
    /// `[pool] max_connections`, per server.
    pub pool_connections: usize,
    /// `[pool] prepared_per_connection`.
    pub pool_prepared: usize,
    /// `[pool] idle_timeout`.
    pub pool_idle: Duration,
    /// `[monitor] user`.
    pub monitor: String,
}

impl Asked {
    /// What this configuration wants.
    pub fn of(config: &Config) -> Self {
        let level = config.consistency.level;
        let users = config.users.iter().filter_map(|user| {
            let asked_by = format!("[[user]] {:?} consistency", user.name);
            Some((user.consistency.level?, asked_by))
        });
        Self {
            levels: std::iter::once((level, "[consistency] level".to_owned()))
                .chain(users)
                .collect(),
            max_lag: config.consistency.max_lag,
            pool_connections: config.pool.max_connections,
            pool_prepared: config.pool.prepared_per_connection,
            pool_idle: config.pool.idle_timeout,
            monitor: config.monitor.account.name.clone(),
        }
    }
}

/// One configured server.
#[derive(Clone, Debug)]
pub struct Server {
    /// `host:port` as configured.
    pub address: String,
    /// Its configured role.
    pub role: Role,
    /// What it told, or why it told nothing.
    pub seen: Result<Box<Seen>, Silence>,
}

/// Why a server told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It cannot be reached, or does not answer in time.
    Unreachable(String),
    /// It refused the monitor's login.
    Refused(Refusal),
}

/// An error of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// MySQL's error number.
    pub code: u16,
    /// The server's text.
    pub message: String,
}

/// What one server told.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What kind of server it is.
    pub engine: Engine,
    /// `SHOW GLOBAL VARIABLES`.
    pub variables: BTreeMap<String, String>,
    /// Who answered each of several connections: server uuid, or what names a MariaDB.
    pub identities: BTreeSet<String>,
    /// The account that the monitor's login became, as `'user'@'host'`.
    pub account: String,
    /// What that account may do: one line of SHOW GRANTS each, without secrets.
    pub grants: Vec<String>,
    /// Its replication channels, or why they are not shown.
    pub channels: Result<Vec<Channel>, Refusal>,
    /// `binlog_do_db` and `binlog_ignore_db`, or why they are not shown.
    pub binlog_filter: Result<String, Refusal>,
    /// What it has executed, as its engine writes it; a replica is asked before the primary.
    pub executed: String,
    /// What the primary owned or had executed after every replica had been asked.
    pub executed_later: Option<String>,
    /// Why the session trackers that positions come from cannot be had, if they cannot.
    pub no_trackers: Option<Refusal>,
    /// Its clock against ours.
    pub clock: Option<Clock>,
    /// Whether named time zones are loaded.
    pub named_zones: bool,
    /// Connections of everybody at the moment.
    pub connections: u64,
    /// How long it took a replica to reach `executed_later` of the primary.
    pub arrival: Option<Arrival>,
    /// The configured accounts' logins.
    pub logins: Vec<Login>,
}

impl Seen {
    /// A global variable under the first of its names that the server knows.
    pub fn variable(&self, names: &[&str]) -> Option<&str> {
        let value = names.iter().find_map(|name| self.variables.get(*name));
        value.map(String::as_str)
    }

    /// A global variable as a number.
    pub fn number(&self, names: &[&str]) -> Option<u64> {
        self.variable(names)?.parse().ok()
    }

    /// Whether a global variable is on.
    pub fn is_on(&self, names: &[&str]) -> bool {
        matches!(self.variable(names), Some("ON" | "1"))
    }

    /// Whether it is an Aurora instance.
    pub fn is_aurora(&self) -> bool {
        self.variables.contains_key("aurora_version")
    }

    /// `@@version` in numbers, as far as it has any.
    pub fn version(&self) -> Vec<u64> {
        let text = self.variable(&["version"]).unwrap_or_default();
        let numbers = text.split(|c: char| !c.is_ascii_digit()).take(3);
        numbers.map_while(|part| part.parse().ok()).collect()
    }

    /// Appliers that may work at the same time.
    pub fn appliers(&self) -> u64 {
        let names = match self.engine {
            Engine::MySql => &["replica_parallel_workers", "slave_parallel_workers"][..],
            Engine::MariaDb => &["slave_parallel_threads"],
        };
        self.number(names).unwrap_or(0)
    }

    /// The channels, group replication's own left out.
    pub fn sources(&self) -> impl Iterator<Item = &Channel> {
        let channels = self.channels.as_ref().map(Vec::as_slice).unwrap_or(&[]);
        let ordinary = |channel: &&Channel| !channel.name.starts_with("group_replication_");
        channels.iter().filter(ordinary)
    }

    /// What decides which levels can hold here.
    pub fn history(&self) -> HistorySettings {
        let value = |name: &str| self.variable(&[name]);
        HistorySettings {
            binlog_filtered: self.binlog_filter.as_ref().is_ok_and(|it| !it.is_empty()),
            channels: self.sources().count(),
            replication_filtered: self.sources().any(|channel| !channel.filters.is_empty()),
            ..HistorySettings::from_variables(self.engine, value)
        }
    }

    /// MySQL's executed set; `None` where there is none to read.
    pub fn gtids(&self) -> Option<GtidSet> {
        let is_set = self.engine == Engine::MySql && self.is_on(&["gtid_mode"]);
        is_set.then(|| GtidSet::parse(self.executed.as_bytes()).ok())?
    }
}

/// One replication channel of a replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channel {
    /// Its name; empty for the default one.
    pub name: String,
    /// The thread that receives; `None` when the server did not say.
    pub receiver: Option<Receiver>,
    /// Whether the thread that applies runs.
    pub applier: bool,
    /// What the two last complained about; empty if nothing.
    pub complaint: String,
    /// The source's uuid, on MySQL.
    pub source_uuid: Option<String>,
    /// The source's server id.
    pub source_id: u64,
    /// `host:port` of the source.
    pub source: String,
    /// Whether positions are found by GTID: `Auto_Position` or `Using_Gtid`.
    pub by_gtid: bool,
    /// Filters as the status names them, such as `Replicate_Do_DB`, and their values.
    pub filters: Vec<(String, String)>,
    /// Seconds that every transaction is held back.
    pub delay: u64,
    /// The replica's own estimate of its lag in seconds.
    pub seconds_behind: Option<u64>,
}

/// A server's clock against ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Microseconds that it is ahead of ours; negative when behind.
    pub ahead: i64,
    /// Half of the round trip in microseconds: the true value is at most this far away.
    pub error: u64,
}

/// How a replica got to where the primary was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was there after this time.
    After(Duration),
    /// It was not there after this time.
    NotWithin(Duration),
}

/// The login of one configured account.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name in `[[user]]`.
    pub user: String,
    /// What it is on this server, or why it cannot log in.
    pub seen: Result<LoginSeen, Refusal>,
}

/// What an account is on one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginSeen {
    /// The account, as `'user'@'host'`.
    pub account: String,
    /// Its authentication plugin, where the server tells.
    pub plugin: Option<String>,
    /// Its own limit of connections; `None` for none.
    pub connections: Option<u64>,
    /// Whether a role is active after the login.
    pub role_active: bool,
    /// What it may do: one line of SHOW GRANTS each, sorted, without secrets.
    pub grants: Vec<String>,
    /// What it sees of the data's definitions; on the primary only.
    pub definitions: Option<Definitions>,
}

/// Tables and programs that matter to replicas and to a proxy; the first of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    /// Tables without a primary key, or a unique one that is never NULL, as `schema.table`.
    pub keyless: Vec<String>,
    /// Triggers and functions that set user variables, take named locks or make temporary tables, such
    /// as `trigger schema.name`.
    pub binding: Vec<String>,
}

/// Reads that a running proxy counted since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Where the metrics page is.
    pub page: String,
    /// Reads answered by replicas.
    pub by_replicas: u64,
    /// Reads answered by the primary, by the reason.
    pub by_primary: BTreeMap<String, u64>,
    /// Reads that were the primary's only for a transaction which had written nothing yet.
    pub before_writes: u64,
}
