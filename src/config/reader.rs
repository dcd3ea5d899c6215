//! Reads a tree of settings key by key, collects what is wrong, and knows every key it was asked for.

mod section;

use std::path::Path;

use super::error::{Origin, Problem};
use super::layers::{Setting, Table, Value};
use super::nearest::nearest;

pub(super) use section::Section;

/// Reads the tables of a configuration.
pub(super) struct Reader<'a> {
    tree: Table,
    path: Option<&'a Path>,
    environment: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
    tables: Vec<&'static str>,
    /// Every `table.key` that was asked for.
    pub(super) keys: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        tree: Table,
        path: Option<&'a Path>,
        environment: &'a dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self {
            tree,
            path,
            environment,
            problems: Vec::new(),
            tables: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Reads the table `name`, an empty one if it is not there.
    pub(super) fn table<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_, 'a>) -> T,
    ) -> T {
        self.tables.push(name);
        let (table, origin) = match self.tree.remove(name) {
            None => (Table::new(), self.nowhere()),
            Some(Setting {
                value: Value::Table(table),
                origin,
            }) => (table, origin),
            Some(other) => {
                let origin = other.origin.clone();
                self.problem(other.origin, name, format!("expected a table: [{name}]"));
                (Table::new(), origin)
            }
        };
        self.section(name, table, origin, read)
    }

    /// Reads every `[[name]]`.
    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Section<'_, 'a>) -> T,
    ) -> Vec<T> {
        self.tables.push(name);
        let items = match self.tree.remove(name) {
            None => Vec::new(),
            Some(Setting {
                value: Value::List(items),
                ..
            }) => items,
            Some(other) => {
                self.problem(
                    other.origin,
                    name,
                    format!("expected a list of tables: [[{name}]]"),
                );
                Vec::new()
            }
        };
        let mut all = Vec::new();
        for item in items {
            if let Value::Table(table) = item.value {
                all.push(self.section(name, table, item.origin, &mut read));
            } else {
                self.problem(item.origin, name, format!("expected a table: [[{name}]]"));
            }
        }
        all
    }

    /// Something is wrong.
    pub(super) fn problem(&mut self, origin: Origin, key: &str, message: String) {
        self.problems.push(Problem {
            origin,
            key: key.to_owned(),
            message,
        });
    }

    /// Where a missing key would have been.
    pub(super) fn nowhere(&self) -> Origin {
        Origin::Missing(self.path.map(Path::to_owned))
    }

    /// All problems, those about unknown tables included.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        for (name, setting) in std::mem::take(&mut self.tree) {
            let what = match setting.value {
                Value::Table(_) | Value::List(_) => "table",
                _ => "key outside of any table",
            };
            let message = unknown(what, &name, &self.tables);
            self.problem(setting.origin, &name, message);
        }
        self.problems
    }

    fn section<T>(
        &mut self,
        name: &'static str,
        table: Table,
        origin: Origin,
        read: impl FnOnce(&mut Section<'_, 'a>) -> T,
    ) -> T {
        let problems_before = self.problems.len();
        let mut section = Section {
            problems_before,
            reader: self,
            set: Vec::new(),
            name,
            table,
            origin,
            known: Vec::new(),
        };
        let result = read(&mut section);
        section.finish();
        result
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("unknown {what}; did you mean {near}?"),
        None => format!("unknown {what}; known here: {}", known.join(", ")),
    }
}
