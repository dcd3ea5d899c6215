//! What was found, kept so that a later run goes on where this one stopped.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::runner::{Ended, Outcome};

/// The outcomes of one way of running: a line a file, of which the last one counts.
pub(crate) struct Kept {
    way: String,
    list: File,
    folder: PathBuf,
    found: BTreeMap<String, (Outcome, String)>,
}

impl Kept {
    pub(crate) fn open(results: &Path, way: &str) -> Self {
        let folder = results.join(way);
        fs::create_dir_all(&folder).unwrap();
        let path = results.join(format!("{way}.tsv"));
        let known = fs::read_to_string(&path).unwrap_or_default();
        let found = known
            .lines()
            .filter_map(|line| {
                let mut cells = line.split('\t');
                let name = cells.next()?.to_owned();
                let outcome = Outcome::from_name(cells.next()?)?;
                Some((name, (outcome, cells.nth(1).unwrap_or_default().to_owned())))
            })
            .collect();
        let list = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        Self {
            way: way.to_owned(),
            list,
            folder,
            found,
        }
    }

    pub(crate) fn outcome(&self, name: &str) -> Option<Outcome> {
        self.found.get(name).map(|(outcome, _)| *outcome)
    }

    pub(crate) fn note(&self, name: &str) -> &str {
        self.found.get(name).map_or("", |(_, note)| note)
    }

    /// The names with this outcome.
    pub(crate) fn with(&self, outcome: Outcome) -> Vec<String> {
        self.found
            .iter()
            .filter(|(_, (found, _))| *found == outcome)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Keeps it, and tells it as progress.
    pub(crate) fn keep(&mut self, name: &str, ended: &Ended) {
        println!(
            "{:>20} {name:<50} {:<8} {:6.1} s  {}",
            self.way,
            ended.outcome.name(),
            ended.took.as_secs_f64(),
            ended.note
        );
        writeln!(
            self.list,
            "{name}\t{}\t{:.1}\t{}",
            ended.outcome.name(),
            ended.took.as_secs_f64(),
            ended.note.replace('\t', " ")
        )
        .unwrap();
        let value = (ended.outcome, ended.note.clone());
        self.found.insert(name.to_owned(), value);
    }

    /// The first lines in which the last run of a file differed.
    pub(crate) fn first_differences(&self, name: &str) -> String {
        let said = fs::read(self.folder.join(format!("{name}.said"))).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let after_header = said
            .lines()
            .skip_while(|line| !line.starts_with("@@"))
            .filter(|line| line.starts_with(['+', '-']));
        let differing: Vec<&str> = after_header.take(6).collect();
        if differing.is_empty() {
            said.lines().take(6).collect::<Vec<_>>().join("\n")
        } else {
            differing.join("\n")
        }
    }
}
