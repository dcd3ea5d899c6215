//! Statements that may change accounts: whoever begins after one has the rights that it gave.

use super::session::Relay;
use super::shared::Shared;
use crate::domain::position::Position;
use crate::domain::session::{Outcome, Session, Side, Unsaid};
use crate::domain::sql::{Effects, StatementProfile};

/// Errors that say that a statement was not begun: a right is missing (1044, 1045, 1095, 1142, 1227, 1370,
/// 1410), it cannot be read (1064, 1295), or the server is read only (1290, 1792, 1836). Any other may come
/// after part of it was done: MariaDB's account statements go on behind an account that fails.
const NOT_BEGUN: [u16; 12] = [
    1044, 1045, 1064, 1095, 1142, 1227, 1290, 1295, 1370, 1410, 1792, 1836,
];

impl Relay {
    /// Before a statement is sent.
    pub(super) fn begin_change(&mut self, side: Side, profile: &StatementProfile) {
        if profile.effects.contains(Effects::ACCOUNTS)
            && let Some(link) = self.links.get_mut(side)
        {
            link.changing = Some(self.shared.accounts.changing());
        }
    }

    /// A statement ended. One that was lost may have changed something.
    pub(super) fn end_change(&mut self, side: Side, outcome: Outcome) {
        let link = self.links.get_mut(side);
        if let Some(changing) = link.and_then(|link| link.changing.take())
            && outcome != Outcome::Lost
        {
            changing.told();
        }
    }
}

/// Whether a statement that ended with this error changed nothing.
pub(super) fn changed_nothing(code: u16) -> bool {
    NOT_BEGUN.contains(&code)
}

/// Accounts may be others now than before: of that, and of where it shows, everybody is told before the
/// client is. `more` says whether more of the reply follows.
pub(super) fn change_accounts(shared: &Shared, state: &Session, outcome: Outcome, more: bool) {
    let untold = state.unsaid(outcome, more) != Unsaid::Nothing;
    let compact = |position: &mut Position| shared.watch.compact(position);
    let need = state.positions.need();
    shared.accounts.changed(need, untold, compact);
}
