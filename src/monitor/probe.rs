//! The regular look at one server. Each server has its own task, so that a frozen one delays
//! nobody else's.

mod replication;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::ProbeError;
use super::board::{Answer, Outcome};
use super::link::{Link, Table};
use super::shared::{Backend, Shared};
use crate::domain::ids::BackendId;
use crate::domain::position::GtidSet;
use crate::domain::topology::{Engine, Replication, Report, Role};

/// A server that does not answer is tried at least this often.
const SLOWEST: Duration = Duration::from_secs(1);

/// However often somebody asks for a probe, there is this much time between two.
const CLOSEST: Duration = Duration::from_millis(5);

/// Probes one server for ever.
pub(super) async fn run(shared: Arc<Shared>, id: BackendId) {
    let Some(backend) = shared.backend(id) else {
        return;
    };
    let mut link = Link::new(Arc::clone(&shared.settings), &backend.address);
    let mut pause = shared.settings.interval;
    loop {
        let outcome = look(&shared, backend, &mut link).await;
        pause = match &outcome {
            Outcome::Answer(_) if id.is_primary() => shared.settings.sampling(),
            Outcome::Answer(_) => shared.settings.interval,
            Outcome::Failed(_) => (pause * 2).min(SLOWEST.max(shared.settings.interval)),
        };
        shared.record(backend, outcome);
        sleep(CLOSEST).await;
        // Either way it is time for the next probe.
        let _ = timeout(pause, backend.poke.notified()).await;
    }
}

/// One probe, in at most the time that a server has to answer.
async fn look(shared: &Shared, backend: &Backend, link: &mut Link) -> Outcome {
    if backend.reconnect.swap(false, Ordering::AcqRel) {
        link.close().await;
    }
    let limit = shared.settings.timeout;
    let fresh_connection = !link.is_open();
    let primary = backend.id.is_primary();
    let role = if primary {
        Role::Primary
    } else {
        Role::Replica
    };
    match timeout(limit, ask(shared, role, link)).await {
        Ok(Ok((report, sent))) => Outcome::Answer(Answer {
            report,
            sent,
            fresh_connection,
        }),
        Ok(Err(error)) => Outcome::Failed(error),
        Err(_) => {
            link.close().await;
            Outcome::Failed(ProbeError::Timeout(limit))
        }
    }
}

async fn ask(
    shared: &Shared,
    role: Role,
    link: &mut Link,
) -> Result<(Report, Instant), ProbeError> {
    let mut greeting = link.greeting().await?;
    let sent = Instant::now();
    let answer = link.ask(state_query(greeting.engine)).await?;
    // The connection may have been replaced on the way.
    greeting = link.greeting().await?;
    let state = Table::first(&answer);
    let replication = match role {
        Role::Primary => None,
        Role::Replica => channels(shared, link).await?,
    };
    let report = Report {
        executed: executed(state)?,
        read_only: state.flag(0) || state.flag(1),
        incarnation: greeting.incarnation,
        engine: greeting.engine,
        server_id: greeting.server_id,
        replication,
    };
    Ok((report, sent))
}

/// read_only, super_read_only, gtid_mode, gtid_executed.
fn state_query(engine: Engine) -> &'static str {
    match engine {
        Engine::MySql => {
            "SELECT @@global.read_only, @@global.super_read_only, @@global.gtid_mode, \
             @@global.gtid_executed"
        }
        Engine::MariaDb => "SELECT @@global.read_only, 0, 'OFF', ''",
    }
}

/// With any gtid_mode but ON some writes have no GTID, so positions would claim too much.
fn executed(state: &Table) -> Result<Option<crate::domain::position::Position>, ProbeError> {
    if !state.flag(2) {
        return Ok(None);
    }
    let text = state.bytes(3).unwrap_or_default();
    let set = GtidSet::parse(text).map_err(|error| ProbeError::Malformed(error.to_string()))?;
    Ok(Some(set.into()))
}

async fn channels(shared: &Shared, link: &mut Link) -> Result<Option<Replication>, ProbeError> {
    /// ER_PARSE_ERROR: servers older than MySQL 8.0.22 and MariaDB 10.5 know only the other word.
    const PARSE_ERROR: u16 = 1064;
    let answer = match link.ask("SHOW REPLICA STATUS").await {
        Err(ProbeError::Server { code, .. }) if code == PARSE_ERROR => {
            link.ask("SHOW SLAVE STATUS").await?
        }
        answer => answer?,
    };
    let channels = Table::first(&answer)
        .records()
        .map(|it| replication::read(&it));
    let topology = shared.topology.load();
    let primary = topology.get(BackendId::PRIMARY);
    let primary = primary.and_then(|view| view.incarnation.as_ref());
    Ok(replication::ours(channels, primary))
}
