//! What a session wrote and what it may have seen.

use std::time::Instant;

use super::only_owned::{OnlyOwned, Sights};
use crate::domain::ids::BackendId;
use crate::domain::position::{GtidSet, Position, PositionError};
use crate::domain::topology::Generation;

/// The server of the session's last read, and when that read ended. Reads that stay there move
/// forward by themselves; to read elsewhere, an upper bound taken after `ended` is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRead {
    /// The server.
    pub backend: BackendId,
    /// Its life.
    pub generation: Generation,
    /// When the read's reply was complete.
    pub ended: Instant,
}

/// The positions of a session. They survive every reset.
#[derive(Clone, Debug)]
pub struct Positions {
    need: Position,
    /// What may have been seen and perhaps never was.
    doubt: Option<OnlyOwned>,
    last_read: Option<LastRead>,
    unknown_since: Option<Instant>,
    /// When a server was last left without asking what was seen there.
    unasked_since: Option<Instant>,
    /// When something was last seen elsewhere that the primary was not found to show.
    elsewhere_since: Option<Instant>,
    untracked_write: bool,
    /// Own positions that were told and not yet taken.
    told: Option<Position>,
    /// Fragments that `need` may have before it is made compact.
    room: usize,
}

/// Fragments that are not worth the work of making them fewer.
const ROOM: usize = 64;

impl Default for Positions {
    fn default() -> Self {
        Self {
            need: Position::Nothing,
            doubt: None,
            last_read: None,
            unknown_since: None,
            unasked_since: None,
            elsewhere_since: None,
            untracked_write: false,
            told: None,
            room: ROOM,
        }
    }
}

impl Positions {
    /// What every server it reads from must have: own writes, and what was seen before the last
    /// switch of servers.
    pub fn need(&self) -> &Position {
        &self.need
    }

    /// What every server must have besides, as long as nobody said that it never was.
    pub fn doubt(&self) -> Option<&OnlyOwned> {
        self.doubt.as_ref()
    }

    /// [`Self::need`] and what is in doubt.
    #[must_use]
    pub fn need_and_doubt(&self) -> Position {
        let mut all = self.need.clone();
        if let Some(doubt) = &self.doubt {
            // A doubt of another kind went into `need`.
            let _ = all.join(doubt.position());
        }
        all
    }

    /// The two, as an answer that says so.
    #[must_use]
    pub fn sights(&self) -> Sights {
        match &self.doubt {
            Some(doubt) => doubt.with(self.need.clone()),
            None => Sights::certain(self.need.clone()),
        }
    }

    /// [`Self::need`], to be made more compact.
    pub fn need_mut(&mut self) -> &mut Position {
        &mut self.need
    }

    /// Whether what was written, transaction by transaction among those of others, grew so much that
    /// [`Self::need_mut`] should be made compact.
    pub fn is_scattered(&self) -> bool {
        self.need.fragments() > self.room
    }

    /// It was made as compact as it can be now.
    pub fn on_compacted(&mut self) {
        self.room = ROOM.max(2 * self.need.fragments());
    }

    /// The server of the last read, unless what was seen there is already in [`Self::need`].
    pub fn last_read(&self) -> Option<LastRead> {
        self.last_read
    }

    /// When something may have been committed, or was seen, of which no position is known: the next
    /// read first takes a probe of the primary that is sent after this moment.
    pub fn unknown_since(&self) -> Option<Instant> {
        self.unknown_since.max(self.unasked_since)
    }

    /// When a server was last left without asking what was seen there.
    pub fn unasked_since(&self) -> Option<Instant> {
        self.unasked_since
    }

    /// When a server was last left whose sights even the primary may lack for a moment, whether they
    /// were asked for or not: naming them does not make the primary show them.
    pub fn elsewhere_since(&self) -> Option<Instant> {
        self.elsewhere_since
    }

    /// The primary was found to show all that was seen elsewhere.
    pub fn on_primary_shows(&mut self) {
        self.elsewhere_since = None;
    }

    /// The own positions that were told since this was last asked, for those who are to see them;
    /// [`Position::Nothing`] for one that could not be read.
    pub fn take_told(&mut self) -> Option<Position> {
        self.told.take()
    }

    /// Whether a write is in no binary log, so that only the primary can show it.
    pub fn untracked_write(&self) -> bool {
        self.untracked_write
    }

    /// The GTIDs that an OK packet named.
    pub fn on_own_gtids(&mut self, text: &[u8]) {
        let gtids = GtidSet::parse(text).map(Position::from);
        self.on_own(gtids.map_err(PositionError::from));
    }

    /// The last GTID of its own that MariaDB told.
    pub fn on_last_gtid(&mut self, text: &[u8]) {
        self.on_own(Position::parse(text));
    }

