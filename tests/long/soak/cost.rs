//! What a switch costs: the latency of a statement whose session kept its connection, of one whose connection
//! another session had meanwhile, and of one that had to be restored there.

use std::time::{Duration, Instant};

use highwater::config::PoolMode;
use highwater::daemon::Proxy;
use highwater::rig::{APP, Cluster};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

use super::support;

/// Statements of each kind.
const ROUNDS: usize = 3000;

/// Lines of the table.
pub(crate) async fn lines(cluster: &Cluster) -> Vec<String> {
    let mut config = support::config(cluster);
    config.cluster.replicas.clear();
    config.pool.mode = PoolMode::Transaction;
    config.pool.max_connections = 1;
    config.pool.min_idle = 1;
    let proxy = Proxy::start(config).await.unwrap();
    support::usable(&proxy, 0).await;
    let mut one = client(&proxy).await;
    let mut other = client(&proxy).await;
    let kept = median(&mut one, None).await;
    let handed = median(&mut one, Some(&mut other)).await;
    one.query_drop("SET time_zone = '+01:00', @a = 1").await.unwrap();
    other.query_drop("SET time_zone = '+02:00', @a = 2").await.unwrap();
    let restored = median(&mut one, Some(&mut other)).await;
    one.disconnect().await.unwrap();
    other.disconnect().await.unwrap();
    proxy.shut_down().await;
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    vec![
        format!("| statement on a kept connection, p50, µs | {:.0} |", micros(kept)),
        format!("| after another session had it | {:.0} |", micros(handed)),
        format!("| restored there | {:.0} |", micros(restored)),
        format!("| cost of a switch | {:.0} |", micros(handed) - micros(kept)),
        format!("| cost of a restore | {:.0} |", micros(restored) - micros(handed)),
    ]
}

async fn client(proxy: &Proxy) -> Conn {
    let address = proxy.addresses().mysql;
    let opts = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some(APP.user))
        .pass(Some(APP.password))
        .prefer_socket(false);
    Conn::new(Opts::from(opts)).await.unwrap()
}

/// The median latency of a statement of one session, with one of the other before it.
async fn median(one: &mut Conn, mut other: Option<&mut Conn>) -> Duration {
    let mut all = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        if let Some(other) = &mut other {
            other.query_drop("DO 1").await.unwrap();
        }
        let begun = Instant::now();
        one.query_drop("DO 1").await.unwrap();
        all.push(begun.elapsed());
    }
    all.sort_unstable();
    all[ROUNDS / 2]
}
