//! MySQL's own test files through Highwater: those of the main suite that pass straight at a lone
//! primary are run through the proxy on one primary and two replicas, and must pass there as well.
//!
//! `cargo bench --bench mysqltest` runs it, optimised, and goes on where it stopped. The files are
//! fetched once (Debian's package mysql-testsuite, 1.2 GB unpacked) and are never part of this project.
//! What was found is kept in a folder, one list for each way of running. Of the environment:
//!
//! - `HIGHWATER_LONG_RESULTS`: that folder (`mysqltest` beside the build);
//! - `HIGHWATER_LONG_FILES`: how many files this run takes at most (all);
//! - `HIGHWATER_LONG_ONLY`: names, separated by commas, that are run again whatever is known of them;
//!   `differing` stands for all that differ so far;
//! - `HIGHWATER_LONG_POOL`: how connections are pooled, `session` (as by default), `transaction`, or
//!   `switching`, which is `transaction` with another connection for each statement;
//! - `HIGHWATER_LONG_STEP`: `straight` or `through`, where only one is wanted.
#![allow(
    clippy::unwrap_used,
    reason = "a long test fails by panicking, as others do"
)]

#[path = "mysqltest/candidates.rs"]
mod candidates;
#[path = "mysqltest/kept.rs"]
mod kept;
#[path = "mysqltest/runner.rs"]
mod runner;
#[path = "mysqltest/servers.rs"]
mod servers;
#[path = "mysqltest/state.rs"]
mod state;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::time::Duration;

use highwater::rig::TestSuite;

use candidates::{Candidate, candidates};
use kept::Kept;
use runner::{Ended, Outcome, Runner};
use servers::{Behind, Lone, Pooling};

/// A file that takes longer straight is left out.
const STRAIGHT: Duration = Duration::from_secs(60);

/// How long the same file may take through the proxy.
const THROUGH: Duration = Duration::from_secs(180);

fn main() {
    // This is `cargo test` looking at a bench.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    // The results of the files hold for this time zone, which servers and clients inherit.
    if std::env::var("TZ").as_deref() != Ok(ZONE) {
        std::process::exit(again_in_zone());
    }
    let _ = highwater::telemetry::log::init(
        highwater::telemetry::log::Format::Text,
        &std::env::var("HW_LOG").unwrap_or("off".into()),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    if !runtime.block_on(all()) {
        std::process::exit(1);
    }
}

const ZONE: &str = "GMT-3";

fn again_in_zone() -> i32 {
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env("TZ", ZONE)
        .status()
        .unwrap();
    status.code().unwrap_or(1)
}

/// What the environment asks for.
struct Asked {
    results: PathBuf,
    files: usize,
    only: Option<String>,
    pooling: Pooling,
    straight: bool,
    through: bool,
}

impl Asked {
    fn read() -> Self {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let step = given("HIGHWATER_LONG_STEP");
        Self {
            results: given("HIGHWATER_LONG_RESULTS").map_or_else(beside_the_build, PathBuf::from),
            files: given("HIGHWATER_LONG_FILES").map_or(usize::MAX, |n| n.parse().unwrap()),
            only: given("HIGHWATER_LONG_ONLY"),
            pooling: given("HIGHWATER_LONG_POOL").map_or_else(
                || Pooling::from_name("session").unwrap(),
                |name| Pooling::from_name(&name).unwrap(),
            ),
            straight: step.as_deref() != Some("through"),
            through: step.as_deref() != Some("straight"),
        }
    }
}

/// `…/release/deps/mysqltest-1234` is the program, `…/mysqltest` the folder.
fn beside_the_build() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().join("mysqltest")
}

