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
    /// It makes the replicas stop, which takes new servers for the next file: such files come last.
    costly: bool,
    /// Of what it must print, in bytes: short ones are quick.
    length: u64,
    /// Accounts that it logs in with beside root, with a password each: the proxy has to be told
    /// before.
    pub(crate) accounts: BTreeMap<String, String>,
}

/// The main suite's files that need no options of their own and no servers started again.
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
    let mut found: Vec<Candidate> = names
        .into_iter()
        .filter_map(|name| candidate(suite, name))
        .collect();
    // A run that is cut short shall have seen as many as possible.
    found.sort_by_key(|file| (file.costly, file.length));
    found
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

/// `None` if the file stops its server and wants another one started.
fn candidate(suite: &Path, name: String) -> Option<Candidate> {
    let file = suite.join("t").join(format!("{name}.test"));
    let result = suite.join("r").join(format!("{name}.result"));
    let mut texts = Vec::new();
    read_all(suite, &file, SOURCED, &mut texts);
    if texts.iter().any(|text| text.contains(".expect")) {
        return None;
    }
    let stops_replicas = |text: &String| {
        let text = text.to_ascii_lowercase();
        text.contains("gtid_mode") || text.contains("reset binary logs")
    };
    let costly = texts.iter().any(stops_replicas);
    let mut accounts = BTreeMap::new();
    for (user, password) in texts.iter().flat_map(|text| accounts_in(text)) {
        if !user.is_empty() && user != "root" && !user.contains('$') {
            accounts.entry(user).or_insert(password);
        }
    }
    Some(Candidate {
        name,
        file,
        length: fs::metadata(&result).map_or(0, |result| result.len()),
        result: result.is_file().then_some(result),
        costly,
        accounts,
    })
}

/// How deep files that source files are followed.
const SOURCED: u32 = 4;

/// The text of a file and of those that it sources.
fn read_all(suite: &Path, file: &Path, depth: u32, texts: &mut Vec<String>) {
    let Ok(bytes) = fs::read(file) else {
        return;
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let sourced = text.lines().filter_map(|line| {
        let line = line.trim_start_matches(['-', ' ', '\t']);
        Some(after(line, "source ")?.trim().trim_end_matches(';'))
    });
    for name in sourced.filter(|_| depth > 0) {
        read_all(suite, &suite.join(name), depth - 1, texts);
    }
    texts.push(text);
}

/// The accounts of `connect (name, host, user, password, …)`, `change_user user,password` and of
/// `--user=… --password=…` in commands.
fn accounts_in(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines().filter_map(|line| {
        let line = line.trim_start_matches(['-', ' ', '\t']);
        if let Some(arguments) = after(line, "connect") {
            nth_and_next(arguments.trim_start().trim_start_matches('('), 2)
        } else if let Some(arguments) = after(line, "change_user") {
            nth_and_next(arguments, 0)
        } else if line.starts_with("exec") {
            in_command(line)
        } else {
            None
        }
    })
}

/// What is behind a command, in whatever case it is written.
fn after<'t>(line: &'t str, command: &str) -> Option<&'t str> {
    let (start, rest) = line.split_at_checked(command.len())?;
    start.eq_ignore_ascii_case(command).then_some(rest)
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
