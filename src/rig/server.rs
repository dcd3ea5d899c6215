//! One running server, and the knobs that make it lag, freeze, die and come back.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row, Value};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout};

use super::account::Account;
use super::error::{IoContext, RigError, tail};
use super::folder::{Folder, PID_FILE};
use super::program::{Engine, Program};
use super::replication::{self, Status};
use super::{port, template};

/// How long a server may take for anything it is waited for: to start, to replicate, to catch up,
/// to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// How many ports a server tries, and how often a restart tries its own.
const PORT_TRIES: u32 = 20;

/// Writes its process id to the file $1, then becomes the server. Without the file the server does
/// not start, so there is never one that the watchdog could miss.
const LAUNCHER: &str = r#"echo $$ > "$1" && shift && exec "$@""#;

/// A server of a cluster. All knobs take `&self`, so a test may turn them while other tasks use the
/// server. It is killed when the [`Cluster`](super::Cluster) is dropped.
pub struct Server {
    name: String,
    port: u16,
    folder: PathBuf,
    program: Arc<Program>,
    options: Vec<String>,
    child: Mutex<Option<Child>>,
    // Dropped last: the folder goes when no server needs it.
    _home: Arc<Folder>,
}

/// What a server is started from.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) server_id: u32,
    pub(super) read_only: bool,
    pub(super) options: Vec<String>,
    pub(super) template: PathBuf,
    pub(super) program: Arc<Program>,
    pub(super) home: Arc<Folder>,
}

impl Server {
    /// Copies the template, starts the server on a free port and waits until it answers.
    pub(super) async fn start(plan: Plan) -> Result<Self, RigError> {
        let folder = plan.home.path().join(plan.name.replace(' ', "-"));
        let data = folder.join("data");
        let tmp = folder.join("tmp");
        let (template, home) = (plan.template, plan.home);
        let home = {
            let (data, tmp) = (data.clone(), tmp.clone());
            blocking(move || {
                template::copy(&template, &data)?;
                fs::create_dir(&tmp).during("create", &tmp)?;
                // The folder is passed through, so that it outlives a copy whose future is gone.
                Ok(home)
            })
            .await?
        };
        let engine = plan.program.engine();
        let mut options = vec![
            format!("datadir={}", data.display()),
            format!("tmpdir={}", tmp.display()),
            format!("socket={}", folder.join("sock").display()),
            format!("pid-file={}", folder.join("server.pid").display()),
            format!("server-id={}", plan.server_id),
            "report-host=127.0.0.1".to_owned(),
        ];
        options.extend(replication::options(engine).iter().map(ToString::to_string));
        if plan.read_only {
            options.extend(
                replication::read_only(engine)
                    .iter()
                    .map(ToString::to_string),
            );
        }
        // The last one of several counts: the caller's own come after ours.
        options.extend(plan.options);
        let mut server = Self {
            name: plan.name,
            port: 0,
            folder,
            program: plan.program,
            options,
            child: Mutex::new(None),
            _home: home,
        };
        for attempt in 1.. {
            server.port = port::free().during("find a free port for", &server.folder)?;
            match server.launch().await {
                Err(Start::PortTaken(_)) if attempt < PORT_TRIES => {}
                Err(Start::PortTaken(error) | Start::Failed(error)) => return Err(error),
                Ok(()) => break,
            }
        }
        Ok(server)
    }

    /// `primary`, `replica 0`, `replica 1`, …
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which engine it is.
    pub fn engine(&self) -> Engine {
        self.program.engine()
    }

