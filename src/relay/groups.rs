//! Which causal group a session is in, and what is raised before an acknowledgement is forwarded.

use std::time::Instant;

use super::login::Client;
use super::session::Relay;
use super::shared::Shared;
use crate::config::{Config, GroupBy, UserConsistency};
use crate::domain::consistency::{GroupKey, Settings};
use crate::domain::position::Position;
use crate::domain::session::{Outcome, Session, Side, Unsaid};
use crate::protocol::handshake::connect_attribute;

/// What the sessions of a user start with.
pub(super) fn settings_of(config: &Config, user: &str) -> Settings {
    config.consistency.settings(&wishes(config, user))
}

/// The group that a session is in until it names another: that of its connection attribute, else
/// its user's, else its account itself.
pub(super) fn group_of(config: &Config, client: &Client) -> GroupKey {
    if let GroupBy::Attribute(name) = &config.consistency.group_key {
        let attributes = &client.accepted.connect_attrs;
        match connect_attribute(attributes, name.as_bytes()) {
            Some(group) if !group.is_empty() => return GroupKey::named(group),
            _ => {}
        }
    }
    match wishes(config, &client.user).group {
        Some(group) => GroupKey::named(group.as_bytes()),
        None => GroupKey::of_user(&client.user),
    }
}

fn wishes(config: &Config, user: &str) -> UserConsistency {
    let account = config.users.iter().find(|account| account.name == user);
    account
        .map(|account| account.consistency.clone())
        .unwrap_or_default()
}

impl Relay {
    /// The group of the statement at hand.
    pub(super) fn group(&self) -> &GroupKey {
        self.statement_group.as_ref().unwrap_or(&self.group)
    }
}

/// A packet is about to be forwarded that acknowledges something to a session of this group: what
/// group and proxy promise is raised first. `more` says whether more of the reply follows.
pub(super) fn acknowledge(
    shared: &Shared,
    state: &mut Session,
    group: &GroupKey,
    side: Side,
    outcome: Outcome,
    more: bool,
) {
    if side == Side::Replica {
        return;
    }
    let told = state.positions.take_told();
    let unread = told.as_ref().is_some_and(Position::is_empty);
    let unsaid = unread || state.unsaid(outcome, more) != Unsaid::Nothing;
    if told.is_none() && !unsaid {
        return;
    }
    let now = Instant::now();
    let mut acknowledged = shared.acknowledged();
    if let Some(told) = told {
        acknowledged.raise(group, &told, now);
        acknowledged.compact(group, |position| shared.watch.compact(position));
    }
    if unsaid {
        acknowledged.on_unknown(group, now);
    }
}
