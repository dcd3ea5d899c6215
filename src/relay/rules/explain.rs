//! What EXPLAIN ROUTE tells of the rules.

use std::sync::Arc;

use crate::domain::routing::rules::{Asker, Own, Rule, Ruled};
use crate::domain::session::Session;
use crate::domain::sql::StatementProfile;
use crate::relay::Shared;
use crate::relay::classify::Shape;

/// What the rules make of a statement that is only explained: nothing is counted.
#[derive(Debug, Default)]
pub(in crate::relay) struct Ruling {
    /// Those that match and only count, in their order.
    pub(in crate::relay) counted: Vec<String>,
    /// The one that decides.
    pub(in crate::relay) rule: Option<Rule>,
    /// The text that it makes of the statement.
    pub(in crate::relay) rewritten: Option<Vec<u8>>,
}

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
        let in_force = self.rules.in_force();
        let config = self.config();
        let user = config.users.first();
        let asker = Asker {
            user: user.map_or("", |account| account.name.as_str()),
            client: None,
            schema: session.mirror.schema(),
        };
        let mut counted = Vec::new();
        let name = |place: usize| in_force.get(place).map(|(rule, _)| rule.name.clone());
        let place = in_force.find(shape, profile, &asker, text, |it| counted.extend(name(it)));
        let rule = place.and_then(|place| in_force.get(place));
        let rule = rule.map(|(rule, _)| rule.clone());
        let Some(found) = &rule else {
            return Ruling {
                counted,
                ..Ruling::default()
            };
        };
        let own = Own {
            level: session.hints.level,
            max_staleness: None,
            target: session.hints.target,
        };
        session.ruled = Ruled::of(&found.act, own);
        if let (Some(group), None) = (&found.act.group, &session.hints.group) {
            session.hints.group = Some(group.as_str().into());
        }
        Ruling {
            counted,
            rewritten: found.rewritten(text),
            rule,
        }
    }
}
