//! The life of a server's process: launched, frozen, killed, restarted.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use mysql_async::Conn;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout};

use super::{LOOK_AGAIN, PATIENCE, PORT_TRIES, Server};
use crate::rig::error::{IoContext, RigError};
use crate::rig::folder::PID_FILE;

/// Writes its process id to the file $1, then becomes the server. Without the file the server does
/// not start, so there is never one that the watchdog could miss.
const LAUNCHER: &str = r#"echo $$ > "$1" && shift && exec "$@""#;

/// Why a launch failed: another port may help, or nothing.
pub(super) enum Start {
    PortTaken(RigError),
    Failed(RigError),
}

impl Server {
    /// Stops the process where it is (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    ///
    /// [`RigError::Server`] if it is not running.
    pub async fn freeze(&self) -> Result<(), RigError> {
        self.signal(Signal::STOP)?;
        // The signal is asynchronous; a test that goes on must not find it still answering.
        let deadline = Instant::now() + PATIENCE;
        while !self.is_stopped() && Instant::now() < deadline {
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Lets a frozen server go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// [`RigError::Server`] if it is not running.
    pub fn thaw(&self) -> Result<(), RigError> {
        self.signal(Signal::CONT)
    }

    /// Kills the process (SIGKILL) and waits for its end. Nothing that was committed is lost. A
    /// killed server stays killed.
    pub fn kill(&self) {
        let Some(mut child) = self.child().take() else {
            return;
        };
        // Cannot fail: the child is ours and was not waited for.
        let _ = child.kill();
        // Before the wait, after which the id may be another process's.
        let _ = fs::remove_file(self.folder.join(PID_FILE));
        let _ = child.wait();
    }

    /// Shuts the server down in an orderly way (SIGTERM) and waits for its end. Its clients see
    /// their connections end as in a planned restart.
    ///
    /// # Errors
    ///
    /// [`RigError::Server`] if it is not running or takes more than a minute.
    pub async fn shut_down(&self) -> Result<(), RigError> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while self.exit_status().is_none() {
            if Instant::now() > deadline {
                return Err(self.failed("did not shut down".to_owned()));
            }
            sleep(LOOK_AGAIN).await;
        }
        self.kill();
        Ok(())
    }

    /// Starts the server again, on the same port and the same data, and waits until it answers. A
    /// running one is killed first. A replica resumes replication by itself;
    /// [`Server::wait_replicating`] waits for that.
    ///
    /// # Errors
    ///
    /// [`RigError::Server`] with the end of its log if it does not answer within a minute.
    pub async fn restart(&self) -> Result<(), RigError> {
        self.kill();
        for attempt in 1.. {
            match self.launch().await {
                Ok(()) => break,
                Err(Start::PortTaken(_)) if attempt < PORT_TRIES => sleep(LOOK_AGAIN).await,
                Err(Start::PortTaken(error) | Start::Failed(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Spawns the process and waits until it answers; kills it if it does not.
    pub(super) async fn launch(&self) -> Result<(), Start> {
        self.spawn().map_err(Start::Failed)?;
        let result = self.wait_ready().await;
        if result.is_err() {
            self.kill();
        }
        result
    }

    fn spawn(&self) -> Result<(), RigError> {
        let log = self.error_log();
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .during("open", &log)?;
        let second = file.try_clone().during("open", &log)?;
        let server = self.program.command();
        let child = Command::new("/bin/sh")
            .args(["-c", LAUNCHER, "highwater-rig-launcher"])
            .arg(self.folder.join(PID_FILE))
            .arg(server.get_program())
            .args(server.get_args())
            .args(self.options.iter().map(|option| argument(option)))
            .args([
                format!("--port={}", self.port),
                format!("--report-port={}", self.port),
            ])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(second)
            // Out of the terminal's group: Ctrl-C is the owner's to handle.
            .process_group(0)
            .spawn()
            .during("run", self.program.path())?;
        *self.child() = Some(child);
        Ok(())
    }

    async fn wait_ready(&self) -> Result<(), Start> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.exit_status() {
                let error = self.failed(format!("ended while it started, with {status}"));
                let taken = error.to_string().contains("Address already in use");
                return Err(if taken {
                    Start::PortTaken(error)
                } else {
                    Start::Failed(error)
                });
            }
            // The attempt has its own limit: a server that accepts and hangs is looked at again.
            let attempt = timeout(Duration::from_secs(5), Conn::new(self.root())).await;
            if let Ok(Ok(conn)) = attempt {
                let _ = conn.disconnect().await;
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Start::Failed(self.failed("did not answer".to_owned())));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), RigError> {
        // The lock keeps the child from being waited for, and so its id from being reused.
        let child = self.child();
        child
            .as_ref()
            .and_then(|child| i32::try_from(child.id()).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| self.failed("is not running".to_owned()))
            .and_then(|pid| {
                kill_process(pid, signal)
                    .map_err(std::io::Error::from)
                    .during("signal the server of", &self.folder)
            })
    }

    fn is_stopped(&self) -> bool {
        let Some(pid) = self.pid() else {
            return true;
        };
        // `pid (name) state …`; the name may hold anything but is the last thing in parentheses.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    fn exit_status(&self) -> Option<ExitStatus> {
        self.child()
            .as_mut()
            .and_then(|child| child.try_wait().ok().flatten())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn argument(option: &str) -> String {
    format!("--{}", option.trim_start_matches("--"))
}
