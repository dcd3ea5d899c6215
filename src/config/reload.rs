//! What comes of a configuration that is read while the proxy runs: what is in force then, and how that
//! differs from what was.

use std::collections::BTreeSet;
use std::fmt;

use super::secret::Account;
use super::{AdminConfig, ClusterConfig, Config, LimitsConfig, LogConfig, PoolConfig, ProxyConfig};
use crate::domain::routing::rules::Rule;

/// A difference between the configuration in force and the one that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `table.key`; `user.NAME.key` of a user.
    pub key: String,
    /// What differs. A password only as changed.
    pub difference: String,
    /// Since when it counts.
    pub effect: Effect,
}

/// Since when a change counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Now.
    InForce,
    /// Now, save for sessions that set it themselves.
    Defaults,
    /// For sessions that begin from now on.
    NewSessions,
    /// For connections that are opened from now on.
    NewConnections,
    /// When nothing is open there any more.
    Drained,
    /// Not in this process.
    Restart,
}

impl Effect {
    /// The same for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::InForce => "in force",
            Self::Defaults => "in force; sessions that set it themselves keep theirs",
            Self::NewSessions => "for new sessions",
            Self::NewConnections => "for connections that are opened from now on",
            Self::Drained => {
                "no new reads; gone when what is open there has ended, after drain_timeout at the latest"
            }
            Self::Restart => "needs a restart; the old value stays in force",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.difference, self.effect.text())
    }
}

/// Keys whose change does not simply count at once. Those that need a restart are known by what
/// [`Config::reloaded`] leaves as it was.
const LATER: [(&str, Effect); 9] = [
    ("consistency.level", Effect::Defaults),
    ("consistency.catch_up_timeout", Effect::Defaults),
    ("consistency.max_staleness", Effect::Defaults),
    ("consistency.on_timeout", Effect::Defaults),
    ("consistency.group_key", Effect::NewSessions),
    ("limits.routes_per_session", Effect::NewSessions),
    ("monitor.user", Effect::NewConnections),
    ("monitor.password", Effect::NewConnections),
    ("admin.password", Effect::NewConnections),
];

impl Config {
    /// What is in force after this configuration was given up for the `wanted` one, as far as a process
    /// can change that runs, and every difference between the two. The same differences are named each
    /// time for as long as they are there.
    pub fn reloaded(&self, wanted: Self) -> (Self, Vec<Change>) {
        let next = Self {
            proxy: ProxyConfig {
                drain_timeout: wanted.proxy.drain_timeout,
                ..self.proxy.clone()
            },
            consistency: wanted.consistency.clone(),
            cluster: ClusterConfig {
                replicas: wanted.cluster.replicas.clone(),
                ..self.cluster.clone()
            },
            monitor: wanted.monitor.clone(),
            users: wanted.users.clone(),
            pool: PoolConfig {
                mode: self.pool.mode,
                switch_always: self.pool.switch_always,
                ..wanted.pool.clone()
            },
            limits: LimitsConfig {
                statement_cache: self.limits.statement_cache,
                ..wanted.limits.clone()
            },
            http: self.http.clone(),
            admin: AdminConfig {
                listen: self.admin.listen,
                account: self.admin_account(&wanted.admin),
            },
            log: LogConfig {
                format: self.log.format,
                ..wanted.log.clone()
            },
            telemetry: self.telemetry.clone(),
            rules: wanted.rules.clone(),
        };
        let changes = differences(self, &wanted, &next);
        (next, changes)
    }

    /// The port goes on at the address where it is: others reach it there, so it stays with its password.
    fn admin_account(&self, wanted: &AdminConfig) -> Account {
        let others = !self.admin.listen.ip().is_loopback();
        match others && wanted.account.password.is_empty() {
            true => self.admin.account.clone(),
            false => wanted.account.clone(),
        }
    }

    /// Every `table.key` with its value; `user.NAME.key` of users.
    fn rows(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        let mut table = String::new();
        for line in self.to_toml().lines() {
            if let Some(name) = line.strip_prefix('[') {
                table = name.trim_matches(['[', ']']).to_owned();
            } else if let Some((key, value)) = line.split_once(" = ") {
                let text = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
                let value = text.unwrap_or(value).to_owned();
                if matches!(&*table, "user" | "rule") && key == "name" {
                    table = format!("{table}.{value}");
                    continue;
                }
                rows.push((format!("{table}.{key}"), value));
            }
        }
        rows
    }

    /// Every password, by its key.
    fn passwords(&self) -> Vec<(String, &Account)> {
        let own = [
            ("monitor.password".to_owned(), &self.monitor.account),
            ("admin.password".to_owned(), &self.admin.account),
        ];
        let users = self.users.iter();
        let users = users.map(|user| (format!("user.{}.password", user.name), user));
        own.into_iter().chain(users).collect()
    }
}

