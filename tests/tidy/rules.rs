//! Rules about single files.

use super::code::{Code, PathUse};

/// Longest file, in lines.
const LONGEST: usize = 700;

/// What a pure room must not name: I/O, clocks, randomness, tasks, logs, locks.
const WORLD: &[&[&str]] = &[
    &["std", "env"],
    &["std", "fs"],
    &["std", "io"],
    &["std", "net"],
    &["std", "os"],
    &["std", "process"],
    &["std", "thread"],
    &["tokio"],
    &["axum"],
    &["mysql_async"],
    &["socket2"],
    &["tracing"],
    &["rand"],
    &["RandomState"],
    &["SystemTime"],
    &["Instant", "now"],
    &["elapsed"],
    &["Mutex"],
    &["RwLock"],
    &["Condvar"],
    &["async"],
    &["await"],
    &["print"],
    &["println"],
    &["eprint"],
    &["eprintln"],
];

/// Every way in which a pure file touches the world. Tests may take a time to begin with.
pub(crate) fn purity(path: &str, code: &Code) -> Vec<String> {
    if path.ends_with("/tests.rs") {
        return Vec::new();
    }
    let touches = |used: &PathUse| {
        let names = |banned: &&&[&str]| {
            used.segments
                .windows(banned.len())
                .any(|part| part == **banned)
        };
        WORLD.iter().find(names)
    };
    code.paths
        .iter()
        .filter(|used| !used.in_tests)
        .filter_map(|used| touches(used).map(|banned| (used.line, banned.join("::"))))
        .map(|(line, banned)| format!("{path}:{line}: {banned} in a pure room"))
        .collect()
}

/// Files that are too long, are called mod.rs, or do not say what they are for.
pub(crate) fn shape(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST {
        problems.push(format!("{path}: {lines} lines, more than {LONGEST}"));
    }
    // Beside the test binaries, support/mod.rs is the one way not to be a binary.
    if path.starts_with("src/") && path.ends_with("/mod.rs") {
        problems.push(format!(
            "{path}: write src/room.rs and src/room/part.rs, no mod.rs"
        ));
    }
    if !text.starts_with("//! ") {
        problems.push(format!("{path}: must open with //! and what it is for"));
    }
    problems
}

/// Tests that are switched off.
pub(crate) fn ignored(path: &str, code: &Code) -> Vec<String> {
    code.tokens
        .windows(3)
        .filter(|part| part[0].text == "#" && part[1].text == "[" && part[2].text == "ignore")
        .map(|part| format!("{path}:{}: a test is switched off", part[0].line))
        .collect()
}

/// Starts of paths that only exist on somebody's machine.
const FOLDERS: [&str; 4] = ["/work/", "/root/", "/home/", "/Users/"];
/// Where packages come from: which mirror that is, the machine knows. In two parts, so that this file
/// names none either.
const REGISTRIES: [&str; 8] = [
    concat!("crates", ".io"),
    concat!("deb", ".debian"),
    concat!("archive", ".ubuntu"),
    concat!("py", "pi."),
    concat!("python", "hosted"),
    concat!("npm", "js"),
    concat!("arti", "factory"),
    concat!("proxy", ".golang"),
];
/// Sites that a link may point to.
const SITES: [&str; 13] = [
    "127.0.0.1",
    "localhost",
    "example.com",
    "example.org",
    "dev.mysql.com",
    "mariadb.com",
    "prometheus.io",
    "www.apache.org",
    "keepachangelog.com",
    "semver.org",
    "doc.rust-lang.org",
    "docs.rs",
    // No link but the name of SVG's namespace.
    "www.w3.org",
];

