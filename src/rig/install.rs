//! Finds a server program on this machine, or fetches one.

use std::path::{Path, PathBuf};

use super::error::RigError;
use super::program::{Engine, Program, search_path};
use super::{apt, cache};

/// Finds or fetches a server program. In this order: the path in `HIGHWATER_MYSQLD` (MariaDB:
/// `HIGHWATER_MARIADBD`), a server on `PATH` that is the engine and new enough, one fetched
/// earlier into the cache folder (`$HIGHWATER_CACHE`, else `$XDG_CACHE_HOME/highwater`, else
/// `~/.cache/highwater`), and at last Debian packages, unpacked into that folder without root
/// rights: MySQL from Debian unstable, MariaDB from the machine's own release.
///
/// Blocks, up to minutes on a slow network. `progress` gets a line for each slow step. Processes that fetch at
/// the same time wait for the first.
///
/// # Errors
///
/// [`RigError::Install`] with what to do when there is no server and none can be fetched here,
/// and [`RigError::Io`] when the cache folder cannot be written.
pub fn install(engine: Engine, progress: &dyn Fn(&str)) -> Result<Program, RigError> {
    if let Some(program) = named(engine)? {
        return Ok(program);
    }
    // Why a server that is here was passed over; said only if there is no other.
    let mut passed_over = Vec::new();
    for candidate in candidates(engine) {
        match Program::installed(&candidate) {
            Ok(program) if program.engine() == engine => {
                if !confined(&candidate) {
                    return Ok(program);
                }
                passed_over.push(format!(
                    "AppArmor confines {} to the system's own data folder",
                    candidate.display()
                ));
            }
            Ok(_) => {}
            Err(why) => passed_over.push(why),
        }
    }
    let name = match engine {
        Engine::MySql => "mysql",
        Engine::MariaDb => "mariadb",
    };
    let check = |root: &Path| {
        Program::unpacked(engine, root).map_err(|why| {
            RigError::install(
                format!("the fetched {engine} does not run: {why}"),
                advice(engine),
            )
        })
    };
    let root = cache::once(name, progress, |root| {
        apt::unpack(apt::Wanted::Server(engine), root, progress)
            .map_err(|error| with_notes(error, &passed_over))?;
        check(root).map(drop)
    })?;
    check(&root)
}

/// What a person can do who wants this engine.
pub(super) fn advice(engine: Engine) -> String {
    let (how, variable) = match engine {
        Engine::MySql => (
            "on Ubuntu `sudo apt-get install mysql-server-core-8.0`",
            "HIGHWATER_MYSQLD",
        ),
        Engine::MariaDb => (
            "e.g. `sudo apt-get install mariadb-server-core`",
            "HIGHWATER_MARIADBD",
        ),
    };
    format!(
        "install one, {how}, or set {variable} to the path of a server program, {engine} {} or newer",
        engine.oldest()
    )
}

/// The program the environment names. It must be what was asked for: falling back to another
/// server than the named one would surprise.
fn named(engine: Engine) -> Result<Option<Program>, RigError> {
    let variable = match engine {
        Engine::MySql => "HIGHWATER_MYSQLD",
        Engine::MariaDb => "HIGHWATER_MARIADBD",
    };
    let Some(path) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let wrong = |why: String| {
        RigError::install(
            format!("{variable}: {why}"),
            format!("set {variable} to the path of a server program, or unset it"),
        )
    };
    let program = Program::installed(Path::new(&path)).map_err(wrong)?;
    if program.engine() != engine {
        return Err(wrong(format!(
            "{} is {}, not {engine}",
            program.path().display(),
            program.engine()
        )));
    }
    Ok(Some(program))
}

fn candidates(engine: Engine) -> Vec<PathBuf> {
    let names: &[&str] = match engine {
        Engine::MySql => &["mysqld"],
        Engine::MariaDb => &["mariadbd", "mysqld"],
    };
    search_path()
        .into_iter()
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .filter(|path| path.is_file())
        .collect()
}

/// Whether the machine's AppArmor profile of the packaged server applies to `program`: it forbids
/// data folders other than the system's.
fn confined(program: &Path) -> bool {
    let profile = "usr.sbin.mysqld";
    program == Path::new("/usr/sbin/mysqld")
        && std::fs::read_to_string("/sys/module/apparmor/parameters/enabled")
            .is_ok_and(|enabled| enabled.starts_with('Y'))
        && Path::new("/etc/apparmor.d").join(profile).exists()
        && !Path::new("/etc/apparmor.d/disable").join(profile).exists()
}

fn with_notes(error: RigError, notes: &[String]) -> RigError {
    match error {
        RigError::Install { what, advice } if !notes.is_empty() => RigError::Install {
            what: format!("{what} ({})", notes.join("; ")),
            advice,
        },
        other => other,
    }
}
