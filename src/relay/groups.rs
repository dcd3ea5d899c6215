//! Which causal group a session is in, and what is raised before an acknowledgement is forwarded.

use std::time::Instant;

use super::login::Client;
use super::session::Relay;
use super::shared::Shared;
use crate::config::{Config, GroupBy, UserConsistency};
use crate::domain::consistency::{GroupKey, Settings};
use crate::domain::position::Position;
use crate::domain::session::{Outcome, Session, Side, Unsaid};
use crate::frontend::ClientError;
use crate::protocol::handshake::connect_attribute;

/// So many groups may be named by the statements of one transaction.
const GROUPS_OF_A_TRANSACTION: usize = 64;

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

    /// Before a statement: takes the group that its hint names, if any.
    ///
    /// # Errors
    /// When the open transaction has written in too many groups.
    pub(super) fn take_statement_group(&mut self) -> Result<(), ClientError> {
        let hinted = self.state.hints.group.as_ref();
        self.statement_group = hinted.map(|name| GroupKey::named(name.as_bytes()));
        match &self.statement_group {
            Some(group) if self.transaction_groups.contains(group) => Ok(()),
            Some(_) if self.transaction_groups.len() >= GROUPS_OF_A_TRANSACTION => {
                let why = format!("more than {GROUPS_OF_A_TRANSACTION} groups in a transaction");
                Err(ClientError::Unsupported(why))
            }
            _ => Ok(()),
        }
    }

    /// After a statement: what it wrote in an open transaction is acknowledged to its group by the
    /// COMMIT, which need not name it.
    pub(super) fn note_transaction_group(&mut self) {
        if self.state.transaction.open_on() != Some(Side::Primary) {
            self.transaction_groups.clear();
        } else if let Some(group) = &self.statement_group
            && !self.transaction_groups.contains(group)
        {
            self.transaction_groups.push(group.clone());
        }
    }
}

/// A packet is about to be forwarded that acknowledges something to a session of these groups: what
/// group and proxy promise is raised first. `more` says whether more of the reply follows.
pub(super) fn acknowledge<'a>(
    shared: &Shared,
    state: &mut Session,
    groups: impl Iterator<Item = &'a GroupKey>,
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
    for group in groups {
        if let Some(told) = &told {
            acknowledged.raise(group, told, now);
            acknowledged.compact(group, |position| shared.watch.compact(position));
        }
        if unsaid {
            acknowledged.on_unknown(group, now);
        }
    }
}
