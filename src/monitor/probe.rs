//! The regular look at one server. Each server has its own task, so that a frozen one delays
//! nobody else's.

mod replication;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::ProbeError;
use super::board::{Answer, Outcome};
use super::link::{Greeting, Link, Table};
use super::shared::{Backend, Shared};
use super::source::{self, Said, Source};
use crate::domain::ids::BackendId;
use crate::domain::position::PositionKind;
use crate::domain::topology::{Engine, Replication, Report, Role};

/// A server that does not answer is tried at least this often.
const SLOWEST: Duration = Duration::from_secs(1);

/// However often somebody asks for a probe, there is this much time between two.
const CLOSEST: Duration = Duration::from_millis(5);

/// ER_SPECIFIC_ACCESS_DENIED_ERROR, ER_TABLEACCESS_DENIED_ERROR, ER_NO_BINARY_LOGGING.
const WILL_NOT_TELL: [u16; 3] = [1227, 1142, 1381];

/// Probes one server for ever.
pub(super) async fn run(shared: Arc<Shared>, id: BackendId) {
    let Some(backend) = shared.backend(id) else {
        return;
    };
    let mut link = Link::new(Arc::clone(&shared.settings), &backend.address);
    let mut pause = shared.settings.load().interval;
    loop {
        let outcome = look(&shared, backend, &mut link).await;
        let settings = shared.settings.load_full();
        pause = match &outcome {
            Outcome::Answer(_) if id.is_primary() => settings.sampling(),
            Outcome::Answer(_) => settings.interval,
            Outcome::Failed(_) => (pause * 2).min(SLOWEST.max(settings.interval)),
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
    let limit = shared.settings.load().timeout;
    let fresh_connection = !link.is_open();
    match timeout(limit, ask(shared, backend, link)).await {
        Ok(Ok(answer)) => Outcome::Answer(Box::new(Answer {
            fresh_connection,
            ..answer
        })),
        Ok(Err(error)) => Outcome::Failed(error),
        Err(_) => {
            link.close().await;
            Outcome::Failed(ProbeError::Timeout(limit))
        }
    }
}

async fn ask(shared: &Shared, backend: &Backend, link: &mut Link) -> Result<Answer, ProbeError> {
    let greeting = link.greeting().await?;
    let known = backend.known_as(&greeting.incarnation);
    let had = known.as_ref().and_then(|life| life.bound.position());
    let asked = greeting.incarnation.clone();
    let mut source = backend.source();
    source.kind = likely(&greeting, source.kind);
    let mut sent = Instant::now();
    let mut answer = ask_what_is_allowed(&mut source, link).await?;
    // The connection may have been replaced on the way.
    let greeting = link.greeting().await?;
    let state = Table::first(&answer).clone();
    let replication = match source.role {
        Role::Primary => None,
        Role::Replica => channels(shared, link, &greeting, &answer).await?,
    };
    let kind = kind(&greeting, source.role, &state);
    if kind != source.kind {
        source.kind = kind;
        sent = Instant::now();
        answer = ask_what_is_allowed(&mut source, link).await?;
    }
    let kind = source.kind;
    let life = backend.known_as(&greeting.incarnation);
    let said = match answer.get(1..) {
        Some(said) if kind != PositionKind::Nothing => {
            source.read(said, &greeting, life.as_deref())?
        }
        _ => Said::default(),
    };
    let same = greeting.incarnation == asked && kind == PositionKind::Gtids;
    let lost_history = match (&said.visible, &had) {
        (Some(visible), Some(had)) if same => !visible.covers(had),
        _ => false,
    };
    let report = Report {
        positions: kind,
        executed: said.visible,
        acknowledged: said.acknowledged,
        read_only: (0..3).any(|column| state.flag(column)),
        incarnation: greeting.incarnation,
        engine: greeting.engine,
        server_id: greeting.server_id,
        replication,
    };
    Ok(Answer {
        report,
        sent: sent.checked_sub(said.age).unwrap_or(sent),
        fresh_connection: false,
        lost_history,
    })
}

/// Both questions, or where the second is refused only the first: such a primary tells nothing.
async fn ask_what_is_allowed(
    source: &mut Source,
    link: &mut Link,
) -> Result<Vec<Table>, ProbeError> {
    match ask_both(*source, link).await {
        Err(ProbeError::Server { code, .. })
            if source.role == Role::Primary && WILL_NOT_TELL.contains(&code) =>
        {
            source.kind = PositionKind::Nothing;
            ask_both(*source, link).await
        }
        answer => answer,
    }
}

/// One packet with both questions: for the server's state, and for its position.
async fn ask_both(source: Source, link: &mut Link) -> Result<Vec<Table>, ProbeError> {
    let greeting = link.greeting().await?;
    let mut sql = state_question(&greeting).to_owned();
    if let Some(question) = source.question(&greeting) {
        sql.push_str("; ");
        sql.push_str(&question);
    }
    link.ask(&sql).await
}

/// read_only, super_read_only, innodb_read_only, gtid_mode, log_bin.
fn state_question(greeting: &Greeting) -> &'static str {
    match greeting.engine {
        Engine::MySql => {
            "SELECT @@global.read_only, @@global.super_read_only, @@global.innodb_read_only, \
             @@global.gtid_mode, @@global.log_bin"
        }
        Engine::MariaDb => {
            "SELECT @@global.read_only, 0, @@global.innodb_read_only, 'OFF', @@global.log_bin"
        }
    }
}

/// What will be asked, before the server has said what it is.
fn likely(greeting: &Greeting, before: PositionKind) -> PositionKind {
    match greeting.engine {
        _ if greeting.is_aurora() => PositionKind::Lsn,
        Engine::MariaDb => PositionKind::MariaDb,
        // A question for GTIDs is understood by all of them.
        Engine::MySql if before == PositionKind::Binlog => before,
        Engine::MySql => PositionKind::Gtids,
    }
}

/// The kind of history that a server in this state tells. With any gtid_mode but ON some writes
/// have no GTID.
fn kind(greeting: &Greeting, role: Role, state: &Table) -> PositionKind {
    match greeting.engine {
        _ if greeting.is_aurora() => PositionKind::Lsn,
        Engine::MySql if state.flag(3) => PositionKind::Gtids,
        // Without a log nobody can follow it.
        _ if role == Role::Primary && !state.flag(4) => PositionKind::Nothing,
        Engine::MySql => PositionKind::Binlog,
        Engine::MariaDb => PositionKind::MariaDb,
    }
}

/// The server's replication: its channels, or its place in the cluster.
async fn channels(
    shared: &Shared,
    link: &mut Link,
    greeting: &Greeting,
    answer: &[Table],
) -> Result<Option<Replication>, ProbeError> {
    if greeting.is_aurora() {
        let said = answer.get(1..).unwrap_or_default();
        return Ok(source::aurora_replication(said, greeting));
    }
    let answer = link.ask(greeting.words.replica_status).await?;
    let channels = Table::first(&answer)
        .records()
        .map(|it| replication::read(&it));
    let topology = shared.topology.load();
    let primary = topology.get(BackendId::PRIMARY);
    let primary = primary.and_then(|view| view.incarnation.as_ref());
    Ok(replication::ours(channels, primary))
}