/// Says whether every file that passes straight passes through the proxy.
async fn all() -> bool {
    let asked = Asked::read();
    let suite = TestSuite::install(&|line| eprintln!("{line}")).unwrap();
    let mut straight = Kept::open(&asked.results, "straight");
    let way = asked.pooling.name;
    let mut through = Kept::open(&asked.results, way);
    let mut replicated = Kept::open(&asked.results, "straight-replicated");
    let mut lone = Lone::new(Runner::new(&suite, asked.results.join("straight")));
    let mut behind = Behind::new(
        asked.pooling,
        Runner::new(&suite, asked.results.join(way)),
        Runner::new(&suite, asked.results.join("straight-replicated")),
    );

    let every = candidates(&suite.folder());
    println!("{} files that start a server as it is", every.len());
    let named = asked.only.as_deref().map(|only| match only {
        "differing" => through.with(Outcome::Differs),
        names => names.split(',').map(str::to_owned).collect(),
    });
    let mut taken = 0;
    for candidate in &every {
        let name = candidate.name.as_str();
        let wanted = named
            .as_ref()
            .is_none_or(|names| names.iter().any(|wanted| wanted == name));
        if !wanted || taken == asked.files {
            continue;
        }
        let mut ran = false;
        let known = straight.outcome(name);
        let retry = named.is_some() && known != Some(Outcome::Equal);
        if asked.straight && (known.is_none() || retry) {
            let ended = lone.run(candidate, STRAIGHT).await;
            progress("straight", name, &ended);
            straight.keep(name, &ended);
            ran = true;
        }
        let passes = straight.outcome(name) == Some(Outcome::Equal);
        let again = named.is_some() || through.outcome(name).is_none();
        if asked.through && passes && again {
            one_through(way, candidate, &mut behind, &mut through, &mut replicated).await;
            ran = true;
        }
        taken += usize::from(ran);
    }
    lone.end();
    behind.end();
    report(&straight, &through, &replicated)
}

/// Runs a file through the proxy; if it differs, once more straight at the same primary, which tells
/// whether it is the proxy that makes the difference or a primary that has replicas.
async fn one_through(
    way: &str,
    candidate: &Candidate,
    behind: &mut Behind,
    through: &mut Kept,
    replicated: &mut Kept,
) {
    let name = candidate.name.as_str();
    let ended = behind.run(candidate, THROUGH).await;
    progress(way, name, &ended);
    through.keep(name, &ended);
    if ended.outcome != Outcome::Equal && replicated.outcome(name).is_none() {
        let ended = behind.run_straight(candidate, STRAIGHT).await;
        progress("straight-replicated", name, &ended);
        replicated.keep(name, &ended);
    }
}

fn progress(way: &str, name: &str, ended: &Ended) {
    println!(
        "{way:>20} {name:<50} {:<8} {:6.1} s  {}",
        ended.outcome.name(),
        ended.took.as_secs_f64(),
        ended.note
    );
}

fn report(straight: &Kept, through: &Kept, replicated: &Kept) -> bool {
    println!();
    for outcome in Outcome::ALL {
        println!(
            "straight: {} {}",
            straight.with(outcome).len(),
            outcome.name()
        );
    }
    let passing = straight.with(Outcome::Equal);
    let tried: Vec<&String> = passing
        .iter()
        .filter(|name| through.outcome(name).is_some())
        .collect();
    // A file that fails straight at a primary that has replicas says nothing of the proxy.
    let fair: Vec<&String> = tried
        .into_iter()
        .filter(|name| {
            through.outcome(name) == Some(Outcome::Equal)
                || replicated.outcome(name) == Some(Outcome::Equal)
        })
        .collect();
    let differing: Vec<&&String> = fair
        .iter()
        .filter(|name| through.outcome(name) != Some(Outcome::Equal))
        .collect();
    for name in &differing {
        println!("\n{name}: {}", through.note(name));
        println!("{}", through.first_differences(name));
    }
    println!(
        "\nequal {} of {} ({} pass straight)",
        fair.len() - differing.len(),
        fair.len(),
        passing.len()
    );
    differing.is_empty()
}
