//! Fetches Debian packages and unpacks them into a folder, without root rights and without
//! touching what is installed: `apt-get` runs on a private configuration, state and cache, and
//! only downloads. The mirror is the one this machine already uses.

mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sources::{Source, machine_sources};

use super::error::{IoContext, RigError};
use super::install::advice;
use super::program::{Engine, search_path};

/// The keyrings that know Debian's keys, for a source that names none.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
];

/// What is fetched.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// A server and its stock client.
    Server(Engine),
    /// MySQL's own test files and the programs that run them.
    TestSuite,
}

impl Wanted {
    fn engine(self) -> Engine {
        match self {
            Self::Server(engine) => engine,
            Self::TestSuite => Engine::MySql,
        }
    }

    /// What to call it, and its packages; libc-bin is what makes the closure carry its own C
    /// library on every release.
    fn packages(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Server(Engine::MySql) => (
                "MySQL from Debian unstable (about 95 MB with its package index)",
                &["mysql-server-core", "mysql-client-core", "libc-bin"],
            ),
            Self::Server(Engine::MariaDb) => (
                "MariaDB (about 30 MB with its package index)",
                &["mariadb-server-core", "mariadb-client-core", "libc-bin"],
            ),
            Self::TestSuite => (
                "MySQL's test files from Debian unstable (about 440 MB, 1.2 GB unpacked)",
                &["mysql-testsuite", "libc-bin"],
            ),
        }
    }
}

/// Downloads the packages with all they depend on and unpacks them into `root`, an existing empty
/// folder.
pub(super) fn unpack(wanted: Wanted, root: &Path, progress: &dyn Fn(&str)) -> Result<(), RigError> {
    let engine = wanted.engine();
    for tool in ["apt-get", "dpkg-deb"] {
        if !search_path().iter().any(|path| path.join(tool).is_file()) {
            return Err(cannot(engine, &format!("there is no {tool} here")));
        }
    }
    let list = source_list(engine, &machine_sources())?;
    // Beside the packages' own folders; removed below, so that the root keeps only the server.
    let work = root.join(".apt");
    let lists = work.join("lists/partial");
    let archives = work.join("archives");
    let state = work.join("state");
    for folder in [&lists, &archives.join("partial"), &state] {
        fs::create_dir_all(folder).during("create", folder)?;
    }
    write(&work.join("sources.list"), &list)?;
    write(&work.join("status"), "")?;
    write(&work.join("apt.conf"), &configuration(&work))?;

    let (what, packages) = wanted.packages();
    progress(&format!("fetching {what} ..."));
    apt_get(engine, &work, &["update"])?;
    let mut install = vec!["install", "--yes", "--download-only"];
    install.extend(packages);
    apt_get(engine, &work, &install)?;
    progress("unpacking ...");
    for package in packages_in(&archives)? {
        let output = Command::new("dpkg-deb")
            .arg("-x")
            .args([&package, root])
            .output()
            .during("run dpkg-deb on", &package)?;
        if !output.status.success() {
            return Err(cannot(
                engine,
                &format!("dpkg-deb failed: {}", complaint(&output.stderr)),
            ));
        }
    }
    fs::remove_dir_all(&work).during("remove", &work)
}

fn cannot(engine: Engine, why: &str) -> RigError {
    RigError::install(
        format!("no {engine} server here, and none can be fetched: {why}"),
        advice(engine),
    )
}

fn write(path: &Path, text: &str) -> Result<(), RigError> {
    fs::write(path, text).during("write", path)
}

fn apt_get(engine: Engine, work: &Path, args: &[&str]) -> Result<(), RigError> {
    let output = Command::new("apt-get")
        // `-c` is read after the machine's own configuration, whose proxy settings stay in force.
        .arg("-c")
        .arg(work.join("apt.conf"))
        .args(["-q", "-o", "APT::Update::Error-Mode=any"])
        .args(args)
        .env("LC_ALL", "C")
        .output()
        .during("run apt-get in", work)?;
    if output.status.success() {
        return Ok(());
    }
    Err(cannot(
        engine,
        &format!("apt-get {} failed: {}", args[0], complaint(&output.stderr)),
    ))
}

/// The first line that says what is wrong: apt's errors begin with `E:`.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines()
        .find(|line| line.starts_with("E:"))
        .or_else(|| text.lines().last())
        .unwrap_or("it does not say why")
        .to_owned()
}