/// Names of machines, mirrors and private folders.
pub(crate) fn workplace(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut say = |what: &str| problems.push(format!("{path}:{}: {what}", number + 1));
        for folder in FOLDERS.iter().filter(|folder| names_folder(line, folder)) {
            say(&format!("a folder of one machine: {folder}"));
        }
        for name in REGISTRIES.iter().filter(|name| line.contains(**name)) {
            say(&format!("a package registry: {name}"));
        }
        for host in hosts(line).filter(|host| !SITES.contains(host) && !host.ends_with(".example"))
        {
            say(&format!("a link to {host}"));
        }
    }
    problems
}

/// Whether `folder` stands in the line as the start of a path.
fn names_folder(line: &str, folder: &str) -> bool {
    let part_of_path = |c: char| c.is_alphanumeric() || "_-.~}$*".contains(c);
    line.match_indices(folder)
        .any(|(at, _)| !line[..at].ends_with(part_of_path))
}

/// The hosts of all links in the line. What is not spelt out, as in a format string, is none.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("://").filter_map(|(at, sign)| {
        let scheme = &line[..at];
        let rest = &line[at + sign.len()..];
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && !".-".contains(c))
            .unwrap_or(rest.len());
        let host = &rest[..end];
        let web = scheme.ends_with("http") || scheme.ends_with("https");
        (web && host.contains('.')).then_some(host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_is_found_in_pure_code() {
        for text in [
            "use std::fs::File;",
            "use std::{collections::HashMap, net::TcpStream};",
            "fn f() { let t = Instant::now(); }",
            "fn f() { std::time::Instant::now() }",
            "fn f(t: Instant) { t.elapsed() }",
            "use tokio::sync::mpsc;",
            "fn f() { tracing::info!(\"x\") }",
            "use std::sync::Mutex;",
            "struct S { x: std::sync::RwLock<u8> }",
            "async fn f() {}",
            "fn f() { println!(\"x\") }",
        ] {
            assert_eq!(
                purity("src/domain/x.rs", &Code::of(text)).len(),
                1,
                "{text}"
            );
        }
        for text in [
            "use std::time::{Duration, Instant}; use std::sync::Arc;",
            "// std::fs\nconst X: &str = \"tokio::spawn\";",
            "mod tests { fn f() { Instant::now() } }",
        ] {
            assert!(
                purity("src/domain/x.rs", &Code::of(text)).is_empty(),
                "{text}"
            );
        }
    }

    #[test]
    fn odd_files_are_found() {
        assert!(shape("src/a.rs", "//! Fine.\n").is_empty());
        assert_eq!(shape("src/a.rs", "use x;\n").len(), 1);
        assert_eq!(shape("src/a/mod.rs", "//! Fine.\n").len(), 1);
        assert_eq!(shape("src/a.rs", &"//! Long.\n".repeat(701)).len(), 1);
    }

    #[test]
    fn switched_off_tests_are_found() {
        assert_eq!(ignored("a.rs", &Code::of("#[ignore]\nfn f() {}")).len(), 1);
        assert_eq!(
            ignored("a.rs", &Code::of("#[ignore = \"slow\"]\nfn f() {}")).len(),
            1
        );
        assert!(ignored("a.rs", &Code::of("// #[ignore]\n#[test] fn ignore() {}")).is_empty());
    }

    #[test]
    fn names_of_a_workplace_are_found() {
        for text in [
            "cd /work/x",
            "\"/root/.cache\"",
            "deb http://mirror.corp.lan/debian sid main",
            "index = \"sparse+https://packages.corp.lan/\"",
            "https://npm.corp.lan/x",
        ] {
            assert_eq!(workplace("a", text).len(), 1, "{text}");
        }
        for text in [
            "see https://dev.mysql.com/doc",
            "http://127.0.0.1:6034/metrics",
            "mysql://app:pw@db1:3306/",
            "format!(\"http://{address}/\")",
            "\"$HOME/work/x\"",
            "/var/lib/mysql",
        ] {
            assert!(
                workplace("a", text).is_empty(),
                "{text}: {:?}",
                workplace("a", text)
            );
        }
    }
}
