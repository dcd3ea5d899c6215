//! What clients' prepared statements are prepared on one connection.
//!
//! A copy belongs to the connection: sessions that use it one after the other share what is equal.
//! There are at most so many; the one that was not used for longest goes first. A copy on which a
//! cursor is open, or to which parts of a parameter were sent, is *tied*: only the statement that did
//! it finds it, and it does not go.
//!
//! A copy keeps what a MySQL took its parameters for ([`Kinds`]): only statements that have bound alike share it.
//!
//! A copy that ever ran with a cursor is for cursors from then on: a MySQL 9.7 that runs it without one
//! afterwards sends columns and no rows (tried; straight at the server, too).

mod kinds;

use std::collections::HashMap;
use std::sync::Arc;

pub use kinds::Kinds;

use crate::domain::ids::ServerStmtId;
use crate::domain::session::PreparedText;
use crate::protocol::command::com_stmt_close;
use crate::protocol::frame::append_packet;

/// Bytes of text that the copies on one connection keep together, unless a single one is longer.
const TEXT: usize = 1 << 20;

/// The copies on one connection.
#[derive(Debug, Default)]
pub struct Copies {
    /// Those that any session may use; of each text the newest first.
    plain: Listed,
    /// The same of those that are for cursors.
    cursors: Listed,
    slots: Vec<Option<Copied>>,
    free: Vec<usize>,
    /// Bytes of text, of all.
    bytes: usize,
    tied: usize,
    /// Grows with each use.
    clock: u64,
}

/// Slots by text.
type Listed = HashMap<Arc<PreparedText>, Vec<usize>>;

#[derive(Debug)]
struct Copied {
    text: Arc<PreparedText>,
    id: ServerStmtId,
    /// When it was entered or tied last.
    stamp: u64,
    used: u64,
    types: Option<Arc<[u8]>>,
    kinds: Kinds,
    tied: bool,
    /// Whether it is for cursors.
    cursor: bool,
}

/// Where a copy was found. It is checked at each use, so it may be kept for as long as one likes, but
/// not beyond a reset of the connection: compare the serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyAt {
    slot: usize,
    stamp: u64,
}

impl Copies {
    /// A copy of a text, if there is one that is not tied; and the text that it is known by, which
    /// is equal. `cursor` says whether it is to run with a cursor.
    pub fn find(
        &self,
        text: &Arc<PreparedText>,
        cursor: bool,
    ) -> Option<(CopyAt, Arc<PreparedText>)> {
        let (text, at, _) = self.listed(text, cursor).next()?;
        Some((at, Arc::clone(text)))
    }

    /// The same for a statement whose parameters one server takes for this, before the execution at hand and
    /// after it: a copy that does what one would that had run what the statement ran. A new one does what it can.
    pub fn find_for(
        &self,
        text: &Arc<PreparedText>,
        cursor: bool,
        [before, after]: [&Kinds; 2],
    ) -> Option<(CopyAt, Arc<PreparedText>)> {
        let rank = |kinds: &Kinds| match kinds {
            kinds if kinds == after => Some(0),
            kinds if kinds == before => Some(1),
            kinds => kinds.are_fresh().then_some(2),
        };
        let ranked = self
            .listed(text, cursor)
            .filter_map(|(text, at, copied)| Some((rank(&copied.kinds)?, text, at)));
        let (_, text, at) = ranked.min_by_key(|(rank, ..)| *rank)?;
        Some((at, Arc::clone(text)))
    }

    /// Whether a copy may run for such a statement.
    pub fn suits(&self, at: CopyAt, [before, after]: [&Kinds; 2]) -> bool {
        self.get(at).is_some_and(|copied| {
            let kinds = &copied.kinds;
            kinds == after || kinds == before || kinds.are_fresh()
        })
    }

    /// The copies of a text that are not tied, those for cursors first.
    fn listed(
        &self,
        text: &Arc<PreparedText>,
        cursor: bool,
    ) -> impl Iterator<Item = (&Arc<PreparedText>, CopyAt, &Copied)> {
        let cursors = cursor.then(|| self.cursors.get_key_value(text)).flatten();
        let lists = cursors.into_iter().chain(self.plain.get_key_value(text));
        lists
            .flat_map(|(text, slots)| slots.iter().map(move |slot| (text, *slot)))
            .filter_map(|(text, slot)| {
                let copied = self.slots.get(slot)?.as_ref()?;
                let stamp = copied.stamp;
                Some((text, CopyAt { slot, stamp }, copied))
            })
    }

