//! Prepared statements: the ids that clients see are ours, and each connection has its own.

use std::collections::HashMap;
use std::sync::Arc;

use super::attempt::Tried;
use super::links::put_restore;
use super::own::OwnPart;
use super::reply::{Relayed, Swallowed};
use super::session::{End, Relay};
use crate::domain::ids::{BackendId, ClientStmtId, ServerStmtId};
use crate::domain::session::{Mirror, Side};
use crate::domain::sql::{Hints, StatementProfile};
use crate::protocol::command::com_stmt_prepare;
use crate::protocol::frame::append_packet;
use crate::protocol::reply::{EventKind, ReplyKind, ReplyTracker};

/// The connection broke, and the client has seen nothing of it.
const LOST: Tried = Tried::Relayed(Relayed::Lost { forwarded: false });

/// A session's prepared statements.
#[derive(Debug, Default)]
pub(super) struct Statements {
    by_id: HashMap<ClientStmtId, Statement>,
    last: u32,
    /// Of the last PREPARE, to be shared while nothing changes.
    under: Option<Arc<Under>>,
}

/// One prepared statement.
#[derive(Debug)]
pub(super) struct Statement {
    /// The text; empty when it was too long to be held, which ties the statement to the connection
    /// it was prepared on.
    pub(super) text: Box<[u8]>,
    pub(super) profile: StatementProfile,
    /// What it has to do with variables of our own.
    pub(super) own: Option<OwnPart>,
    /// The hints in its text, which hold for each of its executions.
    pub(super) hints: Hints,
    under: Arc<Under>,
    /// How many parameters it has.
    pub(super) params: u16,
    /// The parameter types that the client bound last.
    pub(super) types: Box<[u8]>,
    /// The parameters of which parts were sent ahead, to the connection at `home`.
    pub(super) long_data: Vec<u16>,
    /// The serial of the connection on which its long data or its cursor are.
    pub(super) home: Option<u64>,
    copies: Vec<OnConnection>,
}

/// What was in force at the client's PREPARE, by which the server read the text: the statement keeps
/// its meaning after a USE or a SET.
#[derive(Debug)]
pub(super) struct Under {
    version: u64,
    schema: Option<Box<[u8]>>,
    settings: Vec<(&'static str, Box<[u8]>)>,
}

/// Variables that change how a text is read.
const READ_BY: [&str; 3] = ["sql_mode", "character_set_client", "collation_connection"];

impl Under {
    /// What the mirror holds now; `global` gives the values of what was never set.
    pub(super) fn now(mirror: &Mirror, global: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &'static str| {
            let told = name != "collation_connection" || !mirror.collation_untold();
            let set = mirror.get(name.as_bytes()).map(Into::into);
            let value = set.or_else(|| Some(global(name)?.into_bytes().into()));
            Some((name, value.filter(|_| told)?))
        };
        Self {
            version: mirror.version(),
            schema: mirror.schema().map(Into::into),
            settings: READ_BY.into_iter().filter_map(value).collect(),
        }
    }

    /// The mirror as it is now, but with this in force again.
    fn again(&self, mirror: &Mirror) -> Mirror {
        let mut mirror = mirror.clone();
        if let Some(schema) = &self.schema {
            mirror.set_schema(schema);
        }
        for (name, value) in &self.settings {
            // What the session never set is still as it was.
            if mirror.get(name.as_bytes()).is_some() {
                mirror.set(name.as_bytes(), value);
            }
        }
        mirror
    }
}

/// The statement as one connection knows it.
#[derive(Debug)]
struct OnConnection {
    connection: u64,
    id: ServerStmtId,
    /// Whether the types of [`Statement::types`] were bound there.
    bound: bool,
}

