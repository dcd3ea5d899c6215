//! docs/configuration.md: every key with what it takes, its default and what overrides it.
//!
//! The page is made from config/reference.toml and from what the configuration itself says when it is given
//! something wrong, so neither can say anything else. With `HIGHWATER_WRITE_DOCS` set, the file is written.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use highwater::config::{Config, Flags, OVERRIDES, Problem};

const HEAD: &str = "# Configuration: every key

`highwater run --config FILE` reads TOML. Flags of `run` come before `HIGHWATER_*` environment variables, and those
before the file. `highwater check --config FILE` says what it resolves to, or file, line, key and what was
expected; an unknown key is an error that names the nearest known one. Durations and sizes are written with their
unit: `\"250ms\"`, `\"10s\"`, `\"5m\"`, `\"1h\"`; `\"64KiB\"`, `\"16MiB\"`. A relative path starts at the folder of the file. Passwords
never stand in the file: it names a file or an environment variable that holds one.

This page is made from `config/reference.toml`, which is a whole configuration with every key at its default.
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A table of the reference.
struct Table {
    /// As it stands there: `[pool]`, `[[user]]`.
    header: String,
    text: String,
    keys: Vec<Key>,
}

struct Key {
    name: String,
    /// Its line in the reference, from 0.
    line: usize,
    value: String,
    /// Whether it stands in a comment: there is no default.
    commented: bool,
    text: String,
}

/// The key and the value of a line, also of one in a comment.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim_start_matches("# ").split_once(" = ")?;
    let plain = |it: char| it.is_ascii_lowercase() || it == '_';
    key.chars().all(plain).then_some((key, value))
}

fn header(line: &str) -> Option<&str> {
    let line = line.trim_start_matches("# ");
    (line.starts_with('[') && line.ends_with(']')).then_some(line)
}

fn tables(reference: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut comment = String::new();
    for (number, line) in reference.lines().enumerate() {
        if let Some(header) = header(line) {
            tables.push(Table {
                header: header.to_owned(),
                text: std::mem::take(&mut comment),
                keys: Vec::new(),
            });
        } else if let Some((name, value)) = pair(line) {
            tables.last_mut().unwrap().keys.push(Key {
                name: name.to_owned(),
                line: number,
                value: value.to_owned(),
                commented: line.starts_with('#'),
                text: std::mem::take(&mut comment),
            });
        } else if let Some(text) = line.strip_prefix("# ") {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(text);
        } else {
            comment.clear();
        }
    }
    tables
}

/// A file that is gone with the value.
struct Trial(PathBuf);

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Trial {
    /// What is wrong with the reference when the line `number` is another one.
    fn with(&self, reference: &str, table: &Table, number: usize, line: &str) -> Vec<Problem> {
        let mut lines: Vec<&str> = reference.lines().collect();
        lines[number] = line;
        let text = lines.join("\n");
        // A table that is an example only, in comments.
        let text = text.replace(
            &format!("\n# {}\n", table.header),
            &format!("\n{}\n", table.header),
        );
        // A set HIGHWATER_MONITOR_PASSWORD comes before the file.
        std::fs::write(&self.0, text.replace("HIGHWATER_MONITOR", "WATCH")).unwrap();
        let environment = |name: &str| match name {
            "HIGHWATER_MONITOR_PASSWORD" => None,
            _ => name.ends_with("_PASSWORD").then(|| "secret".to_owned()),
        };
        match Config::load(Some(&self.0), &Flags::default(), &environment) {
            Ok(_) => Vec::new(),
            Err(error) => error.problems().to_vec(),
        }
    }

    /// What the key is told to be when it is `value`; `None` if that is fine.
    fn told(&self, reference: &str, table: &Table, key: &Key, value: &str) -> Option<String> {
        let line = format!("{} = {value}", key.name);
        let full = full(table, key);
        let problems = self.with(reference, table, key.line, &line);
        let problem = problems.into_iter().find(|problem| problem.key == full)?;
        let expected = problem.message.strip_prefix("expected ")?;
        Some(expected.split("; found").next().unwrap().to_owned())
    }

    /// What the key takes.
    fn takes(&self, reference: &str, table: &Table, key: &Key) -> String {
        let told = |value| self.told(reference, table, key, value);
        if key.name.ends_with("_file") || key.name == "socket" {
            return "path".to_owned();
        }
        if key.name.ends_with("_env") {
            return "name of an environment variable".to_owned();
        }
        let kind = told("1979-05-27").unwrap_or_else(|| "a text in quotes".to_owned());
        if kind.starts_with("a list") {
            let item = told("[\"?:\"]").unwrap_or_else(|| "text".to_owned());
            return format!("list of {}", short(&item));
        }
        if kind != "a text in quotes" {
            return short(&kind);
        }
        let several = if key.value.starts_with('[') {
            ", or a list"
        } else {
            ""
        };
        let one = match told("\"?:\"") {
            None => "text".to_owned(),
            Some(it) if it.starts_with("a duration") => match told("\"0s\"") {
                Some(least) => format!("duration, {least}"),
                None => "duration".to_owned(),
            },
            Some(it) if it.starts_with("a size") => short(&told("\"0B\"").unwrap()),
            Some(it) => short(&it),
        };
        one + several
    }

    /// What is in force if the key is not there; of what has no default, an example.
    fn default(&self, reference: &str, table: &Table, key: &Key) -> String {
        if key.name.starts_with("password_")
            && table.keys.iter().any(|it| it.name == "password_env")
        {
            return format!("one of the two is required; as `{}`", key.value);
        }
        let name = full(table, key);
        let left_out = || self.with(reference, table, key.line, "");
        if !key.commented && left_out().iter().any(|problem| problem.key == name) {
            return format!("required; as `{}`", key.value);
        }
        match key.commented || table.header.starts_with("[[") {
            true => format!("not set; as `{}`", key.value),
            false => format!("`{}`", key.value),
        }
    }
}

