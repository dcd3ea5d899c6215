//! The way of one read to a replica that has what it must see, as a machine without I/O.
//!
//! ```text
//! poll ─▶ AskPrimary / AskExecuted ─▶ (Wait) ─▶ (AskSeen ─▶ again) ─▶ Read
//!                └──────────────────────┴──────────────┴────────────▶ GiveUp
//! ```
//! The caller performs each [`Step`], tells the machine what came of it, and polls again. Reads keep
//! to the replica of the session's last read; before one goes elsewhere an upper bound of what was
//! seen is asked for, and the new server must cover it.

use std::time::{Duration, Instant};

use super::Level;
use super::requirement::Requirement;
use crate::domain::ids::BackendId;
use crate::domain::position::Position;
use crate::domain::routing::{Candidate, pick};
use crate::domain::session::{LastRead, Positions, Sights};
use crate::domain::topology::Generation;

/// How long a read waits for what may never be committed before it asks the primary again; then twice
/// as long.
pub(super) const DOUBT_WAITS: Duration = Duration::from_millis(20);

/// A wait that ends at once again and again, without a server that went, is given up.
const MAX_LOST: u32 = 3;

/// One life of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// The server.
    pub backend: BackendId,
    /// Its life.
    pub generation: Generation,
}

impl LastRead {
    /// Where the read ran.
    pub fn server(&self) -> Server {
        Server {
            backend: self.backend,
            generation: self.generation,
        }
    }
}

/// The servers as they are known at this moment.
pub trait Servers {
    /// The replicas that may take reads.
    fn usable(&self) -> Vec<Server>;

    /// The primary, if it answers.
    fn primary(&self) -> Option<Server>;

    /// Whether a read that starts now on this life of the server is certain to see `position`.
    fn covers(&self, server: Server, position: &Position) -> bool;

    /// How busy the server is, in connections of this proxy; `usize::MAX` when none is to be had.
    fn load(&self, backend: BackendId) -> usize;

    /// A number that grows with each call; servers of equal load take turns by it.
    fn turn(&self) -> usize;

    /// Fills gaps of a position with what the primary is known to have executed.
    fn compact(&self, position: &mut Position);

    /// Whether the server takes no new reads, by its operators' will. A transaction that is open there
    /// goes on.
    fn is_drained(&self, _backend: BackendId) -> bool {
        false
    }

    /// Whether the settings of a replica let it keep what this level promises.
    fn may_keep(&self, _backend: BackendId, _level: Level) -> bool {
        true
    }
}

/// An executed set of the primary, and when the question for it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The set.
    pub position: Position,
    /// When the question was sent.
    pub sent: Instant,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Run the read there.
    Read(Server),
    /// Ask for an upper bound of what a read that ended on this server can have seen: the server
    /// itself if it still lives the same life, else the primary, from a question sent after the end.
    AskSeen(LastRead),
    /// Ask the primary for an upper bound (owned, then executed) from a question sent then or later.
    AskPrimary {
        /// The earliest time of the question.
        not_before: Instant,
    },
    /// Ask the primary for its executed set, from a question sent then or later.
    AskExecuted {
        /// The earliest time of the question.
        not_before: Instant,
    },
    /// Ask the primary for an upper bound, from a question sent then or later: what the session may
    /// have seen may never have been committed.
    AskAgain {
        /// The earliest time of the question.
        not_before: Instant,
    },
    /// Wait, without a connection, until one of these servers covers the position.
    Wait {
        /// The servers.
        servers: Vec<Server>,
        /// What one of them must have.
        position: Position,
        /// When to stop waiting.
        deadline: Instant,
    },
    /// There is no replica for this read.
    GiveUp(GiveUp),
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// A server got there.
    There,
    /// Its deadline passed.
    TimedOut,
    /// None of the servers is left that could get there: another one may do at once.
    Lost,
}

/// Why no replica may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// No replica is configured.
    NotConfigured,
    /// No replica is usable now.
    NoReplica,
    /// These servers have no positions that could be compared.
    NoPositionsHere,
    /// Nobody could say how far the read's past reaches.
    NoPositions,
    /// No replica got there in time.
    Timeout,
    /// Every connection to the replicas is taken.
    Exhausted,
}

/// What speaks against a replica that is usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// It just failed this read.
    Lost,
    /// The session's transaction is on another one.
    Elsewhere,
    /// Its operators drain it.
    Drained,
    /// Its settings break the level.
    Flawed,
}

