//! The reading of a configuration: every table and key, its type, its bounds.

use std::path::Path;
use std::time::Duration;

use super::account::{account, password_of, user};
use super::error::{ConfigError, Origin, Problem};
use super::layers::{self, Flags, Table};
use super::reader::{Reader, Section};
use super::rule::rule;
use super::secret::Account;
use super::{
    Address, AdminConfig, ClusterConfig, Config, ConsistencyConfig, HttpConfig, LimitsConfig,
    LogConfig, LogFormat, Mode, MonitorConfig, PoolConfig, PoolMode, ProxyConfig, TelemetryConfig,
    levels,
};
use crate::domain::routing::rules::Rule;

/// Shortest time of what must not be at once.
const SOME_TIME: Duration = Duration::from_millis(1);
/// Shortest interval of probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);

const NO_USER: &str = "missing: at least one [[user]] with name = \"app\" and password_file = \"PATH\" \
                       (or password_env = \"VARIABLE\"); logins checked by the primary itself come \
                       in a later version";

impl Config {
    /// Reads the file at `path`, if there is one, puts the environment over it and `flags` over
    /// both. `environment` looks a variable up; pass [`Config::process_environment`] outside tests.
    ///
    /// # Errors
    /// Everything that is wrong, with file, line and key. Retrying is useless.
    pub fn load(
        path: Option<&Path>,
        flags: &Flags,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let tree = match path {
            None => Table::new(),
            Some(path) => read_file(path)
                .and_then(|text| layers::parse(&text, path))
                .map_err(|problem| ConfigError::new(vec![problem]))?,
        };
        resolve(tree, path, flags, environment).0
    }

