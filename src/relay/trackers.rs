//! Learns what the client wants to be told by its trackers, where the server does not report it.

use super::session::Relay;
use crate::domain::session::Side;

impl Relay {
    /// Learns which system variables the client wants to hear of, if it may have set their list: a
    /// list that does not name `session_track_system_variables` itself is not reported (tried on
    /// 9.7). Our own list is set again afterwards, with the guard. `false` when the connection
    /// failed; it cannot be used further.
    pub(super) async fn learn_list(&mut self, side: Side) -> bool {
        let Self {
            links,
            state,
            shared,
            ..
        } = self;
        let Some(link) = links.get_mut(side) else {
            return true;
        };
        if !std::mem::take(&mut link.applied.list_untold) {
            return true;
        }
        let answer = link
            .ask("SELECT @@session.session_track_system_variables")
            .await;
        let Ok(row) = answer else {
            return false;
        };
        let list = row.into_iter().next().unwrap_or_default();
        let facts = shared.watch.facts(link.identity.backend);
        if facts.is_none_or(|facts| facts.tracked_variables.as_bytes() != list) {
            state
                .wish
                .on_variable(b"session_track_system_variables", &list);
            // What else was set together with the list went unreported as well.
            link.applied.guard_changed = true;
            link.applied.gtids_changed = true;
        }
        true
    }
}
