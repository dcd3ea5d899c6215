//! What each server did and how far it is, as text.

use std::fmt::Write as _;
use std::time::Duration;

use super::stage::Stage;
use super::workload::{Seen, Way};
use crate::domain::ids::BackendId;
use crate::domain::topology::{BackendView, Health, Role};
use crate::rig::Server;

/// Writes and reads in the application's schema since the server started, by its own count. The
/// driver asks for settings when it connects; those statements are not the application's.
const COUNTS: &str = "SELECT CONCAT(\
     COALESCE(SUM(IF(DIGEST_TEXT REGEXP '^(INSERT|UPDATE|DELETE|REPLACE) ', COUNT_STAR, 0)), 0), ' ', \
     COALESCE(SUM(IF(DIGEST_TEXT REGEXP '^(SELECT|TABLE|WITH) ', COUNT_STAR, 0)), 0)) \
     FROM performance_schema.events_statements_summary_by_digest \
     WHERE SCHEMA_NAME = 'app' AND DIGEST_TEXT NOT LIKE '%@@%'";

/// The width that a position may take.
const POSITION: usize = 24;

/// One server, now.
#[derive(Clone, Debug)]
pub(super) struct ServerNow {
    /// `primary`, `replica 1`, …
    pub(super) name: String,
    /// Statements that Highwater sent; `None` if the server does not say.
    pub(super) counts: Option<Counts>,
    lag: Option<Duration>,
    health: Health,
    position: String,
}

/// Statements that one server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) writes: u64,
    pub(super) reads: u64,
}

/// A moment of a phase.
pub(super) struct Live<'a> {
    /// What is done in this phase.
    pub(super) title: &'a str,
    /// Since its start.
    pub(super) elapsed: Duration,
    /// The servers.
    pub(super) servers: &'a [ServerNow],
    /// What the sessions saw since the demo's start.
    pub(super) seen: &'a Seen,
}

/// Looks at every server.
pub(super) async fn servers(stage: &Stage) -> Vec<ServerNow> {
    let topology = stage.proxy().watch().topology();
    let cluster = &stage.cluster;
    let servers = std::iter::once(cluster.primary()).chain(cluster.replicas());
    let mut found = Vec::new();
    for (view, server) in topology.backends.iter().zip(servers) {
        found.push(ServerNow {
            name: name(view),
            counts: counts(server).await,
            lag: view.lag.filter(|_| view.role == Role::Replica),
            health: view.health,
            position: position(stage, view.id),
        });
    }
    found
}

fn name(view: &BackendView) -> String {
    match view.role {
        Role::Primary => "primary".to_owned(),
        Role::Replica => format!("replica {}", view.id.index()),
    }
}

async fn counts(server: &Server) -> Option<Counts> {
    let text = server.value(COUNTS).await.ok()??;
    let (writes, reads) = text.split_once(' ')?;
    Some(Counts {
        writes: writes.parse().ok()?,
        reads: reads.parse().ok()?,
    })
}

/// What the monitor knows that the server has, shortened.
fn position(stage: &Stage, id: BackendId) -> String {
    let position = stage.proxy().watch().lower_bound(id);
    position.map_or("?".to_owned(), |position| compact(&position.to_string()))
}

/// A GTID set with the first group of each uuid only.
fn compact(gtids: &str) -> String {
    let short = |part: &str| match part.split_once(':') {
        Some((uuid, runs)) => format!("{}…:{runs}", uuid.split('-').next().unwrap_or(uuid)),
        None => part.to_owned(),
    };
    let text = gtids.split(',').map(short).collect::<Vec<_>>().join(",");
    match text.char_indices().nth(POSITION) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The table of the servers.
pub(super) fn render_servers(servers: &[ServerNow]) -> String {
    let mut text = format!(
        "  {:<10} {:>8} {:>8} {:>9}  {}\n",
        "server", "writes", "reads", "lag", "position"
    );
    for server in servers {
        let number = |pick: fn(&Counts) -> u64| {
            let count = server.counts.as_ref().map(pick);
            count.map_or("?".to_owned(), |count| count.to_string())
        };
        let lag = server
            .lag
            .map_or("-".to_owned(), |lag| format!("{:.2} s", lag.as_secs_f64()));
        let health = match server.health {
            Health::Up => String::new(),
            health => format!(" {}", health.name()),
        };
        let _ = writeln!(
            text,
            "  {:<10} {:>8} {:>8} {lag:>9}  {}{health}",
            server.name,
            number(|c| c.writes),
            number(|c| c.reads),
            server.position,
        );
    }
    text
}

impl Live<'_> {
    /// The block for a terminal.
    pub(super) fn block(&self) -> String {
        let mut text = format!("{}, {:.1} s\n\n", self.title, self.elapsed.as_secs_f64());
        text.push_str(&render_servers(self.servers));
        let _ = writeln!(
            text,
            "\n  {:<44} {:>8} {:>8}",
            "what sessions re-read after their own write", "reads", "stale"
        );
        for (way, count) in Way::ALL.iter().zip(self.seen) {
            let _ = writeln!(
                text,
                "  {:<44} {:>8} {:>8}",
                way.title(),
                count.pairs,
                count.stale
            );
        }
        text
    }

    /// One line, where there is no terminal.
    pub(super) fn line(&self) -> String {
        let [naive, eventual, session] = self.seen.map(|count| count.stale);
        let servers: Vec<_> = self.servers.iter().map(ServerNow::brief).collect();
        format!(
            "{}, {:.1} s: {}; stale: naive {naive}, eventual {eventual}, session {session}\n",
            self.title,
            self.elapsed.as_secs_f64(),
            servers.join(", ")
        )
    }
}

impl ServerNow {
    fn brief(&self) -> String {
        let Some(counts) = self.counts else {
            return format!("{} ?", self.name);
        };
        let lag = self
            .lag
            .map(|lag| format!(" lag {:.2} s", lag.as_secs_f64()))
            .unwrap_or_default();
        format!(
            "{} {} writes {} reads{lag}",
            self.name, counts.writes, counts.reads
        )
    }
}

impl Way {
    /// The way in words.
    fn title(self) -> String {
        match self {
            Self::Naive => "naive split: any replica in turn".to_owned(),
            Self::Highwater(level) => format!("Highwater at {}", level.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_short_and_keep_what_differs() {
        let one = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-1204";
        let two = format!("{one},4e11fa47-71ca-11e1-9e33-c80aa9429562:1-9:11");
        for (gtids, expected) in [
            ("", ""),
            (one, "3e11fa47…:1-1204"),
            (two.as_str(), "3e11fa47…:1-1204,4e11fa4…"),
        ] {
            assert_eq!(compact(gtids), expected);
        }
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let health = Health::NotReplicating;
        let server = ServerNow {
            name: "replica 8".to_owned(),
            counts: Some(Counts {
                writes: 99_999_999,
                reads: 99_999_999,
            }),
            lag: Some(Duration::from_millis(999_999)),
            health,
            position: "3e11fa47…:1-12345678".to_owned(),
        };
        let live = Live {
            title: "replica 8's applier paused",
            elapsed: Duration::from_secs(1),
            servers: &[server],
            seen: &Seen::default(),
        };
        for line in live.block().lines() {
            assert!(line.chars().count() < 80, "{line}");
        }
    }
}
