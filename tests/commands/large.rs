//! Packets over 16 MiB in both directions, and results larger than the memory they may take.

use std::path::PathBuf;
use std::process::{Child, Command};

use highwater::config::PoolMode;
use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::command::com_query;
use highwater::protocol::frame::{FrameHeader, HEADER, MAX_PAYLOAD};
use highwater::protocol::reply::ReplyKind;
use highwater::rig::{APP, Cluster, MONITOR};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

use crate::support::Setup;
use crate::support::raw::{Param, Raw, error_of, execute, ok_of, shown, usual};
use crate::support::stage::{Stage, stage, until};

/// Over 16 MiB, so that a packet has two frames.
const LARGE: usize = 20_000_000;
const EXECUTE: ReplyKind = ReplyKind::Execute { cursor: false };

/// Bytes that need no escaping and do not repeat with the frames.
fn text(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| b'a' + u8::try_from(at % 23).unwrap())
        .collect()
}

/// Reads a one-row, one-column reply whose row may have several frames: the cell's bytes.
async fn large_cell(raw: &mut Raw, header: usize) -> Vec<u8> {
    for _ in 0..if raw.profile.deprecate_eof() { 2 } else { 3 } {
        raw.frame().await.unwrap();
    }
    let mut row = Vec::new();
    loop {
        let frame = raw.frame().await.unwrap();
        row.extend_from_slice(&frame[HEADER..]);
        if !FrameHeader::parse(&frame).unwrap().continues() {
            break;
        }
    }
    raw.frame().await.unwrap();
    row.split_off(header)
}

/// The length of a length-encoded string that is longer than 64 KiB.
fn prefix(length: usize) -> usize {
    if length < 1 << 24 { 4 } else { 9 }
}

async fn insert_and_read(stage: &Stage, flags: CapabilityFlags, length: usize) {
    let mut raw = stage.raw("large", flags).await;
    let text = text(length);
    raw.query("DELETE FROM t").await;
    let sql = [b"INSERT INTO t VALUES (1, '", &text[..], b"')"].concat();
    raw.send(&com_query(&sql, false)).await;
    let frames = raw.reply(ReplyKind::Query).await;
    assert_eq!(error_of(&frames), None);
    assert_eq!(ok_of(&frames).affected_rows, 1);
    raw.send(&com_query(b"SELECT b FROM t", false)).await;
    let back = large_cell(&mut raw, prefix(length)).await;
    assert!(back == text, "{length} bytes came back as {}", back.len());
    assert_eq!(raw.cell("SELECT COUNT(*) FROM t").await, "1");
}

#[tokio::test]
async fn packets_of_several_frames_pass_both_ways() {
    let stage = stage().await;
    stage.schema("large").await;
    let mut raw = stage.raw("large", usual()).await;
    raw.query("CREATE TABLE t (id INT, b LONGBLOB)").await;
    let around = MAX_PAYLOAD - "?INSERT INTO t VALUES (1, '')".len();
    for (flags, length) in [
        (usual(), LARGE),
        (usual() - CapabilityFlags::CLIENT_DEPRECATE_EOF, LARGE),
        (usual(), 2_000_000),
        (usual(), around - 1),
        (usual(), around),
        (usual(), around + 1),
        (usual(), 2 * MAX_PAYLOAD),
    ] {
        insert_and_read(&stage, flags, length).await;
    }

    let text = text(LARGE);
    raw.query("DELETE FROM t").await;
    raw.ask(b"\x16INSERT INTO t VALUES (2, ?)", ReplyKind::Prepare)
        .await;
    let command = execute(1, 0, &[Param::Text(&text)], true, false);
    let frames = raw.ask(&command, EXECUTE).await;
    assert_eq!(error_of(&frames), None);
    raw.ask(b"\x16SELECT b FROM t WHERE id = 2", ReplyKind::Prepare)
        .await;
    raw.send(&execute(2, 0, &[], true, false)).await;
    let back = large_cell(&mut raw, 2 + prefix(LARGE)).await;
    assert!(back == text, "{} bytes came back", back.len());
}

