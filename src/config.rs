//! From file, environment and flags to one resolved [`Config`] of parsed values.
//!
//! The layers are put on top of each other first (file, then `HIGHWATER_*` variables, then flags),
//! each value keeping its origin; then one reading turns them into a [`Config`], fills in defaults
//! and collects every problem with its file, line, key and expectation. The reading is also the
//! list of known keys: what it does not ask for is an unknown key.

mod account;
mod address;
mod error;
mod layers;
mod levels;
mod load;
mod nearest;
mod reader;
mod reload;
mod rule;
mod secret;
mod show;
mod units;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::consistency::{Level, Settings, Share, TransactionReads};
use crate::domain::routing::rules::Rule;

pub use crate::domain::consistency::OnTimeout;

pub use address::{Address, Endpoint};
pub use error::{ConfigError, Origin, Problem};
pub use layers::{Flags, OVERRIDES, Override};
pub use reload::{Change, Effect};
pub use secret::{Account, Secret, SecretSource, UserConsistency};

/// Everything that can be configured, resolved: no value is missing or unparsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[proxy]`: where clients connect, and the process itself.
    pub proxy: ProxyConfig,
    /// `[consistency]`: what reads are promised.
    pub consistency: ConsistencyConfig,
    /// `[cluster]`: the servers.
    pub cluster: ClusterConfig,
    /// `[monitor]`: how the servers are watched.
    pub monitor: MonitorConfig,
    /// `[[user]]`: who may log in, and with what. At least one.
    pub users: Vec<Account>,
    /// `[pool]`: connections to each server.
    pub pool: PoolConfig,
    /// `[limits]`: what one client, or all, may use.
    pub limits: LimitsConfig,
    /// `[http]`: metrics, health and the live page.
    pub http: HttpConfig,
    /// `[admin]`: the SQL admin port.
    pub admin: AdminConfig,
    /// `[log]`: log lines.
    pub log: LogConfig,
    /// `[telemetry]`: traces.
    pub telemetry: TelemetryConfig,
    /// `[[rule]]`: what is done with some statements, in this order.
    pub rules: Vec<Rule>,
}

/// `[proxy]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyConfig {
    /// Whether reads really go to replicas.
    pub mode: Mode,
    /// Where clients connect by TCP.
    pub listen: SocketAddr,
    /// Where clients connect by unix socket; none without it.
    pub socket: Option<PathBuf>,
    /// Threads that run sessions, at least 1.
    pub workers: usize,
    /// How long a shutdown waits for sessions to end by themselves.
    pub drain_timeout: Duration,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            mode: Mode::default(),
            listen: loopback(6033),
            socket: None,
            workers: (cores / 2).max(1),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Whether reads really go to replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They do.
    #[default]
    Split,
    /// Everything goes to the primary; what the split would have done is counted.
    Shadow,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::Split, Self::Shadow];

    /// The name used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Shadow => "shadow",
        }
    }
}

/// `[consistency]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsistencyConfig {
    /// The level a session starts with.
    pub level: Level,
    /// How long a read waits for a replica to catch up; zero does not wait.
    pub catch_up_timeout: Duration,
    /// How old the answer of a `bounded` read may be.
    pub max_staleness: Duration,
    /// What a read does when no replica caught up in time.
    pub on_timeout: OnTimeout,
    /// Where the reads of a transaction go before its first write.
    pub transaction_reads: TransactionReads,
    /// The part of the primary's connections that reads may use which fell back to it.
    pub primary_budget: Share,
    /// A replica further behind than this gets no reads.
    pub max_lag: Duration,
    /// Where the servers tell no positions: how long after a write a session reads from the primary.
    pub sticky_after_write: Duration,
    /// What a session's group is, unless it or its user names one.
    pub group_key: GroupBy,
    /// Groups that are remembered at most.
    pub groups_max: usize,
    /// A group that nobody used for this long is forgotten.
    pub group_idle: Duration,
}

