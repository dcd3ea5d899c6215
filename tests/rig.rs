//! The rig against real servers: it starts, replicates, obeys its knobs and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use highwater::rig::{APP, Cluster, Engine, MONITOR, RigError, Server};
use mysql_async::prelude::Queryable;

type Outcome = Result<(), RigError>;

/// Set in the process that [`owner`] runs in.
const OWNER: &str = "HIGHWATER_TEST_RIG_OWNER";

#[tokio::test]
async fn mysql_replicates_and_obeys() -> Outcome {
    replicates_and_obeys(Engine::MySql).await
}

#[tokio::test]
async fn mariadb_replicates_and_obeys() -> Outcome {
    replicates_and_obeys(Engine::MariaDb).await
}

async fn replicates_and_obeys(engine: Engine) -> Outcome {
    let cluster = Cluster::builder()
        .engine(engine)
        .replicas(2)
        .option("max-connections=77")
        .replica_option(1, "--max-connections=78")
        .start()
        .await?;
    let (primary, replica) = (cluster.primary(), cluster.replica(0));
    assert_eq!(max_connections(primary).await?, "77");
    assert_eq!(max_connections(cluster.replica(1)).await?, "78");

    write(primary, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    write(primary, "INSERT INTO t VALUES (1)").await;
    cluster.wait_all_caught_up().await?;
    for replica in cluster.replicas() {
        assert_eq!(rows(replica).await?, 1);
        let refused = run(replica, "INSERT INTO t VALUES (2)").await;
        assert!(refused.is_err(), "a replica took a write");
    }

    // A stopped applier: the other replica goes on.
    replica.stop_applier().await?;
    write(primary, "INSERT INTO t VALUES (2)").await;
    cluster.wait_caught_up(1).await?;
    assert_eq!(rows(replica).await?, 1);
    replica.start_applier().await?;
    cluster.wait_caught_up(0).await?;
    assert_eq!(rows(replica).await?, 2);

    // A stopped receiver.
    replica.stop_receiver().await?;
    write(primary, "INSERT INTO t VALUES (3)").await;
    assert_eq!(rows(replica).await?, 2);
    replica.start_receiver().await?;
    cluster.wait_caught_up(0).await?;
    assert_eq!(rows(replica).await?, 3);

    // A delay, and its end.
    replica.delay(2).await?;
    let written = Instant::now();
    write(primary, "INSERT INTO t VALUES (4)").await;
    cluster.wait_caught_up(0).await?;
    // Servers count whole seconds: from the second the write fell in.
    assert!(
        written.elapsed() > Duration::from_millis(900),
        "{:?}",
        written.elapsed()
    );
    replica.delay(0).await?;

    // The monitor's rights suffice for what a monitor asks.
    let mut monitor = replica.connect(&MONITOR).await?;
    let status = match engine {
        Engine::MySql => "SHOW REPLICA STATUS",
        Engine::MariaDb => "SHOW SLAVE STATUS",
    };
    let row: Option<mysql_async::Row> = monitor.query_first(status).await.expect(status);
    assert!(row.is_some());
    Ok(())
}

#[tokio::test]
async fn mysql_dies_and_comes_back() -> Outcome {
    dies_and_comes_back(Engine::MySql).await
}

#[tokio::test]
async fn mariadb_dies_and_comes_back() -> Outcome {
    dies_and_comes_back(Engine::MariaDb).await
}

async fn dies_and_comes_back(engine: Engine) -> Outcome {
    let cluster = Cluster::builder()
        .engine(engine)
        .replicas(1)
        .start()
        .await?;
    let (primary, replica) = (cluster.primary(), cluster.replica(0));
    write(primary, "CREATE TABLE t (id INT PRIMARY KEY)").await;

    // Killed: what was committed is there after the restart, and replication goes on by itself.
    replica.kill();
    assert_eq!(replica.pid(), None);
    assert!(run(replica, "DO 1").await.is_err());
    write(primary, "INSERT INTO t VALUES (1)").await;
    let port = primary.port();
    primary.kill();
    primary.restart().await?;
    assert_eq!(primary.port(), port);
    replica.restart().await?;
    replica.wait_replicating().await?;
    cluster.wait_caught_up(0).await?;
    assert_eq!(rows(replica).await?, 1);

    // Shut down in order.
    primary.shut_down().await?;
    assert_eq!(primary.pid(), None);
    primary.restart().await?;
    replica.wait_replicating().await?;

    // Frozen: it accepts and says nothing.
    replica.freeze().await?;
    let attempt = tokio::time::timeout(Duration::from_millis(300), run(replica, "DO 1")).await;
    assert!(attempt.is_err(), "a frozen server answered");
    replica.thaw()?;
    assert!(run(replica, "DO 1").await.is_ok());

    // Failed over.
    primary.kill();
    cluster.promote(0).await?;
    write(replica, "INSERT INTO t VALUES (2)").await;
    assert_eq!(rows(replica).await?, 2);
    Ok(())
}

#[tokio::test]
async fn promotion_takes_the_other_replicas_along() -> Outcome {
    let cluster = Cluster::builder().replicas(2).start().await?;
    write(cluster.primary(), "CREATE TABLE t (id INT PRIMARY KEY)").await;
    cluster.wait_all_caught_up().await?;
    cluster.primary().kill();
    cluster.promote(1).await?;
    write(cluster.replica(1), "INSERT INTO t VALUES (1)").await;
    cluster.replica(0).wait_replicating().await?;
    until("the row is replicated", async || {
        rows(cluster.replica(0)).await.ok() == Some(1)
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_after_a_drop() -> Outcome {
    let cluster = Cluster::builder().replicas(1).start().await?;
    let (folder, pids) = traces(&cluster);
    // Frozen ones must go as well.
    cluster.replica(0).freeze().await?;
    drop(cluster);
    assert!(!folder.exists(), "{} is left", folder.display());
    assert!(!lock_of(&folder).exists());
    for pid in pids {
        assert!(!alive(pid), "process {pid} is left");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why_and_leaves_nothing() {
    let result = Cluster::builder()
        .replicas(1)
        .replica_option(0, "no-such-option=1")
        .start()
        .await;
    let Err(error) = result else {
        panic!("a server started with an unknown option");
    };
    let text = error.to_string();
    assert!(
        text.starts_with("replica 0: ended while it started"),
        "{text}"
    );
    assert!(text.contains("no-such-option"), "{text}");
}

#[tokio::test]
async fn a_dropped_start_leaves_nothing() {
    // An option without effect, by which the servers of this test are told from others.
    let marker = format!("--report-user=dropped-start-{}", std::process::id());
    let start = Cluster::builder().replicas(1).option(&marker).start();
    tokio::select! {
        result = start => panic!("it was ready too early: {:?}", result.err()),
        () = until("a server is there", async || !folders_of(&marker).is_empty()) => {}
    }
    let folders = folders_of(&marker);
    until("the servers are gone", async || {
        folders_of(&marker).is_empty() && !folders.iter().any(|folder| folder.exists())
    })
    .await;
}

/// Not a test of its own: the process of an [`Owner`].
#[tokio::test]
async fn owner() -> Outcome {
    if std::env::var_os(OWNER).is_none() {
        return Ok(());
    }
    let cluster = Cluster::builder().replicas(1).start().await?;
    cluster.replica(0).freeze().await?;
    let (folder, pids) = traces(&cluster);
    println!("\n{OWNER} {} {pids:?}", folder.display());
    std::future::pending().await
}

#[tokio::test]
async fn a_killed_owner_leaves_nothing() -> std::io::Result<()> {
    let mut owner = Owner::start()?;
    owner.process.kill()?;
    owner.process.wait()?;
    until("the watchdog has cleaned up", async || owner.left_nothing()).await;
    Ok(())
}

#[tokio::test]
async fn what_even_the_watchdog_missed_is_swept() -> std::io::Result<()> {
    let mut owner = Owner::start()?;
    let watchdog = watchdog_of(&owner.folder).expect("a watchdog runs");
    let killed = Command::new("/bin/sh")
        .args(["-c", &format!("kill -9 {watchdog}")])
        .status()?;
    assert!(killed.success());
    owner.process.kill()?;
    owner.process.wait()?;
    let next = Cluster::builder().replicas(0).start().await;
    assert!(next.is_ok(), "{:?}", next.err());
    // Another test's cluster may be the one that is still sweeping.
    until("the next one has swept", async || owner.left_nothing()).await;
    Ok(())
}

/// A process that runs a cluster until it is killed.
struct Owner {
    process: Child,
    folder: PathBuf,
    pids: Vec<u32>,
}

impl Owner {
    fn start() -> std::io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--exact", "owner", "--nocapture", "--test-threads=1"])
            .env(OWNER, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().expect("it is piped");
        let line = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find(|line| line.starts_with(OWNER))
            .expect("the owner reports its cluster");
        let mut words = line
            .split([' ', ',', '[', ']'])
            .filter(|word| !word.is_empty())
            .skip(1);
        let owner = Self {
            process,
            folder: PathBuf::from(words.next().expect("a folder")),
            pids: words.filter_map(|word| word.parse().ok()).collect(),
        };
        assert_eq!(owner.pids.len(), 2);
        assert!(owner.folder.exists() && owner.pids.iter().all(|pid| alive(*pid)));
        Ok(owner)
    }

    fn left_nothing(&self) -> bool {
        !self.folder.exists()
            && !lock_of(&self.folder).exists()
            && !self.pids.iter().any(|pid| alive(*pid))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // It is dead already unless its test failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn run(server: &Server, sql: &str) -> mysql_async::Result<()> {
    let mut conn = mysql_async::Conn::new(server.opts(&APP)).await?;
    conn.query_drop(sql).await?;
    conn.disconnect().await
}

async fn write(server: &Server, sql: &str) {
    run(server, sql).await.expect(sql);
}

async fn rows(server: &Server) -> Result<u64, RigError> {
    let count = server.value("SELECT COUNT(*) FROM app.t").await?;
    Ok(count.and_then(|count| count.parse().ok()).expect("a count"))
}

async fn max_connections(server: &Server) -> Result<String, RigError> {
    let value = server.value("SELECT @@GLOBAL.max_connections").await?;
    Ok(value.expect("a value"))
}

fn traces(cluster: &Cluster) -> (PathBuf, Vec<u32>) {
    let socket = cluster.primary().socket();
    let folder = socket
        .ancestors()
        .nth(2)
        .expect("server folder in cluster folder");
    let servers = std::iter::once(cluster.primary()).chain(cluster.replicas());
    let pids = servers
        .map(|server| server.pid().expect("it runs"))
        .collect();
    (folder.to_owned(), pids)
}

fn lock_of(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

/// Whether a process runs; one that nobody has waited for yet does not.
fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The data folders of the running servers that have `option` on their command line.
fn folders_of(option: &str) -> Vec<PathBuf> {
    processes()
        .filter(|(_, words)| words.iter().any(|word| word == option))
        .filter_map(|(_, words)| {
            let mut data = words
                .iter()
                .filter_map(|word| word.strip_prefix("--datadir="));
            data.next().map(PathBuf::from)
        })
        .collect()
}

fn watchdog_of(folder: &Path) -> Option<u32> {
    let folder = folder.to_string_lossy();
    let is_it = |words: &[String]| {
        words.iter().any(|word| word == "highwater-rig-watchdog")
            && words.iter().any(|word| *word == folder)
    };
    processes().find_map(|(pid, words)| is_it(&words).then_some(pid))
}

/// The id and the command line of every process.
fn processes() -> impl Iterator<Item = (u32, Vec<String>)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        let words = String::from_utf8_lossy(&command);
        Some((pid, words.split('\0').map(str::to_owned).collect()))
    })
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "waited a minute until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
