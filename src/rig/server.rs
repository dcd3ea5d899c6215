//! One running server: how to reach it. Its rooms hold the knobs that make it lag (`lag`), freeze,
//! die and come back (`life`).

mod lag;
mod life;

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row, Value};
use tokio::time::timeout;

use life::Start;

use super::account::Account;
use super::error::{IoContext, RigError, tail};
use super::folder::Folder;
use super::program::{Engine, Program};
use super::{port, replication, template};

/// How long a server may take for anything it is waited for: to start, to replicate, to catch up,
/// to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// How many ports a server tries, and how often a restart tries its own.
const PORT_TRIES: u32 = 20;

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
        // The last one of several counts: the caller's own come after ours. One of ours is left out
        // where it is given again, since `skip-name-resolve` is not undone by what follows it.
        options.retain(|own| !plan.options.iter().any(|given| name(given) == name(own)));
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

    /// Its process id; `None` while it is killed or shut down.
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

    fn root(&self) -> Opts {
        OptsBuilder::default()
            .socket(Some(self.socket().display().to_string()))
            .user(Some("root"))
            .into()
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

/// The name in `name=value` or `--name=value`.
fn name(option: &str) -> String {
    let option = option.trim_start_matches("--");
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    name.replace('_', "-")
}

fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        other => Some(other.as_sql(true).trim_matches('\'').to_owned()),
    }
}
