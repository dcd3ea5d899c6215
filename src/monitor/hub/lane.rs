//! One lane of a hub: a connection that waits on the server for one thing after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Job, Lane};
use crate::domain::ids::BackendId;
use crate::domain::position::PositionKind;
use crate::monitor::ProbeError;
use crate::monitor::life::Life;
use crate::monitor::link::Link;
use crate::monitor::shared::{Backend, Shared};
use crate::monitor::source::Said;

/// How long the first lane waits for one thing.
const FIRST_WAITS: Duration = Duration::from_millis(20);

/// How long the second does: it also sits on what may never come.
const SECOND_WAITS: Duration = Duration::from_millis(10);

/// Pause after a failure, so that a broken server is not asked in a tight loop.
const AFTER_FAILURE: Duration = Duration::from_millis(20);

/// How long a connection to the primary is kept that nobody needs: reads there seldom wait.
const KEPT_IDLE: Duration = Duration::from_secs(2);

/// Runs one lane of one server for ever.
pub(in crate::monitor) async fn run(shared: Arc<Shared>, id: BackendId, lane: Lane) {
    let Some(backend) = shared.backend(id) else {
        return;
    };
    let mut link = Link::new(Arc::clone(&shared.settings), &backend.address);
    loop {
        if let Err(error) = work(&shared, backend, lane, &mut link).await {
            tracing::debug!(backend = %backend.address, %error, "cannot wait for a position");
            link.close().await;
            backend.hub.forget_over();
            backend.poke.notify_one();
            sleep(AFTER_FAILURE).await;
            continue;
        }
        let bell = backend.hub.bell(lane);
        if id.is_primary() && timeout(KEPT_IDLE, bell.notified()).await.is_err() {
            link.close().await;
            bell.notified().await;
        } else if !id.is_primary() {
            bell.notified().await;
        }
    }
}

/// Works until nobody waits.
async fn work(
    shared: &Shared,
    backend: &Backend,
    lane: Lane,
    link: &mut Link,
) -> Result<(), ProbeError> {
    let Some(mut life) = backend.life.load_full() else {
        return Ok(());
    };
    // A replica's lane is connected before anybody waits: that is when time matters.
    let replica = !backend.id.is_primary();
    let tells = backend.source().kind != PositionKind::Nothing;
    if replica && tells && backend.usable.load(Ordering::Acquire) {
        life = connected(backend, link).await?;
    }
    loop {
        let primary = shared.backend(BackendId::PRIMARY);
        let primary = primary.and_then(|primary| primary.life.load_full());
        let primary = primary.as_ref().map(|life| &life.bound);
        let Some(job) = backend.hub.pick(lane, &life, primary) else {
            return Ok(());
        };
        let waited = wait(backend, lane, link, &job).await;
        backend.hub.put_back(lane, &job);
        life = waited?;
    }
}

/// Connects to the life that is current.
async fn connected(backend: &Backend, link: &mut Link) -> Result<Arc<Life>, ProbeError> {
    let greeting = link.greeting().await?;
    if let Ok(life) = backend.identify(&greeting.incarnation) {
        return Ok(life);
    }
    // The connection may be one to an earlier life.
    link.close().await;
    let greeting = link.greeting().await?;
    backend.identify(&greeting.incarnation)
}

async fn wait(
    backend: &Backend,
    lane: Lane,
    link: &mut Link,
    job: &Job,
) -> Result<Arc<Life>, ProbeError> {
    let life = connected(backend, link).await?;
    let limit = match lane {
        Lane::First => FIRST_WAITS,
        Lane::Second => SECOND_WAITS,
    };
    backend.hub.queries.fetch_add(1, Ordering::Relaxed);
    let source = backend.source();
    let said = match source.wait(link, &life, &job.missing, limit).await {
        Err(ProbeError::Unsupported) if source.is_unprovable() => {
            if !backend.unproven.swap(true, Ordering::AcqRel) {
                tracing::warn!(
                    backend = %backend.address,
                    "cannot ask which commits the primary shows already: a read that goes from a \
                     replica to it may miss one for a moment; run: GRANT BACKUP_ADMIN ON *.* to the \
                     monitor's account, and SELECT ON performance_schema.log_status"
                );
            }
            Said::default()
        }
        said => said?,
    };
    // Of whichever life answered: the connection may have been replaced on the way, and its life
    // may be over by now.
    let answered = backend.identify(&link.greeting().await?.incarnation)?;
    if let Some(visible) = &said.visible {
        answered.bound.raise(visible);
    }
    backend.hub.settle(backend, &answered);
    Ok(answered)
}
