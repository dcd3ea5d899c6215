//! Who answers, what it is, and what its clock says.

use super::or_ok;
use super::position::above_eventual;
use crate::doctor::facts::{Facts, Seen, Server, Silence};
use crate::doctor::finding::{Finding, Severity};

use crate::domain::topology::{Engine, Role};

/// ER_ACCESS_DENIED_ERROR.
const ACCESS_DENIED: u16 = 1045;
/// More than this between two clocks is worth a word, in microseconds.
const SKEW: u64 = 1_000_000;

/// Does every server answer?
pub(super) fn reachable(facts: &Facts) -> Vec<Finding> {
    let silent = facts.servers.iter().filter_map(|server| {
        let silence = server.seen.as_ref().err()?;
        Some(silent(facts, server, silence))
    });
    or_ok(
        silent.collect(),
        format!("{} servers answer", facts.servers.len()),
    )
}

fn silent(facts: &Facts, server: &Server, silence: &Silence) -> Finding {
    let (severity, why) = match server.role {
        Role::Primary => (
            Severity::Failure,
            "without its primary nothing is written, and no level can be held",
        ),
        Role::Replica => (Severity::Warning, "a server that is down takes no reads"),
    };
    match silence {
        Silence::Unreachable(why_not) => Finding::new(severity, why_not.clone())
            .on(&server.address)
            .why(why)
            .advice("see that it runs, that the address is right, and that no firewall is between"),
        Silence::Refused(refusal) => {
            let finding = Finding::new(
                severity,
                format!(
                    "it refuses the monitor's login: {} (error {})",
                    refusal.message, refusal.code
                ),
            )
            .on(&server.address)
            .why(why);
            match refusal.code {
                ACCESS_DENIED => {
                    let primary = primary_address(facts);
                    let user = &facts.asked.monitor;
                    finding
                        .sql_on(primary, format!("CREATE USER '{user}'@'%' IDENTIFIED BY '<the monitor\u{2019}s password>'"))
                        .sql_on(primary, format!("GRANT REPLICATION CLIENT ON *.* TO '{user}'@'%'"))
                        .advice("or mend [monitor] user and password_file; TLS-only accounts cannot be used in this version")
                }
                _ => finding.advice("see that this version may connect to it"),
            }
        }
    }
}

/// Where statements are run that replicate to all servers.
pub(super) fn primary_address(facts: &Facts) -> &str {
    let primary = facts.servers.first();
    primary.map_or("the primary", |server| &server.address)
}

/// Is one server behind each address, and is none there twice?
pub(super) fn identity(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();

    for (server, seen) in facts.seen() {
        if seen.identities.len() > 1 {
            let names: Vec<_> = seen.identities.iter().map(String::as_str).collect();
            let text = format!(
                "several servers answer behind this address: {}",
                names.join(", ")
            );
            findings.push(
                Finding::warning(text)
                    .on(&server.address)
                    .why("what is learned of one connection says nothing about the next: no position can be trusted")
                    .breaks(above_eventual())
                    .advice("name each server by an address of its own in [cluster]; Highwater does the balancing"),
            );
        }
    }
    let seen: Vec<_> = facts.seen().collect();
    for (at, (server, facts)) in seen.iter().enumerate() {
        let same =
            |(_, other): &&(&Server, &Seen)| !other.identities.is_disjoint(&facts.identities);
        if let Some((earlier, _)) = seen.iter().take(at).find(same) {
            findings.push(
                Finding::warning(format!("this is the same server as {}", earlier.address))
                    .on(&server.address)
                    .why("one server under two addresses is counted twice and followed as two")
                    .breaks(above_eventual())
                    .advice("name it once in [cluster]"),
            );
        }
    }
    or_ok(
        findings,
        "each address is one server, and none is there twice",
    )
}