impl Default for ConsistencyConfig {
    fn default() -> Self {
        let Settings {
            level,
            catch_up_timeout,
            max_staleness,
            on_timeout,
            transaction_reads,
        } = Settings::default();
        Self {
            level,
            catch_up_timeout,
            max_staleness,
            on_timeout,
            transaction_reads,
            primary_budget: Share::percent(20),
            max_lag: Duration::from_secs(30),
            sticky_after_write: Duration::from_secs(2),
            group_key: GroupBy::default(),
            groups_max: 10_000,
            group_idle: Duration::from_secs(600),
        }
    }
}

impl ConsistencyConfig {
    /// What a session of a user with these wishes starts with.
    pub fn settings(&self, user: &UserConsistency) -> Settings {
        Settings {
            level: user.level.unwrap_or(self.level),
            catch_up_timeout: user.catch_up_timeout.unwrap_or(self.catch_up_timeout),
            max_staleness: user.max_staleness.unwrap_or(self.max_staleness),
            on_timeout: user.on_timeout.unwrap_or(self.on_timeout),
            transaction_reads: user.transaction_reads.unwrap_or(self.transaction_reads),
        }
    }
}

/// What a session's group is, unless it or its user names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// All sessions of one account.
    User,
    /// All sessions that sent the same value of this connection attribute; a session that sent none
    /// is in the group of its account.
    Attribute(String),
}

impl Default for GroupBy {
    fn default() -> Self {
        Self::Attribute("highwater.group".to_owned())
    }
}

impl std::fmt::Display for GroupBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::Attribute(name) => write!(f, "attribute:{name}"),
        }
    }
}

/// `[cluster]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterConfig {
    /// The server that takes the writes.
    pub primary: Address,
    /// The servers that take reads; may be empty.
    pub replicas: Vec<Address>,
    /// Who sees to the consistency of reads on Aurora's readers.
    pub aurora_consistency: AuroraConsistency,
}

/// Who sees to the consistency of reads on Aurora's readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuroraConsistency {
    /// Highwater, by log sequence numbers.
    #[default]
    Proxy,
    /// The readers themselves: each read waits there until it sees everything committed before it.
    /// Needs local write forwarding.
    Delegate,
}

impl AuroraConsistency {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Proxy, Self::Delegate];

    /// The name used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Delegate => "delegate",
        }
    }
}

/// `[monitor]`.
#[derive(Clone, Debug, PartialEq)]
pub struct MonitorConfig {
    /// The account the monitor logs in with.
    pub account: Account,
    /// Time from one probe of a server to the next.
    pub interval: Duration,
    /// A probe that takes longer counts as no answer.
    pub timeout: Duration,
}

impl MonitorConfig {
    /// The default pace with this account.
    pub fn new(account: Account) -> Self {
        Self {
            account,
            interval: Duration::from_millis(200),
            timeout: Duration::from_secs(1),
        }
    }
}

/// For how long a session keeps a server connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolMode {
    /// From its first statement there to its end.
    Session,
    /// As long as it has something on it that cannot be restored elsewhere, such as a transaction;
    /// between statements others may have it.
    #[default]
    Transaction,
}

impl PoolMode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::Session, Self::Transaction];

    /// The name used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
        }
    }
}

