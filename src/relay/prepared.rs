//! Prepared statements of a session: the ids that clients see are ours, and each connection has
//! copies of its own.
//!
//! A client's PREPARE always runs on a server, although its text may be known there: it is a read at
//! the session's level, and only a server says whether the tables are still what they were. What runs
//! without the client's knowing is the PREPARE on a connection that meets the statement at an
//! EXECUTE; a copy that is there already is used as it is, for a server looks itself whether a table
//! has changed since.

mod again;

use std::collections::HashMap;
use std::sync::Arc;

pub(super) use again::{NO_ROOM, Prepared};

use super::classify::Shape;
use super::own::OwnPart;
use super::session::Relay;
use crate::backend::{CopyAt, Kinds, ServerConn};
use crate::domain::ids::{ClientStmtId, ServerStmtId, SessionId};
use crate::domain::session::{Mirror, PreparedText, Side, Under};
use crate::domain::sql::{Hints, StatementProfile};
use crate::protocol::command::StmtExecute;

/// Statements that one session may have: as many as a server allows all of its clients together, if
/// nobody set max_prepared_stmt_count.
pub(super) const MOST: usize = 16_382;

/// A session's prepared statements.
#[derive(Debug)]
pub(super) struct Statements {
    by_id: HashMap<ClientStmtId, Statement>,
    session: SessionId,
    last: u32,
    /// What was in force at the last PREPARE, and at which version of the mirror.
    under: Option<(u64, Arc<Under>)>,
}

/// One prepared statement.
#[derive(Debug)]
pub(super) struct Statement {
    text: Arc<PreparedText>,
    pub(super) profile: StatementProfile,
    /// The shape that its executions are counted by.
    pub(super) shape: Option<Arc<Shape>>,
    /// What it has to do with variables of our own.
    pub(super) own: Option<OwnPart>,
    /// What its client asked to be prepared, where a rule made another text of it.
    pub(super) asked: Option<Box<[u8]>>,
    /// The hints in its text, which hold for each of its executions.
    pub(super) hints: Hints,
    /// How many columns the client was told of last; 0 if it was told of none.
    pub(super) columns: u64,
    /// How many parameters it has.
    pub(super) params: u16,
    /// The parameter types that the client bound last.
    pub(super) types: Arc<[u8]>,
    /// What one server takes the parameters for, before the execution at hand and after it.
    pub(super) kinds: [Kinds; 2],
    /// Whether the execution at hand asks for a cursor.
    pub(super) cursor: bool,
    /// The parameters of which parts were sent ahead, to the copy that is tied.
    pub(super) long_data: Vec<u16>,
    /// The copy on which its long data or its cursor are.
    tied: Option<OnConnection>,
    /// Where it was found last, to the primary and to a replica.
    last: [Option<OnConnection>; 2],
}

/// A place on one life of one connection.
#[derive(Clone, Copy, Debug)]
struct OnConnection {
    serial: u64,
    at: CopyAt,
}

impl OnConnection {
    fn on(self, serial: u64) -> Option<CopyAt> {
        (self.serial == serial).then_some(self.at)
    }
}

impl Statements {
    pub(super) fn new(session: SessionId) -> Self {
        Self {
            by_id: HashMap::new(),
            session,
            last: 0,
            under: None,
        }
    }

    /// Enters a statement that is about to be prepared.
    pub(super) fn add(
        &mut self,
        text: &[u8],
        profile: StatementProfile,
        hints: Hints,
        mirror: &Mirror,
    ) -> ClientStmtId {
        let under = match self.under.take() {
            Some((version, under)) if version == mirror.version() => under,
            _ => Arc::new(Under::now(mirror)),
        };
        self.under = Some((mirror.version(), Arc::clone(&under)));
        let id = self.next_id();
        // A collation that nobody knows may be another one in each session.
        let personal = PreparedText::is_personal(text) || mirror.collation_untold();
        let owner = personal.then_some(u64::from(self.session.0) << 32 | u64::from(id.0));
        let statement = Statement {
            text: Arc::new(PreparedText::new(text, under, owner)),
            profile,
            shape: None,
            own: None,
            asked: None,
            hints,
            columns: 0,
            params: 0,
            types: Arc::default(),
            kinds: Default::default(),
            cursor: false,
            long_data: Vec::new(),
            tied: None,
            last: [None; 2],
        };
        self.by_id.insert(id, statement);
        id
    }

    /// Ids wrap after four billion prepares; those still in use are skipped.
    fn next_id(&mut self) -> ClientStmtId {
        loop {
            self.last = self.last.wrapping_add(1);
            let id = ClientStmtId(self.last);
            if self.last != 0 && !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    pub(super) fn get(&self, id: ClientStmtId) -> Option<&Statement> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ClientStmtId) -> Option<&mut Statement> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: ClientStmtId) -> Option<Statement> {
        self.by_id.remove(&id)
    }

    /// A reset of the session drops them all.
    pub(super) fn clear(&mut self) {
        self.by_id.clear();
    }

    /// Whether there are as many as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.by_id.len() >= MOST
    }
}

impl Statement {
    /// The text that servers have.
    pub(super) fn text(&self) -> &[u8] {
        self.text.text()
    }