    fn on_own(&mut self, written: Result<Position, PositionError>) {
        match written {
            Ok(position) => self.add_own(position),
            // A server that says something we cannot read: only the primary is certain to have it.
            Err(_) => {
                self.untracked_write = true;
                self.told.get_or_insert_default();
            }
        }
    }

    fn add_own(&mut self, position: Position) {
        self.join(&position);
        match &mut self.told {
            // The kinds differ only where `join` found them to.
            Some(told) => drop(told.join(&position)),
            None => self.told = Some(position),
        }
    }

    /// Reads from now on must see this position as well.
    pub fn on_read_after(&mut self, position: &Position) {
        self.join(position);
    }

    /// Something may have been seen elsewhere that the primary is not known to show yet: what a
    /// position names that another session read.
    pub fn on_unshown(&mut self, now: Instant) {
        self.elsewhere_since = self.elsewhere_since.max(Some(now));
    }

    /// A read on that server ended. One on another server, or on another life of it, whose sights
    /// were not asked for before (allowed at `eventual`), leaves something unknown.
    pub fn on_read(&mut self, read: LastRead) {
        let elsewhere =
            |last: LastRead| (last.backend, last.generation) != (read.backend, read.generation);
        if self.last_read.is_some_and(elsewhere) {
            self.left_unasked(read.ended);
        }
        self.last_read = Some(read);
    }

    /// Something may have been committed without our knowing its GTID.
    pub fn on_unknown(&mut self, now: Instant) {
        self.unknown_since = Some(now);
    }

    /// A write that no GTID names. It may have one all the same, of which nobody told: that counts
    /// once the session is reset and reads from replicas again.
    pub fn on_untracked_write(&mut self, now: Instant) {
        self.untracked_write = true;
        self.unknown_since = Some(now);
    }

    /// An upper bound of what the primary had, from a probe sent after [`Self::unknown_since`].
    pub fn on_primary_bound(&mut self, sights: &Sights) {
        self.join(&sights.certain);
        // What this session committed without a word was executed when it heard of it; only what was
        // seen can be owned still.
        match self.unasked_since.take() {
            Some(_) => self.add_doubt(sights, true),
            None => self.on_primary_said(sights),
        }
        self.unknown_since = None;
    }

    /// A later answer of the primary: what was in doubt was committed, is still in doubt, or never was.
    pub fn on_primary_said(&mut self, sights: &Sights) {
        let Some(doubt) = &mut self.doubt else {
            return;
        };
        let committed = doubt.reconsider(sights);
        if doubt.position().is_empty() {
            self.doubt = None;
        }
        self.join(&committed);
    }

    /// A server has executed what is in doubt: it was committed.
    pub fn on_doubt_committed(&mut self) {
        if let Some(doubt) = self.doubt.take() {
            self.join(doubt.position());
        }
    }

    fn add_doubt(&mut self, sights: &Sights, elsewhere: bool) {
        self.on_primary_said(sights);
        let Some(more) = OnlyOwned::of(sights, elsewhere) else {
            return;
        };
        let Some(doubt) = &mut self.doubt else {
            self.doubt = Some(more);
            return;
        };
        if let Some(more) = doubt.join(more) {
            // Nobody can say any more what became of the other.
            self.on_doubt_committed();
            self.doubt = Some(more);
        }
    }

    /// An upper bound of what the last read can have seen: from now on any server that covers it
    /// may answer.
    pub fn on_seen_bound(&mut self, sights: &Sights) {
        self.join(&sights.certain);
        let elsewhere = self
            .last_read
            .is_some_and(|read| !read.backend.is_primary());
        self.add_doubt(sights, elsewhere);
        if let Some(read) = self.last_read.take()
            && !read.backend.is_primary()
        {
            self.elsewhere_since = self.elsewhere_since.max(Some(read.ended));
        }
    }

    /// The last read's server was left without asking what was seen there (allowed at `eventual`):
    /// a later, stronger level finds out from the primary.
    pub fn on_left_unasked(&mut self, now: Instant) {
        self.last_read = None;
        self.left_unasked(now);
    }

    /// The latest time counts: an answer that suits an earlier leaving may miss this one's sights.
    fn left_unasked(&mut self, now: Instant) {
        self.unasked_since = self.unasked_since.max(Some(now));
        self.elsewhere_since = self.elsewhere_since.max(Some(now));
    }

    /// The primary began its history anew, and numbers others alike: a probe of it that is sent after `now`
    /// has all that is left of what this session wrote and saw.
    pub fn on_other_history(&mut self, now: Instant) {
        self.need = Position::Nothing;
        self.doubt = None;
        self.on_left_unasked(now);
        self.on_unknown(now);
    }

