//! What EXPLAIN ROUTE tells of the rules.

use std::sync::Arc;

use crate::domain::routing::rules::{Asker, Ruling};
use crate::domain::session::Session;
use crate::domain::sql::StatementProfile;
use crate::relay::Shared;
use crate::relay::classify::Shape;

impl Shared {
    /// What the rules make of a statement of a session that has just logged in. Where its client comes
    /// from is not known.
    pub(in crate::relay) fn ruling(
        &self,
        session: &mut Session,
        shape: Option<&Arc<Shape>>,
        profile: &StatementProfile,
        text: &[u8],
    ) -> Ruling {
        if !self.rules.any() {
            return Ruling::default();
        }
        let config = self.config();
        let user = config.users.first();
        let asker = Asker {
            user: user.map_or("", |account| account.name.as_str()),
            client: None,
            schema: session.mirror.schema(),
        };
        let set = &self.rules.in_force().set;
        let look = set.look(shape.map(|shape| &*shape.text), profile);
        let ruling = set.ruling(&look, profile.access, &asker, text);
        ruling.obey(session);
        ruling
    }
}
