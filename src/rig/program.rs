//! A server program that can be run: which engine and version it is, and what its command line must
//! begin with.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::tail_of;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Oracle's MySQL, 8.0.26 or newer.
    MySql,
    /// MariaDB, 10.5 or newer.
    MariaDb,
}

impl Engine {
    /// Older servers lack the statements the rig uses.
    pub(super) fn oldest(self) -> Version {
        match self {
            Self::MySql => Version(8, 0, 26),
            Self::MariaDb => Version(10, 5, 0),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MySql => "MySQL",
            Self::MariaDb => "MariaDB",
        })
    }
}

/// A server's version: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16, pub u16, pub u16);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A server program of this machine, and the stock client that came with it.
#[derive(Clone, Debug)]
pub struct Program {
    engine: Engine,
    version: Version,
    server: PathBuf,
    unpacked: Option<Unpacked>,
}

/// A folder packages were unpacked into. Its programs run with the C library they came with, since
/// the machine's own may be older.
#[derive(Clone, Debug)]
pub(super) struct Unpacked {
    pub(super) root: PathBuf,
    loader: PathBuf,
    libraries: String,
}

impl Program {
    /// Asks the program at `server` what it is. The error is one line.
    pub(super) fn installed(server: &Path) -> Result<Self, String> {
        Self::probe(server.to_owned(), None)
    }

    /// The program in a folder that packages were unpacked into. The error is one line.
    pub(super) fn unpacked(engine: Engine, root: &Path) -> Result<Self, String> {
        let name = match engine {
            Engine::MySql => "mysqld",
            Engine::MariaDb => "mariadbd",
        };
        let unpacked = Unpacked::find(root)
            .ok_or_else(|| format!("there is no C library in {}", root.display()))?;
        Self::probe(root.join("usr/sbin").join(name), Some(unpacked))
    }

    fn probe(server: PathBuf, unpacked: Option<Unpacked>) -> Result<Self, String> {
        let output = command(unpacked.as_ref(), &server)
            .args(["--no-defaults", "--version"])
            .output()
            .map_err(|error| format!("cannot run {}: {error}", server.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (engine, version) = parse_version(&text).ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!(
                "{} does not tell its version: {}",
                server.display(),
                tail_of(said.trim(), 1)
            )
        })?;
        if version < engine.oldest() {
            return Err(format!(
                "{} is {engine} {version}, older than {}",
                server.display(),
                engine.oldest()
            ));
        }
        Ok(Self {
            engine,
            version,
            server,
            unpacked,
        })
    }

    /// Which server it is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Its version, as it says itself.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The file of the server program.
    pub fn path(&self) -> &Path {
        &self.server
    }

    /// The stock command line client (`mysql` or `mariadb`), ready for arguments, with
    /// `--no-defaults` already given; `None` if the machine has none.
    pub fn client(&self) -> Option<Command> {
        let names: &[&str] = match self.engine {
            Engine::MySql => &["mysql"],
            Engine::MariaDb => &["mariadb", "mysql"],
        };
        let mut command = names.iter().find_map(|name| self.tool(name))?;
        if let Some(unpacked) = &self.unpacked {
            command.arg(format!(
                "--character-sets-dir={}",
                unpacked.share().join("charsets").display()
            ));
        }
        Some(command)
    }