impl Statements {
    /// Enters a statement that is about to be prepared. `global` is as for [`Under::now`].
    pub(super) fn add(
        &mut self,
        text: &[u8],
        profile: StatementProfile,
        hints: Hints,
        mirror: &Mirror,
        global: impl Fn(&str) -> Option<String>,
    ) -> ClientStmtId {
        let under = match self.under.take() {
            Some(under) if under.version == mirror.version() => under,
            _ => Arc::new(Under::now(mirror, global)),
        };
        self.under = Some(Arc::clone(&under));
        // Ids wrap after four billion prepares; skip those still in use.
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != 0 && !self.by_id.contains_key(&ClientStmtId(self.last)) {
                break;
            }
        }
        let id = ClientStmtId(self.last);
        let statement = Statement {
            text: text.into(),
            profile,
            own: None,
            hints,
            under,
            params: 0,
            types: Box::default(),
            long_data: Vec::new(),
            home: None,
            copies: Vec::new(),
        };
        self.by_id.insert(id, statement);
        id
    }

    /// Whether a cursor, or parts of a parameter, are on this connection.
    pub(super) fn is_home(&self, connection: u64) -> bool {
        let home = |statement: &Statement| statement.home == Some(connection);
        self.by_id.values().any(home)
    }

    /// Whether this connection knows one of them.
    pub(super) fn is_on(&self, connection: u64) -> bool {
        let knows = |statement: &Statement| statement.copy(connection).is_some();
        self.by_id.values().any(knows)
    }

    /// The session lets go of a connection: gives the ids that are to be closed there.
    pub(super) fn leave(&mut self, connection: u64) -> Vec<ServerStmtId> {
        let mut ids = Vec::new();
        for statement in self.by_id.values_mut() {
            statement.copies.retain(|copy| {
                let stays = copy.connection != connection;
                ids.extend((!stays).then_some(copy.id));
                stays
            });
        }
        ids
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

    /// A connection prepared it under this id. Copies on connections that are not `held` any more
    /// are forgotten.
    pub(super) fn on_prepared(
        &mut self,
        id: ClientStmtId,
        connection: u64,
        held: [Option<u64>; 2],
        at: u32,
        params: u16,
    ) {
        if let Some(statement) = self.by_id.get_mut(&id) {
            statement.params = params;
            statement.copies.retain(|copy| {
                copy.connection != connection && held.contains(&Some(copy.connection))
            });
            statement.copies.push(OnConnection {
                connection,
                id: ServerStmtId(at),
                bound: false,
            });
        }
    }
}

impl Statement {
    /// Its id on a connection.
    pub(super) fn on(&self, connection: u64) -> Option<ServerStmtId> {
        self.copy(connection).map(|copy| copy.id)
    }

    /// The client bound these types.
    pub(super) fn bind(&mut self, types: &[u8]) {
        if *self.types != *types {
            self.types = types.into();
            for copy in &mut self.copies {
                copy.bound = false;
            }
        }
    }

    /// A part of a parameter's value was sent ahead.
    pub(super) fn on_long_data(&mut self, param: u16) {
        if !self.long_data.contains(&param) {
            self.long_data.push(param);
        }
    }

    /// Forgets which connections know it; gives them and its ids there.
    pub(super) fn take_copies(&mut self) -> Vec<(u64, ServerStmtId)> {
        let copies = std::mem::take(&mut self.copies);
        copies
            .into_iter()
            .map(|copy| (copy.connection, copy.id))
            .collect()
    }

    /// Whether the connection knows the types that the client bound last.
    pub(super) fn has_bound(&self, connection: u64) -> bool {
        self.copy(connection).is_some_and(|copy| copy.bound)
    }

    /// The connection was given the types.
    pub(super) fn on_bound(&mut self, connection: u64) {
        for copy in &mut self.copies {
            if copy.connection == connection {
                copy.bound = true;
            }
        }
    }

    fn copy(&self, connection: u64) -> Option<&OnConnection> {
        self.copies
            .iter()
            .find(|copy| copy.connection == connection)
    }
}

/// How preparing a statement on one more connection went.
#[derive(Debug)]
pub(super) enum Prepared {
    /// The connection knows it under this id.
    Ready(ServerStmtId),
    /// The server refused; this is its ERR packet, which fits as the answer to any command.
    Refused(Vec<u8>),
    /// The connection cannot be used further.
    Broken(Tried),
}

