//! What a read on the primary waits for: the primary can be behind a replica for a moment, and what
//! was seen there must not disappear again.

use std::time::{Duration, Instant};

use super::Level;
use super::search::{GiveUp, Servers, Step};
use crate::domain::position::Position;
use crate::domain::session::Positions;

/// How long a read on the primary waits at least for commits that a replica already showed: commits
/// take moments, so even a session that does not wait for replicas waits for this.
const COMMIT_GRACE: Duration = Duration::from_secs(1);

/// The way of one read to the primary, driven like [`super::Search`]. [`Step::Wait`] asks for the
/// primary; giving up means that it is behind what the session has seen.
#[derive(Debug)]
pub struct PrimaryGate {
    level: Level,
    deadline: Instant,
    over: Option<GiveUp>,
    /// What was seen and is now certain to be on the primary as well, once it covers this.
    seen: Option<Position>,
    /// Whether [`Self::seen`] has the sights of the last read.
    asked: bool,
    /// Whether [`Self::seen`] has what was seen before on other servers.
    asked_primary: bool,
}

impl PrimaryGate {
    /// A read at this level that arrived at `arrived` in a session that waits so long for replicas.
    pub fn new(level: Level, arrived: Instant, catch_up_timeout: Duration) -> Self {
        Self {
            level,
            deadline: arrived + catch_up_timeout.max(COMMIT_GRACE),
            over: None,
            seen: None,
            asked: false,
            asked_primary: false,
        }
    }

    /// What to do now.
    pub fn poll(
        &mut self,
        positions: &mut Positions,
        servers: &impl Servers,
        now: Instant,
    ) -> Option<Step> {
        if let Some(why) = self.over {
            return Some(Step::GiveUp(why));
        }
        if !self.level.keeps_session() {
            return None;
        }
        if let Some(not_before) = positions.elsewhere_since()
            && !self.asked_primary
        {
            return Some(Step::AskPrimary { not_before });
        }
        if let Some(read) = positions.last_read()
            && !read.backend.is_primary()
            && !self.asked
        {
            return Some(Step::AskSeen(read));
        }
        let (Some(seen), Some(primary)) = (&self.seen, servers.primary()) else {
            return None;
        };
        if servers.covers(primary, seen) {
            if self.asked {
                positions.on_seen_bound(seen);
            }
            positions.on_primary_shows();
            return None;
        }
        Some(match now >= self.deadline {
            true => Step::GiveUp(GiveUp::Timeout),
            false => Step::Wait {
                servers: vec![primary],
                position: seen.clone(),
                deadline: self.deadline,
            },
        })
    }

    /// The answer to [`Step::AskPrimary`].
    pub fn on_primary(&mut self, positions: &mut Positions, answer: Result<&Position, GiveUp>) {
        match answer {
            Ok(bound) => {
                self.asked_primary = true;
                positions.on_primary_bound(bound);
                self.add(bound);
            }
            Err(why) => self.fail(why),
        }
    }

    /// The answer to [`Step::AskSeen`].
    pub fn on_seen(&mut self, answer: Result<&Position, GiveUp>) {
        match answer {
            Ok(bound) => {
                self.asked = true;
                self.add(bound);
            }
            Err(why) => self.fail(why),
        }
    }

    /// The wait of [`Step::Wait`] ended.
    pub fn on_wait(&mut self, there: bool) {
        self.over = (!there).then_some(GiveUp::Timeout);
    }

    fn add(&mut self, bound: &Position) {
        match &mut self.seen {
            None => self.seen = Some(bound.clone()),
            Some(seen) => {
                if seen.join(bound).is_err() {
                    self.over = Some(GiveUp::NoPositions);
                }
            }
        }
    }

    /// Where positions do not exist nothing can be compared, and nothing was promised of replicas.
    fn fail(&mut self, why: GiveUp) {
        match why {
            GiveUp::NoPositionsHere => self.level = Level::Eventual,
            _ => self.over = Some(why),
        }
    }
}
