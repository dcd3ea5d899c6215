//! What makes a rule one that cannot be meant.

use super::{Class, Rule};
use crate::domain::consistency::Level;
use crate::domain::sql::HintTarget;

/// The longest name: it is a label of metrics.
const LONGEST_NAME: usize = 64;

/// A key that does not go with the others, and why.
pub type Contradiction = (&'static str, &'static str);

/// Whether a text can name a rule: letters, digits, `_`, `-` and `.`.
pub fn is_name(name: &str) -> bool {
    let allowed = |it: char| it.is_ascii_alphanumeric() || "_-.".contains(it);
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(allowed)
}

impl Rule {
    /// What cannot be meant: conditions that match everything, acts that exclude each other, and acts
    /// that would lower a promise by accident.
    pub fn contradictions(&self) -> Vec<Contradiction> {
        let mut found = Vec::new();
        let mut when = |wrong: bool, key, why| {
            if wrong {
                found.push((key, why));
            }
        };
        let (cond, act) = (&self.when, &self.act);
        let weighs = act.level.is_some() || act.max_staleness.is_some() || act.group.is_some();
        let routes = act.target.is_some() || weighs;
        let other = routes || act.timeout.is_some() || act.mirror.is_some() || act.limit.is_some();
        let other = other || act.rewrite.is_some();
        when(
            cond.is_empty(),
            "name",
            "the rule has no condition and would match every statement: give it one of user, schema, \
             client, fingerprint, regex, table, only_table, tag and class",
        );
        when(
            !other && !act.allow && act.deny.is_none() && !self.count_only,
            "name",
            "the rule does nothing: give it an act (target, consistency, max_staleness, group, timeout, \
             deny, rewrite, mirror, limit_rate, limit_concurrency, allow), or count_only = true",
        );
        when(
            act.deny.is_some() && (other || act.allow),
            "deny",
            "a statement that is denied does not run: no other act goes with it",
        );
        when(
            act.allow && other,
            "allow",
            "allow does nothing, so no other act goes with it",
        );
        when(
            act.rewrite.is_some() && cond.regex.is_none(),
            "rewrite",
            "it replaces what regex matches, and there is no regex",
        );
        let reads = cond.classes.is_empty() || cond.classes.contains(&Class::Read);
        when(
            act.target == Some(HintTarget::Replica) && !reads,
            "target",
            "only what is classified as a read can go to a replica, and class leaves reads out",
        );
        when(
            act.mirror.is_some() && !reads,
            "mirror",
            "only reads are mirrored, and class leaves them out",
        );
        when(
            act.max_staleness.is_some() && act.level.is_some_and(|it| it != Level::Bounded),
            "max_staleness",
            "it is about the level bounded, and consistency is another one",
        );
        let lowers = act.target == Some(HintTarget::Replica)
            || act.max_staleness.is_some()
            || matches!(act.level, Some(Level::Eventual | Level::Bounded));
        when(
            lowers && !cond.tables.is_empty(),
            "table",
            "a statement that joins one of these tables with others would promise less for the others, \
             too: use only_table, which matches when every table of the statement does",
        );
        found
    }
}
