//! `highwater demo` as a person runs it: the real binary, real servers, nothing left behind.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use mysql_async::prelude::Queryable as _;
use rustix::process::{Pid, Signal, kill_process};

const FREE_PORTS: [&str; 6] = [
    "--listen",
    "127.0.0.1:0",
    "--admin-listen",
    "127.0.0.1:0",
    "--http-listen",
    "127.0.0.1:0",
];

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    command.arg("demo").args(FREE_PORTS).args(arguments);
    command.stdin(Stdio::null());
    command
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The folder that the demo said its servers run in.
fn folder(line: &str) -> Option<&Path> {
    let (_, rest) = line.split_once(" run in ")?;
    rest.split_once(';').map(|(folder, _)| Path::new(folder))
}

/// No process names the folder, and it is gone.
fn assert_nothing_left(folder: &Path) {
    assert!(!folder.exists(), "{} is left", folder.display());
    let name = folder.to_string_lossy().into_owned();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        assert!(!command.contains(&name), "still runs: {command}");
    }
}

/// The stale reads and all reads of the summary's line of totals: naive, eventual, session.
fn totals(out: &str) -> [(u64, u64); 3] {
    let line = out
        .lines()
        .find(|line| line.starts_with("  in all"))
        .unwrap_or_else(|| panic!("no totals in\n{out}"));
    let words: Vec<_> = line.split_whitespace().skip(2).collect();
    let number = |place: usize| words[place].parse().unwrap();
    [0, 3, 6].map(|way| (number(way), number(way + 2)))
}

#[test]
fn once_shows_that_only_session_has_no_stale_read() {
    once("mysql");
}

#[test]
fn once_shows_the_same_on_mariadb() {
    once("mariadb");
}

fn once(engine: &str) {
    let output = demo(&["--engine", engine, "--once"]).output().unwrap();
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    let [naive, eventual, session] = totals(&out);
    assert!(naive.0 > 0 && naive.0 < naive.1, "{out}");
    assert!(eventual.0 > 0 && eventual.0 < eventual.1, "{out}");
    assert!(session.0 == 0 && session.1 > 0, "{out}");
    // Highwater's writes went to the primary and nowhere else, its reads to both replicas.
    let table = &out[out.find("What Highwater sent where").unwrap()..];
    let counts = |server: &str| -> (u64, u64) {
        let line = table
            .lines()
            .find_map(|line| line.trim().strip_prefix(server));
        let mut numbers = line.unwrap().split_whitespace().map(|n| n.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    };
    // Every pair, and the rows to begin with. The servers' digest counters are not atomic: under load
    // an increment may be lost, but none is made twice.
    let (counted, sent) = (counts("primary").0, eventual.1 + session.1 + 1);
    assert!(counted <= sent && counted * 100 > sent * 99, "{out}");
    for replica in ["replica 1", "replica 2"] {
        let (writes, reads) = counts(replica);
        assert!(writes == 0 && reads > 0, "{out}");
    }
    assert!(!out.contains('\x1b'), "colours without a terminal:\n{out}");
    assert_nothing_left(out.lines().find_map(folder).unwrap());
}

/// A demo that is killed with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn it_stays_up_until_told_and_leaves_nothing() {
    let mut command = demo(&["--replicas", "1"]);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut demo = Running(child);
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap());
    let mut out = String::new();
    while !out.contains("Ctrl-C ends it") {
        let read = lines.read_line(&mut out).unwrap();
        assert!(read > 0, "it ended early:\n{out}");
    }
    let folder = out.lines().find_map(folder).unwrap();
    assert!(folder.join("highwater.log").is_file());

    assert!(out.contains("\nPage:     http://127.0.0.1:"), "{out}");
    // The connection string it printed works.
    let url = out
        .split_whitespace()
        .find(|word| word.starts_with("mysql://"));
    let mut conn = mysql_async::Conn::from_url(url.unwrap()).await.unwrap();
    let rows: Option<u64> = conn.query_first("SELECT COUNT(*) FROM demo").await.unwrap();
    assert!(rows.unwrap() > 0);

    // So does the command line, where the client is the one that came with the server.
    let line = out.lines().skip_while(|line| *line != "Try it:").nth(1);
    let line = line.unwrap().trim();
    if Path::new(line.split(' ').next().unwrap()).starts_with(folder) {
        let line = format!("{line} -e 'SELECT COUNT(*) FROM demo; SHOW HIGHWATER ROUTE'");
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let (said, error) = text(&output);
        assert!(
            output.status.success() && said.contains("replica"),
            "{line}: {said}{error}"
        );
    }

    let pid = Pid::from_child(&demo.0);
    kill_process(pid, Signal::INT).unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(demo.0.wait().unwrap().code(), Some(0), "{rest}");
    assert_nothing_left(folder);
}

#[test]
fn what_cannot_be_shown_is_said_in_two_lines() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--admin-listen", "--http-listen"] {
        let mut ports = FREE_PORTS;
        let at = ports.iter().position(|it| *it == flag).unwrap();
        ports[at + 1] = &address;
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        let output = command.arg("demo").args(ports).output().unwrap();
        let (out, err) = text(&output);
        assert_eq!((output.status.code(), out.as_str()), (Some(1), ""), "{err}");
        let lines = err.lines().count();
        assert!(err.contains("cannot listen on") && lines == 2, "{err}");
    }
}
