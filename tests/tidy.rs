//! Holds the house: the arrows between the rooms, purity, file sizes, and what must not be in the
//! repository. The table of rooms is read from the crate's documentation, so there is one list.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/rules.rs"]
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

use code::Code;
use rooms::Rooms;

/// A file and its path relative to the repository.
struct File {
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file below `folder`, without build output and version control.
fn files(folder: &Path) -> Vec<File> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("target") || name == ".git" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(root()).unwrap();
                let path = path.to_string_lossy().replace('\\', "/");
                found.push(File { path, text });
            }
        }
    }
    found
}

fn rust_files() -> Vec<File> {
    let mut found = files(root());
    found.retain(|file| file.path.ends_with(".rs"));
    assert!(
        found.len() > 20,
        "the walk lost its way: {} files",
        found.len()
    );
    found
}

fn rooms() -> Rooms {
    Rooms::parse(&fs::read_to_string(root().join("src/lib.rs")).unwrap())
}

/// Fails with one line for each problem.
fn assert_none(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn only_the_arrows_of_the_table_are_used() {
    let rooms = rooms();
    let problems = rust_files()
        .into_iter()
        .flat_map(|file| rooms.check(&file.path, &Code::of(&file.text)));
    assert_none(problems.collect());
}

#[test]
fn every_room_is_in_the_table() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert_none(rooms().compare(&Code::of(&lib)));
}

#[test]
fn pure_rooms_touch_no_world() {
    let rooms = rooms();
    let files = rust_files();
    let pure: Vec<_> = files
        .iter()
        .filter(|file| rooms.is_pure(&file.path))
        .collect();
    assert!(pure.len() > 5, "no pure rooms found");
    let problems = pure
        .iter()
        .flat_map(|file| rules::purity(&file.path, &Code::of(&file.text)));
    assert_none(problems.collect());
}

#[test]
fn files_are_small_and_say_what_they_are_for() {
    let problems = rust_files()
        .into_iter()
        .flat_map(|file| rules::shape(&file.path, &file.text));
    assert_none(problems.collect());
}

#[test]
fn no_test_is_switched_off() {
    let problems = rust_files()
        .into_iter()
        .flat_map(|file| rules::ignored(&file.path, &Code::of(&file.text)));
    assert_none(problems.collect());
}

#[test]
fn nothing_of_a_workplace_is_in_the_repository() {
    let problems = files(root())
        .iter()
        .filter(|file| file.path != "Cargo.lock" && !file.path.starts_with("tests/tidy"))
        .flat_map(|file| rules::workplace(&file.path, &file.text))
        .collect();
    assert_none(problems);
}