impl Against {
    /// The same as a phrase for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Lost => "it just failed this read",
            Self::Elsewhere => "the session's transaction is on another one",
            Self::Drained => "it is drained (DRAIN BACKEND)",
            Self::Flawed => "its settings break the level",
        }
    }
}

/// What the caller knows of the session besides its positions.
#[derive(Clone, Debug, Default)]
pub struct Situation {
    /// The replica that a connection is held to.
    pub held: Option<BackendId>,
    /// The replica that has the session's transaction: no other may answer.
    pub bound: Option<BackendId>,
    /// Replicas that just failed this read.
    pub lost: Vec<BackendId>,
    /// Whether the cluster has replicas at all.
    pub replicas_configured: bool,
}

/// The search of one read.
#[derive(Debug)]
pub struct Search {
    requirement: Requirement,
    situation: Situation,
    deadline: Instant,
    over: Option<GiveUp>,
    waited: bool,
    /// How often the servers that were waited for went.
    lost: u32,
    /// How long the next wait for something doubtful takes.
    patience: Duration,
    /// Whether the primary is to be asked again what became of that.
    ask_again: bool,
    /// Whether it was asked after the deadline.
    asked_last: bool,
}

impl Search {
    /// A read that arrived at `arrived` and waits so long for a replica at most.
    pub fn new(
        requirement: Requirement,
        situation: Situation,
        arrived: Instant,
        catch_up_timeout: Duration,
    ) -> Self {
        Self {
            requirement,
            situation,
            deadline: arrived + catch_up_timeout,
            over: None,
            waited: false,
            lost: 0,
            patience: DOUBT_WAITS,
            ask_again: false,
            asked_last: false,
        }
    }

    /// Something outside speaks against every replica.
    pub fn give_up(&mut self, why: GiveUp) {
        self.over = Some(why);
    }

    /// When waiting ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether a wait was asked for.
    pub fn waited(&self) -> bool {
        self.waited
    }

    /// What to do now.
    pub fn poll(
        &mut self,
        positions: &mut Positions,
        servers: &impl Servers,
        now: Instant,
    ) -> Step {
        if let Some(why) = self.over {
            return Step::GiveUp(why);
        }
        let usable = self.usable(servers);
        if usable.is_empty() {
            return Step::GiveUp(match self.situation.replicas_configured {
                true => GiveUp::NoReplica,
                false => GiveUp::NotConfigured,
            });
        }
        let session = self.requirement.level().keeps_session();
        if session && let Some(not_before) = positions.unknown_since() {
            return Step::AskPrimary { not_before };
        }
        if let Some(not_before) = self.requirement.executed_since() {
            return Step::AskExecuted { not_before };
        }
        if session {
            servers.compact(positions.need_mut());
            settle_doubt(positions, servers);
        }
        let covering: Vec<_> = usable
            .iter()
            .copied()
            .filter(|server| self.is_fresh(positions, servers, *server))
            .collect();
        if covering.is_empty() {
            return self.wait(positions, usable, now);
        }
        let Some(chosen) = self.prefer(positions, servers, &covering) else {
            return Step::GiveUp(GiveUp::NoReplica);
        };
        match positions.last_read() {
            Some(read) if session && read.server() != chosen => Step::AskSeen(read),
            Some(read) if !session && read.server() != chosen => {
                positions.on_left_unasked(now);
                Step::Read(chosen)
            }
            _ => Step::Read(chosen),
        }
    }

    /// The answer to [`Step::AskPrimary`].
    pub fn on_primary(&mut self, positions: &mut Positions, answer: Result<&Sights, GiveUp>) {
        match answer {
            Ok(sights) => positions.on_primary_bound(sights),
            Err(why) => self.over = Some(why),
        }
    }

    /// The answer to [`Step::AskAgain`]. Without one the doubt stays.
    pub fn on_asked_again(&mut self, positions: &mut Positions, answer: Result<&Sights, GiveUp>) {
        if let Ok(sights) = answer {
            positions.on_primary_said(sights);
        }
    }

    /// The answer to [`Step::AskSeen`].
    pub fn on_seen(&mut self, positions: &mut Positions, answer: Result<&Sights, GiveUp>) {
        match answer {
            Ok(sights) => positions.on_seen_bound(sights),
            Err(why) => self.over = Some(why),
        }
    }

    /// The answer to [`Step::AskExecuted`].
    pub fn on_executed(&mut self, answer: Result<&Executed, GiveUp>) {
        let joined = answer.and_then(|executed| {
            self.requirement
                .on_executed(&executed.position, executed.sent)
                .map_err(|_| GiveUp::NoPositions)
        });
        self.over = joined.err();
    }