/// Are all of one kind?
pub(super) fn engines(facts: &Facts) -> Vec<Finding> {
    let Some((_, primary)) = facts.primary() else {
        return Vec::new();
    };
    let others = facts
        .replicas()
        .filter(|(_, seen)| seen.engine != primary.engine);
    let findings = others.map(|(server, seen)| {
        Finding::warning(format!(
            "it is {}, its primary is {}",
            name(seen.engine),
            name(primary.engine)
        ))
        .on(&server.address)
        .why("positions of the two kinds cannot be compared, and they read SQL differently")
        .breaks(above_eventual())
        .advice("use replicas of the primary's own kind")
    });
    or_ok(
        findings.collect(),
        format!("all are {}", name(primary.engine)),
    )
}

fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::MySql => "MySQL",
        Engine::MariaDb => "MariaDB",
    }
}

/// The oldest version that this one is made for.
fn oldest(engine: Engine) -> [u64; 2] {
    match engine {
        Engine::MySql => [8, 0],
        Engine::MariaDb => [10, 6],
    }
}

/// Is each new enough, and no replica older than its primary?
pub(super) fn versions(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (server, seen) in facts.seen() {
        let [major, minor] = oldest(seen.engine);
        let version = seen.version();
        if version.as_slice() < [major, minor].as_slice() {
            let kind = name(seen.engine);
            findings.push(
                Finding::warning(format!("it is {kind} {}", text(seen)))
                    .on(&server.address)
                    .why(format!(
                        "Highwater is made for {kind} {major}.{minor} and newer"
                    ))
                    .advice("upgrade it"),
            );
        }
    }
    if let Some((_, primary)) = facts.primary() {
        for (server, seen) in facts.replicas() {
            let series = |seen: &Seen| seen.version().into_iter().take(2).collect::<Vec<_>>();
            if seen.engine == primary.engine && series(seen) < series(primary) {
                findings.push(
                    Finding::warning(format!(
                        "it is {}, older than its primary's {}",
                        text(seen),
                        text(primary)
                    ))
                    .on(&server.address)
                    .why("replication from a newer to an older server is not supported, and the older one may read SQL differently")
                    .advice("upgrade replicas before their primary"),
                );
            }
        }
    }
    or_ok(
        findings,
        super::summary(facts, |seen| text(seen).to_owned()),
    )
}

fn text(seen: &Seen) -> &str {
    seen.variable(&["version"])
        .unwrap_or("of an unknown version")
}

/// Do the clocks agree with each other and with ours?
pub(super) fn clocks(facts: &Facts) -> Vec<Finding> {
    let clocks: Vec<_> = facts
        .seen()
        .filter_map(|(server, seen)| Some((server, seen.clock?)))
        .collect();
    let mut findings = Vec::new();
    if let Some((first, base)) = clocks.first() {
        for (server, clock) in clocks.iter().skip(1) {
            let apart = clock.ahead.abs_diff(base.ahead);
            if apart > SKEW + clock.error + base.error {
                findings.push(
                    Finding::warning(format!(
                        "its clock is {} of that of {}",
                        seconds(clock.ahead.saturating_sub(base.ahead)),
                        first.address
                    ))
                    .on(&server.address)
                    .why("NOW() and what is compared with it differ between the servers, so a split can be seen; no level depends on clocks")
                    .advice("synchronise the clocks of the servers (NTP)"),
                );
            }
        }
        if base.ahead.unsigned_abs() > SKEW + base.error {
            findings.push(
                Finding::note(format!("its clock is {} of ours", seconds(base.ahead)))
                    .on(&first.address)
                    .why("times in Highwater's log and in the server's will not match")
                    .advice("synchronise this machine's clock with the servers' (NTP)"),
            );
        }
    }
    let widest = clocks.iter().map(|(_, clock)| clock.error).max();
    let Some(widest) = widest else {
        return Vec::new();
    };
    or_ok(
        findings,
        format!(
            "the clocks agree within a second (measured to {} ms)",
            widest.div_ceil(1000)
        ),
    )
}

fn seconds(micros: i64) -> String {
    let side = match micros < 0 {
        true => "behind",
        false => "ahead",
    };
    let micros = micros.unsigned_abs();
    format!("{}.{} s {side}", micros / 1_000_000, micros / 100_000 % 10)
}
