//! What a proxy counted, read from its metrics; and replicas that are healthy but stand still.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by test binaries, each of which uses a part; a test fails by panicking"
)]

use std::time::{Duration, Instant};

use highwater::daemon::Proxy;
use highwater::rig::{ROOT, Server};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// The sum of all counters of that name whose line has every one of these labels (`key="value"`).
pub fn count(proxy: &Proxy, name: &str, labels: &[&str]) -> u64 {
    let text = proxy.metrics().render().unwrap();
    let lines = text.lines().filter(|line| {
        line.starts_with(&format!("highwater_{name}{{"))
            && labels.iter().all(|label| line.contains(label))
    });
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>() as u64
}

/// Waits until something is true: a statement is counted just after its client has the answer.
pub async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Statements that went somewhere for this reason.
pub fn reason(proxy: &Proxy, reason: &str) -> u64 {
    count(
        proxy,
        "statements_total",
        &[&format!("reason=\"{reason}\"")],
    )
}

/// Reads that a server of this kind (`replica`, `primary`) answered.
pub fn reads_on(proxy: &Proxy, target: &str) -> u64 {
    count(
        proxy,
        "statements_total",
        &["access=\"read\"", &format!("target=\"{target}\"")],
    )
}

/// The time within which this part of the waits was over: the upper bound of a bucket.
pub fn wait_quantile(proxy: &Proxy, level: &str, part: f64) -> Option<Duration> {
    let text = proxy.metrics().render().unwrap();
    let start = "highwater_consistency_wait_seconds_bucket{";
    let label = format!("level=\"{level}\"");
    let buckets: Vec<(f64, f64)> = text
        .lines()
        .filter(|line| line.starts_with(start) && line.contains(&label))
        .filter_map(|line| {
            let bound = line.split("le=\"").nth(1)?.split('"').next()?;
            let bound = if bound == "+Inf" {
                f64::INFINITY
            } else {
                bound.parse().ok()?
            };
            Some((bound, line.rsplit(' ').next()?.parse().ok()?))
        })
        .collect();
    let total = buckets.last()?.1;
    let (bound, _) = buckets
        .iter()
        .find(|(_, below)| total > 0.0 && *below >= total * part)?;
    bound.is_finite().then(|| Duration::from_secs_f64(*bound))
}

/// A replica whose applier runs, as far as it says, but applies nothing: it stays healthy and its
/// data ages. Drop it or call [`Held::release`] to let it go on.
pub struct Held(Conn);

impl Held {
    pub async fn hold(server: &Server) -> Self {
        loop {
            if let Some(held) = Self::attempt(server).await {
                return held;
            }
        }
    }

    /// `None` where it did not work out within a second: the lock and appliers that commit in order
    /// can wait for each other for ever.
    pub async fn attempt(server: &Server) -> Option<Self> {
        let mut conn = server.connect(&ROOT).await.unwrap();
        conn.query_drop("SET lock_wait_timeout = 1").await.unwrap();
        match conn.query_drop("FLUSH TABLES WITH READ LOCK").await {
            Ok(()) => Some(Self(conn)),
            Err(mysql_async::Error::Server(error)) if error.code == 1205 => {
                conn.disconnect().await.unwrap();
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn release(mut self) {
        self.0.query_drop("UNLOCK TABLES").await.unwrap();
        self.0.disconnect().await.unwrap();
    }
}
