//! Which causal group a session is in, and what is raised before an acknowledgement is forwarded.

use std::time::Instant;

use super::login::Client;
use super::session::Relay;
use super::shared::Shared;
use crate::config::{Config, GroupBy, UserConsistency};
use crate::domain::consistency::{GroupKey, Settings};
use crate::domain::position::Position;
use crate::domain::session::{Outcome, Session, Side, Unsaid};
use crate::domain::sql::Access;
use crate::frontend::ClientError;
use crate::protocol::handshake::connect_attribute;

/// Groups besides its session's that one transaction may write for.
const MAX_OPEN_GROUPS: usize = 64;

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

pub(super) fn wishes(config: &Config, user: &str) -> UserConsistency {
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

    /// A statement with this profile names a group: what it writes may be committed by another one,
    /// which does not.
    ///
    /// # Errors
    /// When the transaction has written for too many groups.
    pub(super) fn note_group(&mut self, access: Access) -> Result<(), ClientError> {
        // Inside a transaction on the primary a view may write, whatever the text looks like.
        let may_write =
            access != Access::Read || self.state.transaction.open_on() == Some(Side::Primary);
        match self.statement_group.clone() {
            Some(group) if may_write => self.owe_group(group),
            _ => Ok(()),
        }
    }

    /// The commit of the open transaction is for this group, too.
    fn owe_group(&mut self, group: GroupKey) -> Result<(), ClientError> {
        if self.open_groups.contains(&group) {
            return Ok(());
        }
        self.may_owe_more()?;
        self.open_groups.push(group);
        Ok(())
    }

    /// Whether the open transaction may write for one more group.
    ///
    /// # Errors
    /// When it may not.
    pub(super) fn may_owe_more(&self) -> Result<(), ClientError> {
        if self.open_groups.len() < MAX_OPEN_GROUPS {
            return Ok(());
        }
        let most = format!("a transaction writes for at most {MAX_OPEN_GROUPS} groups");
        Err(ClientError::Unsupported(most))
    }

    /// The session goes on in another group; what it has written and not committed is for the old one.
    pub(super) fn enter_group(&mut self, group: GroupKey) {
        let left = std::mem::replace(&mut self.group, group);
        if self.state.transaction.is_open() && !self.open_groups.contains(&left) {
            self.open_groups.push(left);
        }
    }

    /// A statement ended: without a transaction nothing is left to be committed.
    pub(super) fn settle_groups(&mut self) {
        if !self.state.transaction.is_open() {
            self.open_groups.clear();
        }
    }
}

/// A packet is about to be forwarded that acknowledges something to a session of these groups: what
/// group and proxy promise is raised first. `more` says whether more of the reply follows.
pub(super) fn acknowledge(
    shared: &Shared,
    state: &mut Session,
    (group, others): (&GroupKey, &[GroupKey]),
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
    let groups = || std::iter::once(group).chain(others.iter().filter(|other| *other != group));
    let mut acknowledged = shared.acknowledged();
    if let Some(told) = told {
        for group in groups() {
            acknowledged.raise(group, &told, now);
            acknowledged.compact(group, |position| shared.watch.compact(position));
        }
    }
    if unsaid {
        groups().for_each(|group| acknowledged.on_unknown(group, now));
    }
}
