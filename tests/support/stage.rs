//! One cluster and one proxy for all tests of a binary, which take turns on it.
//!
//! The replicas are started with other defaults than the primary, so that every test also sees
//! whether those differences stay hidden. Nobody drops what lives in a static: the rig's watchdog
//! stops the servers when the process ends.

use std::sync::OnceLock;

use highwater::protocol::caps::CapabilityFlags;
use highwater::rig::{APP, Cluster};
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::sync::{Mutex, MutexGuard};

use super::Setup;
use super::raw::Raw;

static SETUP: OnceLock<Setup> = OnceLock::new();
static TURN: Mutex<()> = Mutex::const_new(());

/// A test's turn on the stage.
pub struct Stage {
    pub setup: &'static Setup,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for the turn; the first one builds the stage.
pub async fn stage() -> Stage {
    let turn = TURN.lock().await;
    if SETUP.get().is_none() {
        let (built, done) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || build(built));
        done.await.expect("the stage was not built");
    }
    Stage {
        setup: SETUP.get().unwrap(),
        _turn: turn,
    }
}

fn build(built: tokio::sync::oneshot::Sender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let level = std::env::var("HW_LOG").unwrap_or("off".into());
        let _ = highwater::telemetry::log::init(highwater::telemetry::log::Format::Text, &level);
        let cluster = servers().start().await.unwrap();
        // In a folder that goes with the process; this value never does.
        let socket = cluster.primary().socket().with_file_name("highwater.sock");
        let setup = Setup::over(cluster, |config| {
            config.consistency.catch_up_timeout = std::time::Duration::from_secs(30);
            config.proxy.socket = Some(socket);
            config
                .users
                .push(highwater::config::Account::new("second", "second-pw"));
        })
        .await;
        let root = setup.cluster.primary();
        for sql in [
            "CREATE USER 'second'@'%' IDENTIFIED BY 'second-pw'",
            "GRANT SELECT, INSERT, CREATE, DROP ON *.* TO 'second'@'%'",
        ] {
            root.exec(sql).await.unwrap();
        }
        setup.cluster.wait_all_caught_up().await.unwrap();
        assert!(SETUP.set(setup).is_ok(), "only one thread builds");
        built.send(()).unwrap();
        std::future::pending::<()>().await;
    });
}

/// One primary, and two replicas that differ from it and from each other.
pub fn servers() -> highwater::rig::ClusterBuilder {
    Cluster::builder()
        .option("local_infile=ON")
        .option("innodb_doublewrite=OFF")
        // On a busy machine anything may be slow, and an OK says so.
        .option("long_query_time=3600")
        .option("max_allowed_packet=64M")
        .option("log_bin_trust_function_creators=ON")
        .replica_option(0, "sql_mode=ANSI")
        .replica_option(0, "default_time_zone=+03:00")
        .replica_option(0, "max_execution_time=123456")
        .replica_option(1, "sql_mode=NO_BACKSLASH_ESCAPES")
        .replica_option(1, "character_set_server=latin1")
        .replica_option(1, "default_week_format=3")
}

/// Waits until a condition holds; panics after a minute.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !holds().await {
        assert!(
            std::time::Instant::now() < deadline,
            "{what}: not within a minute"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

impl Stage {
    /// Creates an empty schema and waits until every server has it.
    pub async fn schema(&self, name: &str) {
        let primary = self.setup.cluster.primary();
        primary
            .exec(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        self.setup.cluster.wait_all_caught_up().await.unwrap();
    }

    /// A client of the proxy in this schema.
    pub async fn client(&self, schema: &str) -> Conn {
        let opts = self.setup.opts().db_name(Some(schema));
        Conn::new(Opts::from(opts)).await.unwrap()
    }

    /// A client of the proxy that sends raw packets.
    pub async fn raw(&self, schema: &str, flags: CapabilityFlags) -> Raw {
        let address = self.setup.proxy.addresses().mysql.to_string();
        Raw::connect(&address, (APP.user, APP.password), Some(schema), flags)
            .await
            .unwrap()
    }

    /// The same straight at the primary.
    pub async fn raw_direct(&self, schema: &str, flags: CapabilityFlags) -> Raw {
        let address = self.setup.cluster.primary().address();
        Raw::connect(&address, (APP.user, APP.password), Some(schema), flags)
            .await
            .unwrap()
    }

    /// A client of the primary itself in this schema: the reference.
    pub async fn direct(&self, schema: &str) -> Conn {
        let opts = self.setup.cluster.primary().opts(&APP);
        let opts = OptsBuilder::from_opts(opts).db_name(Some(schema));
        Conn::new(Opts::from(opts)).await.unwrap()
    }
}
