//! A resolved configuration as text, without its passwords.

use std::fmt::Write as _;

use super::secret::{Account, SecretSource};
use super::units::{show_duration, show_size};
use super::{Address, Config};
use crate::domain::consistency::Level;
use crate::domain::routing::rules::{Pattern, Rule};
use crate::domain::sql::HintTarget;

impl Config {
    /// The configuration as a file would say it, every key with its value in force. Passwords show
    /// as where they were read from.
    pub fn to_toml(&self) -> String {
        let mut out = Out(String::new());
        out.table("[proxy]");
        out.text("mode", self.proxy.mode.name());
        out.text("listen", self.proxy.listen);
        if let Some(socket) = &self.proxy.socket {
            out.text("socket", socket.display());
        }
        out.plain("workers", self.proxy.workers);
        out.text("drain_timeout", show_duration(self.proxy.drain_timeout));
        self.show_consistency(&mut out);
        self.show_servers(&mut out);
        for user in &self.users {
            out.table("[[user]]");
            out.account("name", user);
            out.consistency_of(user);
        }
        self.show_resources(&mut out);
        out.0
    }

    fn show_consistency(&self, out: &mut Out) {
        let consistency = &self.consistency;
        out.table("[consistency]");
        out.text("level", consistency.level.name());
        out.text(
            "catch_up_timeout",
            show_duration(consistency.catch_up_timeout),
        );
        out.text("on_timeout", consistency.on_timeout.name());
        out.text("max_staleness", show_duration(consistency.max_staleness));
        out.text("transaction_reads", consistency.transaction_reads.name());
        let budget = consistency.primary_budget.as_percent();
        out.text("primary_budget", format!("{budget}%"));
        out.text("max_lag", show_duration(consistency.max_lag));
        out.text(
            "sticky_after_write",
            show_duration(consistency.sticky_after_write),
        );
        out.text("group_key", &consistency.group_key);
        out.plain("groups_max", consistency.groups_max);
        out.text("group_idle", show_duration(consistency.group_idle));
    }

    fn show_servers(&self, out: &mut Out) {
        out.table("[cluster]");
        out.text("primary", &self.cluster.primary);
        let replicas = self.cluster.replicas.iter().map(Address::to_string);
        out.plain("replicas", format!("{:?}", replicas.collect::<Vec<_>>()));
        out.text("aurora_consistency", self.cluster.aurora_consistency.name());
        out.table("[monitor]");
        out.account("user", &self.monitor.account);
        out.text("interval", show_duration(self.monitor.interval));
        out.text("timeout", show_duration(self.monitor.timeout));
    }

    fn show_resources(&self, out: &mut Out) {
        out.table("[pool]");
        out.text("mode", self.pool.mode.name());
        out.plain("max_connections", self.pool.max_connections);
        let percent = self.pool.primary_max_connections_pct;
        out.plain("primary_max_connections_pct", percent);
        out.plain("min_idle", self.pool.min_idle);
        out.text("acquire_timeout", show_duration(self.pool.acquire_timeout));
        out.text("idle_timeout", show_duration(self.pool.idle_timeout));
        let max_lifetime = self.pool.max_lifetime.unwrap_or_default();
        out.text("max_lifetime", show_duration(max_lifetime));
        out.plain("prepared_per_connection", self.pool.prepared_per_connection);
        out.table("[limits]");
        out.plain("max_sessions", self.limits.max_sessions);
        out.text("max_command_held", show_size(self.limits.max_command_held));
        out.text("login_timeout", show_duration(self.limits.login_timeout));
        out.plain("statement_cache", self.limits.statement_cache);
        out.plain("routes_per_session", self.limits.routes_per_session);
        out.table("[http]");
        out.text("listen", self.http.listen);
        if let SecretSource::File(path) = &self.http.account.source {
            out.text("password_file", path.display());
        }
        out.table("[admin]");
        out.text("listen", self.admin.listen);
        if let SecretSource::File(path) = &self.admin.account.source {
            out.text("password_file", path.display());
        }
        out.table("[log]");
        out.text("format", self.log.format.name());
        out.text("level", &self.log.level);
        if let Some(slow) = self.log.slow {
            out.text("slow", show_duration(slow));
        }
        if let Some(endpoint) = &self.telemetry.otlp_endpoint {
            out.table("[telemetry]");
            out.text("otlp_endpoint", endpoint);
        }
        for rule in &self.rules {
            out.rule(rule);
        }
    }
}

