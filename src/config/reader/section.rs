//! Reads one table: values by their kind, and keys that are missing, unknown or not to be used.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Reader, unknown};
use crate::config::error::Origin;
use crate::config::layers::{Setting, Table, Value};
use crate::config::units;

/// One table while it is read.
pub(in crate::config) struct Section<'r, 'a> {
    pub(super) reader: &'r mut Reader<'a>,
    pub(super) name: &'static str,
    pub(super) table: Table,
    pub(super) origin: Origin,
    pub(super) known: Vec<&'static str>,
    /// The keys that were set, and where.
    pub(super) set: Vec<(&'static str, Origin)>,
    /// Problems that the reader had before this table.
    pub(super) problems_before: usize,
}

impl Section<'_, '_> {
    /// A value that `parse` understands; `parse` says what it expected.
    pub(in crate::config) fn text<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let setting = self.take(key)?;
        let parsed = match &setting.value {
            Value::Text(text) => parse(text),
            other => Err(format!("expected a text in quotes; found {}", shown(other))),
        };
        self.keep(key, setting.origin, parsed)
    }

    /// A list whose items `parse` understands.
    pub(in crate::config) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let setting = self.take(key)?;
        let Value::List(items) = setting.value else {
            let message = format!("expected a list of texts; found {}", shown(&setting.value));
            return self.keep(key, setting.origin, Err(message));
        };
        let mut all = Vec::new();
        for item in items {
            let parsed = match &item.value {
                Value::Text(text) => parse(text),
                other => Err(format!("expected a text in quotes; found {}", shown(other))),
            };
            all.extend(self.keep(key, item.origin, parsed));
        }
        Some(all)
    }

    /// One text or a list of them, each of which `parse` understands; empty if the key is not set.
    pub(in crate::config) fn texts<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let list = self.table.get(key).map(|setting| &setting.value);
        match list {
            Some(Value::List(items)) if items.is_empty() => {
                let setting = self.take(key);
                let message = "expected at least one".to_owned();
                let origin = setting.map_or_else(|| self.origin.clone(), |it| it.origin);
                self.wrong(origin, key, message);
                Vec::new()
            }
            Some(Value::List(_)) => self.list(key, parse).unwrap_or_default(),
            _ => self.text(key, parse).into_iter().collect(),
        }
    }

    /// Whether something holds; not, if the key is not set.
    pub(in crate::config) fn flag(&mut self, key: &'static str) -> bool {
        let Some(setting) = self.take(key) else {
            return false;
        };
        let parsed = match setting.value {
            Value::Boolean(flag) => Ok(flag),
            other => Err(format!("expected true or false; found {}", shown(&other))),
        };
        self.keep(key, setting.origin, parsed).unwrap_or_default()
    }

    /// A whole number within `range`.
    pub(in crate::config) fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<usize>,
        default: usize,
    ) -> usize {
        self.optional_number(key, range).unwrap_or(default)
    }

    /// A whole number within `range`, if one is given.
    pub(in crate::config) fn optional_number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        let setting = self.take(key)?;
        let number = match setting.value {
            Value::Integer(number) => usize::try_from(number).ok(),
            _ => None,
        };
        let parsed = number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let (low, high) = (range.start(), range.end());
                format!(
                    "expected a number from {low} to {high}; found {}",
                    shown(&setting.value)
                )
            });
        self.keep(key, setting.origin, parsed)
    }

    /// A duration of at least `least`.
    pub(in crate::config) fn duration(
        &mut self,
        key: &'static str,
        least: Duration,
        default: Duration,
    ) -> Duration {
        self.optional_duration(key, least).unwrap_or(default)
    }

    /// A duration of at least `least`, if one is given.
    pub(in crate::config) fn optional_duration(
        &mut self,
        key: &'static str,
        least: Duration,
    ) -> Option<Duration> {
        let parse = |text: &str| match units::duration(text) {
            Some(duration) if duration >= least => Ok(duration),
            Some(_) => Err(format!(
                "expected at least {}; found {text:?}",
                units::show_duration(least)
            )),
            None => Err(format!("expected {}; found {text:?}", units::DURATION)),
        };
        self.text(key, parse)
    }

    /// A size in bytes within `range`.
    pub(in crate::config) fn size(
        &mut self,
        key: &'static str,
        range: RangeInclusive<usize>,
        default: usize,
    ) -> usize {
        let parse = |text: &str| match units::size(text) {
            Some(size) if range.contains(&size) => Ok(size),
            Some(_) => Err(format!(
                "expected a size from {} to {}; found {text:?}",
                units::show_size(*range.start()),
                units::show_size(*range.end())
            )),
            None => Err(format!("expected {}; found {text:?}", units::SIZE)),
        };
        self.text(key, parse).unwrap_or(default)
    }

    /// An address to listen on, if `allowed` says nothing against it.
    pub(in crate::config) fn listen(
        &mut self,
        key: &'static str,
        default: SocketAddr,
        allowed: impl FnOnce(SocketAddr) -> Result<SocketAddr, String>,
    ) -> SocketAddr {
        let parse = |text: &str| match text.parse() {
            Ok(address) => allowed(address),
            Err(_) => Err(format!(
                "expected IP:PORT, such as {default}; found {text:?}"
            )),
        };
        self.text(key, parse).unwrap_or(default)
    }

    /// A path, given to `then`. In the file, a relative one starts at the folder of the file.
    pub(in crate::config) fn path<T>(
        &mut self,
        key: &'static str,
        then: impl FnOnce(PathBuf) -> Result<T, String>,
    ) -> Option<T> {
        let from_file = |setting: &Setting| matches!(setting.origin, Origin::File { .. });
        let folder = self.reader.path.and_then(Path::parent);
        let folder = folder.filter(|_| self.table.get(key).is_some_and(from_file));
        let folder = folder.map(Path::to_owned).unwrap_or_default();
        self.text(key, |text| match text {
            "" => Err("expected a path; found nothing".to_owned()),
            _ => then(folder.join(text)),
        })
    }

    /// Like [`Section::text`], for a key that has no default.
    pub(in crate::config) fn required<T>(
        &mut self,
        key: &'static str,
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.missing(key, what);
        }
        self.text(key, parse)
    }

    /// Whether the key is set.
    pub(in crate::config) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The name of an environment variable; its name and value are given to `then`.
    pub(in crate::config) fn variable<T>(
        &mut self,
        key: &'static str,
        then: impl FnOnce(String, String) -> T,
    ) -> Option<T> {
        let environment = self.reader.environment;
        self.text(key, |name| match environment(name) {
            Some(value) => Ok(then(name.to_owned(), value)),
            None => Err(format!("the environment variable {name} is not set")),
        })
    }

    /// Refuses a key that must not be set.
    pub(in crate::config) fn refuse(&mut self, key: &'static str, message: &str) {
        if let Some(setting) = self.table.remove(key) {
            let key = self.full(key);
            self.reader
                .problem(setting.origin, &key, message.to_owned());
        }
    }

    /// A key that has no default is not set.
    pub(in crate::config) fn missing(&mut self, key: &str, what: &str) {
        let origin = self.origin.clone();
        self.wrong(origin, key, format!("missing: {what}"));
    }

    /// Something is wrong with the values of this table together.
    pub(in crate::config) fn conflict(&mut self, key: &str, message: &str) {
        let set = self.set.iter().find(|(name, _)| *name == key);
        let here = self.table.get(key).map(|setting| &setting.origin);
        let origin = set.map(|(_, origin)| origin).or(here);
        let origin = origin.unwrap_or(&self.origin).clone();
        self.wrong(origin, key, message.to_owned());
    }

    /// Whether every value so far could be read.
    pub(in crate::config) fn is_whole(&self) -> bool {
        self.reader.problems.len() == self.problems_before
    }

    fn take(&mut self, key: &'static str) -> Option<Setting> {
        self.known.push(key);
        self.reader.keys.push(self.full(key));
        let setting = self.table.remove(key)?;
        self.set.push((key, setting.origin.clone()));
        Some(setting)
    }

    fn keep<T>(&mut self, key: &str, origin: Origin, parsed: Result<T, String>) -> Option<T> {
        parsed
            .map_err(|message| self.wrong(origin, key, message))
            .ok()
    }

    fn wrong(&mut self, origin: Origin, key: &str, message: String) {
        let key = self.full(key);
        self.reader.problem(origin, &key, message);
    }

    fn full(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    pub(super) fn finish(mut self) {
        for (key, setting) in std::mem::take(&mut self.table) {
            let message = unknown("key", &key, &self.known);
            self.wrong(setting.origin, &key, message);
        }
    }
}

/// A value as an error message shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::List(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Other(name) => (*name).to_owned(),
    }
}