impl Relay {
    /// The statement's id on a connection of that side, to the primary if none is held. `None` when
    /// that cannot be had.
    pub(super) async fn prepared_on(
        &mut self,
        side: Side,
        id: ClientStmtId,
    ) -> Result<Option<ServerStmtId>, End> {
        let Self {
            links,
            state,
            registered,
            ..
        } = self;
        if side == Side::Primary
            && links
                .hold(side, BackendId::PRIMARY, &state.mirror, registered)
                .await
                .is_err()
        {
            return Ok(None);
        }
        match self.prepare_here(side, id).await? {
            Prepared::Ready(server_id) => Ok(Some(server_id)),
            Prepared::Refused(_) => Ok(None),
            // COM_STMT_SEND_LONG_DATA has no reply that could tell.
            Prepared::Broken(_) if side == Side::Primary && !self.drop_primary() => {
                Err(End::StateLost)
            }
            Prepared::Broken(_) => {
                self.links.discard(side, &self.registered);
                Ok(None)
            }
        }
    }

    /// Prepares a statement on a held connection that does not know it yet, under what was in force
    /// at the client's PREPARE.
    pub(super) async fn prepare_here(
        &mut self,
        side: Side,
        id: ClientStmtId,
    ) -> Result<Prepared, End> {
        let Self {
            links,
            statements,
            state,
            shared,
            out,
            ..
        } = self;
        let (Some(link), Some(statement)) = (links.get_mut(side), statements.get_mut(id)) else {
            return Ok(Prepared::Broken(Tried::NotSent));
        };
        if let Some(server_id) = statement.on(link.identity.serial) {
            return Ok(Prepared::Ready(server_id));
        }
        let mirror = statement.under.again(&state.mirror);
        out.clear();
        let in_transaction = state.transaction.open_on() == Some(side);
        let commits = side == Side::Replica && !state.transaction.autocommit() && !in_transaction;
        let Ok(replies) = put_restore(link, &mirror, in_transaction, commits, shared, out) else {
            return Ok(Prepared::Broken(Tried::NotRestored));
        };
        let text = com_stmt_prepare(&statement.text);
        if replies > 0
            && (!self.send_to_server(side).await
                || self.swallow(side, replies).await? != Swallowed::Done)
        {
            return Ok(Prepared::Broken(Tried::NotRestored));
        }
        append_packet(&mut self.out, &mut 0, &text);
        if !self.send_to_server(side).await {
            return Ok(Prepared::Broken(LOST));
        }
        self.take_prepared(side, id).await
    }

    /// Takes in the reply of a COM_STMT_PREPARE that the client knows nothing of.
    async fn take_prepared(&mut self, side: Side, id: ClientStmtId) -> Result<Prepared, End> {
        let mut tracker = ReplyTracker::new(ReplyKind::Prepare, self.who.profile);
        let mut result = Prepared::Broken(LOST);
        while !tracker.is_done() {
            let held = self.links.serials();
            let Some(link) = self.links.get_mut(side) else {
                return Ok(Prepared::Broken(LOST));
            };
            let scan = tracker.scan(link.conn.input.data());
            let mut used = scan.forward;
            if let Some(event) = scan.event {
                let packet = link.conn.input.data().get(used..used + event.len);
                match event.kind {
                    EventKind::Prepared {
                        stmt_id, params, ..
                    } => {
                        let connection = link.identity.serial;
                        self.statements
                            .on_prepared(id, connection, held, stmt_id, params);
                        result = Prepared::Ready(ServerStmtId(stmt_id));
                    }
                    EventKind::Err => {
                        result = Prepared::Refused(packet.unwrap_or_default().to_vec());
                    }
                    _ => return Ok(Prepared::Broken(LOST)),
                }
                used += event.len;
            }
            link.conn.input.consume(used);
            if used == 0 && !tracker.is_done() && !self.fill_from_server(side, false).await? {
                return Ok(Prepared::Broken(LOST));
            }
        }
        Ok(result)
    }
}
