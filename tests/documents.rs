//! Every command line, configuration and statement in README.md and docs/ does what the page says.
//!
//! What needs hours, or is what runs this test (`cargo …`), is only looked up. Names of the pages' servers are
//! replaced by those of real ones. Blocks of `console` need containers, systemd or root: here only their files
//! are looked up; docker/try.sh runs the image and its compose files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use highwater::domain::routing::Reason;
use highwater::rig::{APP, Cluster};
use support::daemon::{Daemon, Folder, highwater};

/// A fenced part of a page.
struct Block {
    /// Page and line, to tell where something is wrong.
    place: String,
    language: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
        .collect();
    paths.push(root().join("README.md"));
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        (name, std::fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

fn blocks(language: &str) -> Vec<Block> {
    let mut blocks = all_blocks();
    blocks.retain(|block| block.language == language);
    assert!(!blocks.is_empty(), "no page has a block of {language}");
    blocks
}

fn all_blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (page, text) in pages() {
        let mut open = false;
        for (number, line) in text.lines().enumerate() {
            match line.strip_prefix("```") {
                Some(_) if open => open = false,
                Some(language) => {
                    open = true;
                    blocks.push(Block {
                        place: format!("{page}:{}", number + 1),
                        language: language.to_owned(),
                        text: String::new(),
                    });
                }
                None if open => {
                    let text = &mut blocks.last_mut().unwrap().text;
                    text.push_str(line);
                    text.push('\n');
                }
                None => {}
            }
        }
    }
    blocks
}

/// The words of a command line, without its comment; single quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
            continue;
        }
        let part = part.split(" #").next().unwrap();
        words.extend(part.split_whitespace().map(str::to_owned));
    }
    words
}

