//! Statements that may change what sessions begin with, accounts or global variables: whoever begins after one
//! has the rights that it gave, and the defaults. And those after which positions mean something else.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::session::Relay;
use super::shared::Shared;
use crate::backend::{ServerConn, Shown};
use crate::domain::position::Position;
use crate::domain::session::{Outcome, Session, Side, Unsaid};
use crate::domain::sql::{Effects, StatementProfile};

/// Errors that say that a statement was not begun: a right is missing (1044, 1045, 1095, 1142, 1227, 1370,
/// 1410), it cannot be read (1064, 1295), or the server is read only (1290, 1792, 1836). Any other may come
/// after part of it was done: MariaDB's account statements go on behind an account that fails.
const NOT_BEGUN: [u16; 12] = [
    1044, 1045, 1064, 1095, 1142, 1227, 1290, 1295, 1370, 1410, 1792, 1836,
];

/// What the monitor is told of.
const FOR_EVERYBODY: Effects = Effects::GLOBALS
    .with(Effects::PROGRAMS)
    .with(Effects::HISTORY);

impl Relay {
    /// Before a statement is sent.
    pub(super) fn begin_change(&mut self, side: Side, profile: &StatementProfile) {
        if profile.effects.contains(Effects::ACCOUNTS)
            && let Some(link) = self.links.get_mut(side)
        {
            link.changing = Some(self.shared.accounts.changing());
        }
        let changes = profile.effects.and(FOR_EVERYBODY);
        if changes != Effects::default()
            && let Some(link) = self.links.get_mut(side)
        {
            link.changes = changes;
        }
    }

    /// A statement ended. One that was lost may have changed something.
    pub(super) fn end_change(&mut self, side: Side, outcome: Outcome) {
        let Some(link) = self.links.get_mut(side) else {
            return;
        };
        if let Some(changing) = link.changing.take()
            && outcome != Outcome::Lost
        {
            changing.told();
        }
        let changes = std::mem::take(&mut link.changes);
        if outcome == Outcome::Lost {
            self.shared.change(changes);
        }
    }

    /// The primary began its history anew since the statement before: positions of the old one say nothing.
    pub(super) fn notice_history(&mut self) {
        let history = self.shared.watch.history();
        if self.history != history {
            self.history = history;
            self.shared.on_history(history);
            self.state.positions.on_other_history(Instant::now());
        }
    }
}

impl Shared {
    /// Takes note of the servers that ran statements about accounts since this was last called, or whose sessions
    /// start with other values: what logged in before is for nobody else.
    pub fn notice_changes(&self) {
        for pool in self.pools() {
            let backend = pool.backend();
            if let Some(facts) = self.watch.facts(backend) {
                let shown = Shown {
                    account_statements: facts.account_statements,
                    start: facts.start,
                };
                self.accounts.shows(backend, shown);
            }
        }
    }

    /// Something of this may have been changed on the primary.
    fn change(&self, changes: Effects) {
        if changes.contains(Effects::GLOBALS) {
            self.watch.defaults_changed();
        }
        if changes.contains(Effects::PROGRAMS) {
            self.watch.programs_changed();
        }
        if changes.contains(Effects::HISTORY) {
            self.watch.history_reset();
        }
    }

    /// Positions are of this history now: those of another one are forgotten.
    pub(super) fn on_history(&self, history: u64) {
        if self.history.fetch_max(history, Ordering::AcqRel) < history {
            let now = Instant::now();
            self.acknowledged().on_other_history(now);
            self.accounts.on_other_history(now);
        }
    }

    /// A session begins, or begins anew: it has the defaults that were set before.
    pub(super) async fn settle_defaults(&self) {
        self.watch.defaults_settled().await;
        self.notice_changes();
    }
}

/// A statement ended, or one of several did: of what it changed everybody is told before the client is. `error`
/// is the code of the error with which it ended, `more` says whether more of the reply follows.
pub(super) fn tell_changes(
    shared: &Shared,
    state: &Session,
    link: &ServerConn,
    (outcome, error): (Outcome, Option<u16>),
    more: bool,
) {
    if error.is_some_and(|code| NOT_BEGUN.contains(&code)) {
        return;
    }
    if link.changing.is_some() {
        change_accounts(shared, state, outcome, more);
    }
    shared.change(link.changes);
}

/// Accounts may be others now than before, which shows where this session's writes do.
fn change_accounts(shared: &Shared, state: &Session, outcome: Outcome, more: bool) {
    let untold = state.unsaid(outcome, more) != Unsaid::Nothing;
    let compact = |position: &mut Position| shared.watch.compact(position);
    let need = state.positions.need();
    shared.accounts.changed(need, untold, compact);
}
