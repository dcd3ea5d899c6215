//! `highwater verify`: does an endpoint keep what a consistency level promises?

mod account;
mod metrics;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::failure::Failure;
use crate::verify::{self, Claim, Plan, Progress, Report, Stop, WaitBuckets};

/// The flags of `verify`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The endpoint to verify: mysql://user:password@host:port/schema
    ///
    /// A password on a command line shows in the list of processes: leave it out of the url and set
    /// HIGHWATER_VERIFY_PASSWORD, or give --password-file.
    #[arg(long, value_name = "URL")]
    url: String,
    /// File that holds the password for urls that have none (or set HIGHWATER_VERIFY_PASSWORD)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The level that sessions ask for and that the exit status is about: eventual, bounded, session,
    /// group, proxy or global; without it everything is counted and the status is 0
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    level: Option<Claim>,
    /// How long to work
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Stop after so many reads, if that is earlier
    #[arg(long, value_name = "N")]
    reads: Option<u64>,
    /// Sessions, each with a connection of its own; two form a causal group
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=1000))]
    sessions: u32,
    /// Registers, and as many lists
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    keys: u32,
    /// The bound of level bounded, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500)]
    max_staleness: u64,
    /// Where the sessions' writes go, for applications that split by themselves and for bare replicas
    #[arg(long, value_name = "URL")]
    write_url: Option<String>,
    /// Where other writers write past the endpoint: what level global is about
    #[arg(long, value_name = "URL")]
    past_url: Option<String>,
    /// What the names of the causal groups begin with, at level group
    #[arg(long, value_name = "KEY", value_parser = group_key)]
    group_key: Option<String>,
    /// The endpoint's /metrics, if it is Highwater: how long reads waited
    #[arg(long, value_name = "URL")]
    metrics_url: Option<String>,
    /// Reset connections now and then, as connection pools do; what a session wrote still binds
    #[arg(long)]
    resets: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn level(name: &str) -> Result<Claim, String> {
    let names = || Claim::ALL.map(Claim::name).join(", ");
    Claim::from_name(name).ok_or_else(|| format!("expected one of {}", names()))
}

/// It becomes part of a statement.
fn group_key(key: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if (1..=64).contains(&key.len()) && key.chars().all(plain) {
        Ok(key.to_owned())
    } else {
        Err("expected 1 to 64 letters, digits or -_.:".to_owned())
    }
}

/// Runs the histories, checks them and prints what was found. The exit code is 1 when they contradict
/// the level that was asked for.
pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let plan = plan(options)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::no(format!("cannot start: {error}"), "free some memory"))?;
    runtime.block_on(perform(options, &plan))
}

fn plan(options: &Options) -> Result<Plan, Failure> {
    let password = account::password(options.password_file.as_deref())?;
    let opts = |url: &String| account::opts(url.as_str(), password.as_ref());
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = since.unwrap_or_default().as_secs();
    Ok(Plan {
        endpoint: opts(&options.url)?,
        writes: options.write_url.as_ref().map(opts).transpose()?,
        past: options.past_url.as_ref().map(opts).transpose()?,
        sessions: options.sessions,
        keys: options.keys,
        stop: Stop {
            after: Duration::from_secs(options.seconds),
            reads: options.reads.unwrap_or(u64::MAX),
        },
        level: options.level,
        max_staleness: Duration::from_millis(options.max_staleness),
        group_key: options
            .group_key
            .clone()
            .unwrap_or_else(|| format!("verify-{seed}-{}", std::process::id())),
        resets: options.resets,
        seed,
    })
}

async fn perform(options: &Options, plan: &Plan) -> Result<ExitCode, Failure> {
    let (interrupt, interrupted) = watch::channel(false);
    tokio::spawn(listen(interrupt));
    let before = waits(options)?;
    let made = verify::run(plan, interrupted, show)
        .await
        .map_err(|error| Failure::no(error.to_string(), error.advice()))?;
    let after = waits(options)?;
    let findings = verify::check(&made.history, plan.max_staleness);
    let report = Report {
        plan,
        made: &made,
        findings: &findings,
        waits: after
            .zip(before)
            .map(|(after, before)| after.since(&before)),
    };
    super::print(&if options.json {
        report.json()
    } else {
        report.text()
    });
    if report.passed() {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}

/// How long reads have waited so far, if the endpoint's metrics are known.
fn waits(options: &Options) -> Result<Option<WaitBuckets>, Failure> {
    let Some(url) = &options.metrics_url else {
        return Ok(None);
    };
    let page = metrics::page(url)?;
    Ok(Some(WaitBuckets::parse(&page, options.level)))
}

/// Raises the flag at SIGINT or SIGTERM: the run then ends in order, and its table is dropped.
async fn listen(interrupt: watch::Sender<bool>) {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    if let (Ok(mut interrupted), Ok(mut terminated)) = signals {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        interrupt.send_replace(true);
    }
    // The flag lives as long as the run.
    std::future::pending::<()>().await;
}

/// The line of each second, on a terminal.
fn show(progress: &Progress) {
    if std::io::stderr().is_terminal() {
        eprint!(
            "\r\x1b[K{:>4} s  {} reads  {} writes  {} re-reads too old  {} errors",
            progress.elapsed.as_secs(),
            progress.reads,
            progress.writes,
            progress.old,
            progress.errors
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_become_statements_are_checked() {
        for (key, fine) in [
            ("cart", true),
            ("a-1_b.c:d", true),
            ("", false),
            ("it's", false),
            ("a b", false),
            ("a\\", false),
        ] {
            assert_eq!(group_key(key).is_ok(), fine, "{key}");
        }
        assert_eq!(level("GLOBAL"), Ok(Claim::Global));
        assert!(level("strong").is_err_and(|error| error.contains("bounded")));
    }
}
