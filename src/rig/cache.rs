//! The cache folder: what is made once by one process and then used by all, unpacked servers and
//! template data folders.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::error::{IoContext, RigError};

/// `$HIGHWATER_CACHE`, else `$XDG_CACHE_HOME/highwater`, else `~/.cache/highwater`.
pub(super) fn folder() -> Result<PathBuf, RigError> {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    from("HIGHWATER_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|path| path.join("highwater")))
        .or_else(|| from("HOME").map(|path| path.join(".cache/highwater")))
        .ok_or_else(|| {
            RigError::install(
                "no place to keep a server program: HIGHWATER_CACHE, XDG_CACHE_HOME and HOME are unset",
                "set HIGHWATER_CACHE to a folder with 1 GB of room",
            )
        })
}

/// The folder `name` of the cache, made by `make` if it is not there. `make` gets an empty folder to
/// fill; only a filled one gets the name, so a folder with the name is always whole. Processes
/// that want the same name wait for the one that makes it.
pub(super) fn once(
    name: &str,
    progress: &dyn Fn(&str),
    make: impl FnOnce(&Path) -> Result<(), RigError>,
) -> Result<PathBuf, RigError> {
    let cache = folder()?;
    let ready = cache.join(name);
    if ready.is_dir() {
        return Ok(ready);
    }
    fs::create_dir_all(&cache).during("create", &cache)?;
    let lock_path = cache.join(format!("{name}.lock"));
    let lock = File::create(&lock_path).during("create", &lock_path)?;
    if lock.try_lock().is_err() {
        progress(&format!("waiting for another process to make {name} ..."));
        lock.lock().during("lock", &lock_path)?;
    }
    if ready.is_dir() {
        return Ok(ready);
    }
    // The lock is ours, so a folder of this name is what a killed process left behind.
    let unfinished = cache.join(format!("{name}.unfinished"));
    remove(&unfinished)?;
    fs::create_dir(&unfinished).during("create", &unfinished)?;
    let made = make(&unfinished)
        .and_then(|()| fs::rename(&unfinished, &ready).during("rename", &unfinished));
    if made.is_err() {
        // The first error is the one to report.
        let _ = remove(&unfinished);
    }
    made.map(|()| ready)
}

/// Removes a folder and all in it; its absence is fine.
pub(super) fn remove(folder: &Path) -> Result<(), RigError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).during("remove", folder)
        }
        _ => Ok(()),
    }
}
