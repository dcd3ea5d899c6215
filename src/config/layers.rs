//! File, environment and flags as one tree of settings; what comes later replaces what came before.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Origin, Problem};

/// A value that was set, and where.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// A value before it is given a meaning.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Setting>),
    Table(Table),
    /// Of a type that no key takes; holds the name of the type.
    Other(&'static str),
}

/// Settings by key.
pub(super) type Table = BTreeMap<String, Setting>;

/// A key that the environment and a flag can set as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// The table of the key in the file.
    pub table: &'static str,
    /// The key.
    pub key: &'static str,
    /// The flag of `highwater run`; for monitor.password_env there is none.
    pub flag: Option<&'static str>,
    /// The environment variable; for monitor.password_file there is none.
    pub variable: Option<&'static str>,
    /// Whether it is a list: the flag is repeated, the variable separates by commas.
    pub list: bool,
}

/// The variable that holds the monitor's password itself.
const MONITOR_PASSWORD: &str = "HIGHWATER_MONITOR_PASSWORD";

const fn over(
    table: &'static str,
    key: &'static str,
    flag: Option<&'static str>,
    variable: Option<&'static str>,
) -> Override {
    Override {
        table,
        key,
        flag,
        variable,
        list: false,
    }
}

/// Every key that flags or the environment can set. An empty variable counts as not set.
pub const OVERRIDES: [Override; 10] = [
    over("proxy", "mode", Some("--mode"), Some("HIGHWATER_MODE")),
    over(
        "proxy",
        "listen",
        Some("--listen"),
        Some("HIGHWATER_LISTEN"),
    ),
    over(
        "cluster",
        "primary",
        Some("--primary"),
        Some("HIGHWATER_PRIMARY"),
    ),
    Override {
        list: true,
        ..over(
            "cluster",
            "replicas",
            Some("--replica"),
            Some("HIGHWATER_REPLICAS"),
        )
    },
    over(
        "monitor",
        "user",
        Some("--monitor-user"),
        Some("HIGHWATER_MONITOR_USER"),
    ),
    over(
        "monitor",
        "password_file",
        Some("--monitor-password-file"),
        None,
    ),
    over("monitor", "password_env", None, Some(MONITOR_PASSWORD)),
    over(
        "consistency",
        "level",
        Some("--consistency"),
        Some("HIGHWATER_CONSISTENCY"),
    ),
    over(
        "admin",
        "listen",
        Some("--admin-listen"),
        Some("HIGHWATER_ADMIN_LISTEN"),
    ),
    over(
        "http",
        "listen",
        Some("--http-listen"),
        Some("HIGHWATER_HTTP_LISTEN"),
    ),
];

/// What the command line of `highwater run` said, unparsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--mode`.
    pub mode: Option<String>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--primary`.
    pub primary: Option<String>,
    /// `--replica`, once for each.
    pub replicas: Vec<String>,
    /// `--monitor-user`.
    pub monitor_user: Option<String>,
    /// `--monitor-password-file`.
    pub monitor_password_file: Option<String>,
    /// `--consistency`.
    pub consistency: Option<String>,
    /// `--admin-listen`.
    pub admin_listen: Option<String>,
    /// `--http-listen`.
    pub http_listen: Option<String>,
}

impl Flags {
    fn get(&self, flag: &str) -> &[String] {
        match flag {
            "--mode" => self.mode.as_slice(),
            "--listen" => self.listen.as_slice(),
            "--primary" => self.primary.as_slice(),
            "--replica" => &self.replicas,
            "--monitor-user" => self.monitor_user.as_slice(),
            "--monitor-password-file" => self.monitor_password_file.as_slice(),
            "--consistency" => self.consistency.as_slice(),
            "--admin-listen" => self.admin_listen.as_slice(),
            "--http-listen" => self.http_listen.as_slice(),
            _ => &[],
        }
    }
}

/// Reads a file's text into a tree.
pub(super) fn parse(text: &str, path: &Path) -> Result<Table, Problem> {
    let file = File { text, path };
    match DeTable::parse(text) {
        Ok(table) => Ok(file.table(table.into_inner())),
        Err(error) => Err(Problem {
            origin: file.origin(&error.span().unwrap_or(0..0)),
            key: String::new(),
            message: format!("not TOML: {}", error.message().replace('\n', "; ")),
        }),
    }
}

/// Puts the environment over the tree.
pub(super) fn apply_environment(tree: &mut Table, environment: &dyn Fn(&str) -> Option<String>) {
    for over in &OVERRIDES {
        let Some(name) = over.variable else { continue };
        let Some(text) = environment(name).filter(|text| !text.is_empty()) else {
            continue;
        };
        let values = match name {
            MONITOR_PASSWORD => vec![name.to_owned()],
            _ if over.list => text.split(',').map(|item| item.trim().to_owned()).collect(),
            _ => vec![text],
        };
        put(tree, over, &values, &Origin::Environment(name));
    }
}

/// Puts the flags over the tree.
pub(super) fn apply_flags(tree: &mut Table, flags: &Flags) {
    for over in &OVERRIDES {
        let Some(name) = over.flag else { continue };
        let values = flags.get(name);
        if !values.is_empty() {
            put(tree, over, values, &Origin::Flag(name));
        }
    }
}

fn put(tree: &mut Table, over: &Override, values: &[String], origin: &Origin) {
    let setting = |value| Setting {
        value,
        origin: origin.clone(),
    };
    let mut texts = values.iter().map(|text| setting(Value::Text(text.clone())));
    let value = if over.list {
        setting(Value::List(texts.collect()))
    } else if let Some(text) = texts.next() {
        text
    } else {
        return;
    };
    let table = tree
        .entry(over.table.to_owned())
        .or_insert_with(|| setting(Value::Table(Table::new())));
    if let Value::Table(table) = &mut table.value {
        if over.key.starts_with("password_") {
            table.retain(|key, _| !key.starts_with("password_"));
        }
        table.insert(over.key.to_owned(), value);
    }
}

/// Turns the parser's values into settings that know their line.
struct File<'a> {
    text: &'a str,
    path: &'a Path,
}

impl File<'_> {
    fn origin(&self, span: &Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        Origin::File {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
        }
    }

    fn table(&self, table: DeTable<'_>) -> Table {
        table
            .into_iter()
            .map(|(key, value)| {
                let setting = Setting {
                    origin: self.origin(&key.span()),
                    value: self.value(value.into_inner()),
                };
                (key.into_inner().into_owned(), setting)
            })
            .collect()
    }

    fn value(&self, value: DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .map_or(Value::Other("an integer out of range"), Value::Integer),
            DeValue::Float(_) => Value::Other("a float"),
            DeValue::Boolean(flag) => Value::Boolean(flag),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(items) => {
                Value::List(items.into_iter().map(|item| self.item(item)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
        }
    }

    fn item(&self, item: Spanned<DeValue<'_>>) -> Setting {
        Setting {
            origin: self.origin(&item.span()),
            value: self.value(item.into_inner()),
        }
    }
}