fn differences(old: &Config, wanted: &Config, next: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let (old_rows, next_rows) = (old.rows(), next.rows());
    let wanted_rows = wanted.rows();
    let value = |rows: &[(String, String)], key: &str| {
        let found = rows.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.clone())
    };
    let mut keys: Vec<&String> = wanted_rows.iter().map(|(key, _)| key).collect();
    keys.extend(old_rows.iter().map(|(key, _)| key));
    let mut seen = BTreeSet::new();
    for key in keys.into_iter().filter(|key| seen.insert(*key)) {
        let [before, after, got] =
            [&old_rows, &wanted_rows, &next_rows].map(|rows| value(rows, key));
        if before == after
            || key == "cluster.replicas"
            || of_other_users(key, old, wanted)
            || key.starts_with("rule.")
        {
            continue;
        }
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        changes.push(Change {
            difference: format!("{} -> {}", shown(&before), shown(&after)),
            effect: match got == after {
                true => effect(key),
                false => Effect::Restart,
            },
            key: key.clone(),
        });
    }
    changes.extend(replicas(old, wanted));
    changes.extend(users(old, wanted));
    changes.extend(rules(old, wanted));
    changes.extend(passwords(old, wanted, next));
    changes
}

fn effect(key: &str) -> Effect {
    let later = LATER.iter().find(|(name, _)| *name == key);
    match later {
        Some((_, effect)) => *effect,
        None if key.starts_with("user.") && key.ends_with(".group") => Effect::NewSessions,
        None if key.starts_with("user.") => Effect::Defaults,
        None => Effect::InForce,
    }
}

/// Whether a key is of a user that one of the two does not have: that is one change.
fn of_other_users(key: &str, old: &Config, wanted: &Config) -> bool {
    let Some(rest) = key.strip_prefix("user.") else {
        return false;
    };
    let has = |config: &Config| {
        let mut users = config.users.iter();
        users.any(|user| {
            let key = rest.strip_prefix(user.name.as_str());
            key.is_some_and(|key| key.starts_with('.'))
        })
    };
    !(has(old) && has(wanted))
}

fn replicas(old: &Config, wanted: &Config) -> Vec<Change> {
    let [before, after] = [&old.cluster.replicas, &wanted.cluster.replicas];
    let change = |difference: String, effect| Change {
        key: "cluster.replicas".to_owned(),
        difference,
        effect,
    };
    // The primary of now is not one of its replicas before a restart.
    let added = after.iter().filter(|it| !before.contains(it));
    let added = added.map(|it| change(format!("{it} added"), Effect::InForce));
    let removed = before.iter().filter(|it| !after.contains(it));
    let removed = removed.map(|it| change(format!("{it} removed"), Effect::Drained));
    added.chain(removed).collect()
}

fn users(old: &Config, wanted: &Config) -> Vec<Change> {
    let has = |config: &Config, name: &str| config.users.iter().any(|account| account.name == name);
    let change = |user: &Account, what: &str| Change {
        key: format!("user.{}", user.name),
        difference: what.to_owned(),
        effect: Effect::NewSessions,
    };
    let added = wanted.users.iter().filter(|it| !has(old, &it.name));
    let added = added.map(|it| change(it, "added"));
    let removed = old.users.iter().filter(|it| !has(wanted, &it.name));
    let removed = removed.map(|it| change(it, "removed"));
    added.chain(removed).collect()
}

/// Not what they say: that may have literals of statements in it.
fn rules(old: &Config, wanted: &Config) -> Vec<Change> {
    let change = |name: &str, what: &str| Change {
        key: format!("rule.{name}"),
        difference: what.to_owned(),
        effect: Effect::InForce,
    };
    let mut changes = Vec::new();
    for rule in &wanted.rules {
        match old.rules.iter().find(|it| it.name == rule.name) {
            None => changes.push(change(&rule.name, "added")),
            Some(before) if before != rule => changes.push(change(&rule.name, "changed")),
            Some(_) => {}
        }
    }
    let has = |rules: &[Rule], name: &str| rules.iter().any(|it| it.name == name);
    let removed = old.rules.iter().filter(|it| !has(&wanted.rules, &it.name));
    changes.extend(removed.map(|it| change(&it.name, "removed")));
    let order = |of: &[Rule], other: &[Rule]| -> Vec<String> {
        let names = of.iter().map(|it| it.name.clone());
        names.filter(|name| has(other, name)).collect()
    };
    if order(&old.rules, &wanted.rules) != order(&wanted.rules, &old.rules) {
        changes.push(Change {
            key: "rule".to_owned(),
            ..change("", "another order")
        });
    }
    changes
}

