//! Learns what a client did to its trackers, where the server does not report it.
//!
//! A list in `session_track_system_variables` that does not name the variable itself is not
//! reported, nor is anything that the same statement set besides (tried on 9.7; drivers send such a
//! SET when they connect). So after a statement that may have set the list, it is asked for before
//! the next statement is even classified.

use std::sync::Arc;
use std::time::Instant;

use super::session::{End, Relay};
use crate::domain::session::Side;
use crate::domain::sql::{Access, Effects, StatementProfile};

impl Relay {
    /// Learns which system variables the client wants to hear of, if it may have set their list, and
    /// which values went unreported. Our own list is set again afterwards, with the guard.
    pub(super) async fn learn_lists(&mut self) -> Result<(), End> {
        for side in [Side::Primary, Side::Replica] {
            let untold = |link: &mut crate::backend::ServerConn| {
                std::mem::take(&mut link.applied.list_untold)
            };
            if !self.links.get_mut(side).is_some_and(untold) || self.learn_list(side).await {
                continue;
            }
            match side {
                Side::Primary if !self.drop_primary() => return self.state_lost().await,
                Side::Primary => {}
                Side::Replica => self.links.discard(side, &self.registered),
            }
        }
        Ok(())
    }

    /// `false` when the connection failed; it cannot be used further.
    pub(super) async fn learn_list(&mut self, side: Side) -> bool {
        if !self.save_aftermath(side).await {
            return false;
        }
        let Self {
            links,
            state,
            shared,
            ..
        } = self;
        let Some(link) = links.get_mut(side) else {
            return true;
        };
        let asked = link
            .ask("SELECT @@session.session_track_system_variables")
            .await;
        let Ok(row) = asked else {
            return false;
        };
        let list = row.into_iter().next().unwrap_or_default();
        let own = shared.watch.facts(link.identity.backend);
        let own = own.map(|facts| facts.tracked_variables.clone());
        let own = own.unwrap_or_default();
        if own.as_bytes() == list {
            return true;
        }
        state
            .wish
            .on_variable(b"session_track_system_variables", &list);
        link.applied.guard_changed = true;
        link.applied.gtids_changed = true;
        state.positions.on_unknown(Instant::now());
        let names: Vec<&str> = own.split(',').filter(|name| is_the_clients(name)).collect();
        let question: Vec<_> = names
            .iter()
            .map(|name| format!("@@session.{name}"))
            .collect();
        let asked = link.ask(&format!("SELECT {}", question.join(", "))).await;
        let Ok(values) = asked else {
            return false;
        };
        let base = Arc::clone(state.mirror.base());
        for (name, value) in names.into_iter().zip(values) {
            let global = base.get(name);
            let value = as_reported(value, global.map(String::as_str));
            let name = name.as_bytes();
            let known = state.mirror.get(name).or(global.map(String::as_bytes));
            let guarded = side == Side::Replica && name.ends_with(b"_read_only");
            if guarded || known.is_none_or(|known| known == value) {
                continue;
            }
            match name {
                b"collation_connection" => {
                    link.applied.on_collation(&value);
                    state.mirror.on_collation(&value);
                }
                _ => {
                    link.applied.set(name, &value);
                    state.mirror.set(name, &value);
                }
            }
        }
        true
    }
}

/// The trackers have our values, which say nothing of the client's wish; and MariaDB's GTID of the
/// last write is nobody's setting.
fn is_the_clients(name: &str) -> bool {
    !name.is_empty() && !name.starts_with("session_track_") && name != "last_gtid"
}

/// SELECT shows a switch as a number, the trackers and SHOW VARIABLES as a word.
fn as_reported(value: Vec<u8>, global: Option<&str>) -> Vec<u8> {
    let switch = matches!(global, Some("ON" | "OFF" | "YES" | "NO"));
    match (&*value, switch) {
        (b"1", true) => b"ON".to_vec(),
        (b"0", true) => b"OFF".to_vec(),
        _ => value,
    }
}

/// Whether the statement may have set what Highwater sets on its connections for itself.
pub(super) fn may_set_trackers(profile: &StatementProfile) -> bool {
    profile.effects.contains(Effects::MENTIONS_MANAGED_VARIABLE)
        && !matches!(
            profile.access,
            Access::Read | Access::PrimaryRead | Access::Diagnostics
        )
}