    /// Whether a copy is still there, and may run with or without a `cursor`.
    pub fn is(&self, at: CopyAt, cursor: bool) -> bool {
        self.get(at).is_some_and(|copied| cursor || !copied.cursor)
    }

    /// A copy runs with values of these types; NULL is `None`. Another one that does the same from now on is
    /// closed.
    pub fn runs_with(
        &mut self,
        at: CopyAt,
        types: impl Iterator<Item = Option<[u8; 2]>> + Clone,
        out: &mut Vec<u8>,
    ) {
        let Some(copied) = self.get_mut(at) else {
            return;
        };
        let kinds = copied.kinds.after(types);
        if kinds == copied.kinds {
            return;
        }
        copied.kinds = kinds;
        if !copied.tied {
            let other = self.twin(at);
            other.into_iter().for_each(|other| self.close(other, out));
        }
    }

    /// Another copy of the same text, for the same, whose parameters are taken for the same.
    fn twin(&self, at: CopyAt) -> Option<CopyAt> {
        let copied = self.get(at)?;
        let same = |(_, other, it): &(&Arc<PreparedText>, CopyAt, &Copied)| {
            *other != at && it.cursor == copied.cursor && it.kinds == copied.kinds
        };
        let found = self.listed(&copied.text, copied.cursor).find(same);
        found.map(|(_, other, _)| other)
    }

    /// The server's id of a copy that is about to be used; `None` if it is not there any more.
    pub fn id(&mut self, at: CopyAt) -> Option<ServerStmtId> {
        self.clock += 1;
        let now = self.clock;
        let copied = self.get_mut(at)?;
        copied.used = now;
        Some(copied.id)
    }

    /// Whether these parameter types were bound last on a copy.
    pub fn has_bound(&self, at: CopyAt, types: &Arc<[u8]>) -> bool {
        let bound = self.get(at).and_then(|copied| copied.types.as_ref());
        bound.is_some_and(|bound| Arc::ptr_eq(bound, types) || bound == types)
    }

    /// Whether any parameter types are bound on a copy.
    pub fn is_bound(&self, at: CopyAt) -> bool {
        self.get(at).is_some_and(|copied| copied.types.is_some())
    }

    /// These parameter types are bound on a copy.
    pub fn bind(&mut self, at: CopyAt, types: &Arc<[u8]>) {
        if types.is_empty() {
            return;
        }
        if let Some(copied) = self.get_mut(at)
            && !matches!(&copied.types, Some(bound) if Arc::ptr_eq(bound, types))
        {
            copied.types = Some(Arc::clone(types));
        }
    }

    /// What is bound on a copy is not known any more.
    pub fn unbind(&mut self, at: CopyAt) {
        if let Some(copied) = self.get_mut(at) {
            copied.types = None;
        }
    }

    /// Before this text is prepared: closes an equal copy that has not run yet, and those that were not used for longest,
    /// until fewer than `bound` are left. Appends the commands, which have no replies, to `out`;
    /// gives how many were closed for want of room.
    pub fn make_room(
        &mut self,
        text: &Arc<PreparedText>,
        bound: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        let fresh = |(_, at, copied): (_, CopyAt, &Copied)| copied.kinds.are_fresh().then_some(at);
        let equal = self.listed(text, false).find_map(fresh);
        if let Some(at) = equal {
            self.close(at, out);
        }
        let mut evicted = 0;
        while self.len() >= bound.max(1) || self.bytes + text.text().len() > TEXT {
            let Some(oldest) = self.oldest() else {
                break;
            };
            self.close(oldest, out);
            evicted += 1;
        }
        evicted
    }

