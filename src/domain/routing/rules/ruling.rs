//! What the rules make of a statement that is only explained: nothing is counted, nothing is waited for.

use super::{Asker, Look, Own, Rule, RuleSet, Ruled};
use crate::domain::session::Session;
use crate::domain::sql::Access;

/// What the rules make of a statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ruling {
    /// The names of those that match and only count, in their order.
    pub counted: Vec<String>,
    /// The one that decides.
    pub rule: Option<Rule>,
    /// The text that it makes of the statement.
    pub rewritten: Option<Vec<u8>>,
}

impl RuleSet {
    /// What these rules make of a statement, by the look at its shape; see [`RuleSet::find`].
    pub fn ruling(&self, look: &Look, access: Access, asker: &Asker<'_>, text: &[u8]) -> Ruling {
        let mut counted = Vec::new();
        let name = |place: usize| self.rules().get(place).map(|rule| rule.name.clone());
        let place = self.find(look, access, asker, text, |it| counted.extend(name(it)));
        let rule = place.and_then(|place| self.rules().get(place));
        Ruling {
            counted,
            rewritten: rule.and_then(|rule| rule.rewritten(text)),
            rule: rule.cloned(),
        }
    }
}

impl Ruling {
    /// What the rule that decides is called, and what it does; `none` without one.
    pub fn summary(&self) -> String {
        match &self.rule {
            Some(rule) => format!("{}: {}", rule.name, rule.act.summary()),
            None => "none".to_owned(),
        }
    }

    /// The words with which the statement is refused, if it is.
    pub fn denial(&self) -> Option<&str> {
        self.rule.as_ref()?.act.deny.as_deref()
    }

    /// Has it in force for the statement that this session is asked to explain.
    pub fn obey(&self, session: &mut Session) {
        let Some(rule) = &self.rule else { return };
        let own = Own {
            level: session.hints.level,
            max_staleness: None,
            target: session.hints.target,
        };
        session.ruled = Ruled::of(&rule.act, own);
        if let (Some(group), None) = (&rule.act.group, &session.hints.group) {
            session.hints.group = Some(group.as_str().into());
        }
    }
}
