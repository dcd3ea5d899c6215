//! The rooms and the arrows between them, as the crate's documentation lists them.

use std::collections::BTreeSet;

use super::code::Code;

/// One row of the table.
struct Room {
    name: String,
    pure: bool,
    may_use: BTreeSet<String>,
}

/// The table of rooms.
pub(crate) struct Rooms(Vec<Room>);

impl Rooms {
    /// Reads the table from the text of `src/lib.rs`.
    pub(crate) fn parse(lib: &str) -> Self {
        let rows: Vec<Vec<&str>> = lib
            .lines()
            .filter_map(|line| line.strip_prefix("//! | [`"))
            .map(|line| line.trim_end_matches([' ', '|']).split(" | ").collect())
            .collect();
        let names: Vec<_> = rows.iter().map(|row| name(row[0])).collect();
        let room = |row: &Vec<&str>| Room {
            name: name(row[0]),
            pure: row[1].starts_with("PURE"),
            may_use: arrows(row[2], &names),
        };
        let rooms: Vec<_> = rows.iter().map(room).collect();
        assert!(!rooms.is_empty(), "src/lib.rs has no table of rooms");
        Self(rooms)
    }

    fn get(&self, name: &str) -> Option<&Room> {
        self.0.iter().find(|room| room.name == name)
    }

    /// Whether the file belongs to a pure room.
    pub(crate) fn is_pure(&self, path: &str) -> bool {
        module(path)
            .and_then(|module| self.get(module[0]))
            .is_some_and(|room| room.pure)
    }

    /// Every use of another room in the file that the table does not allow.
    pub(crate) fn check(&self, path: &str, code: &Code) -> Vec<String> {
        let Some(module) = module(path) else {
            return Vec::new();
        };
        let mut problems = Vec::new();
        for used in &code.paths {
            let Some(target) = target(&used.segments, module.len() + used.depth) else {
                continue;
            };
            let allowed = target == module[0]
                || self
                    .get(module[0])
                    .is_some_and(|room| room.may_use.contains(target));
            if !allowed {
                let (from, line) = (module[0], used.line);
                problems.push(format!("{path}:{line}: {from} must not use {target}"));
            }
        }
        problems
    }

    /// Differences between the table and the `pub mod` items of `src/lib.rs`.
    pub(crate) fn compare(&self, lib: &Code) -> Vec<String> {
        let declared: BTreeSet<_> = lib
            .tokens
            .windows(2)
            .filter(|pair| pair[0].text == "mod")
            .map(|pair| pair[1].text.clone())
            .collect();
        let listed: BTreeSet<_> = self.0.iter().map(|room| room.name.clone()).collect();
        declared
            .symmetric_difference(&listed)
            .map(|name| format!("src/lib.rs: {name} is not both in the table and a module"))
            .collect()
    }
}

/// ``domain`]`` and the like to `domain`.
fn name(cell: &str) -> String {
    cell.trim_end_matches(['`', ']']).to_owned()
}

/// What a cell of the third column allows.
fn arrows(cell: &str, names: &[String]) -> BTreeSet<String> {
    if cell == "nothing of ours" {
        return BTreeSet::new();
    }
    if let Some(excluded) = cell.strip_prefix("all but ") {
        let excluded: Vec<_> = excluded.split([',', ' ']).collect();
        let others = names
            .iter()
            .filter(|name| !excluded.contains(&name.as_str()));
        return others.cloned().collect();
    }
    let listed: BTreeSet<_> = cell.split(", ").map(str::to_owned).collect();
    for name in &listed {
        assert!(
            names.contains(name),
            "the table of rooms allows {name}, which is no room"
        );
    }
    listed
}

/// The module path of a file of the library: `src/net/tls.rs` is `net`, `tls`.
fn module(path: &str) -> Option<Vec<&str>> {
    let path = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    (path != "lib" && path != "main").then(|| path.split('/').collect())
}

/// The room that a path reaches from a module `depth` levels below the crate, if it reaches one.
fn target(segments: &[String], depth: usize) -> Option<&str> {
    let first = segments.first()?.as_str();
    let up = segments
        .iter()
        .skip(usize::from(first == "self"))
        .take_while(|segment| *segment == "super")
        .count();
    match first {
        "crate" | "highwater" => segments.get(1).map(String::as_str),
        "super" | "self" if up == depth => segments
            .get(usize::from(first == "self") + up)
            .map(String::as_str),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "//! | room | what | may use |\n//! |---|---|---|\n\
        //! | [`core`] | PURE: thinks | nothing of ours |\n\
        //! | [`net`] | moves bytes | core |\n\
        //! | [`app`] | everything | all but top and net |\n\
        //! | [`top`] | commands | app, core |\n\
        pub mod app;\npub mod core;\npub mod net;\npub mod top;\n";

    fn check(path: &str, text: &str, expected: &[&str]) {
        assert_eq!(
            Rooms::parse(LIB).check(path, &Code::of(text)),
            expected,
            "{path}: {text}"
        );
    }

    #[test]
    fn arrows_of_the_table_pass() {
        check("src/net.rs", "use crate::core::x; use crate::net::y;", &[]);
        check("src/app/part.rs", "use crate::core; use super::other;", &[]);
        check("src/top.rs", "crate::app::run()", &[]);
        check(
            "src/net/part.rs",
            "mod tests { use super::*; use super::super::x; }",
            &[],
        );
        check("tests/it.rs", "use highwater::net;", &[]);
        check("src/net.rs", "// crate::top\nlet x = \"crate::top\";", &[]);
    }

    #[test]
    fn other_edges_are_found() {
        check(
            "src/core.rs",
            "use crate::net::x;",
            &["src/core.rs:1: core must not use net"],
        );
        check(
            "src/app/a.rs",
            "\nfn f() { crate::top::run() }",
            &["src/app/a.rs:2: app must not use top"],
        );
        check(
            "src/app.rs",
            "use crate::{core, net::{a, b}};",
            &["src/app.rs:1: app must not use net"; 2],
        );
        check(
            "src/net.rs",
            "use super::top;",
            &["src/net.rs:1: net must not use top"],
        );
        check(
            "src/net/a.rs",
            "use super::super::app::x;",
            &["src/net/a.rs:1: net must not use app"],
        );
        check(
            "src/net/a.rs",
            "mod tests { use super::super::super::app; }",
            &["src/net/a.rs:1: net must not use app"],
        );
        check(
            "src/net.rs",
            "use super::*;",
            &["src/net.rs:1: net must not use *"],
        );
        check(
            "src/core/a.rs",
            "pub(in crate::net) fn f() {}",
            &["src/core/a.rs:1: core must not use net"],
        );
        check(
            "src/stray.rs",
            "use crate::core::x;",
            &["src/stray.rs:1: stray must not use core"],
        );
    }

    #[test]
    fn purity_is_read_from_the_table() {
        let rooms = Rooms::parse(LIB);
        assert!(rooms.is_pure("src/core/deep/file.rs"));
        assert!(!rooms.is_pure("src/net.rs"));
    }

    #[test]
    fn a_room_without_a_row_is_found() {
        let lib = format!("{LIB}pub mod stray;\n");
        let problems = Rooms::parse(LIB).compare(&Code::of(&lib));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(Rooms::parse(LIB).compare(&Code::of(LIB)).is_empty());
    }
}