/// Collects lines. Writing to a string cannot fail.
struct Out(String);

impl Out {
    fn table(&mut self, header: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(header);
        self.0.push('\n');
    }

    fn plain(&mut self, key: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn text(&mut self, key: &str, value: impl std::fmt::Display) {
        self.plain(key, toml::Value::String(value.to_string()));
    }

    fn consistency_of(&mut self, user: &Account) {
        let wishes = &user.consistency;
        if let Some(level) = wishes.level {
            self.text("consistency", level.name());
        }
        for (key, duration) in [
            ("catch_up_timeout", wishes.catch_up_timeout),
            ("max_staleness", wishes.max_staleness),
        ] {
            if let Some(duration) = duration {
                self.text(key, show_duration(duration));
            }
        }
        if let Some(action) = wishes.on_timeout {
            self.text("on_timeout", action.name());
        }
        if let Some(reads) = wishes.transaction_reads {
            self.text("transaction_reads", reads.name());
        }
        if let Some(group) = &wishes.group {
            self.text("group", group);
        }
    }

    fn rule(&mut self, rule: &Rule) {
        let Rule {
            name,
            count_only,
            when,
            act,
        } = rule;
        self.table("[[rule]]");
        self.text("name", name);
        self.flag("count_only", *count_only);
        self.texts("user", &when.users);
        self.texts("schema", &when.schemas);
        self.texts("client", &when.clients);
        let digests = when.fingerprints.iter().map(|it| format!("{it:016x}"));
        self.texts("fingerprint", &digests.collect::<Vec<_>>());
        let regex = when.regex.as_ref().map(Pattern::as_str);
        self.some("regex", regex);
        self.texts("table", &when.tables);
        self.texts("only_table", &when.only_tables);
        self.texts("tag", &when.tags);
        let classes: Vec<_> = when.classes.iter().map(|it| it.name()).collect();
        self.texts("class", &classes);
        self.flag("allow", act.allow);
        let target = act.target.map(|target| match target {
            HintTarget::Primary => "primary",
            HintTarget::Replica => "replica",
        });
        self.some("target", target);
        self.some("consistency", act.level.map(Level::name));
        self.some("max_staleness", act.max_staleness.map(show_duration));
        self.some("group", act.group.as_ref());
        self.some("timeout", act.timeout.map(show_duration));
        self.some("deny", act.deny.as_ref());
        self.some("rewrite", act.rewrite.as_ref());
        if let Some(mirror) = &act.mirror {
            self.text("mirror", &mirror.address);
            self.text("mirror_share", format!("{}%", mirror.percent));
        }
        if let Some(limit) = act.limit {
            if let Some(rate) = limit.rate {
                self.plain("limit_rate", rate);
            }
            if let Some(concurrency) = limit.concurrency {
                self.plain("limit_concurrency", concurrency);
            }
            self.text("limit_wait", show_duration(limit.wait));
        }
    }

    fn some(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    fn flag(&mut self, key: &str, flag: bool) {
        if flag {
            self.plain(key, flag);
        }
    }

    /// A list, unless it is empty.
    fn texts(&mut self, key: &str, values: &[impl std::fmt::Display]) {
        if !values.is_empty() {
            let values = values.iter();
            let values = values.map(|it| toml::Value::String(it.to_string()));
            self.plain(key, toml::Value::Array(values.collect()));
        }
    }

    fn account(&mut self, name_key: &str, account: &Account) {
        self.text(name_key, &account.name);
        match &account.source {
            SecretSource::File(path) => self.text("password_file", path.display()),
            SecretSource::Environment(name) => self.text("password_env", name),
            SecretSource::Code => self.0.push_str("# password: (hidden)\n"),
        }
    }
}
