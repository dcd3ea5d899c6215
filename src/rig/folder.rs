//! The private folder of a cluster, and who cleans it up when nobody can any more.
//!
//! Three lines of defence. The drop of [`Folder`] removes it (after the servers' own drops have
//! killed them). If this process dies without dropping, a watchdog, a shell that waits for the end
//! of its standard input, kills the servers and removes the folder. If the watchdog dies as well,
//! the next cluster sweeps every folder whose lock nobody holds.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};

use super::cache::remove;
use super::error::{IoContext, RigError};

/// How the name of every folder of the rig begins.
const PREFIX: &str = "highwater-rig-";

/// The file in a server's folder that holds its process id while it may be alive.
pub(super) const PID_FILE: &str = "pid";

/// The path of a Unix socket has 107 bytes at most; this much the rig adds to a temporary folder.
const LONGEST_TEMP: usize = 50;

/// Waits for the end of its input, which is the end of the owner, then kills what the pid files
/// name, frozen or not, and removes the folder ($1) and its lock ($2). A dying server may still
/// create a file, so the removal is tried again.
const WATCHDOG: &str = r#"
trap '' HUP INT TERM
while read -r line; do :; done
tries=0
while [ -e "$1" ] && [ "$tries" -lt 100 ]; do
    for file in "$1"/*/pid; do
        pid=
        read -r pid < "$file" && kill -9 "$pid"
    done
    rm -rf "$1"
    [ -e "$1" ] && sleep 0.1
    tries=$((tries + 1))
done
rm -f "$2"
"#;

/// A folder that is removed when it is dropped, and also if it never is.
pub(super) struct Folder {
    path: PathBuf,
    lock_path: PathBuf,
    /// Held for as long as the folder is wanted.
    _lock: File,
    watchdog: Child,
}

impl Folder {
    /// Makes a new folder in the system's temporary folder, after sweeping what dead processes
    /// left there.
    pub(super) fn create() -> Result<Self, RigError> {
        let mut temp = std::env::temp_dir();
        if temp.as_os_str().len() > LONGEST_TEMP {
            temp = PathBuf::from("/tmp");
        }
        sweep(&temp);
        let path = temp.join(unique_name());
        let lock_path = path.with_extension("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&lock_path)
            .during("create", &lock_path)?;
        lock.lock().during("lock", &lock_path)?;
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .during("create", &path)?;
        let watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "highwater-rig-watchdog"])
            .args([&path, &lock_path])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of the terminal's group: Ctrl-C is the owner's to handle.
            .process_group(0)
            .spawn()
            .during("run /bin/sh to watch", &path)?;
        Ok(Self {
            path,
            lock_path,
            _lock: lock,
            watchdog,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What fails here the watchdog does after its input is closed.
        let _ = fs::remove_dir_all(&self.path);
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// Unique also against an earlier process with the same id.
fn unique_name() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "{PREFIX}{}-{:x}{count}",
        std::process::id(),
        now.as_millis() & 0xff_ffff
    )
}

/// Removes the folders in `temp` whose owner is dead, and kills servers that still use one. What
/// cannot be removed, another user's for example, is left.
fn sweep(temp: &Path) {
    for entry in fs::read_dir(temp).into_iter().flatten().flatten() {
        let lock_path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(PREFIX) || !name.ends_with(".lock") {
            continue;
        }
        let Ok(lock) = OpenOptions::new().write(true).open(&lock_path) else {
            continue;
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => continue,
        }
        let folder = lock_path.with_extension("");
        kill_leftovers(&folder);
        if remove(&folder).is_ok() {
            let _ = fs::remove_file(&lock_path);
        }
    }
}

/// Kills the servers named by the pid files of a folder, if the processes are still those.
fn kill_leftovers(folder: &Path) {
    for server in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Some(pid) = fs::read_to_string(server.path().join(PID_FILE))
            .ok()
            .and_then(|text| text.trim().parse::<i32>().ok())
        else {
            continue;
        };
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let uses_it = String::from_utf8_lossy(&command).contains(&*folder.to_string_lossy());
        if let (true, Some(pid)) = (uses_it, Pid::from_raw(pid)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