    /// A program that came with the server or is on `PATH`, such as `mysqldump`, with
    /// `--no-defaults` already given; `None` if the machine has none.
    pub fn tool(&self, name: &str) -> Option<Command> {
        let beside = match &self.unpacked {
            Some(unpacked) => vec![unpacked.root.join("usr/bin")],
            None => self
                .server
                .parent()
                .map(Path::to_owned)
                .into_iter()
                .chain(search_path())
                .collect(),
        };
        let tool = beside
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())?;
        let mut command = command(self.unpacked.as_ref(), &tool);
        command.arg("--no-defaults");
        Some(command)
    }

    /// The server, with `--no-defaults` and all that its place on the disk and its user demand.
    pub(super) fn command(&self) -> Command {
        let mut command = command(self.unpacked.as_ref(), &self.server);
        command.arg("--no-defaults");
        if let Some(unpacked) = &self.unpacked {
            let usr = unpacked.root.join("usr");
            let share = unpacked.share();
            let plugins = usr.join("lib/mysql/plugin");
            command
                .arg(format!("--basedir={}", usr.display()))
                .arg(format!("--lc-messages-dir={}", share.display()))
                .arg(format!(
                    "--character-sets-dir={}",
                    share.join("charsets").display()
                ))
                .arg(format!("--plugin-dir={}", plugins.display()));
        }
        if rustix::process::geteuid().is_root() {
            command.arg("--user=root");
        }
        command
    }

    /// Where the SQL files are that make MariaDB's system tables.
    pub(super) fn share_candidates(&self) -> Vec<PathBuf> {
        let base = match &self.unpacked {
            Some(unpacked) => unpacked.root.join("usr"),
            // …/bin/mariadbd or …/sbin/mariadbd
            None => self
                .server
                .ancestors()
                .nth(2)
                .unwrap_or(Path::new("/usr"))
                .to_owned(),
        };
        ["share/mariadb", "share/mysql", "share", "scripts"]
            .iter()
            .map(|share| base.join(share))
            .collect()
    }
}

impl Unpacked {
    pub(super) fn find(root: &Path) -> Option<Self> {
        let mut loader = None;
        let mut libraries = Vec::new();
        for lib in ["usr/lib", "lib"] {
            for folder in entries(&root.join(lib)) {
                if !folder.to_string_lossy().contains("-linux-gnu") || !folder.is_dir() {
                    continue;
                }
                // The loader's other places are links, and may be absolute ones that lead out of
                // the root.
                loader = loader.or_else(|| {
                    entries(&folder)
                        .into_iter()
                        .find(|path| path.to_string_lossy().contains("/ld-linux"))
                });
                libraries.push(folder.display().to_string());
            }
        }
        Some(Self {
            root: root.to_owned(),
            loader: loader?,
            libraries: libraries.join(":"),
        })
    }

    /// Where the character sets are.
    pub(super) fn share(&self) -> PathBuf {
        ["usr/share/mysql", "usr/share/mariadb"]
            .iter()
            .map(|share| self.root.join(share))
            .find(|share| share.join("charsets").is_dir())
            .unwrap_or_else(|| self.root.join("usr/share/mysql"))
    }
}

pub(super) fn command(unpacked: Option<&Unpacked>, program: &Path) -> Command {
    match unpacked {
        None => Command::new(program),
        Some(unpacked) => {
            let mut command = Command::new(&unpacked.loader);
            command
                .arg("--library-path")
                .arg(&unpacked.libraries)
                .arg(program);
            command
        }
    }
}

/// The folders programs are looked for in: `PATH`, then where servers are, which is not in the
/// `PATH` of every user.
pub(super) fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/local/mysql/bin"].map(PathBuf::from))
        .collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    paths.sort();
    paths
}

/// Reads `mysqld  Ver 9.7.4-2 for Linux …` or `mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 …`.
fn parse_version(text: &str) -> Option<(Engine, Version)> {
    let mut words = text.split_whitespace().skip_while(|word| *word != "Ver");
    let full = words.nth(1)?;
    let engine = if full.contains("MariaDB") {
        Engine::MariaDb
    } else {
        Engine::MySql
    };
    let mut parts = full
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse::<u16>().ok());
    let mut part = || parts.next().flatten();
    Some((engine, Version(part()?, part()?, part()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let cases = [
            (
                "mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))",
                Some((Engine::MySql, Version(9, 7, 4))),
            ),
            (
                "/usr/sbin/mysqld  Ver 8.0.36-0ubuntu0.22.04.1 for Linux on x86_64 ((Ubuntu))",
                Some((Engine::MySql, Version(8, 0, 36))),
            ),
            (
                "mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)",
                Some((Engine::MariaDb, Version(10, 11, 19))),
            ),
            ("mysqld  Ver 9", None),
            ("Segmentation fault", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_version(text), expected, "{text}");
        }
    }
}