fn passwords(old: &Config, wanted: &Config, next: &Config) -> Vec<Change> {
    let (old, next) = (old.passwords(), next.passwords());
    let of = |all: &[(String, &Account)], key: &str| {
        let found = all.iter().find(|(name, _)| name == key);
        found.map(|(_, account)| account.password.clone())
    };
    let mut changes = Vec::new();
    for (key, account) in wanted.passwords() {
        let Some(before) = of(&old, &key) else {
            continue;
        };
        if before == account.password {
            continue;
        }
        let taken = of(&next, &key).is_some_and(|it| it == account.password);
        changes.push(Change {
            difference: "changed".to_owned(),
            effect: match taken {
                false => Effect::Restart,
                true if key.starts_with("user.") => Effect::NewSessions,
                true => effect(&key),
            },
            key,
        });
    }
    changes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::{Address, LogFormat, Mode, PoolMode};
    use super::*;
    use crate::config::AuroraConsistency;
    use crate::domain::consistency::Level;
    use std::time::Duration;

    fn config() -> Config {
        Config::for_cluster(
            Address::new("p", 1),
            vec![Address::new("a", 1), Address::new("b", 1)],
            vec![Account::new("app", "one"), Account::new("other", "x")],
            Account::new("watch", "w"),
        )
    }

    /// What a change of the configuration is said to do: each as `key difference: effect`.
    fn told(change: impl FnOnce(&mut Config)) -> (Config, Vec<String>) {
        let old = config();
        let mut wanted = config();
        change(&mut wanted);
        let (next, changes) = old.reloaded(wanted.clone());
        // What needs a restart is named again, and nothing else is.
        let (again, left) = next.reloaded(wanted);
        assert_eq!(again, next);
        let restart = |change: &&Change| change.effect == Effect::Restart;
        let waiting: Vec<_> = changes.iter().filter(restart).cloned().collect();
        assert_eq!(left, waiting);
        let lines = changes.iter().map(|it| format!("{} {it}", it.key));
        (next, lines.collect())
    }

    #[test]
    fn nothing_changed_is_nothing_told() {
        let (next, lines) = told(|_| {});
        assert_eq!((next, lines), (config(), Vec::new()));
        // Another order is no change.
        assert_eq!(told(|it| it.cluster.replicas.reverse()).1, [""; 0]);
    }

    #[test]
    fn what_a_process_can_change_is_in_force() {
        let (next, lines) = told(|config| {
            config.consistency.level = Level::Global;
            config.pool.max_connections = 7;
            config.monitor.interval = Duration::from_millis(50);
            config.log.level = "debug".to_owned();
            config.users[0].consistency.level = Some(Level::Eventual);
            config.cluster.replicas = vec![Address::new("b", 1), Address::new("c", 1)];
        });
        let expected = [
            "consistency.level session -> global: in force; sessions that set it themselves keep theirs",
            "monitor.interval 200ms -> 50ms: in force",
            "user.app.consistency nothing -> eventual: in force; sessions that set it themselves keep theirs",
            "pool.max_connections 200 -> 7: in force",
            "log.level info -> debug: in force",
            "cluster.replicas c:1 added: in force",
            "cluster.replicas a:1 removed: no new reads; gone when what is open there has ended, after drain_timeout at the latest",
        ];
        assert_eq!(lines, expected);
        assert_eq!(next.consistency.level, Level::Global);
        assert_eq!(
            next.cluster.replicas,
            [Address::new("b", 1), Address::new("c", 1)]
        );
    }

    #[test]
    fn what_it_cannot_needs_a_restart_and_stays() {
        let (next, lines) = told(|config| {
            config.proxy.mode = Mode::Shadow;
            config.proxy.listen = "127.0.0.1:9".parse().unwrap();
            config.proxy.socket = Some("s".into());
            config.proxy.workers = 99;
            config.cluster.primary = Address::new("q", 1);
            config.cluster.aurora_consistency = AuroraConsistency::Delegate;
            config.pool.mode = match config.pool.mode {
                PoolMode::Session => PoolMode::Transaction,
                PoolMode::Transaction => PoolMode::Session,
            };
            config.limits.statement_cache = 1;
            config.http.listen = "127.0.0.1:9".parse().unwrap();
            config.admin.listen = "127.0.0.1:9".parse().unwrap();
            config.log.format = LogFormat::Json;
        });
        assert_eq!(next, config());
        assert_eq!(lines.len(), 11, "{lines:#?}");
        let restart = |line: &String| line.contains("needs a restart");
        assert!(lines.iter().all(restart), "{lines:#?}");
    }

    #[test]
    fn passwords_are_told_as_changed_and_never_shown() {
        let (next, lines) = told(|config| {
            config.monitor.account = Account::new("watch", "hunter2");
            config.users = vec![
                Account::new("app", "hunter2"),
                Account::new("third", "hunter2"),
            ];
            config.admin.account = Account::new("admin", "hunter2");
        });
        let expected = [
            "user.third added: for new sessions",
            "user.other removed: for new sessions",
            "monitor.password changed: for connections that are opened from now on",
            "admin.password changed: for connections that are opened from now on",
            "user.app.password changed: for new sessions",
        ];
        assert_eq!(lines, expected);
        assert_eq!(next.users[0].password.expose(), "hunter2");
    }

    #[test]
    fn a_port_that_others_reach_keeps_its_password() {
        let mut old = config();
        old.admin.listen = "0.0.0.0:9".parse().unwrap();
        old.admin.account = Account::new("admin", "secret");
        let (next, changes) = old.reloaded(config());
        assert_eq!(next.admin, old.admin);
        let keys: Vec<_> = changes
            .iter()
            .map(|it| (it.key.as_str(), it.effect))
            .collect();
        let restart = Effect::Restart;
        assert_eq!(
            keys,
            [("admin.listen", restart), ("admin.password", restart)]
        );
    }
}