    /// The address it listens on, always `127.0.0.1`.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The TCP port it listens on, the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, as a configuration file has it.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host(), self.port)
    }

    /// The path of its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("sock")
    }

    /// The path of its error log.
    pub fn error_log(&self) -> PathBuf {
        self.folder.join("error.log")
    }

    /// Its process id; `None` while it is killed.
    pub fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// `mysql://user:password@127.0.0.1:port/database`.
    pub fn url(&self, account: &Account) -> String {
        format!(
            "mysql://{}:{}@{}/{}",
            account.user,
            account.password,
            self.address(),
            account.database.unwrap_or_default()
        )
    }

    /// Options for `mysql_async`, over TCP also where it could switch to the socket.
    pub fn opts(&self, account: &Account) -> Opts {
        OptsBuilder::default()
            .ip_or_hostname(self.host())
            .tcp_port(self.port)
            .user(Some(account.user))
            .pass(Some(account.password))
            .db_name(account.database)
            .prefer_socket(false)
            .into()
    }

    /// Opens a connection over TCP.
    ///
    /// # Errors
    ///
    /// [`RigError::Sql`] if the server is down or refuses, [`RigError::Server`] if it does not
    /// answer for a minute, as a frozen one.
    pub async fn connect(&self, account: &Account) -> Result<Conn, RigError> {
        self.patiently("connect", Conn::new(self.opts(account)))
            .await
    }

    /// Runs one statement as root and drops its rows.
    ///
    /// # Errors
    ///
    /// [`RigError::Sql`] if the server is down or refuses, [`RigError::Server`] if it takes more
    /// than a minute.
    pub async fn exec(&self, sql: &str) -> Result<(), RigError> {
        self.first_row(sql).await.map(drop)
    }

    /// Runs one statement as root and gives the first column of its first row as text; `None` if
    /// there is no row or the value is NULL.
    ///
    /// # Errors
    ///
    /// As [`Server::exec`].
    pub async fn value(&self, sql: &str) -> Result<Option<String>, RigError> {
        let row = self.first_row(sql).await?;
        Ok(row.and_then(|row| text(row.as_ref(0))))
    }

    /// Stops applying what the replica receives: its data ages, its receiver goes on.
    ///
    /// # Errors
    ///
    /// As [`Server::exec`].
    pub async fn stop_applier(&self) -> Result<(), RigError> {
        self.control("STOP", " SQL_THREAD").await
    }

    /// Applies again.
    ///
    /// # Errors
    ///
    /// As [`Server::exec`].
    pub async fn start_applier(&self) -> Result<(), RigError> {
        self.control("START", " SQL_THREAD").await
    }

    /// Stops receiving from the primary; what was received is still applied.
    ///
    /// # Errors
    ///
    /// As [`Server::exec`].
    pub async fn stop_receiver(&self) -> Result<(), RigError> {
        self.control("STOP", " IO_THREAD").await
    }

    /// Receives again.
    ///
    /// # Errors
    ///
    /// As [`Server::exec`].
    pub async fn start_receiver(&self) -> Result<(), RigError> {
        self.control("START", " IO_THREAD").await
    }

    /// Applies every transaction `seconds` after it was committed; 0 takes the delay away. A stopped
    /// applier is started by it.
    ///
    /// # Errors
    ///
    /// As [`Server::exec`].
    pub async fn delay(&self, seconds: u32) -> Result<(), RigError> {
        for sql in replication::delay(self.engine(), seconds) {
            self.exec(&sql).await?;
        }
        Ok(())
    }

    /// Waits until the replica receives and applies.
    ///
    /// # Errors
    ///
    /// [`RigError::Server`] with the replica's own words if it does not within a minute.
    pub async fn wait_replicating(&self) -> Result<(), RigError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.replication_status().await?;
            if status.receiver && status.applier {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.failed(format!("does not replicate: {status}")));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

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

    /// Follows the server on `port` from now on.
    pub(super) async fn follow(&self, port: u16) -> Result<(), RigError> {
        self.exec(&replication::follow(self.engine(), port)).await?;
        self.control("START", "").await
    }

    /// Stops following, so that [`Server::follow`] can name another source.
    pub(super) async fn unfollow(&self) -> Result<(), RigError> {
        self.control("STOP", "").await
    }

    /// Takes writes from now on.
    pub(super) async fn become_primary(&self) -> Result<(), RigError> {
        for sql in replication::promote(self.engine()) {
            self.exec(&sql).await?;
        }
        Ok(())
    }

    /// What it has executed, in its engine's notation.
    pub(super) async fn position(&self) -> Result<String, RigError> {
        let position = self.value(replication::position(self.engine())).await?;
        Ok(position.unwrap_or_default().replace('\n', ""))
    }

    /// Waits until it has applied `position`.
    pub(super) async fn wait_for(&self, position: &str) -> Result<(), RigError> {
        // A little less than what `exec` waits, so that the better error wins.
        let seconds = PATIENCE.as_secs() - 5;
        let sql = replication::wait(self.engine(), position, seconds);
        match self.value(&sql).await?.as_deref() {
            Some("0") => Ok(()),
            _ => {
                let status = self.replication_status().await?;
                Err(self.failed(format!("did not reach {position}: {status}")))
            }
        }
    }

    /// Spawns the process and waits until it answers; kills it if it does not.
    async fn launch(&self) -> Result<(), Start> {
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
        let second: File = file.try_clone().during("open", &log)?;
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

    fn root(&self) -> Opts {
        OptsBuilder::default()
            .socket(Some(self.socket().display().to_string()))
            .user(Some("root"))
            .into()
    }

    async fn control(&self, verb: &str, thread: &str) -> Result<(), RigError> {
        self.exec(&replication::control(self.engine(), verb, thread))
            .await
    }

    async fn replication_status(&self) -> Result<Status, RigError> {
        let (sql, columns) = replication::status(self.engine());
        let row = self.first_row(sql).await?;
        let [receiver, applier, receiver_error, applier_error] = columns.map(|column| {
            row.as_ref()
                .and_then(|row| text(row.get::<Value, _>(column).as_ref()))
                .unwrap_or_default()
        });
        Ok(Status {
            receiver: receiver == "Yes",
            applier: applier == "Yes",
            complaint: format!("{receiver_error} {applier_error}")
                .trim()
                .to_owned(),
        })
    }

    async fn first_row(&self, sql: &str) -> Result<Option<Row>, RigError> {
        self.patiently(sql, async {
            let mut conn = Conn::new(self.root()).await?;
            let row = conn.query_first(sql).await?;
            conn.disconnect().await?;
            Ok(row)
        })
        .await
    }

    async fn patiently<T>(
        &self,
        statement: &str,
        work: impl Future<Output = mysql_async::Result<T>>,
    ) -> Result<T, RigError> {
        match timeout(PATIENCE, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => Err(RigError::Sql {
                server: self.name.clone(),
                statement: statement.to_owned(),
                source: Box::new(source),
            }),
            Err(_) => Err(self.failed(format!("no answer for a minute to: {statement}"))),
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

    fn exit_status(&self) -> Option<std::process::ExitStatus> {
        self.child()
            .as_mut()
            .and_then(|child| child.try_wait().ok().flatten())
    }

    fn failed(&self, what: String) -> RigError {
        RigError::Server {
            server: self.name.clone(),
            what,
            log: tail(&self.error_log(), 20),
        }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        // A panic elsewhere must not keep the server from being killed.
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Why a launch failed: another port may help, or nothing.
enum Start {
    PortTaken(RigError),
    Failed(RigError),
}

/// Runs blocking work beside the runtime.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RigError> + Send + 'static,
) -> Result<T, RigError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(RigError::Io {
            what: "a helper thread ended early".to_owned(),
            source: std::io::Error::other(error),
        }),
    }
}

fn argument(option: &str) -> String {
    format!("--{}", option.trim_start_matches("--"))
}

fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        other => Some(other.as_sql(true).trim_matches('\'').to_owned()),
    }
}
