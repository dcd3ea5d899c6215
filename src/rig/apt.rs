//! Fetches Debian packages and unpacks them into a folder, without root rights and without
//! touching what is installed: `apt-get` runs on a private configuration, state and cache, and
//! only downloads. The mirror is the one this machine already uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{IoContext, RigError};
use super::install::advice;
use super::program::{Engine, search_path};

/// The keyrings that know Debian's keys, for a source that names none.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
];

/// One repository of the machine's apt configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
}

/// Downloads the engine's packages with all they depend on and unpacks them into `root`, an
/// existing empty folder.
pub(super) fn unpack(engine: Engine, root: &Path, progress: &dyn Fn(&str)) -> Result<(), RigError> {
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

    let (what, packages): (_, &[&str]) = match engine {
        // libc-bin is what makes the closure carry its own C library on every release.
        Engine::MySql => (
            "MySQL from Debian unstable (about 95 MB with its package index)",
            &["mysql-server-core", "mysql-client-core", "libc-bin"],
        ),
        Engine::MariaDb => (
            "MariaDB (about 30 MB with its package index)",
            &["mariadb-server-core", "mariadb-client-core", "libc-bin"],
        ),
    };
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

/// Every source of the machine's own apt configuration.
fn machine_sources() -> Vec<Source> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let mut parts: Vec<PathBuf> = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    parts.sort();
    files.extend(parts);
    let mut sources = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => sources.extend(parse_deb822(&text)),
            Some("list") => sources.extend(parse_one_line(&text)),
            _ => {}
        }
    }
    sources.into_iter().flat_map(resolve_mirror_file).collect()
}

/// Cloud images name a file of mirrors instead of a mirror.
fn resolve_mirror_file(source: Source) -> Vec<Source> {
    let Some(path) = source.uri.strip_prefix("mirror+file:") else {
        return vec![source];
    };
    let path = format!("/{}", path.trim_start_matches('/'));
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|uri| !uri.starts_with('#'))
        .map(|uri| Source {
            uri: uri.to_owned(),
            ..source.clone()
        })
        .collect()
}

/// Stanzas of `Types: deb`, `URIs:`, `Suites:`, `Components:`, `Signed-By:`, as in `*.sources`.
fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for stanza in stanzas(text) {
        let field = |name: &str| {
            stanza
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| words(value))
                .unwrap_or_default()
        };
        let enabled = field("Enabled").first().is_none_or(|word| word != "no");
        if !enabled || !field("Types").iter().any(|word| word == "deb") {
            continue;
        }
        for uri in field("URIs") {
            sources.push(Source {
                uri,
                suites: field("Suites"),
                components: field("Components"),
                signed_by: field("Signed-By").into_iter().next(),
            });
        }
    }
    sources
}

fn stanzas(text: &str) -> Vec<Vec<(String, String)>> {
    let mut stanzas: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.trim().is_empty() {
            stanzas.push(Vec::new());
            continue;
        }
        let Some(fields) = stanzas.last_mut() else {
            continue;
        };
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line);
            }
        } else if let Some((key, value)) = line.split_once(':') {
            fields.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    stanzas
}

/// Lines of `deb [options] uri suite component…`, as in `sources.list`.
fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let rest = rest.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => ("", rest),
    };
    let mut rest = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uri: rest.next()?,
        suites: vec![rest.next()?],
        components: rest.collect(),
        signed_by: options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .map(str::to_owned),
    })
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
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
    fn deb822_sources_are_read() {
        let text = "# mirror\nTypes: deb deb-src\nURIs: http://mirror.example/debian\n\
                    Suites: stable\n stable-updates\nComponents: main\nSigned-By: /keys.gpg\n\n\
                    Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: a\n\n\
                    Types: deb-src\nURIs: http://src.example/debian\nSuites: a\n";
        assert_eq!(
            parse_deb822(text),
            [source(
                "http://mirror.example/debian",
                &["stable", "stable-updates"],
                Some("/keys.gpg")
            )]
        );
    }

    #[test]
    fn one_line_sources_are_read() {
        let text = "deb http://mirror.example/debian stable main # the mirror\n\
                    deb [arch=amd64 signed-by=/keys.gpg] http://b.example/debian/ stable main\n\
                    deb-src http://src.example/debian stable main\n#deb http://off.example x main\n";
        assert_eq!(
            parse_one_line(text),
            [
                source("http://mirror.example/debian", &["stable"], None),
                source("http://b.example/debian/", &["stable"], Some("/keys.gpg")),
            ]
        );
    }

    #[test]
    fn only_debian_mirrors_count() {
        let cases = [
            ("http://mirror.example/debian", true),
            ("http://mirror.example/pub/debian/", true),
            ("http://mirror.example/debian-security", false),
            ("http://mirror.example/ubuntu", false),
            ("http://debian", false),
        ];
        for (uri, expected) in cases {
            assert_eq!(path_ends_with(uri, "debian"), expected, "{uri}");
        }
        let error = source_list(
            Engine::MySql,
            &[source("http://mirror.example/ubuntu", &["a"], None)],
        );
        let text = error.expect_err("Ubuntu's mirror has no sid").to_string();
        assert!(
            text.contains("apt-get install mysql-server-core-8.0"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