/// An expectation as a cell of a table.
fn short(told: &str) -> String {
    let told = told.trim_start_matches("a ").trim_start_matches("an ");
    match told.strip_prefix("one of ") {
        Some(names) => {
            let names = names.split(", ").map(|name| format!("`{name}`"));
            names.collect::<Vec<_>>().join(", ")
        }
        // Behind a colon stands what was wrong with this one.
        None => {
            let told = told.split(", such as").next().unwrap();
            told.split(": ").next().unwrap().to_owned()
        }
    }
}

fn full(table: &Table, key: &Key) -> String {
    format!("{}.{}", table.header.trim_matches(['[', ']']), key.name)
}

/// The flag and the variable that come before the file.
fn overrides(table: &Table, key: &Key) -> String {
    let name = full(table, key);
    let found = OVERRIDES
        .iter()
        .find(|over| format!("{}.{}", over.table, over.key) == name);
    let names = found
        .into_iter()
        .flat_map(|over| [over.flag, over.variable]);
    let names = names.flatten().map(|name| format!("`{name}`"));
    names.collect::<Vec<_>>().join(", ")
}

/// What a key means, without what stands in other columns.
fn meaning(key: &Key) -> &str {
    key.text.split(" Flag --").next().unwrap()
}

fn page() -> String {
    let reference = std::fs::read_to_string(root().join("config/reference.toml")).unwrap();
    let name = format!("highwater-reference-{}.toml", std::process::id());
    let trial = Trial(std::env::temp_dir().join(name));
    let mut page = HEAD.to_owned();
    for table in tables(&reference) {
        writeln!(page, "\n## `{}`\n", table.header).unwrap();
        if !table.text.is_empty() {
            writeln!(page, "{}\n", table.text).unwrap();
        }
        page.push_str(
            "| key | takes | default | meaning | flag, variable |\n|---|---|---|---|---|\n",
        );
        for key in &table.keys {
            let takes = trial.takes(&reference, &table, key);
            let default = trial.default(&reference, &table, key);
            let cells = [&takes, &default, meaning(key), &overrides(&table, key)];
            let cells = cells.map(|cell| cell.replace('|', "\\|")).join(" | ");
            writeln!(page, "| `{}` | {} |", key.name, cells.trim_end()).unwrap();
        }
    }
    page
}

#[test]
fn the_page_is_what_the_configuration_says() {
    let page = page();
    let path = root().join("docs/configuration.md");
    if std::env::var_os("HIGHWATER_WRITE_DOCS").is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == page,
        "docs/configuration.md is not what the configuration says: run this test with HIGHWATER_WRITE_DOCS=1"
    );
}

/// Flags and variables that the reference names, and no others, are those that there are.
#[test]
fn the_reference_names_every_flag_and_variable() {
    let reference = std::fs::read_to_string(root().join("config/reference.toml")).unwrap();
    for table in tables(&reference) {
        for key in &table.keys {
            for name in overrides(&table, key)
                .split(", ")
                .filter(|it| !it.is_empty())
            {
                let name = name.trim_matches('`');
                let told = key.text.contains(name) || key.value.contains(name);
                assert!(told, "{}: {name} is not told", full(&table, key));
            }
            let said = |it: &&str| it.starts_with("--") || it.starts_with("HIGHWATER_");
            for name in key.text.split([' ', ',', '.', '(', ')']).filter(said) {
                let known = overrides(&table, key).contains(name);
                assert!(known, "{}: {name} is none of it", full(&table, key));
            }
        }
    }
}
