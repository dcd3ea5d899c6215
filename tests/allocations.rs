//! A statement on its usual way allocates nothing: seen on a running proxy with real servers, by counting every
//! allocation of this process.
//!
//! Other threads, such as the monitor's, allocate now and then, so statements are sent in small batches until there
//! was one without any allocation. A way that allocates for each statement has no such batch.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::alloc::System;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use highwater::domain::consistency::Level;
use highwater::domain::routing::rules::{Act, Pattern, Rule, TablePattern, When};
use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::command::com_query;
use highwater::protocol::frame::append_packet;
use highwater::protocol::reply::ReplyKind;
use highwater::rig::{APP, Cluster};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::raw::Raw;
use support::{Setup, run};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Statements of one batch.
const BATCH: usize = 10;
/// Batches that are tried until one is without allocations; of what is known to allocate, all are.
const MOST: usize = 2_000;
const FEW: usize = 20;

/// A command with its header, and how many bytes its reply has.
struct Told {
    name: &'static str,
    frame: Vec<u8>,
    reply: usize,
}

impl Told {
    async fn new(name: &'static str, raw: &mut Raw, payload: &[u8]) -> Self {
        let kind = match payload[0] {
            0x17 => ReplyKind::Execute { cursor: false },
            _ => ReplyKind::Query,
        };
        let frames = raw.ask(payload, kind).await;
        let mut frame = Vec::new();
        append_packet(&mut frame, &mut 0, payload);
        Self {
            name,
            frame,
            reply: frames.iter().map(|frame| frame.len() + 4).sum(),
        }
    }

    /// The fewest allocations that a batch of this command had, out of so many at most.
    fn fewest(&self, stream: &mut TcpStream, most: usize) -> usize {
        let mut reply = vec![0; self.reply];
        let mut fewest = usize::MAX;
        for _ in 0..most {
            let region = Region::new(ALLOCATOR);
            for _ in 0..BATCH {
                stream.write_all(&self.frame).unwrap();
                stream.read_exact(&mut reply).unwrap();
            }
            let change = region.change();
            fewest = fewest.min(change.allocations + change.reallocations);
            if fewest == 0 {
                break;
            }
        }
        fewest
    }
}

/// One that every read here meets.
fn rule() -> Rule {
    Rule {
        name: "reads".to_owned(),
        when: When {
            tables: vec![TablePattern::new("t").unwrap()],
            regex: Some(Pattern::new("(?i)select").unwrap()),
            ..When::default()
        },
        act: Act {
            level: Some(Level::Session),
            ..Act::default()
        },
        ..Rule::default()
    }
}

#[tokio::test]
async fn a_statement_on_its_usual_way_allocates_nothing() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.log.slow = Some(Duration::from_secs(3600));
        // Another connection for each statement is not its usual way.
        config.pool.switch_always = false;
        config.rules = vec![rule()];
    })
    .await;
    let mut app = setup.connect().await;
    run(&mut app, "CREATE TABLE t (id INT PRIMARY KEY, v INT)").await;
    run(&mut app, "INSERT INTO t VALUES (1, 7)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();

    let address = setup.proxy.addresses().mysql.to_string();
    let flags = CapabilityFlags::CLIENT_DEPRECATE_EOF;
    let account = (APP.user, APP.password);
    let raw = Raw::connect(&address, account, APP.database, flags).await;
    let mut raw = raw.unwrap();
    let id = raw.prepare("SELECT v FROM t WHERE id = 1").await;
    let execute = [&[0x17][..], &id.to_le_bytes(), &[0, 1, 0, 0, 0]].concat();
    let id = raw.prepare("SELECT v FROM t WHERE id = ?").await;
    // No NULL; a BIGINT, 1.
    let value = [0, 1, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let bound = [&[0x17][..], &id.to_le_bytes(), &[0, 1, 0, 0, 0], &value].concat();
    let query = |sql: &str| com_query(sql.as_bytes(), false);
    let read = "SELECT v FROM t WHERE id = 1";
    let hinted = format!("/* highwater: consistency=global */ {read}");
    let mut told = Vec::new();
    for (name, payload) in [
        ("a read", query(read)),
        (
            "a read at eventual",
            query(&hinted.replace("global", "eventual")),
        ),
        (
            "a read of the primary",
            query(&format!("{read} FOR UPDATE")),
        ),
        ("an execution", execute),
        ("an execution with a value", bound),
        (
            "a control: a group is kept",
            query(&hinted.replace("consistency=global", "group=g")),
        ),
    ] {
        told.push(Told::new(name, &mut raw, &payload).await);
    }
    let mut stream = raw.stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    let fewest = tokio::task::spawn_blocking(move || {
        let most = |told: &Told| match told.name.contains("control") {
            true => FEW,
            false => MOST,
        };
        let fewest = told
            .iter()
            .map(|told| (told.name, told.fewest(&mut stream, most(told))));
        fewest.collect::<Vec<_>>()
    });
    let mut fewest = fewest.await.unwrap();
    let (_, control) = fewest.pop().unwrap();
    assert!(
        control >= BATCH,
        "the control has {control}: nothing is counted"
    );
    for (name, fewest) in fewest {
        assert_eq!(fewest, 0, "{name}: allocations in {BATCH} statements");
    }
}
