//! What a read on the primary waits for: the primary can be behind a replica for a moment, and what
//! was seen there must not disappear again.

use std::time::{Duration, Instant};

use super::Level;
use super::search::{DOUBT_WAITS, GiveUp, Servers, Step, Waited, settle_doubt};
use crate::domain::position::Position;
use crate::domain::session::{Positions, Sights};
use crate::domain::topology::Generation;

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
    /// What was perhaps seen elsewhere and this life of the primary only owned.
    owned: Option<(Generation, Position)>,
    /// How long the next wait for that takes.
    patience: Duration,
    /// Whether the primary is to be asked again what became of it.
    ask_again: bool,
    /// Whether it was asked after the deadline.
    asked_last: bool,
    /// What the last read can have seen.
    sights: Sights,
    /// What the primary said when it was asked again.
    again: Option<Sights>,
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
            owned: None,
            patience: DOUBT_WAITS,
            ask_again: false,
            asked_last: false,
            sights: Sights::default(),
            again: None,
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
        let owned = self.owned.as_ref().map(|(_, owned)| owned);
        let shown = |position: &Position| servers.covers(primary, position);
        if shown(seen) && owned.is_none_or(shown) {
            self.take_in(positions);
            settle_doubt(positions, servers);
            positions.on_primary_shows();
            return None;
        }
        let mut position = seen.clone();
        let over = now >= self.deadline;
        let mut deadline = self.deadline;
        if let Some(owned) = owned {
            if self.ask_again || over && !self.asked_last {
                self.ask_again = false;
                self.asked_last = over;
                return Some(Step::AskAgain { not_before: now });
            }
            if position.join(owned).is_err() {
                return Some(Step::GiveUp(GiveUp::NoPositions));
            }
            deadline = deadline.min(now + self.patience);
            self.patience = self.patience.saturating_mul(2);
        }
        Some(match over {
            true => Step::GiveUp(GiveUp::Timeout),
            false => Step::Wait {
                servers: vec![primary],
                position,
                deadline,
            },
        })
    }

    /// What the last read can have seen is asked for no more.
    fn take_in(&self, positions: &mut Positions) {
        if self.asked {
            positions.on_seen_bound(&self.sights);
        }
        if let Some(again) = &self.again {
            positions.on_primary_said(again);
        }
    }

    /// The answer to [`Step::AskPrimary`]. Of what the primary only owns, it need show what may have
    /// been seen on a replica: what was seen on itself it shows already.
    pub fn on_primary(&mut self, positions: &mut Positions, answer: Result<&Sights, GiveUp>) {
        match answer {
            Ok(sights) => {
                self.asked_primary = true;
                positions.on_primary_bound(sights);
                let mut elsewhere = sights.owned.common_with(positions.need());
                if let Some(doubt) = positions.doubt().filter(|doubt| doubt.elsewhere()) {
                    // Parts of one set.
                    let _ = elsewhere.join(&sights.owned.common_with(doubt.position()));
                }
                self.add(sights, elsewhere);
            }
            Err(why) => self.fail(why),
        }
    }

    /// The answer to [`Step::AskSeen`].
    pub fn on_seen(&mut self, answer: Result<&Sights, GiveUp>) {
        match answer {
            Ok(sights) => {
                self.asked = true;
                self.add(sights, sights.owned.clone());
                self.sights = sights.clone();
            }
            Err(why) => self.fail(why),
        }
    }

    /// The answer to [`Step::AskAgain`]: what that life of the primary does not own any more was
    /// committed and is shown, or never was. Without an answer the doubt stays.
    pub fn on_asked_again(&mut self, positions: &mut Positions, answer: Result<&Sights, GiveUp>) {
        let Ok(sights) = answer else {
            return;
        };
        positions.on_primary_said(sights);
        let life = sights.said_by.map(|said| said.life);
        if let Some((owner, owned)) = &mut self.owned
            && life == Some(*owner)
        {
            let committed = owned.common_with(&sights.certain);
            *owned = owned.common_with(&sights.owned);
            if owned.is_empty() {
                self.owned = None;
            }
            self.demand(&committed);
        }
        self.again = Some(sights.clone());
    }

    /// The wait of [`Step::Wait`] ended.
    pub fn on_wait(&mut self, waited: Waited) {
        match waited {
            Waited::There => {}
            // Short of the deadline only where there is a doubt.
            Waited::TimedOut => self.ask_again = true,
            Waited::Lost => self.over = Some(GiveUp::NoReplica),
        }
    }

    /// What an answer names must be shown, and of what the primary only owned this much.
    fn add(&mut self, sights: &Sights, owned: Position) {
        self.demand(&sights.certain);
        let Some(said) = sights.said_by.filter(|_| !owned.is_empty()) else {
            return;
        };
        match &mut self.owned {
            // Both are parts of what one life of one server owns.
            Some((life, known)) if *life == said.life => drop(known.join(&owned)),
            Some(_) => self.demand(&owned),
            None => self.owned = Some((said.life, owned)),
        }
    }

    fn demand(&mut self, position: &Position) {
        if self.seen.get_or_insert_default().join(position).is_err() {
            self.over = Some(GiveUp::NoPositions);
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
