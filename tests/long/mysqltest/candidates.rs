//! Which files are tried, and the accounts that a file logs in with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A test file of the main suite.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Its name without folder and ending.
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    /// What it must print; `None` where it need only not fail.
    pub(crate) result: Option<PathBuf>,
    /// Accounts that it logs in with beside root, with a password each: the proxy has to be told
    /// before.
    pub(crate) accounts: BTreeMap<String, String>,
}

/// The main suite's files that need no options of their own, by name.
pub(crate) fn candidates(suite: &Path) -> Vec<Candidate> {
    let folder = suite.join("t");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().ok()?;
            Some(name.strip_suffix(".test")?.to_owned())
        })
        .filter(|name| !needs_options(&folder, name))
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| candidate(suite, name))
        .collect()
}

/// Whether files beside the test change how the server or the client is started.
fn needs_options(folder: &Path, name: &str) -> bool {
    [
        "-master.opt",
        "-client.opt",
        ".opt",
        ".cnf",
        "-master.sh",
        ".combinations",
    ]
    .iter()
    .any(|ending| folder.join(format!("{name}{ending}")).exists())
}

fn candidate(suite: &Path, name: String) -> Candidate {
    let file = suite.join("t").join(format!("{name}.test"));
    let result = suite.join("r").join(format!("{name}.result"));
    let mut accounts = BTreeMap::new();
    read_accounts(suite, &file, 3, &mut accounts);
    Candidate {
        name,
        file,
        result: result.is_file().then_some(result),
        accounts,
    }
}

/// The accounts of `connect (name, host, user, password, …)`, `change_user user,password` and of
/// `--user=… --password=…` in commands, also in the files it sources.
fn read_accounts(suite: &Path, file: &Path, depth: u32, found: &mut BTreeMap<String, String>) {
    let Ok(bytes) = fs::read(file) else {
        return;
    };
    for line in String::from_utf8_lossy(&bytes).lines() {
        let line = line.trim_start_matches(['-', ' ', '\t']);
        let account = if let Some(arguments) = line.strip_prefix("connect") {
            nth_and_next(arguments.trim_start().trim_start_matches('('), 2)
        } else if let Some(arguments) = line.strip_prefix("change_user") {
            nth_and_next(arguments, 0)
        } else if line.starts_with("exec") {
            in_command(line)
        } else {
            None
        };
        if let Some((user, password)) = account
            && !user.is_empty()
            && user != "root"
            && !user.contains('$')
        {
            found.entry(user).or_insert(password);
        }
        if let Some(sourced) = line.strip_prefix("source ")
            && depth > 0
        {
            let sourced = suite.join(sourced.trim().trim_end_matches(';'));
            read_accounts(suite, &sourced, depth - 1, found);
        }
    }
}

fn nth_and_next(arguments: &str, user: usize) -> Option<(String, String)> {
    let mut parts = arguments
        .split([',', ')', ';'])
        .map(|part| part.trim().trim_matches(['\'', '"', '`']).to_owned())
        .skip(user);
    Some((parts.next()?, parts.next().unwrap_or_default()))
}

fn in_command(line: &str) -> Option<(String, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let value = |long: &str, short: &str| {
        let given = words.iter().find_map(|word| {
            word.strip_prefix(long)
                .or_else(|| word.strip_prefix(short).filter(|_| !word.starts_with("--")))
        });
        given.map(|value| value.trim_matches(['\'', '"']).to_owned())
    };
    let next = || {
        let at = words.iter().position(|word| *word == "-u")?;
        words.get(at + 1).map(|word| (*word).to_owned())
    };
    let user = value("--user=", "-u")
        .filter(|user| !user.is_empty())
        .or_else(next)?;
    Some((user, value("--password=", "-p").unwrap_or_default()))
}
