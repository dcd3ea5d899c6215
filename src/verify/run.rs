//! Makes a history: real sessions on a real endpoint.
//!
//! Much of the work is the moment after a write: the writer re-reads at once, and so do two sessions
//! that it tells, one of its own group and one of another. Registers and lists, text and prepared
//! statements take turns by a seeded generator. Everything is in autocommit.

mod chance;
mod dial;
mod session;
mod table;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::Opts;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::claim::Claim;
use super::error::VerifyError;
use super::history::{History, Operation};
use dial::Dial;
pub use dial::Told;
use session::Session;
use table::Table;
pub use work::Progress;
use work::Work;

/// From one call of the progress function to the next.
const PACE: Duration = Duration::from_secs(1);

/// When a run ends by itself: at whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// After this time.
    pub after: Duration,
    /// After this many reads.
    pub reads: u64,
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The endpoint to verify, with a schema.
    pub endpoint: Opts,
    /// Where the sessions' writes go, if not there: an application's own split.
    pub writes: Option<Opts>,
    /// Where other writers write beside it all, past the endpoint.
    pub past: Option<Opts>,
    /// Sessions, in groups of two.
    pub sessions: u32,
    /// Registers, and as many lists.
    pub keys: u32,
    /// When to stop.
    pub stop: Stop,
    /// The level that every session asks for, where the endpoint knows levels.
    pub level: Option<Claim>,
    /// The bound that sessions at `bounded` ask for.
    pub max_staleness: Duration,
    /// At level `group`, what the name of every group begins with. At other levels groups are known
    /// to the checker only.
    pub group_key: String,
    /// Whether sessions send COM_RESET_CONNECTION now and then, as pools do between two borrowers. The
    /// session goes on: what it wrote and read still binds.
    pub resets: bool,
    /// What the pseudo-random choices begin with.
    pub seed: u64,
}

/// What a run gave.
#[derive(Debug)]
pub struct Made {
    /// What happened.
    pub history: History,
    /// How long it took.
    pub took: Duration,
    /// Reads whose answer came with a warning, by which Highwater says that it may be old. They are not
    /// in the history: nothing was promised of them.
    pub flagged: u64,
    /// How the level was set.
    pub told: Told,
    /// Statements and connections that failed: what, and how often.
    pub errors: Vec<(String, u64)>,
    /// Whether it was interrupted, or ended because a history of this length fills the memory.
    pub cut_short: bool,
    /// The table and why it could not be dropped, if it is still there.
    pub left_behind: Option<String>,
}

/// Makes a history. `progress` is called once a second. When `interrupted` becomes true the run ends
/// with what it has so far. The table that it works in is dropped in every case.
///
/// # Errors
/// [`VerifyError`] when the work cannot begin, or no session could go on.
pub async fn run(
    plan: &Plan,
    mut interrupted: watch::Receiver<bool>,
    progress: impl FnMut(&Progress),
) -> Result<Made, VerifyError> {
    let dial = tokio::select! {
        dial = Dial::new(plan) => Arc::new(dial?),
        () = raised(&mut interrupted) => return Err(VerifyError::Interrupted),
    };
    let table = Arc::new(Table::create(&dial, plan.keys).await?);
    let made = perform(plan, &dial, &table, interrupted, progress).await;
    let left_behind = table.drop_it(&dial).await.err();
    Ok(Made {
        left_behind,
        ..made?
    })
}

/// Everything between the making of the table and its end.
async fn perform(
    plan: &Plan,
    dial: &Arc<Dial>,
    table: &Arc<Table>,
    mut interrupted: watch::Receiver<bool>,
    mut progress: impl FnMut(&Progress),
) -> Result<Made, VerifyError> {
    tokio::select! {
        visible = table.wait_visible(dial) => visible?,
        () = raised(&mut interrupted) => return Err(VerifyError::Interrupted),
    }
    let (work, mailboxes) = Work::new(plan, interrupted);
    let work = Arc::new(work);
    let mut sessions = JoinSet::new();
    for (number, mailbox) in (0..).zip(mailboxes) {
        let shared = (Arc::clone(&work), Arc::clone(dial), Arc::clone(table));
        let past = number >= plan.sessions;
        let session = Session::new(number, past, shared, mailbox, plan);
        sessions.spawn(session.run());
    }
    let begun = Instant::now();
    let mut operations: Vec<Operation> = Vec::new();
    let mut tick = tokio::time::interval(PACE);
    loop {
        tokio::select! {
            joined = sessions.join_next() => match joined {
                Some(done) => operations.extend(done?),
                None => break,
            },
            _ = tick.tick() => progress(&work.progress()),
        }
    }
    let took = begun.elapsed();
    progress(&work.progress());
    if operations.is_empty() {
        return Err(VerifyError::Lost {
            why: work.last_error(),
        });
    }
    let last = table.last(dial).await;
    let mut errors = work.errors();
    if let Err(error) = &last {
        errors.push((
            format!("the state at the end could not be read: {error}"),
            1,
        ));
    }
    Ok(Made {
        history: History {
            actors: work.actors(),
            operations,
            last: last.ok(),
        },
        took,
        flagged: work.flagged(),
        told: dial.told(),
        errors,
        cut_short: work.cut_short(),
        left_behind: None,
    })
}

/// Returns when the flag is raised; never if nobody is left to raise it.
async fn raised(flag: &mut watch::Receiver<bool>) {
    if flag.wait_for(|raised| *raised).await.is_err() {
        std::future::pending::<()>().await;
    }
}