    pub(super) fn on_reset(&mut self) {
        self.untracked_write = false;
    }

    fn join(&mut self, position: &Position) {
        if self.need.join(position).is_err() {
            // Another kind of history than before: only the primary is certain to have both.
            self.untracked_write = true;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::session::SaidBy;

    #[test]
    fn what_is_unknown_counts_from_the_last_time_it_became_so() {
        let start = Instant::now();
        let read = |server: u16, millis| LastRead {
            backend: BackendId(server),
            generation: Generation(1),
            ended: start + Duration::from_millis(millis),
        };
        let mut positions = Positions::default();
        positions.on_read(read(1, 1));
        positions.on_read(read(2, 2));
        assert_eq!(positions.unknown_since(), Some(read(2, 2).ended));
        positions.on_read(read(2, 3));
        positions.on_left_unasked(read(2, 9).ended);
        positions.on_read(read(1, 10));
        // A probe sent at 2 ms would miss what was seen on the second server until 9 ms.
        assert_eq!(positions.unknown_since(), Some(read(2, 9).ended));
        positions.on_unknown(read(1, 11).ended);
        assert_eq!(positions.unknown_since(), Some(read(1, 11).ended));
        assert_eq!(positions.unasked_since(), Some(read(2, 9).ended));
        positions.on_primary_bound(&Sights::default());
        assert_eq!(positions.unknown_since(), None);
    }

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn at(numbers: &str) -> Position {
        match numbers {
            "" => Position::Nothing,
            _ => format!("{UUID}:{numbers}").parse().unwrap(),
        }
    }

    /// What the primary said in a life of its, at a time.
    fn said(executed: &str, owned: &str, life: u64, sent: Instant) -> Sights {
        Sights {
            certain: at(executed),
            owned: at(owned),
            said_by: Some(SaidBy {
                life: Generation(life),
                sent,
            }),
        }
    }

    fn in_doubt(positions: &Positions) -> Option<Position> {
        positions.doubt().map(|doubt| doubt.position().clone())
    }

    #[test]
    fn what_was_only_owned_is_demanded_until_a_later_answer_of_the_same_life_settles_it() {
        let start = Instant::now();
        let later = start + Duration::from_millis(5);
        // (the later answer, what is needed then, what is still in doubt)
        let cases = [
            (said("1-9", "", 1, later), "1-9", None),
            (said("1-7", "", 1, later), "1-7", None),
            (said("1-7:9", "8", 1, later), "1-7:9", Some("8")),
            (said("1-7", "8-12", 1, later), "1-7", Some("8-9")),
            (said("1-9", "", 2, later), "1-7", Some("8-9")),
            (
                said("1-7", "", 1, start - Duration::from_millis(1)),
                "1-7",
                Some("8-9"),
            ),
        ];
        for (answer, need, doubt) in cases {
            let mut positions = Positions::default();
            positions.on_read(LastRead {
                backend: BackendId::PRIMARY,
                generation: Generation(1),
                ended: start,
            });
            positions.on_seen_bound(&said("1-7", "8-9", 1, start));
            assert_eq!(positions.need_and_doubt(), at("1-9"));
            positions.on_primary_said(&answer);
            assert_eq!(*positions.need(), at(need), "{answer:?}");
            assert_eq!(in_doubt(&positions), doubt.map(at), "{answer:?}");
        }
    }

    #[test]
    fn an_own_write_and_what_was_executed_are_never_in_doubt() {
        let now = Instant::now();
        let mut positions = Positions::default();
        positions.on_left_unasked(now);
        positions.on_primary_bound(&said("1-7", "8-9", 1, now));
        positions.on_own_gtids(format!("{UUID}:8").as_bytes());
        positions.on_primary_said(&said("1-7", "", 1, now));
        assert_eq!(*positions.need(), at("1-8"));
        assert_eq!(in_doubt(&positions), None);
    }

    #[test]
    fn a_doubt_of_another_life_stays_demanded() {
        let now = Instant::now();
        let mut positions = Positions::default();
        for life in 1..=2 {
            positions.on_left_unasked(now);
            let owned = ["8", "9"][usize::try_from(life).unwrap() - 1];
            positions.on_primary_bound(&said("1-7", owned, life, now));
        }
        assert_eq!(*positions.need(), at("1-8"));
        assert_eq!(in_doubt(&positions), Some(at("9")));
    }

    #[test]
    fn what_this_session_committed_unsaid_is_executed_when_it_asks() {
        let now = Instant::now();
        let mut positions = Positions::default();
        positions.on_unknown(now);
        positions.on_primary_bound(&said("1-7", "8", 1, now));
        assert_eq!(*positions.need(), at("1-7"));
        assert_eq!(in_doubt(&positions), None);
    }
}
