//! MySQL's own test files through Highwater: those of the main suite that pass straight at a lone
//! primary must pass through the proxy on one primary and two replicas as well. A file that prints
//! through the proxy what it must is equal; any other one is run straight, which tells whether it counts.
//!
//! `cargo bench --bench mysqltest` runs it, optimised, and goes on where it stopped. The files are
//! fetched once (Debian's package mysql-testsuite, 1.2 GB unpacked) and are never part of this project.
//! What was found is kept in a folder, one list for each way of running. Of the environment:
//!
//! - `HIGHWATER_LONG_RESULTS`: that folder (`mysqltest` beside the build);
//! - `HIGHWATER_LONG_FILES`: how many files this run takes at most (all);
//! - `HIGHWATER_LONG_ONLY`: names, separated by commas, that are run again whatever is known of them;
//!   `differing` stands for all that differ so far;
//! - `HIGHWATER_LONG_POOL`: how connections are pooled, `transaction` (as by default), `session`, or
//!   `switching`, which is `transaction` with another connection for each statement;
//! - `HIGHWATER_LONG_LEVEL`: the sessions' level (`session`); what differs because one session reads at
//!   once what another one wrote is equal at `proxy`;
//! - `HIGHWATER_LONG_STEP`: `straight` or `through`, where only one is wanted;
//! - `HIGHWATER_LONG_PART`: `1/2` takes every second file from the first one on, `2/2` the others, so that
//!   two programs can share the work. What both found is in the same lists.
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

use highwater::domain::consistency::Level;
use highwater::rig::TestSuite;

use candidates::candidates;
use kept::Kept;
use runner::{Outcome, Runner};
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
    part: (usize, usize),
}

impl Asked {
    fn read() -> Self {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let step = given("HIGHWATER_LONG_STEP");
        Self {
            results: given("HIGHWATER_LONG_RESULTS").map_or_else(beside_the_build, PathBuf::from),
            files: given("HIGHWATER_LONG_FILES").map_or(usize::MAX, |n| n.parse().unwrap()),
            only: given("HIGHWATER_LONG_ONLY"),
            pooling: {
                let pool = given("HIGHWATER_LONG_POOL").unwrap_or("transaction".into());
                let level = given("HIGHWATER_LONG_LEVEL").unwrap_or("session".into());
                let level = Level::from_name(&level).unwrap();
                Pooling::from_name(&pool).unwrap().at(level)
            },
            straight: step.as_deref() != Some("through"),
            through: step.as_deref() != Some("straight"),
            part: given("HIGHWATER_LONG_PART").map_or((1, 1), |part| {
                let (part, parts) = part.split_once('/').unwrap();
                (part.parse().unwrap(), parts.parse().unwrap())
            }),
        }
    }

    /// Whether the file at this place of the list is among those of this part.
    fn takes(&self, place: usize) -> bool {
        let (part, parts) = self.part;
        place % parts == part - 1
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
    let way = asked.pooling.way();
    let mut through = Kept::open(&asked.results, &way);
    let mut replicated = Kept::open(&asked.results, "straight-replicated");
    let mut lone = Lone::new(Runner::new(&suite, asked.results.join("straight")));
    let mut behind = Behind::new(
        asked.pooling,
        Runner::new(&suite, asked.results.join(&way)),
        Runner::new(&suite, asked.results.join("straight-replicated")),
    );

    let every = candidates(&suite.folder());
    println!("{} files that start a server as it is", every.len());
    let named = asked.only.as_deref().map(|only| match only {
        "differing" => differing(&straight, &through),
        names => names.split(',').map(str::to_owned).collect(),
    });
    let mut taken = 0;
    for (_, candidate) in every.iter().enumerate().filter(|(at, _)| asked.takes(*at)) {
        let name = &candidate.name;
        let again = named.as_ref().is_some_and(|names| names.contains(name));
        let wanted = again || named.is_none();
        if !wanted || taken == asked.files {
            continue;
        }
        let fails = |known| known != Outcome::Equal;
        // What does not pass straight is not asked of the proxy.
        let fair = !straight.outcome(name).is_some_and(fails);
        let mut ran = false;
        if asked.through && (again || (fair && through.outcome(name).is_none())) {
            let ended = behind.run(candidate, THROUGH).await;
            through.keep(name, &ended);
            ran = true;
        }
        let equal = through.outcome(name) == Some(Outcome::Equal);
        let known = straight.outcome(name);
        if asked.straight && !equal && (known.is_none() || (again && known.is_some_and(fails))) {
            let ended = lone.run(candidate, STRAIGHT).await;
            straight.keep(name, &ended);
            ran = true;
        }
        // Is it the proxy that makes the difference, or that the primary has replicas?
        let passes = straight.outcome(name) == Some(Outcome::Equal);
        if asked.through && !equal && passes && replicated.outcome(name).is_none() {
            let ended = behind.run_straight(candidate, STRAIGHT).await;
            replicated.keep(name, &ended);
        }
        taken += usize::from(ran);
    }
    lone.end();
    behind.end();
    // With what other parts found meanwhile.
    let [straight, through, replicated] =
        ["straight", &way, "straight-replicated"].map(|way| Kept::open(&asked.results, way));
    report(&straight, &through, &replicated)
}

/// What passes straight, but not through the proxy.
fn differing(straight: &Kept, through: &Kept) -> Vec<String> {
    let mut names = straight.with(Outcome::Equal);
    names.retain(|name| {
        through
            .outcome(name)
            .is_some_and(|way| way != Outcome::Equal)
    });
    names
}

fn report(straight: &Kept, through: &Kept, replicated: &Kept) -> bool {
    let equal = through.with(Outcome::Equal);
    // A file that fails straight, or straight at a primary that has replicas, says nothing of the proxy.
    let mut differing = differing(straight, through);
    differing.retain(|name| replicated.outcome(name) == Some(Outcome::Equal));
    for name in &differing {
        println!("\n{name}: {}", through.note(name));
        println!("{}", through.first_differences(name));
    }
    println!();
    for outcome in [Outcome::Skipped, Outcome::Differs, Outcome::Late] {
        let left = straight.with(outcome);
        let left = left
            .iter()
            .filter(|name| through.outcome(name) != Some(Outcome::Equal));
        println!("straight: {} {}", left.count(), outcome.name());
    }
    println!("equal {} of {}", equal.len(), equal.len() + differing.len());
    differing.is_empty()
}