#[test]
fn configurations_are_accepted() {
    let folder = std::env::temp_dir().join(format!("highwater-pages-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["highwater", "app", "admin"] {
        std::fs::write(folder.join(name), "a password\n").unwrap();
    }
    let file = folder.join("highwater.toml");
    let secrets = format!("{}/", folder.display());
    let whole = |text: &str| text.contains("[cluster]");
    for block in blocks("toml") {
        let mut text = block.text.replace("/run/secrets/", &secrets);
        if !whole(&text) {
            let rest = "[cluster]\nprimary = \"db\"\n[monitor]\nuser = \"w\"\npassword_env = \"P\"\n\
                        [[user]]\nname = \"a\"\npassword_env = \"P\"\n";
            text.push_str(rest);
        }
        std::fs::write(&file, text).unwrap();
        let mut command = highwater();
        command.args(["check", "--config"]).arg(&file).env("P", "p");
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {error}", block.place);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// A block in a language of which this file knows nothing would be tried by nobody.
#[test]
fn every_block_is_tried_or_shows_what_is_seen() {
    for block in all_blocks() {
        let known = ["sh", "toml", "sql", "console", "text", ""];
        assert!(
            known.contains(&block.language.as_str()),
            "{}: {}",
            block.place,
            block.language
        );
    }
}

#[test]
fn consoles_name_files_that_exist() {
    for block in blocks("console") {
        let ours = |word: &&str| word.starts_with("docker/") || word.starts_with("packaging/");
        for word in block.text.split_whitespace().filter(ours) {
            assert!(root().join(word).exists(), "{}: {word}", block.place);
        }
    }
}

/// Links from page to page lead somewhere.
#[test]
fn links_lead_to_files() {
    for (page, text) in pages() {
        let folder = root().join(&page).parent().unwrap().to_owned();
        for (_, rest) in text
            .match_indices("](")
            .map(|(at, it)| text.split_at(at + it.len()))
        {
            let target = rest.split([')', '#']).next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                assert!(folder.join(target).exists(), "{page}: {target}");
            }
        }
    }
}

#[tokio::test]
async fn statements_run_on_the_primary() {
    let cluster = Cluster::builder().replicas(0).start().await.unwrap();
    for block in blocks("sql") {
        for statement in block.text.split(';').map(str::trim) {
            // The rig's servers have the account of that name already.
            let sql = statement.replace("highwater@", "highwater_of_the_page@");
            if !sql.is_empty() {
                let done = cluster.primary().exec(&sql).await;
                done.unwrap_or_else(|error| panic!("{}: {sql}: {error}", block.place));
            }
        }
    }
}

#[tokio::test]
async fn command_lines_do_what_the_page_says() {
    let cluster = Cluster::builder().start().await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
    let folder = Folder::new(&cluster, "");
    let daemon = Daemon::start(&folder);
    // Waits until there is a usable primary.
    drop(daemon.connect().await.unwrap());
    let (primary, replica) = (cluster.primary().address(), cluster.replica(0).address());
    let names = [
        ("highwater.toml", folder.config().display().to_string()),
        ("10.0.0.1:6033", daemon.mysql.to_string()),
        ("proxy:6033", daemon.mysql.to_string()),
        ("primary:3306", primary),
        ("replica:3306", replica),
        ("/test", format!("/{}", APP.database.unwrap())),
    ];
    let mut tried = BTreeSet::new();
    for block in blocks("sh") {
        for line in block.text.lines() {
            let mut words = words(line);
            if words.is_empty() || !tried.insert(words.clone()) {
                continue;
            }
            let place = format!("{}: {line}", block.place);
            match words.remove(0).as_str() {
                "cargo" => assert!(is_ours(&words), "{place}"),
                "export" => assert!(
                    words[0].starts_with("HIGHWATER_VERIFY_PASSWORD="),
                    "{place}"
                ),
                "highwater" => {
                    for (name, real) in &names {
                        for word in &mut words {
                            *word = word.replace(name, real);
                        }
                    }
                    try_out(&place, words, &daemon).await;
                }
                other => panic!("{place}: this test does not know {other}"),
            }
        }
    }
}

/// Whether cargo has such a target of ours.
fn is_ours(words: &[String]) -> bool {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_file = |folder: &str, name: &str| root().join(format!("{folder}/{name}.rs")).exists();
    match words[..] {
        ["run", "--release", "--", "demo", ..] | ["test"] => true,
        ["test", "--test", name] => is_file("tests", name),
        ["bench", "--bench", name] => is_file("benches", name) || is_file("tests/long", name),
        _ => false,
    }
}

async fn try_out(place: &str, mut words: Vec<String>, daemon: &Daemon) {
    let mut command = highwater();
    command
        .env("HIGHWATER_VERIFY_PASSWORD", APP.password)
        .env("HIGHWATER_HTTP_LISTEN", daemon.http.to_string());
    if words[0] == "run" {
        command.env("HIGHWATER_HTTP_LISTEN", "127.0.0.1:0");
        command.env("HIGHWATER_ADMIN_LISTEN", "127.0.0.1:0");
        let started = Daemon::spawn({
            command.args(words);
            command
        });
        return ends_well(place, started).await;
    }
    if words[0] == "verify" {
        words.retain(|word| word != "--seconds" && word != "5");
        words.extend(["--seconds", "2", "--sessions", "4"].map(str::to_owned));
    }
    command.args(&words);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{place}\n{said}");
}

async fn ends_well(place: &str, mut daemon: Daemon) {
    drop(daemon.connect().await.unwrap());
    daemon.terminate();
    assert_eq!(daemon.code().await, Some(0), "{place}");
}

/// What the pages call a reason is one.
#[test]
fn reasons_exist() {
    let known: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    let mut seen = 0;
    for (page, text) in pages() {
        let mut in_table = false;
        for line in text.lines() {
            if line.starts_with("| reason |") {
                in_table = true;
            } else if !line.starts_with('|') {
                in_table = false;
            } else if let Some(name) = line.strip_prefix("| `").filter(|_| in_table) {
                let name = name.split('`').next().unwrap();
                assert!(known.contains(name), "{page}: {name} is no reason");
                seen += 1;
            }
        }
    }
    assert!(seen > 0);
}
