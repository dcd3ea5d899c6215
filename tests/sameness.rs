//! A client of Highwater cannot tell it from one server: random sessions that touch every kind of session
//! state, through a proxy that gives each statement another server connection, and on one bare
//! server. All packets must be equal.
//!
//! What differs is made as short as it will be, and printed with its seed. `HIGHWATER_SAMENESS_SEEDS` is how many
//! seeds each test plays (a few of its own), or a range of them (`100..200`), `HIGHWATER_SAMENESS_STEPS` how many
//! steps a session has (60), `HIGHWATER_SAMENESS_FAILURES` how many failures end a test (4).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "sameness/chance.rs"]
mod chance;
#[path = "sameness/play.rs"]
mod play;
#[path = "sameness/shrink.rs"]
mod shrink;
#[path = "sameness/steps.rs"]
mod steps;
mod support;
#[path = "sameness/words.rs"]
mod words;

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::Duration;

use highwater::config::{Config, PoolMode};
use highwater::daemon::Proxy;
use highwater::rig::Cluster;

use play::Arena;
use support::stage::{Stage, servers, stage};

/// Seeds of each test.
const SEEDS: u64 = 3;

/// Failures that are told of before a test ends.
const ENOUGH: usize = 4;

static BARE: OnceLock<Cluster> = OnceLock::new();

/// The bare server, with the options of the proxy's primary.
async fn bare(_: &Stage) -> &'static Cluster {
    if BARE.get().is_none() {
        let cluster = servers().replicas(0).start().await.unwrap();
        assert!(
            BARE.set(cluster).is_ok(),
            "the stage has one turn at a time"
        );
    }
    BARE.get().unwrap()
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// By default each test has others of its own.
fn seeds(first: u64) -> Range<u64> {
    let Ok(text) = std::env::var("HIGHWATER_SAMENESS_SEEDS") else {
        return first..first + SEEDS;
    };
    match text.split_once("..") {
        Some((from, to)) => from.parse().unwrap()..to.parse().unwrap(),
        None => 0..text.parse().unwrap(),
    }
}

async fn check(first: u64, change: impl FnOnce(&mut Config)) {
    let stage = stage().await;
    let bare = bare(&stage).await;
    let cluster = &stage.setup.cluster;
    let mut config = support::config(cluster);
    config.consistency.catch_up_timeout = Duration::from_secs(30);
    config.pool.acquire_timeout = Duration::from_secs(90);
    config.limits.login_timeout = Duration::from_secs(90);
    change(&mut config);
    let replicas = config.cluster.replicas.len();
    let stays = config.pool.mode == PoolMode::Session;
    let proxy = Proxy::start(config).await.unwrap();
    support::usable(&proxy, replicas).await;
    let mut wrong = Vec::new();
    for seed in seeds(first) {
        let sessions = 1 + usize::try_from(seed % 3).unwrap();
        let arena = Arena {
            bare,
            cluster,
            proxy: proxy.addresses().mysql.to_string(),
            sessions,
            flags: play::flags(seed),
        };
        let steps = number("HIGHWATER_SAMENESS_STEPS", 60);
        let moves = steps::moves(seed, sessions, steps * sessions, stays);
        let Some(difference) = arena.play(&moves).await else {
            eprintln!("seed {seed} is the same");
            continue;
        };
        let (moves, difference) = shrink::shrunk(&arena, moves, difference).await;
        let mut text = format!(
            "seed {seed} (HIGHWATER_SAMENESS_SEEDS={seed}..{}):\n",
            seed + 1
        );
        for it in &moves {
            writeln!(text, "  [{}] {}", it.session, it.step).unwrap();
        }
        write!(
            text,
            "  one server:\n    {}\n  Highwater:\n    {}",
            difference.bare, difference.proxied
        )
        .unwrap();
        eprintln!("{text}");
        wrong.push(seed);
        if wrong.len() == number("HIGHWATER_SAMENESS_FAILURES", ENOUGH) {
            break;
        }
    }
    proxy.shut_down().await;
    assert!(wrong.is_empty(), "{} seeds differ", wrong.len());
}

/// Connections of the pools: enough that each session may be bound to one, and few enough that each is
/// soon another session's.
const CONNECTIONS: usize = 4;

fn switching(config: &mut Config) {
    config.pool.mode = PoolMode::Transaction;
    config.pool.switch_always = true;
    config.pool.max_connections = CONNECTIONS;
}

#[tokio::test]
async fn another_connection_for_each_statement() {
    check(0, |config| {
        switching(config);
        config.cluster.replicas.clear();
    })
    .await;
}

#[tokio::test]
async fn another_connection_for_each_statement_and_reads_on_replicas() {
    check(4, switching).await;
}

#[tokio::test]
async fn few_connections_and_reads_on_replicas() {
    check(8, |config| {
        config.pool.mode = PoolMode::Transaction;
        config.pool.max_connections = CONNECTIONS;
    })
    .await;
}

#[tokio::test]
async fn a_connection_for_each_session_and_reads_on_replicas() {
    check(12, |config| config.pool.mode = PoolMode::Session).await;
}
