//! Rules of the configuration: what an operator wants done with some statements.
//!
//! [`Rule`]s are looked at in their order, and the first one that matches decides; one that only counts
//! is noted, and the search goes on. A rule never weakens a promise on its own: only what is
//! classified as a read goes to a replica, and what a session asked for itself is not lowered.
//!
//! Most conditions are about what the text is, so a [`RuleSet`] says once for each shape of statement
//! which rules its text fulfils ([`RuleSet::look`]); that is kept with the shape. What is left for each
//! statement is who sent it, and what its own text alone says ([`RuleSet::find`]).

mod bucket;
mod check;
mod condition;
mod ruling;
mod set;
mod share;
mod wish;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::domain::consistency::Level;
use crate::domain::sql::{Access, HintTarget};

pub use bucket::{Bucket, Refusal};
pub use check::{Contradiction, is_name};
pub use condition::{Network, Pattern, TablePattern, Tag, Wildcard};
pub use ruling::Ruling;
pub use set::{Asker, Look, RuleSet};
pub use share::Sampler;
pub use wish::{Own, Ruled};

/// One rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// Its name: what SHOW RULES, EXPLAIN ROUTE and the metrics call it.
    pub name: String,
    /// Whether it only counts: what it would match is noted, and the search goes on.
    pub count_only: bool,
    /// What it matches.
    pub when: When,
    /// What it does.
    pub act: Act,
}

impl Rule {
    /// The text that it makes of one; `None` if it leaves it as it is.
    pub fn rewritten(&self, text: &[u8]) -> Option<Vec<u8>> {
        let template = self.act.rewrite.as_ref()?;
        let made = self.when.regex.as_ref()?.rewrite(text, template);
        (made != text).then_some(made)
    }
}

/// What a rule matches: every condition that is given must hold, and of its alternatives one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct When {
    /// `user`: accounts.
    pub users: Vec<String>,
    /// `schema`: the session's default schema.
    pub schemas: Vec<Wildcard>,
    /// `client`: where the client comes from. One that came by a unix socket comes from 127.0.0.1.
    pub clients: Vec<Network>,
    /// `fingerprint`: shapes of statements, as SHOW DIGESTS shows them.
    pub fingerprints: Vec<u64>,
    /// `regex`: the text as the client sent it.
    pub regex: Option<Pattern>,
    /// `table`: one of the tables that the text names.
    pub tables: Vec<TablePattern>,
    /// `only_table`: every table that the text names, and it names one.
    pub only_tables: Vec<TablePattern>,
    /// `tag`: a tag in a comment before or behind the statement.
    pub tags: Vec<Tag>,
    /// `class`: what the text was classified as.
    pub classes: Vec<Class>,
}

impl When {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a statement is, as far as rules tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A replica may answer it.
    Read,
    /// It reads, and only the primary can answer.
    PrimaryRead,
    /// It writes, or is not understood.
    Write,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Read, Self::PrimaryRead, Self::Write];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::PrimaryRead => "primary_read",
            Self::Write => "write",
        }
    }

    /// The class of a statement; `None` for one that changes the session's own state.
    pub const fn of(access: Access) -> Option<Self> {
        match access {
            Access::Read => Some(Self::Read),
            Access::PrimaryRead => Some(Self::PrimaryRead),
            Access::Write => Some(Self::Write),
            _ => None,
        }
    }
}

/// Whether rules look at statements like this one. What ends a transaction, asks about the statement
/// before, or is Highwater's own to answer is never stopped by a rule.
pub const fn are_for(access: Access) -> bool {
    matches!(
        access,
        Access::Read | Access::PrimaryRead | Access::Write | Access::Session | Access::Begin(_)
    )
}

/// What a rule does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Act {
    /// `allow`: nothing, and no later rule does anything either.
    pub allow: bool,
    /// `target`: which kind of server answers reads.
    pub target: Option<HintTarget>,
    /// `consistency`: the level of reads.
    pub level: Option<Level>,
    /// `max_staleness`: how old an answer at the level bounded may be.
    pub max_staleness: Option<Duration>,
    /// `group`: the causal group that the statement belongs to.
    pub group: Option<String>,
    /// `timeout`: for how long it may run.
    pub timeout: Option<Duration>,
    /// `deny`: it is refused with these words.
    pub deny: Option<String>,
    /// `rewrite`: what stands for each part of the text that `regex` matches.
    pub rewrite: Option<String>,
    /// `mirror`: reads are repeated on another server.
    pub mirror: Option<Mirror>,
    /// `limit_*`: how many may run.
    pub limit: Option<Limit>,
}

/// A server that gets copies of reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// `mirror`: its HOST:PORT.
    pub address: String,
    /// `mirror_share`: how many percent of the reads it gets.
    pub percent: u8,
}

/// How many statements of a rule may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// `limit_rate`: so many may begin in a second.
    pub rate: Option<u32>,
    /// `limit_concurrency`: so many may run at the same time.
    pub concurrency: Option<u32>,
    /// `limit_wait`: how long one more waits for its turn before it is refused.
    pub wait: Duration,
}

impl Act {
    /// What it does, in a few words, in the order in which it is done.
    pub fn summary(&self) -> String {
        let mut words = Vec::new();
        if self.allow {
            words.push("allow".to_owned());
        }
        if self.deny.is_some() {
            words.push("deny".to_owned());
        }
        if self.rewrite.is_some() {
            words.push("rewrite".to_owned());
        }
        if let Some(limit) = self.limit {
            let rate = limit.rate.map(|rate| format!("limit {rate} a second"));
            let concurrency = limit.concurrency;
            let concurrency = concurrency.map(|most| format!("limit {most} at once"));
            words.extend(rate.into_iter().chain(concurrency));
        }
        if let Some(target) = self.target {
            let name = match target {
                HintTarget::Primary => "primary",
                HintTarget::Replica => "replica",
            };
            words.push(format!("target {name}"));
        }
        if let Some(level) = self.level {
            words.push(format!("consistency {}", level.name()));
        }
        if let Some(staleness) = self.max_staleness {
            words.push(format!("max_staleness {staleness:?}"));
        }
        if let Some(group) = &self.group {
            words.push(format!("group {group}"));
        }
        if let Some(timeout) = self.timeout {
            words.push(format!("timeout {timeout:?}"));
        }
        if let Some(mirror) = &self.mirror {
            words.push(format!("mirror {}% to {}", mirror.percent, mirror.address));
        }
        match words.is_empty() {
            true => "count".to_owned(),
            false => words.join(", "),
        }
    }
}
