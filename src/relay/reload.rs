//! A session and a new configuration: what its client has not set itself follows the configuration, from
//! its next statement outside of a transaction on.

use std::sync::Arc;

use super::groups::settings_of;
use super::session::Relay;
use super::shared::Shared;
use crate::config::Config;
use crate::domain::consistency::Settings;
use crate::domain::sql::OwnVariable;

/// The configuration as one session has it.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) config: Arc<Config>,
    version: u64,
    /// What the client set itself.
    chosen: Vec<OwnVariable>,
}

impl InForce {
    pub(super) fn new(shared: &Shared) -> Self {
        // In this order: a configuration that comes between is taken again.
        let version = shared.config_version();
        Self {
            config: shared.config(),
            version,
            chosen: Vec::new(),
        }
    }

    /// The client set a variable, or wants its default again.
    pub(super) fn choose(&mut self, variable: OwnVariable, chosen: bool) {
        self.chosen.retain(|it| *it != variable);
        if chosen {
            self.chosen.push(variable);
        }
    }

    /// Whether the client set a variable itself.
    pub(super) fn has_chosen(&self, variable: OwnVariable) -> bool {
        self.chosen.contains(&variable)
    }

    /// The session is as after a login.
    pub(super) fn on_reset(&mut self) {
        self.chosen.clear();
    }
}

impl Relay {
    /// Before a command: takes a configuration that came since the last one.
    pub(super) fn take_config(&mut self) {
        let is_news = self.shared.config_version() != self.in_force.version;
        if is_news && !self.state.transaction.is_open() {
            let chosen = std::mem::take(&mut self.in_force.chosen);
            self.in_force = InForce {
                chosen,
                ..InForce::new(&self.shared)
            };
            self.take_defaults();
        }
    }

    /// What the session's variables are by default.
    pub(super) fn defaults(&self) -> Settings {
        settings_of(&self.in_force.config, &self.who.user)
    }

    fn take_defaults(&mut self) {
        let defaults = self.defaults();
        let own = self.state.settings;
        let chosen = |variable| self.in_force.has_chosen(variable);
        let level = chosen(OwnVariable::ReadConsistency);
        self.state.settings = Settings {
            level: if level { own.level } else { defaults.level },
            catch_up_timeout: match chosen(OwnVariable::CatchUpTimeout) {
                true => own.catch_up_timeout,
                false => defaults.catch_up_timeout,
            },
            max_staleness: match chosen(OwnVariable::MaxStaleness) {
                true => own.max_staleness,
                false => defaults.max_staleness,
            },
            on_timeout: match chosen(OwnVariable::OnTimeout) {
                true => own.on_timeout,
                false => defaults.on_timeout,
            },
            // No variable sets it.
            transaction_reads: defaults.transaction_reads,
        };
    }
}