    /// The server prepared a text and gave it this id. An equal one is not found any more.
    pub fn enter(&mut self, text: Arc<PreparedText>, id: ServerStmtId) -> CopyAt {
        self.clock += 1;
        self.bytes += text.text().len();
        let copied = Copied {
            text: Arc::clone(&text),
            id,
            stamp: self.clock,
            used: self.clock,
            types: None,
            kinds: Kinds::default(),
            tied: false,
            cursor: false,
        };
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(copied);
        }
        self.plain.entry(text).or_default().insert(0, slot);
        CopyAt {
            slot,
            stamp: self.clock,
        }
    }

    /// Ties a copy to the statement that asks, which may be about to run it with a `cursor`: only who
    /// has the answer finds it from now on.
    pub fn tie(&mut self, at: CopyAt, cursor: bool) -> Option<CopyAt> {
        self.clock += 1;
        let stamp = self.clock;
        let copied = self.get_mut(at)?;
        if copied.tied {
            copied.cursor |= cursor;
            return Some(at);
        }
        let (text, was) = (Arc::clone(&copied.text), copied.cursor);
        copied.tied = true;
        copied.cursor |= cursor;
        copied.stamp = stamp;
        self.unlist(&text, was, at.slot);
        self.tied += 1;
        Some(CopyAt { stamp, ..at })
    }

    /// No cursor is open any more on a tied copy, and no part of a parameter waits there. It is closed
    /// if there is another one by now.
    pub fn untie(&mut self, at: CopyAt, out: &mut Vec<u8>) {
        let Some(copied) = self.get_mut(at).filter(|copied| copied.tied) else {
            return;
        };
        let (text, cursor) = (Arc::clone(&copied.text), copied.cursor);
        if self.twin(at).is_some() {
            self.close(at, out);
        } else if let Some(copied) = self.get_mut(at) {
            copied.tied = false;
            self.tied -= 1;
            self.list(cursor).entry(text).or_default().push(at.slot);
        }
    }

    /// Closes a copy.
    pub fn close(&mut self, at: CopyAt, out: &mut Vec<u8>) {
        if let Some(id) = self.forget(at) {
            append_packet(out, &mut 0, &com_stmt_close(id.0));
        }
    }

    /// The server does not know a copy.
    pub fn forget(&mut self, at: CopyAt) -> Option<ServerStmtId> {
        self.get(at)?;
        let copied = self.slots.get_mut(at.slot)?.take()?;
        self.free.push(at.slot);
        self.bytes -= copied.text.text().len();
        match copied.tied {
            true => self.tied -= 1,
            false => self.unlist(&copied.text, copied.cursor, at.slot),
        }
        Some(copied.id)
    }

    /// Closes all of a text that are not tied.
    pub fn close_all(&mut self, text: &Arc<PreparedText>, out: &mut Vec<u8>) {
        while let Some((at, _)) = self.find(text, true) {
            self.close(at, out);
        }
    }

    /// Closes all that are not tied: the server has no room. Gives their number.
    pub fn shed(&mut self, out: &mut Vec<u8>) -> usize {
        let mut closed = 0;
        while let Some(at) = self.oldest() {
            self.close(at, out);
            closed += 1;
        }
        closed
    }

    /// Closes those that are tied: their session lets the connection go.
    pub fn close_tied(&mut self, out: &mut Vec<u8>) {
        if self.tied == 0 {
            return;
        }
        let tied: Vec<_> = self.places(|copied| copied.tied).collect();
        for (_, at) in tied {
            self.close(at, out);
        }
    }

    /// The connection was reset: the server forgot them all.
    pub fn clear(&mut self) {
        // The clock goes on, so that places of before are never taken for new ones.
        let clock = self.clock;
        *self = Self {
            clock,
            ..Self::default()
        };
    }

    /// Whether a cursor is open or a part of a parameter waits here: the session cannot go on
    /// elsewhere.
    pub fn is_tied(&self) -> bool {
        self.tied > 0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn list(&mut self, cursor: bool) -> &mut Listed {
        match cursor {
            true => &mut self.cursors,
            false => &mut self.plain,
        }
    }

    fn unlist(&mut self, text: &Arc<PreparedText>, cursor: bool, slot: usize) {
        let list = self.list(cursor);
        let Some(slots) = list.get_mut(text) else {
            return;
        };
        slots.retain(|other| *other != slot);
        if slots.is_empty() {
            list.remove(text);
        }
    }

    fn oldest(&self) -> Option<CopyAt> {
        let idle = self.places(|copied| !copied.tied);
        idle.min_by_key(|(used, _)| *used).map(|(_, at)| at)
    }

    /// When each was used last, and where it is.
    fn places(&self, which: impl Fn(&Copied) -> bool) -> impl Iterator<Item = (u64, CopyAt)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(move |(slot, copied)| {
                let copied = copied.as_ref().filter(|copied| which(copied))?;
                let stamp = copied.stamp;
                Some((copied.used, CopyAt { slot, stamp }))
            })
    }

    fn get(&self, at: CopyAt) -> Option<&Copied> {
        let copied = self.slots.get(at.slot)?.as_ref()?;
        (copied.stamp == at.stamp).then_some(copied)
    }

    fn get_mut(&mut self, at: CopyAt) -> Option<&mut Copied> {
        let copied = self.slots.get_mut(at.slot)?.as_mut()?;
        (copied.stamp == at.stamp).then_some(copied)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::domain::session::{Mirror, Under};
    use crate::protocol::frame::HEADER;

    fn text(text: &str) -> Arc<PreparedText> {
        let under = Arc::new(Under::now(&Mirror::default()));
        Arc::new(PreparedText::new(text.as_bytes(), under, None))
    }

    /// The ids in COM_STMT_CLOSE commands.
    fn closed(out: &[u8]) -> Vec<u32> {
        let ids = out.chunks(HEADER + 5);
        ids.map(|packet| u32::from_le_bytes(packet[HEADER + 1..].try_into().unwrap()))
            .collect()
    }

    fn filled(count: u32) -> (Copies, Vec<CopyAt>) {
        let mut copies = Copies::default();
        let enter = |id: u32| copies.enter(text(&id.to_string()), ServerStmtId(id));
        let places = (0..count).map(enter).collect();
        (copies, places)
    }

    #[test]
    fn an_equal_text_of_another_session_is_found() {
        let (mut copies, places) = filled(3);
        let mine = text("1");
        let (at, shared) = copies.find(&mine, false).unwrap();
        assert_eq!(at, places[1]);
        assert_eq!(copies.id(at), Some(ServerStmtId(1)));
        assert!(!Arc::ptr_eq(&shared, &mine) && shared == mine);
        assert!(copies.find(&text("3"), false).is_none());
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let (mut copies, places) = filled(3);
        copies.id(places[0]);
        let mut out = Vec::new();
        assert_eq!(copies.make_room(&text("new"), 3, &mut out), 1);
        assert_eq!(closed(&out), [1]);
        assert_eq!(copies.id(places[1]), None);
        let new = copies.enter(text("new"), ServerStmtId(9));
        assert_eq!(copies.id(places[1]), None, "its slot is another's now");
        assert_eq!(copies.id(new), Some(ServerStmtId(9)));
        assert_eq!(copies.len(), 3);
    }

    #[test]
    fn an_equal_copy_makes_room_first() {
        let (mut copies, places) = filled(3);
        let mut out = Vec::new();
        assert_eq!(copies.make_room(&text("2"), 3, &mut out), 0);
        assert_eq!(closed(&out), [2]);
        assert_eq!(copies.id(places[2]), None);
        assert!(copies.id(places[0]).is_some());
    }

    #[test]
    fn long_texts_make_room_too() {
        let mut copies = Copies::default();
        let long = |of: &str| text(&of.repeat(TEXT / 2));
        for (id, of) in [(1, "a"), (2, "b"), (3, "c")] {
            let mut out = Vec::new();
            copies.make_room(&long(of), 100, &mut out);
            assert_eq!(closed(&out), if id == 3 { vec![1] } else { vec![] });
            copies.enter(long(of), ServerStmtId(id));
        }
        let mut out = Vec::new();
        copies.make_room(&long("dd"), 100, &mut out);
        assert_eq!(closed(&out), [2, 3]);
        copies.enter(long("dd"), ServerStmtId(4));
        copies.make_room(&text("short"), 100, &mut out);
        assert!(copies.is_empty());
        assert_eq!(copies.bytes, 0);
    }

    #[test]
    fn a_tied_copy_is_found_by_one_statement_and_stays() {
        let (mut copies, places) = filled(2);
        let at = copies.tie(places[0], false).unwrap();
        assert!(copies.is_tied());
        assert_eq!(copies.tie(at, false), Some(at));
        assert_eq!(copies.id(places[0]), None, "others that knew it");
        assert!(copies.find(&text("0"), false).is_none());
        assert_eq!(copies.id(at), Some(ServerStmtId(0)));
        let mut out = Vec::new();
        copies.make_room(&text("new"), 1, &mut out);
        assert_eq!(closed(&out), [1]);
        assert_eq!(copies.id(at), Some(ServerStmtId(0)));

        copies.untie(at, &mut out);
        assert!(!copies.is_tied());
        assert_eq!(copies.find(&text("0"), false).unwrap().0, at);
    }

    #[test]
    fn a_copy_that_was_replaced_meanwhile_is_closed_when_it_is_free() {
        let (mut copies, places) = filled(1);
        let at = copies.tie(places[0], false).unwrap();
        let other = copies.enter(text("0"), ServerStmtId(7));
        let mut out = Vec::new();
        copies.untie(at, &mut out);
        assert_eq!(closed(&out), [0]);
        assert_eq!((copies.len(), copies.is_tied()), (1, false));
        assert_eq!(copies.find(&text("0"), false).unwrap().0, other);
    }

    #[test]
    fn each_finds_what_ran_as_its_own_did() {
        const INT: Option<[u8; 2]> = Some([8, 0]);
        let fresh = Kinds::default();
        let number = fresh.after([INT].into_iter());
        let mine = text("0");
        let (mut copies, places) = filled(1);
        let found = |copies: &Copies, kinds: [&Kinds; 2]| copies.find_for(&mine, false, kinds);
        let mut out = Vec::new();
        copies.runs_with(places[0], [INT].into_iter(), &mut out);
        for (kinds, suits) in [
            ([&fresh, &number], true),
            ([&number, &number], true),
            ([&fresh, &fresh], false),
        ] {
            assert_eq!(found(&copies, kinds).is_some(), suits, "{kinds:?}");
            assert_eq!(copies.suits(places[0], kinds), suits, "{kinds:?}");
        }
        assert_eq!(copies.make_room(&mine, 9, &mut out), 0);
        assert_eq!(closed(&out), [0_u32; 0], "others have a use for it");
        let new = copies.enter(text("0"), ServerStmtId(5));
        assert_eq!(found(&copies, [&fresh, &fresh]).unwrap().0, new);
        assert_eq!(found(&copies, [&number, &number]).unwrap().0, places[0]);
        copies.runs_with(new, [INT].into_iter(), &mut out);
        assert_eq!(closed(&out), [0], "one is enough");
        assert_eq!(found(&copies, [&number, &number]).unwrap().0, new);
    }

    #[test]
    fn what_ran_with_a_cursor_is_for_cursors() {
        let (mut copies, places) = filled(1);
        let at = copies.tie(places[0], true).unwrap();
        let mut out = Vec::new();
        copies.untie(at, &mut out);
        assert!(!copies.is(at, false) && copies.is(at, true));
        assert!(copies.find(&text("0"), false).is_none());
        assert_eq!(copies.find(&text("0"), true).unwrap().0, at);
        let plain = copies.enter(text("0"), ServerStmtId(5));
        assert_eq!(copies.find(&text("0"), false).unwrap().0, plain);
        assert_eq!(copies.find(&text("0"), true).unwrap().0, at);
        copies.close_all(&text("0"), &mut out);
        assert_eq!(closed(&out), [0, 5]);
        assert!(copies.is_empty());
    }

    #[test]
    fn leaving_closes_what_is_tied_and_only_that() {
        let (mut copies, places) = filled(3);
        copies.tie(places[1], false);
        let mut out = Vec::new();
        copies.close_tied(&mut out);
        assert_eq!(closed(&out), [1]);
        assert_eq!((copies.len(), copies.is_tied()), (2, false));
        assert_eq!(copies.shed(&mut out), 2);
        assert!(copies.is_empty());
    }

    #[test]
    fn types_are_known_until_others_are_bound() {
        let (mut copies, places) = filled(1);
        let types = |types: &[u8]| -> Arc<[u8]> { types.into() };
        assert!(!copies.has_bound(places[0], &types(&[8, 0])));
        copies.bind(places[0], &types(&[8, 0]));
        assert!(copies.has_bound(places[0], &types(&[8, 0])));
        copies.bind(places[0], &types(&[253, 0]));
        assert!(!copies.has_bound(places[0], &types(&[8, 0])));
        copies.unbind(places[0]);
        assert!(!copies.has_bound(places[0], &types(&[253, 0])));
    }

    #[test]
    fn a_place_of_before_a_reset_is_never_taken_for_a_new_one() {
        let (mut copies, places) = filled(2);
        copies.clear();
        copies.enter(text("0"), ServerStmtId(0));
        assert_eq!(copies.id(places[0]), None);
    }
}
