//! The rules of one configuration, and which of them matches a statement.

use core::net::IpAddr;
use std::sync::Arc;

use super::condition::{Named, TablePattern};
use super::{Class, Rule, are_for};
use crate::domain::sql::{Access, StatementProfile, TableName, has_tag, tables_of};

/// The rules of one configuration.
#[derive(Clone, Debug)]
pub struct RuleSet {
    rules: Arc<[Rule]>,
    /// Tells what was found by these rules from what was found by others.
    number: u64,
}

/// What all statements of one shape have in common, for one set of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    number: u64,
    tables: Box<[TableName]>,
    by_text: Box<[ByText]>,
}

/// Whether the text of a shape fulfils a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByText {
    No,
    Yes,
    /// If the session's default schema is one of the rule's tables'.
    InSchema,
}

/// Who sends a statement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker<'a> {
    /// The account.
    pub user: &'a str,
    /// Where the client comes from, if that is known.
    pub client: Option<IpAddr>,
    /// The session's default schema.
    pub schema: Option<&'a [u8]>,
}

impl RuleSet {
    /// These rules, in this order. `number` must differ from that of every set that the same shapes
    /// were looked at with.
    pub fn new(rules: Vec<Rule>, number: u64) -> Self {
        Self {
            rules: rules.into(),
            number,
        }
    }

    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Looks at the shape of a statement: its normalised text, without one if it could not be read.
    pub fn look(&self, text: Option<&[u8]>, profile: &StatementProfile) -> Look {
        let tables = text.map(tables_of).unwrap_or_default();
        let by_text = self.rules.iter();
        let by_text = by_text.map(|rule| by_text_of(rule, &tables, profile));
        Look {
            number: self.number,
            by_text: by_text.collect(),
            tables: tables.into(),
        }
    }

    /// Whether a look was taken with these rules.
    pub fn took(&self, look: &Look) -> bool {
        look.number == self.number
    }

    /// The place of the first rule that matches a statement, by the look at its shape, by who sends it,
    /// and by its text. `counted` is told of each rule before that matches and only counts.
    pub fn find(
        &self,
        look: &Look,
        access: Access,
        asker: &Asker<'_>,
        text: &[u8],
        mut counted: impl FnMut(usize),
    ) -> Option<usize> {
        if !are_for(access) {
            return None;
        }
        for (place, (rule, by_text)) in self.rules.iter().zip(&look.by_text).enumerate() {
            let matches = match by_text {
                ByText::No => false,
                ByText::Yes => true,
                ByText::InSchema => names_tables(rule, &look.tables, asker.schema),
            };
            if !matches || !asks_for(rule, asker, text) {
                continue;
            }
            match rule.count_only {
                true => counted(place),
                false => return Some(place),
            }
        }
        None
    }
}

impl Look {
    /// The tables that the text names.
    pub fn tables(&self) -> &[TableName] {
        &self.tables
    }
}

fn by_text_of(rule: &Rule, tables: &[TableName], profile: &StatementProfile) -> ByText {
    let when = &rule.when;
    let class = Class::of(profile.access);
    let classed = when.classes.is_empty() || class.is_some_and(|it| when.classes.contains(&it));
    let shapes = &when.fingerprints;
    let shaped = shapes.is_empty() || shapes.contains(&profile.fingerprint);
    if !classed || !shaped {
        return ByText::No;
    }
    if !when.only_tables.is_empty() && tables.is_empty() {
        return ByText::No;
    }
    let best = |patterns: &[TablePattern], table: &TableName| {
        let found = patterns.iter().map(|pattern| pattern.names(table));
        found.fold(Named::No, |best, next| match (best, next) {
            (Named::Yes, _) | (_, Named::Yes) => Named::Yes,
            (Named::InSchema, _) | (_, Named::InSchema) => Named::InSchema,
            _ => Named::No,
        })
    };
    let mut unsure = false;
    if !when.tables.is_empty() {
        let found: Vec<_> = tables.iter().map(|it| best(&when.tables, it)).collect();
        if !found.contains(&Named::Yes) {
            if !found.contains(&Named::InSchema) {
                return ByText::No;
            }
            unsure = true;
        }
    }
    if !when.only_tables.is_empty() {
        for table in tables {
            match best(&when.only_tables, table) {
                Named::No => return ByText::No,
                Named::InSchema => unsure = true,
                Named::Yes => {}
            }
        }
    }
    match unsure {
        true => ByText::InSchema,
        false => ByText::Yes,
    }
}

/// Whether the tables of a text are the rule's in a session with this schema.
fn names_tables(rule: &Rule, tables: &[TableName], schema: Option<&[u8]>) -> bool {
    let named = |patterns: &[TablePattern], table: &TableName| {
        let mut patterns = patterns.iter();
        patterns.any(|pattern| pattern.names_in(table, schema))
    };
    let when = &rule.when;
    let one = when.tables.is_empty() || tables.iter().any(|it| named(&when.tables, it));
    let only = &when.only_tables;
    one && (only.is_empty() || tables.iter().all(|it| named(only, it)))
}

/// Whether the conditions hold that are not about the shape.
fn asks_for(rule: &Rule, asker: &Asker<'_>, text: &[u8]) -> bool {
    let when = &rule.when;
    let user = || when.users.is_empty() || when.users.iter().any(|it| it == asker.user);
    let schema = || {
        let named = |schema: &[u8]| when.schemas.iter().any(|it| it.matches(schema));
        when.schemas.is_empty() || asker.schema.is_some_and(named)
    };
    let client = || {
        let from = |address| when.clients.iter().any(|it| it.contains(address));
        when.clients.is_empty() || asker.client.is_some_and(from)
    };
    let tags = || {
        let tagged = |key: &[u8], value: &[u8]| when.tags.iter().any(|it| it.matches(key, value));
        when.tags.is_empty() || has_tag(text, tagged)
    };
    let regex = || when.regex.as_ref().is_none_or(|it| it.matches(text));
    user() && schema() && client() && tags() && regex()
}
