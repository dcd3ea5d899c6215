//! The real binary: RELOAD and SIGHUP with files that are right, wrong and gone.

use std::path::Path;
use std::time::Duration;

use highwater::rig::Cluster;

use super::stage::until;
use super::support::daemon::{Daemon, Folder};
use super::{admin, cell, error, rows, run};

/// Both ways to have the configuration read again.
#[derive(Clone, Copy, Debug)]
enum Way {
    Command,
    Signal,
}

struct Running {
    _cluster: Cluster,
    folder: Folder,
    daemon: Daemon,
    /// The configuration at the start.
    text: String,
}

impl Running {
    async fn start() -> Self {
        let cluster = Cluster::builder().replicas(1).start().await.unwrap();
        let folder = Folder::new(&cluster, "workers = 1\n[pool]\nacquire_timeout = \"5m\"");
        let text = std::fs::read_to_string(folder.config()).unwrap();
        let daemon = Daemon::start(&folder);
        Self {
            _cluster: cluster,
            folder,
            daemon,
            text,
        }
    }

    fn write(&self, text: &str) {
        std::fs::write(self.folder.config(), text).unwrap();
    }

    async fn admin(&self) -> mysql_async::Conn {
        admin(&self.daemon.admin.to_string(), "").await.unwrap()
    }

    /// Has the configuration read, which is refused with a text that has this in it.
    async fn refused(&self, way: Way, expected: &str) {
        match way {
            Way::Command => {
                let (code, text) = error(&mut self.admin().await, "RELOAD").await;
                assert_eq!(code, 1105);
                assert!(text.contains(expected), "no {expected} in {text}");
            }
            Way::Signal => {
                let before = self.daemon.log().len();
                self.daemon.hang_up();
                let said = self.said(before, expected).await;
                assert!(said.contains("configuration refused"), "{said}");
            }
        }
    }

    /// The first lines of the log from `from` on that say this, and all that are there by then.
    async fn said(&self, from: usize, what: &str) -> String {
        let mut found = String::new();
        until(what, async || {
            let lines = self.daemon.log().split_off(from);
            found = lines.join(" ");
            found.contains(what)
        })
        .await;
        found
    }

    async fn config(&self) -> Vec<Vec<String>> {
        rows(&mut self.admin().await, "SHOW CONFIG").await
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test]
async fn a_bad_file_is_refused_whole_with_file_line_and_key() {
    let running = Running::start().await;
    let mut app = running.daemon.connect().await.unwrap();
    run(&mut app, "BEGIN").await;
    let config = running.config().await;
    let file = name(&running.folder.config());
    let last = running.text.lines().count();
    let text = &running.text;
    // What is right in a bad file does not count either.
    let good = "[consistency]\nmax_staleness = \"9s\"\n";
    let cases = [
        (
            format!("{text}{good}level = \"sesion\"\n"),
            format!("{file}:{}: consistency.level: ", last + 3),
        ),
        (
            format!("{text}{good}levle = \"session\"\n"),
            format!(
                "{file}:{}: consistency.levle: unknown key; did you mean level?",
                last + 3
            ),
        ),
        (
            format!("{text}[consistency]\nlevel = 1\n[limits]\nlogin_timeout = 5\n"),
            format!("{file}:{}: limits.login_timeout: ", last + 4),
        ),
        (format!("{text}[pool\n"), format!("{file}:{}: ", last + 1)),
        (
            text.replace("APP_PASSWORD", "GONE_PASSWORD"),
            "GONE_PASSWORD".to_owned(),
        ),
    ];
    for way in [Way::Command, Way::Signal] {
        for (text, expected) in &cases {
            running.write(text);
            running.refused(way, expected).await;
        }
        std::fs::remove_file(running.folder.config()).unwrap();
        let gone = format!("{file}: cannot read the file");
        running.refused(way, &gone).await;
    }
    assert_eq!(running.config().await, config);
    run(&mut app, "COMMIT").await;
    running.write(&running.text);
    let same = [["nothing", "the configuration is as it was"]];
    assert_eq!(rows(&mut running.admin().await, "RELOAD").await, same);
}

#[tokio::test]
async fn a_signal_does_what_the_command_does() {
    let mut running = Running::start().await;
    let mut app = running.daemon.connect().await.unwrap();
    let text = running.text.replace("workers = 1", "workers = 9");
    let text = text.replace("[log]\n", "[log]\nlevel = \"info,highwater=trace\"\n");
    running.write(&format!("{text}[consistency]\nlevel = \"global\"\n"));
    let before = running.daemon.log().len();
    running.daemon.hang_up();
    let said = running.said(before, "log.level").await;
    let expected = [
        "SIGHUP: reading the configuration again",
        "1 -> 9: needs a restart; the old value stays in force",
        "session -> global: in force; sessions that set it themselves keep theirs",
        "info -> info,highwater=trace: in force",
    ];
    for line in expected {
        assert!(said.contains(line), "no {line} in {said}");
    }
    let level = "SELECT @@highwater_read_consistency";
    assert_eq!(cell(&mut app, level).await.as_deref(), Some("global"));
    // What is traced now was not before.
    assert!(
        !running.daemon.log()[..before]
            .iter()
            .any(|line| line.contains("TRACE"))
    );
    cell(&mut app, "SELECT 1").await;
    running.said(before, "TRACE").await;
    // The same again, by the command: what needs a restart is told again, and nothing else.
    let again = rows(&mut running.admin().await, "RELOAD").await;
    let restart = "1 -> 9: needs a restart; the old value stays in force";
    assert_eq!(again, [["proxy.workers", restart]]);
    // The signal ends nothing, and the others still do.
    running.daemon.terminate();
    let code = tokio::time::timeout(Duration::from_secs(60), running.daemon.code());
    assert_eq!(code.await.unwrap(), Some(0));
}