/// Types that a connection has not seen are sent again, which may take one frame more than the client
/// sent; the reply is numbered as the client counts all the same.
#[tokio::test]
async fn an_execution_that_grows_over_a_frame_is_answered_in_its_turn() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.pool.mode = PoolMode::Transaction;
        config.pool.switch_always = true;
    })
    .await;
    let address = setup.proxy.addresses().mysql.to_string();
    let account = (APP.user, APP.password);
    let mut raw = Raw::connect(&address, account, None, usual())
        .await
        .unwrap();
    let id = raw.prepare("SELECT LENGTH(?), ? FOR UPDATE").await;
    let one = Param::Text(b"x");
    let bound = execute(id, 0, &[one, Param::Int(5)], true, false);
    assert_eq!(error_of(&raw.ask(&bound, EXECUTE).await), None);
    let around = execute(id, 0, &[Param::Text(b""), Param::Int(5)], false, false).len() + 8;
    for length in [MAX_PAYLOAD - around - 2, MAX_PAYLOAD - around - 1, LARGE] {
        let text = text(length);
        let params = [Param::Text(&text), Param::Int(5)];
        let command = execute(id, 0, &params, false, false);
        assert_eq!(command.len() > MAX_PAYLOAD, length == LARGE);
        let frames = raw.ask(&command, EXECUTE).await;
        assert_eq!(error_of(&frames), None, "{}", shown(&frames));
        assert_eq!(frames.len(), 5, "{}", shown(&frames));
    }
    assert_eq!(raw.cell("SELECT 1").await, "1");
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn our_own_errors_come_in_their_turn_after_a_large_command() {
    let stage = stage().await;
    let mut raw = stage.raw("app", usual()).await;
    let large = text(2 * MAX_PAYLOAD);
    let command = execute(77, 0, &[Param::Text(&large)], true, false);
    assert_eq!(error_of(&raw.ask(&command, EXECUTE).await), Some(1243));
    let mut unknown = large;
    unknown[0] = 0xEE;
    assert_eq!(
        error_of(&raw.ask(&unknown, ReplyKind::Simple).await),
        Some(1047)
    );
    assert_eq!(raw.cell("SELECT 1").await, "1");
}

#[tokio::test]
async fn a_packet_that_the_server_refuses_gives_its_error() {
    let stage = stage().await;
    let mut raw = stage.raw("app", usual()).await;
    let sql = [b"SELECT LENGTH('", &text(70_000_000)[..], b"')"].concat();
    raw.send(&com_query(&sql, false)).await;
    let frames = raw.reply(ReplyKind::Query).await;
    assert_eq!(
        error_of(&frames),
        Some(1153),
        "larger than max_allowed_packet"
    );
}

/// The real program, in a process of its own.
struct Daemon {
    child: Child,
    folder: PathBuf,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Daemon {
    fn start(stage: &Stage) -> Self {
        let folder = std::env::temp_dir().join(format!("highwater-large-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let cluster = &stage.setup.cluster;
        let replicas: Vec<_> = cluster
            .replicas()
            .iter()
            .map(|replica| format!("{:?}", replica.address()))
            .collect();
        let config = format!(
            "[proxy]\nlisten = \"127.0.0.1:0\"\nsocket = \"hw.sock\"\n[http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [cluster]\nprimary = {:?}\nreplicas = [{}]\n[monitor]\nuser = {:?}\n\
             [[user]]\nname = {:?}\npassword_env = \"APP_PASSWORD\"\n",
            cluster.primary().address(),
            replicas.join(", "),
            MONITOR.user,
            APP.user,
        );
        std::fs::write(folder.join("highwater.toml"), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_highwater"))
            .arg("run")
            .arg("--config")
            .arg(folder.join("highwater.toml"))
            .env("APP_PASSWORD", APP.password)
            .env("HIGHWATER_MONITOR_PASSWORD", MONITOR.password)
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    fn opts(&self) -> Opts {
        OptsBuilder::default()
            .socket(Some(self.folder.join("hw.sock").display().to_string()))
            .user(Some(APP.user))
            .pass(Some(APP.password))
            .into()
    }

    /// The most memory it ever had, in KiB.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

#[tokio::test]
async fn a_result_of_any_size_takes_constant_memory() {
    let stage = stage().await;
    let daemon = Daemon::start(&stage);
    let mut conn = None;
    until("the daemon answers", async || {
        conn = Conn::new(daemon.opts()).await.ok();
        conn.is_some()
    })
    .await;
    let mut conn = conn.unwrap();
    let sql = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 400) \
               SELECT REPEAT('x', 1000000) FROM n";
    let mut bytes = 0;
    let mut result = conn.query_iter(sql).await.unwrap();
    while let Some(row) = result.next().await.unwrap() {
        let row: mysql_async::Row = row;
        let cell: Vec<u8> = mysql_async::from_row(row);
        bytes += cell.len();
    }
    assert_eq!(bytes, 400_000_000);
    let peak = daemon.peak();
    assert!(peak < 60 * 1024, "{peak} KiB");
    conn.disconnect().await.unwrap();
}