    /// Its copy on a connection, the one that is tied to it if that is there.
    pub(super) fn find(&mut self, side: Side, link: &ServerConn) -> Option<CopyAt> {
        let serial = link.identity.serial;
        if let Some(at) = self.tied.and_then(|tied| tied.on(serial)) {
            return link.copies.is(at, true).then_some(at);
        }
        let cursor = self.cursor;
        let last = *self.last_on(side);
        let [before, after] = &self.kinds;
        let kinds = [before, after];
        if let Some(at) = last.and_then(|last| last.on(serial))
            && link.copies.is(at, cursor)
            && link.copies.suits(at, kinds)
        {
            return Some(at);
        }
        let (at, text) = link.copies.find_for(&self.text, cursor, kinds)?;
        // Equal texts of many sessions are one in memory.
        self.text = text;
        *self.last_on(side) = Some(OnConnection { serial, at });
        Some(at)
    }

    /// A server prepared it for the connection under this id.
    pub(super) fn on_prepared(&mut self, side: Side, link: &mut ServerConn, id: ServerStmtId) {
        let at = link.copies.enter(Arc::clone(&self.text), id);
        let serial = link.identity.serial;
        *self.last_on(side) = Some(OnConnection { serial, at });
    }

    /// The client bound these types.
    pub(super) fn bind(&mut self, types: &[u8]) {
        if *self.types != *types {
            self.types = types.into();
        }
    }

    /// A part of a parameter's value was sent ahead.
    pub(super) fn on_long_data(&mut self, param: u16) {
        if !self.long_data.contains(&param) {
            self.long_data.push(param);
        }
    }

    /// Ties its copy on a connection to it: a part of a parameter is sent there, or a cursor opened.
    /// Another copy that was tied loses what it had.
    pub(super) fn tie(&mut self, side: Side, link: &mut ServerConn) -> Option<CopyAt> {
        let at = self.find(side, link)?;
        let at = link.copies.tie(at, self.cursor)?;
        let serial = link.identity.serial;
        self.tied = Some(OnConnection { serial, at });
        Some(at)
    }

    /// Nothing of it is left on the copy that was tied.
    pub(super) fn untie(&mut self, link: Option<&mut ServerConn>) {
        if let (Some(tied), Some(link)) = (self.tied.take(), link)
            && let Some(at) = tied.on(link.identity.serial)
        {
            link.copies.untie(at, &mut link.pending);
        }
    }

    /// Closes the copy that is tied, and what is on it.
    pub(super) fn close_tied(&mut self, link: Option<&mut ServerConn>) {
        self.long_data.clear();
        if let (Some(tied), Some(link)) = (self.tied.take(), link)
            && let Some(at) = tied.on(link.identity.serial)
        {
            link.copies.close(at, &mut link.pending);
        }
    }

    /// The serial of the connection on which its long data or its cursor are.
    pub(super) fn tied_on(&self) -> Option<u64> {
        self.tied.map(|tied| tied.serial)
    }

    /// The session does not need it any more: on a connection it leaves only what others can use.
    pub(super) fn leave(&self, link: &mut ServerConn) {
        if let Some(at) = self.tied.and_then(|tied| tied.on(link.identity.serial)) {
            link.copies.close(at, &mut link.pending);
        }
        if self.text.owner().is_some() {
            link.copies.close_all(&self.text, &mut link.pending);
        }
    }

    /// Closes copies on which types are bound.
    pub(super) fn close_bound(&mut self, links: [Option<&mut ServerConn>; 2]) {
        for (side, link) in [Side::Primary, Side::Replica].into_iter().zip(links) {
            if let Some(link) = link
                && let Some(at) = self.find(side, link)
                && link.copies.is_bound(at)
            {
                link.copies.close(at, &mut link.pending);
            }
        }
    }

    /// It has another text from now on. The copies of the old one, whose text nobody else is likely to
    /// have, are closed.
    pub(super) fn becomes(&mut self, text: &[u8], links: [Option<&mut ServerConn>; 2]) {
        for link in links.into_iter().flatten() {
            link.copies.close_all(&self.text, &mut link.pending);
        }
        let under = Arc::clone(self.text.under());
        self.text = Arc::new(PreparedText::new(text, under, self.text.owner()));
        self.last = [None; 2];
        self.tied = None;
    }

    fn last_on(&mut self, side: Side) -> &mut Option<OnConnection> {
        let [primary, replica] = &mut self.last;
        match side {
            Side::Primary => primary,
            Side::Replica => replica,
        }
    }
}

impl Relay {
    /// What a MySQL takes the parameters for when it runs the execution at hand.
    pub(super) fn foresee_kinds(&mut self, id: ClientStmtId, total: usize) {
        let attributes = self.who.profile.query_attributes();
        let Some(params) = self.statements.get(id).map(|statement| statement.params) else {
            return;
        };
        if params == 0 || self.mode().dialect.is_mariadb() {
            return;
        }
        let Some(types) = self.statements.get(id).map(|it| Arc::clone(&it.types)) else {
            return;
        };
        let execute = StmtExecute::parse(self.payload(total), params, attributes);
        let Some(bound) = execute.map(|execute| execute.bound(&types)) else {
            return;
        };
        let next = |statement: &Statement| statement.kinds[1].after(bound);
        let next = self.statements.get(id).map(next);
        if let (Some(next), Some(statement)) = (next, self.statements.get_mut(id)) {
            let [_, before] = std::mem::take(&mut statement.kinds);
            statement.kinds = [before, next];
        }
    }
}