/// `[pool]`. Numbers are per server.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolConfig {
    /// For how long a session keeps a connection.
    pub mode: PoolMode,
    /// Connections at most.
    pub max_connections: usize,
    /// Connections kept ready while nobody uses them.
    pub min_idle: usize,
    /// How long a session waits for a free connection.
    pub acquire_timeout: Duration,
    /// A connection over `min_idle` that nobody used for this long is closed.
    pub idle_timeout: Duration,
    /// A connection that was opened longer ago is not handed to another session; `None` for no bound.
    pub max_lifetime: Option<Duration>,
    /// For tests, and no key: in `transaction` mode each statement's end gives its connection back,
    /// and each lease takes another one than last time if there may be one.
    #[doc(hidden)]
    pub switch_always: bool,
    /// Percent of the primary's own max_connections that may be used, from 1 to 100; the smaller bound
    /// counts.
    pub primary_max_connections_pct: usize,
    /// Prepared statements that are kept on one connection.
    pub prepared_per_connection: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            mode: PoolMode::default(),
            max_connections: 200,
            min_idle: 4,
            acquire_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(300),
            max_lifetime: Some(Duration::from_secs(1800)),
            switch_always: false,
            primary_max_connections_pct: 100,
            // All connections together stay under a server's default max_prepared_stmt_count, 16382.
            prepared_per_connection: 80,
        }
    }
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitsConfig {
    /// Client sessions at most; one more is refused with error 1040.
    pub max_sessions: usize,
    /// Bytes of a command that are held to be read; a longer one goes to the primary unread.
    pub max_command_held: usize,
    /// A login that takes longer is ended.
    pub login_timeout: Duration,
    /// Distinct statements whose classification is remembered, and what was counted of each.
    pub statement_cache: usize,
    /// Statements of each session of which is remembered where they went, and why.
    pub routes_per_session: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_sessions: 10_000,
            max_command_held: 1 << 20,
            login_timeout: Duration::from_secs(10),
            statement_cache: 10_000,
            routes_per_session: 32,
        }
    }
}

/// `[http]`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    /// Where /metrics, /healthz, /readyz and the live page answer.
    pub listen: SocketAddr,
    /// Who may see more than the first three: the user `admin`. Without a password everybody who asks by
    /// the name of a loopback address, and nobody on other addresses.
    pub account: Account,
}

impl HttpConfig {
    /// The name of the only user of the live page.
    pub const USER: &str = "admin";

    /// A port that needs no password.
    pub fn open(listen: SocketAddr) -> Self {
        Self {
            listen,
            account: Account::new(Self::USER, ""),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self::open(loopback(6034))
    }
}

/// `[admin]`.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminConfig {
    /// Where the SQL admin port answers.
    pub listen: SocketAddr,
    /// Who may log in there: the user `admin`. Without a password on loopback addresses only.
    pub account: Account,
}

impl AdminConfig {
    /// The name of the only user of the admin port.
    pub const USER: &str = "admin";

    /// A port that needs no password.
    pub fn open(listen: SocketAddr) -> Self {
        Self {
            listen,
            account: Account::new(Self::USER, ""),
        }
    }
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self::open(loopback(6032))
    }
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`, `off`), or a list with levels for parts,
    /// such as `info,highwater::monitor=debug`.
    pub level: String,
    /// A statement that takes at least this long gets a line; none does without it.
    pub slow: Option<Duration>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            level: "info".to_owned(),
            slow: None,
        }
    }
}

/// `[telemetry]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TelemetryConfig {
    /// The collector that gets a span for each statement with a trace parent; none do without it.
    pub otlp_endpoint: Option<Endpoint>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text when standard error is a terminal, else JSON.
    #[default]
    Auto,
    /// One line of text each.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Text, Self::Json];

    /// The name used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl Config {
    /// A configuration made in code, for `demo` and tests: defaults, and port 0 for every listener,
    /// so that the system gives free ones. `users` may log in; `monitor` watches the servers.
    pub fn for_cluster(
        primary: Address,
        replicas: Vec<Address>,
        users: Vec<Account>,
        monitor: Account,
    ) -> Self {
        Self {
            proxy: ProxyConfig {
                listen: loopback(0),
                ..ProxyConfig::default()
            },
            consistency: ConsistencyConfig::default(),
            cluster: ClusterConfig {
                primary,
                replicas,
                aurora_consistency: AuroraConsistency::default(),
            },
            monitor: MonitorConfig::new(monitor),
            users,
            pool: PoolConfig::default(),
            limits: LimitsConfig::default(),
            http: HttpConfig::open(loopback(0)),
            admin: AdminConfig::open(loopback(0)),
            log: LogConfig::default(),
            telemetry: TelemetryConfig::default(),
            rules: Vec::new(),
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
