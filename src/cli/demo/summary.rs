//! What the demo showed, in plain words, and how to go on by hand.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::board::{ServerNow, render_servers};
use super::phase::Outcome;
use super::stage::{Stage, reachable};
use super::workload::{Count, Seen};
use crate::cli::failure::Failure;
use crate::domain::consistency::Level;
use crate::rig::APP;
use crate::telemetry::Outcome as ReadOutcome;

/// The tables and the sentences after the last phase.
pub(super) fn summary(stage: &Stage, servers: &[ServerNow], phases: &[Outcome]) -> String {
    let mut text = String::from(
        "\nStale reads: a session wrote a row, re-read it at once, and got an older one\n\n",
    );
    let _ = writeln!(
        text,
        "  {:<32} {:>14} {:>14} {:>14}",
        "", "naive split", "eventual", "session"
    );
    let mut total = Seen::default();
    for phase in phases {
        text.push_str(&row(&phase.title, &phase.seen));
        for (sum, count) in total.iter_mut().zip(phase.seen) {
            sum.pairs += count.pairs;
            sum.stale += count.stale;
        }
    }
    text.push_str(&row("in all", &total));
    text.push_str("\nWhat Highwater sent where, as each server counted it\n\n");
    text.push_str(&render_servers(servers));
    let [naive, eventual, session] = total;
    let _ = writeln!(
        text,
        "\nA split that sends reads to any replica showed an old row {} times in {}.\n\
         Highwater at eventual, which promises no more, did so {} times in {}.\n\
         Highwater at session, the default, did so {} times in {}:\n{}.",
        naive.stale,
        naive.pairs,
        eventual.stale,
        eventual.pairs,
        session.stale,
        session.pairs,
        offloaded(stage),
    );
    text
}

fn row(title: &str, seen: &Seen) -> String {
    let [naive, eventual, session] =
        seen.map(|Count { pairs, stale }| format!("{stale} of {pairs}"));
    format!("  {title:<32} {naive:>14} {eventual:>14} {session:>14}\n")
}

/// Who answered the reads at `session`, by the proxy's own metrics.
fn offloaded(stage: &Stage) -> String {
    let outcomes = &stage.proxy().metrics().consistency_outcome;
    let count = |outcome| outcomes.at2(Level::Session, outcome).get();
    let waited = count(ReadOutcome::Waited);
    let replicas = count(ReadOutcome::Fresh) + waited;
    let primary = count(ReadOutcome::Primary);
    format!(
        "replicas answered {replicas} of these reads, {waited} of them after a wait for the write to \
         arrive;\nthe primary answered {primary}"
    )
}

/// The answer of the demo.
///
/// # Errors
/// When a session at `session` did not see its own write, or nothing was looked at.
pub(super) fn verdict(seen: &Seen) -> Result<(), Failure> {
    let [_, _, session] = seen;
    if session.stale > 0 {
        return Err(Failure::no(
            format!(
                "{} stale reads at session, which promises none",
                session.stale
            ),
            "please report it, with the output above",
        ));
    }
    if seen.iter().any(|count| count.pairs == 0) {
        return Err(Failure::no(
            "not every kind of session got to read anything",
            "the machine may be too busy: try again",
        ));
    }
    Ok(())
}

/// How to try the running proxy by hand.
pub(super) fn by_hand(stage: &Stage) -> String {
    let addresses = stage.proxy().addresses();
    let mysql = reachable(addresses.mysql);
    let http = reachable(addresses.http);
    let (user, password) = (APP.user, APP.password);
    let schema = APP.database.unwrap_or_default();
    let client = client(stage);
    let (host, port) = (mysql.ip(), mysql.port());
    let admin = reachable(addresses.admin);
    let (admin_host, admin_port) = (admin.ip(), admin.port());
    let mut text = format!(
        "\nTry it:\n  \
         {client} -h {host} -P {port} -u {user} -p{password} {schema}\n"
    );
    if let Some(socket) = &addresses.socket {
        let _ = writeln!(
            text,
            "  {client} -S {} -u {user} -p{password} {schema}",
            socket.display()
        );
    }
    let _ = write!(
        text,
        "  or with any driver: mysql://{user}:{password}@{mysql}/{schema}\n  \
         SHOW HIGHWATER ROUTE says where your last statements went, and why\n\
         Admin:    {client} -h {admin_host} -P {admin_port} -u admin -e 'SHOW HELP'\n\
         Page:     http://{http}/ counts them under Statements: by which server, and why\n\
         Metrics:  http://{http}/metrics\n\
         Log:      {}\n\
         Ctrl-C ends it and removes everything.\n\n",
        stage.folder().join("highwater.log").display()
    );
    text
}

/// `mysql`, or what runs the one that was fetched with the server.
fn client(stage: &Stage) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join("mysql").is_file()) {
        return "mysql".to_owned();
    }
    let Some(command) = stage.cluster.program().client() else {
        return "mysql".to_owned();
    };
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    script(stage, &words).unwrap_or_else(|_| words.join(" "))
}

/// A command in the demo's folder that stands for these words, which are too many to type.
fn script(stage: &Stage, words: &[Cow<'_, str>]) -> std::io::Result<String> {
    let quoted = words
        .iter()
        .map(|word| format!("'{}'", word.replace('\'', r"'\''")));
    let words = quoted.collect::<Vec<_>>().join(" ");
    let path = stage.folder().join("mysql");
    std::fs::write(&path, format!("#!/bin/sh\nexec {words} \"$@\"\n"))?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path.display().to_string())
}