/// An `apt.conf` under which apt sees only `work`: with no package installed, the whole closure of
/// dependencies arrives.
fn configuration(work: &Path) -> String {
    let work = work.display();
    format!(
        "Dir::Etc::sourcelist \"{work}/sources.list\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\n\
         Dir::Etc::preferences \"/dev/null\";\n\
         Dir::Etc::preferencesparts \"/dev/null\";\n\
         Dir::State \"{work}/state\";\n\
         Dir::State::lists \"{work}/lists\";\n\
         Dir::State::status \"{work}/status\";\n\
         Dir::Cache \"{work}\";\n\
         Dir::Cache::archives \"{work}/archives\";\n\
         APT::Default-Release \"\";\n\
         APT::Install-Recommends \"false\";\n\
         APT::Install-Suggests \"false\";\n\
         APT::Keep-Downloaded-Packages \"true\";\n\
         APT::Sandbox::User \"\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
         #clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         #clear DPkg::Pre-Invoke;\n\
         #clear DPkg::Post-Invoke;\n"
    )
}

/// The packages to unpack. Perl is left out: only the servers' helper scripts want it.
fn packages_in(archives: &Path) -> Result<Vec<PathBuf>, RigError> {
    let mut packages = Vec::new();
    for entry in fs::read_dir(archives).during("read", archives)? {
        let path = entry.during("read", archives)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let perl = name.starts_with("perl") || name.starts_with("libperl");
        if name.ends_with(".deb") && !perl {
            packages.push(path);
        }
    }
    Ok(packages)
}

/// The lines of the private `sources.list`.
fn source_list(engine: Engine, machine: &[Source]) -> Result<String, RigError> {
    let debian: Vec<&Source> = machine
        .iter()
        .filter(|source| source.components.iter().any(|name| name == "main"))
        .collect();
    let base = debian
        .iter()
        .find(|source| path_ends_with(&source.uri, "debian"))
        .ok_or_else(|| cannot(engine, "apt has no Debian mirror configured"))?;
    let line = |source: &Source, suite: &str| {
        let keyring = keyring(source).ok_or_else(|| {
            cannot(
                engine,
                "Debian's keys are missing (package debian-archive-keyring)",
            )
        })?;
        Ok(format!(
            "deb [signed-by={keyring}] {} {suite} main\n",
            source.uri
        ))
    };
    match engine {
        Engine::MySql => line(base, "sid"),
        Engine::MariaDb => {
            let mut list = String::new();
            for source in debian {
                if !["debian", "debian-security"]
                    .iter()
                    .any(|end| path_ends_with(&source.uri, end))
                {
                    continue;
                }
                for suite in &source.suites {
                    list.push_str(&line(source, suite)?);
                }
            }
            Ok(list)
        }
    }
}

fn keyring(source: &Source) -> Option<String> {
    source
        .signed_by
        .iter()
        .map(String::as_str)
        .chain(KEYRINGS)
        .find(|path| Path::new(path).is_file())
        .map(str::to_owned)
}

/// Whether the last step of the address's path is `name`. (A host alone has no path.)
fn path_ends_with(uri: &str, name: &str) -> bool {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.trim_end_matches('/')
        .split('/')
        .skip(1)
        .last()
        .is_some_and(|last| last == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suites: &[&str], signed_by: Option<&str>) -> Source {
        Source {
            uri: uri.to_owned(),
            suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
            components: vec!["main".to_owned()],
            signed_by: signed_by.map(str::to_owned),
        }
    }

    #[test]
    fn only_debian_mirrors_count() {
        let cases = [
            ("http://mirror/debian", true),
            ("http://mirror/pub/debian/", true),
            ("http://mirror/debian-security", false),
            ("http://mirror/ubuntu", false),
            ("http://debian", false),
        ];
        for (uri, expected) in cases {
            assert_eq!(path_ends_with(uri, "debian"), expected, "{uri}");
        }
        let error = source_list(
            Engine::MySql,
            &[source("http://mirror/ubuntu", &["a"], None)],
        );
        let text = error.expect_err("Ubuntu's mirror has no sid").to_string();
        assert!(
            text.contains("apt-get install mysql-server-core-8.0"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