    /// Looks a variable up in the environment of this process.
    pub fn process_environment(name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

fn read_file(path: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(path).map_err(|error| Problem {
        origin: Origin::Missing(Some(path.to_owned())),
        key: String::new(),
        message: format!("cannot read the file: {error}"),
    })
}

/// The configuration, and every `table.key` there is.
pub(super) fn resolve(
    mut tree: Table,
    path: Option<&Path>,
    flags: &Flags,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (Result<Config, ConfigError>, Vec<String>) {
    layers::apply_environment(&mut tree, environment);
    layers::apply_flags(&mut tree, flags);
    let mut reader = Reader::new(tree, path, environment);
    let config = read(&mut reader);
    let keys = std::mem::take(&mut reader.keys);
    let problems = reader.finish();
    let result = match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(ConfigError::new(problems)),
    };
    (result, keys)
}

/// Reads all tables before it gives up on any, so that every problem is found.
fn read(reader: &mut Reader<'_>) -> Option<Config> {
    let proxy = reader.table("proxy", proxy);
    let consistency = reader.table("consistency", consistency);
    let cluster = reader.table("cluster", cluster);
    let monitor = reader.table("monitor", monitor);
    let users = users(reader);
    let pool = reader.table("pool", pool);
    let limits = reader.table("limits", limits);
    let http = reader.table("http", http);
    let admin = reader.table("admin", admin);
    let log = reader.table("log", log);
    let telemetry = reader.table("telemetry", telemetry);
    let rules = rules(reader);
    Some(Config {
        proxy,
        consistency,
        cluster: cluster?,
        monitor: monitor?,
        users,
        pool,
        limits,
        http,
        admin,
        log,
        telemetry,
        rules,
    })
}

fn proxy(section: &mut Section<'_, '_>) -> ProxyConfig {
    let default = ProxyConfig::default();
    ProxyConfig {
        mode: section.text("mode", mode).unwrap_or(default.mode),
        listen: section.listen("listen", default.listen, Ok),
        socket: section.path("socket", Ok),
        workers: section.number("workers", 1..=1024, default.workers),
        drain_timeout: section.duration("drain_timeout", Duration::ZERO, default.drain_timeout),
    }
}

fn consistency(section: &mut Section<'_, '_>) -> ConsistencyConfig {
    let default = ConsistencyConfig::default();
    ConsistencyConfig {
        level: section
            .text("level", levels::level)
            .unwrap_or(default.level),
        catch_up_timeout: section.duration(
            "catch_up_timeout",
            Duration::ZERO,
            default.catch_up_timeout,
        ),
        on_timeout: section
            .text("on_timeout", levels::on_timeout)
            .unwrap_or(default.on_timeout),
        transaction_reads: section
            .text("transaction_reads", levels::transaction_reads)
            .unwrap_or(default.transaction_reads),
        max_staleness: section.duration("max_staleness", Duration::ZERO, default.max_staleness),
        primary_budget: section
            .text("primary_budget", levels::share)
            .unwrap_or(default.primary_budget),
        max_lag: section.duration("max_lag", SOME_TIME, default.max_lag),
        sticky_after_write: section.duration(
            "sticky_after_write",
            Duration::ZERO,
            default.sticky_after_write,
        ),
        group_key: section
            .text("group_key", levels::group_key)
            .unwrap_or(default.group_key),
        groups_max: section.number("groups_max", 1..=10_000_000, default.groups_max),
        group_idle: section.duration("group_idle", SOME_TIME, default.group_idle),
    }
}

fn cluster(section: &mut Section<'_, '_>) -> Option<ClusterConfig> {
    let primary = section.required("primary", "the HOST:PORT of the primary", address);
    let replicas = section.list("replicas", address).unwrap_or_default();
    let mut seen: Vec<_> = primary.iter().collect();
    for replica in &replicas {
        if seen.contains(&replica) {
            section.conflict(
                "replicas",
                &format!("{replica} is named twice in [cluster]"),
            );
        }
        seen.push(replica);
    }
    let aurora_consistency = section.text("aurora_consistency", levels::aurora_consistency);
    Some(ClusterConfig {
        primary: primary?,
        replicas,
        aurora_consistency: aurora_consistency.unwrap_or_default(),
    })
}

fn address(text: &str) -> Result<Address, String> {
    text.parse()
        .map_err(|error| format!("{error}; found {text:?}"))
}

fn monitor(section: &mut Section<'_, '_>) -> Option<MonitorConfig> {
    let default = MonitorConfig::new(Account::new("", ""));
    let account = account(section, "user");
    let interval = section.duration("interval", PROBE_INTERVAL, default.interval);
    let timeout = section.duration("timeout", PROBE_INTERVAL, default.timeout);
    Some(MonitorConfig {
        account: account?,
        interval,
        timeout,
    })
}

fn users(reader: &mut Reader<'_>) -> Vec<Account> {
    let accounts = reader.tables("user", user);
    if accounts.is_empty() {
        let origin = reader.nowhere();
        reader.problem(origin, "user", NO_USER.to_owned());
    }
    let mut users: Vec<Account> = Vec::new();
    for account in accounts.into_iter().flatten() {
        if users.iter().any(|user| user.name == account.name) {
            let origin = reader.nowhere();
            let message = format!("{:?} is there twice", account.name);
            reader.problem(origin, "user.name", message);
        }
        users.push(account);
    }
    users
}

fn rules(reader: &mut Reader<'_>) -> Vec<Rule> {
    let mut names: Vec<String> = Vec::new();
    let rules = reader.tables("rule", |section| {
        let rule = rule(section)?;
        if names.contains(&rule.name) {
            section.conflict("name", &format!("{:?} is there twice", rule.name));
        }
        names.push(rule.name.clone());
        Some(rule)
    });
    rules.into_iter().flatten().collect()
}

fn pool(section: &mut Section<'_, '_>) -> PoolConfig {
    let default = PoolConfig::default();
    let max_connections = section.number("max_connections", 1..=100_000, default.max_connections);
    let max_lifetime = default.max_lifetime.unwrap_or_default();
    let max_lifetime = section.duration("max_lifetime", Duration::ZERO, max_lifetime);
    PoolConfig {
        mode: section.text("mode", pool_mode).unwrap_or(default.mode),
        max_connections,
        min_idle: section.number(
            "min_idle",
            0..=max_connections,
            default.min_idle.min(max_connections),
        ),
        acquire_timeout: section.duration("acquire_timeout", SOME_TIME, default.acquire_timeout),
        idle_timeout: section.duration("idle_timeout", SOME_TIME, default.idle_timeout),
        max_lifetime: (!max_lifetime.is_zero()).then_some(max_lifetime),
        switch_always: false,
        primary_max_connections_pct: section.number(
            "primary_max_connections_pct",
            1..=100,
            default.primary_max_connections_pct,
        ),
        prepared_per_connection: section.number(
            "prepared_per_connection",
            1..=1_000_000,
            default.prepared_per_connection,
        ),
    }
}

fn limits(section: &mut Section<'_, '_>) -> LimitsConfig {
    let default = LimitsConfig::default();
    LimitsConfig {
        max_sessions: section.number("max_sessions", 1..=1_000_000, default.max_sessions),
        max_command_held: section.size(
            "max_command_held",
            1 << 10..=1 << 30,
            default.max_command_held,
        ),
        login_timeout: section.duration("login_timeout", SOME_TIME, default.login_timeout),
        statement_cache: section.number("statement_cache", 1..=10_000_000, default.statement_cache),
        routes_per_session: section.number(
            "routes_per_session",
            0..=10_000,
            default.routes_per_session,
        ),
    }
}

fn http(section: &mut Section<'_, '_>) -> HttpConfig {
    let default = HttpConfig::default();
    HttpConfig {
        listen: section.listen("listen", default.listen, Ok),
        account: password_of(section, HttpConfig::USER).unwrap_or(default.account),
    }
}

fn admin(section: &mut Section<'_, '_>) -> AdminConfig {
    let default = AdminConfig::default();
    let open = !section.has("password_file");
    let listen = section.listen("listen", default.listen, |address| {
        match open && !address.ip().is_loopback() {
            true => Err(
                "expected a loopback address, or a password for others to reach it: set \
                 [admin] password_file"
                    .to_owned(),
            ),
            false => Ok(address),
        }
    });
    AdminConfig {
        listen,
        account: password_of(section, AdminConfig::USER).unwrap_or(default.account),
    }
}

fn log(section: &mut Section<'_, '_>) -> LogConfig {
    let default = LogConfig::default();
    LogConfig {
        format: section.text("format", format).unwrap_or(default.format),
        level: section.text("level", filter).unwrap_or(default.level),
        slow: section.optional_duration("slow", SOME_TIME),
    }
}

fn telemetry(section: &mut Section<'_, '_>) -> TelemetryConfig {
    let endpoint = |text: &str| {
        text.parse()
            .map_err(|error| format!("{error}; found {text:?}"))
    };
    TelemetryConfig {
        otlp_endpoint: section.text("otlp_endpoint", endpoint),
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    Mode::ALL
        .into_iter()
        .find(|mode| mode.name() == text)
        .ok_or_else(|| levels::one_of(Mode::ALL.map(Mode::name), text))
}

fn pool_mode(text: &str) -> Result<PoolMode, String> {
    PoolMode::ALL
        .into_iter()
        .find(|mode| mode.name() == text)
        .ok_or_else(|| levels::one_of(PoolMode::ALL.map(PoolMode::name), text))
}

fn format(text: &str) -> Result<LogFormat, String> {
    LogFormat::ALL
        .into_iter()
        .find(|format| format.name() == text)
        .ok_or_else(|| levels::one_of(LogFormat::ALL.map(LogFormat::name), text))
}

/// A level, or a comma list of levels and `module=level`.
fn filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    for part in text.split(',') {
        let level = part.rsplit('=').next().unwrap_or(part).trim();
        if !LEVELS.contains(&level) {
            return Err(levels::one_of(LEVELS, level));
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