    /// The wait of [`Step::Wait`] ended.
    pub fn on_wait(&mut self, waited: Waited) {
        match waited {
            Waited::There => {}
            // Short of the deadline only where there is a doubt.
            Waited::TimedOut => self.ask_again = true,
            // Whoever is still usable may be there, or get there.
            Waited::Lost => {
                self.lost += 1;
                self.over = (self.lost >= MAX_LOST).then_some(GiveUp::NoReplica);
            }
        }
    }

    /// A replica that may answer with what it has: that of the last read, else the one a connection
    /// is held to, else the least busy.
    pub fn stale(&self, positions: &Positions, servers: &impl Servers) -> Option<Server> {
        self.prefer(positions, servers, &self.usable(servers))
    }

    fn usable(&self, servers: &impl Servers) -> Vec<Server> {
        let mut usable = servers.usable();
        usable.retain(|server| self.against(servers, *server).is_none());
        usable
    }

    /// What speaks against a usable replica, however fresh it is.
    pub fn against(&self, servers: &impl Servers, server: Server) -> Option<Against> {
        let Situation { bound, lost, .. } = &self.situation;
        let backend = server.backend;
        if lost.contains(&backend) {
            Some(Against::Lost)
        } else if bound.is_some_and(|bound| bound != backend) {
            Some(Against::Elsewhere)
        } else if bound.is_none() && servers.is_drained(backend) {
            Some(Against::Drained)
        } else if !servers.may_keep(backend, self.requirement.level()) {
            Some(Against::Flawed)
        } else {
            None
        }
    }

    /// What the read demands besides what its session needs, as far as it is known by now.
    pub fn requirement(&self) -> &Requirement {
        &self.requirement
    }

    /// Whether a replica has all that the read must see.
    pub fn is_fresh(&self, positions: &Positions, servers: &impl Servers, server: Server) -> bool {
        let beyond = self.requirement.beyond();
        let session = self.requirement.level().keeps_session();
        let doubt = positions.doubt().filter(|_| session);
        (!session || servers.covers(server, positions.need()))
            && doubt.is_none_or(|doubt| servers.covers(server, doubt.position()))
            && (beyond.is_empty() || servers.covers(server, beyond))
    }

    fn wait(&mut self, positions: &Positions, servers: Vec<Server>, now: Instant) -> Step {
        let session = self.requirement.level().keeps_session();
        let over = now >= self.deadline;
        let mut deadline = self.deadline;
        if session && positions.doubt().is_some() {
            if self.ask_again || over && !self.asked_last {
                self.ask_again = false;
                self.asked_last = over;
                return Step::AskAgain { not_before: now };
            }
            deadline = deadline.min(now + self.patience);
            self.patience = self.patience.saturating_mul(2);
        }
        if over {
            return Step::GiveUp(GiveUp::Timeout);
        }
        let mut position = self.requirement.beyond().clone();
        if session && position.join(&positions.need_and_doubt()).is_err() {
            return Step::GiveUp(GiveUp::NoPositions);
        }
        self.waited = true;
        Step::Wait {
            servers,
            position,
            deadline,
        }
    }

    /// The server of the last read first, then the one a connection is held to, then by load.
    fn prefer(
        &self,
        positions: &Positions,
        servers: &impl Servers,
        among: &[Server],
    ) -> Option<Server> {
        let held = self.situation.held;
        let last = positions.last_read().map(|read| read.backend);
        let reachable = |id: &BackendId| held == Some(*id) || servers.load(*id) < usize::MAX;
        let at = |wanted: Option<BackendId>| {
            among
                .iter()
                .find(|server| Some(server.backend) == wanted)
                .copied()
        };
        let last = match self.requirement.level().keeps_session() {
            true => last.filter(reachable),
            // Where the connection is costs least where nothing else matters.
            false => None,
        };
        at(last).or_else(|| at(held)).or_else(|| {
            let candidates: Vec<_> = among
                .iter()
                .map(|server| Candidate {
                    backend: server.backend,
                    leased: servers.load(server.backend),
                })
                .collect();
            at(pick(&candidates, servers.turn()))
        })
    }
}

/// What was in doubt and has been executed, was committed.
pub(super) fn settle_doubt(positions: &mut Positions, servers: &impl Servers) {
    if let (Some(doubt), Some(primary)) = (positions.doubt(), servers.primary())
        && servers.covers(primary, doubt.position())
    {
        positions.on_doubt_committed();
    }
}

#[cfg(test)]
#[path = "search/tests.rs"]
mod tests;
