//! One command of the protocol: what it is, and who answers it.

use std::sync::Arc;

use super::attempt::Task;
use super::groups::{group_of, settings_of};
use super::hints;
use super::kill;
use super::own::{Execution, OwnPart};
use super::reply::Swallowed;
use super::session::{End, Relay};
use super::statement::Statement;
use crate::domain::ids::{BackendId, ClientStmtId};
use crate::domain::routing::Reason;
use crate::domain::session::{Outcome, Side};
use crate::domain::sql::{Access, Doubt, Effects, Hints, StatementProfile};
use crate::frontend::ClientError;
use crate::protocol::command::{
    CommandCode, com_stmt_close, com_stmt_reset, long_data_param, process_kill_id, query_text,
    set_option, set_stmt_id, stmt_id,
};
use crate::protocol::frame::{HEADER, append_packet};
use crate::protocol::reply::ReplyKind;

/// A command that the primary answers, and that shows no data.
const COMMAND: StatementProfile = StatementProfile {
    access: Access::PrimaryRead,
    effects: Effects(0),
    doubt: Doubt::ServerLocal,
    fingerprint: 0,
};

/// A command that changes the session's state.
const STATE: StatementProfile = StatementProfile {
    access: Access::Session,
    ..COMMAND
};

/// Where the text of a statement that is prepared stands.
pub(super) enum Source {
    /// In the client's packet, whose frame has so many bytes.
    Client { total: usize },
    /// In [`Relay::rewritten`].
    Rewritten(OwnPart),
}

impl Relay {
    /// Answers the command that stands whole in the client's buffer.
    pub(super) async fn command(&mut self, code: CommandCode, total: usize) -> Result<(), End> {
        match code {
            CommandCode::Quit => Err(End::Quit),
            CommandCode::Ping => self.answer_ok().await,
            CommandCode::Query => self.query(total).await,
            CommandCode::InitDb => self.on_primary_side(ReplyKind::Simple, STATE, total).await,
            CommandCode::SetOption => self.set_option(total).await,
            CommandCode::FieldList => {
                let profile = StatementProfile {
                    effects: Effects::READS_TABLES,
                    ..COMMAND
                };
                self.on_primary_side(ReplyKind::FieldList, profile, total)
                    .await
            }
            CommandCode::Statistics => {
                self.on_primary_side(ReplyKind::Statistics, COMMAND, total)
                    .await
            }
            CommandCode::ProcessKill => self.process_kill(total).await,
            CommandCode::ChangeUser => self.change_user(total).await,
            CommandCode::ResetConnection => self.reset_connection(total).await,
            CommandCode::StmtPrepare => self.prepare(total).await,
            CommandCode::StmtExecute => self.execute(total).await,
            CommandCode::StmtSendLongData => self.send_long_data(total).await,
            CommandCode::StmtReset => self.reset_statement(total).await,
            CommandCode::StmtFetch => self.fetch(total).await,
            CommandCode::StmtClose => {
                self.close_statement(total);
                Ok(())
            }
            _ => self.refuse(ClientError::UnknownCommand).await,
        }
    }

    /// The text of the COM_QUERY at hand.
    pub(super) fn text(&self, total: usize) -> &[u8] {
        let payload = self.payload(total);
        let range = query_text(payload, self.who.profile.query_attributes());
        range
            .and_then(|range| payload.get(range))
            .unwrap_or_default()
    }

    async fn query(&mut self, total: usize) -> Result<(), End> {
        let payload = self
            .client
            .input
            .data()
            .get(HEADER..total)
            .unwrap_or_default();
        let Some(range) = query_text(payload, self.who.profile.query_attributes()) else {
            return self.refuse_and_end(ClientError::Malformed).await;
        };
        let text = payload.get(range).unwrap_or_default();
        match hints::of_query(payload, text, self.who.profile.query_attributes()) {
            Ok(hints) => self.state.hints = hints,
            Err(error) => return self.refuse(error).await,
        }
        let profile = self
            .shared
            .classifier
            .profile(text, &self.state, &mut self.lexer)
            .await;
        let statement = Statement {
            task: Task::AsIs(ReplyKind::Query),
            profile,
            total,
            bound: None,
        };
        let own = matches!(profile.access, Access::Own | Access::Kill);
        if profile.effects.contains(Effects::MENTIONS_KNOWN) && !own {
            return self.run_with_known(statement).await.map(drop);
        }
        self.run_statement(statement).await.map(drop)
    }

    async fn on_primary_side(
        &mut self,
        kind: ReplyKind,
        profile: StatementProfile,
        total: usize,
    ) -> Result<(), End> {
        let bound = Some((self.state_side(), Reason::Command));
        let statement = Statement {
            task: Task::AsIs(kind),
            profile,
            total,
            bound,
        };
        self.run_statement(statement).await.map(drop)
    }

    async fn set_option(&mut self, total: usize) -> Result<(), End> {
        let option = set_option(self.payload(total));
        let statement = Statement {
            task: Task::AsIs(ReplyKind::Simple),
            profile: STATE,
            total,
            bound: None,
        };
        let outcome = self.run_statement(statement).await?;
        if outcome != Outcome::Failed {
            self.links.on_multi_statements(option == Some(0));
        }
        Ok(())
    }

    async fn process_kill(&mut self, total: usize) -> Result<(), End> {
        let Some(id) = process_kill_id(self.payload(total)) else {
            return self.refuse_and_end(ClientError::Malformed).await;
        };
        match kill::kill(&self.shared, self.links.key(), id.into(), false).await {
            Ok(()) => self.answer_ok().await,
            Err(error) => self.refuse(error).await,
        }
    }

    /// COM_RESET_CONNECTION: on the primary's connection it is the client's own command; the
    /// replica's goes back to its pool. Positions stay.
    async fn reset_connection(&mut self, total: usize) -> Result<(), End> {
        self.links.release(Side::Replica, &self.registered);
        self.state.transaction.on_lost();
        if self.links.get(Side::Primary).is_none() {
            self.after_reset();
            return self.answer_ok().await;
        }
        let statement = Statement {
            task: Task::AsIs(ReplyKind::Simple),
            profile: STATE,
            total,
            bound: None,
        };
        let outcome = self.run_statement(statement).await?;
        if outcome != Outcome::Failed {
            if let Some(link) = self.links.get_mut(Side::Primary) {
                let facts = self.shared.watch.facts(BackendId::PRIMARY);
                let globals = facts.map(|facts| Arc::clone(&facts.globals));
                link.applied.on_reset(globals.unwrap_or_default());
                link.applied.guard_changed = true;
                link.applied.gtids_changed = true;
            }
            self.after_reset();
        }
        Ok(())
    }

    /// The session is as after a login.
    pub(super) fn after_reset(&mut self) {
        self.state
            .on_reset(settings_of(&self.shared.config, &self.who.user));
        self.group = group_of(&self.shared.config, &self.who);
        self.read_after.clear();
        self.open_groups.clear();
        self.permit = None;
        self.renamed = false;
        self.start_from_globals();
        self.statements.clear();
        self.tell_pins();
    }

    async fn prepare(&mut self, total: usize) -> Result<(), End> {
        let text = self.payload(total).get(1..).unwrap_or_default().to_vec();
        let hints = match Hints::of_text(&text) {
            Ok(hints) => hints,
            Err(error) => return self.refuse(error.into()).await,
        };
        self.state.hints = hints.clone();
        let profile = self
            .shared
            .classifier
            .profile(&text, &self.state, &mut self.lexer)
            .await;
        match profile.access {
            Access::Own => self.prepare_own(&text, profile, hints).await,
            Access::Kill => {
                // No server may see it, and as a prepared statement it is not answered here.
                let error = ClientError::Unsupported("KILL cannot be prepared".to_owned());
                self.refuse(error).await
            }
            _ => match self.known_in(&text, &profile) {
                Some(template) => self.prepare_known(template, hints).await,
                None => {
                    let source = Source::Client { total };
                    self.prepare_text(&text, profile, hints, source).await
                }
            },
        }
    }

    /// Enters a prepared statement.
    pub(super) fn enter_statement(
        &mut self,
        text: &[u8],
        profile: StatementProfile,
        hints: Hints,
    ) -> ClientStmtId {
        let facts = self.shared.watch.facts(BackendId::PRIMARY);
        let global = |name: &str| facts.as_ref()?.globals.get(name).cloned();
        self.statements
            .add(text, profile, hints, &self.state.mirror, global)
    }

    /// Prepares a text that is the client's, or that stands in `rewritten` for one that is about
    /// variables of our own.
    pub(super) async fn prepare_text(
        &mut self,
        text: &[u8],
        mut profile: StatementProfile,
        hints: Hints,
        source: Source,
    ) -> Result<(), End> {
        let id = self.enter_statement(text, profile, hints);
        if !matches!(profile.access, Access::Read | Access::Diagnostics) {
            // Preparing a write does not write: no probe is due after an error.
            profile = StatementProfile {
                access: Access::PrimaryRead,
                ..profile
            };
        }
        let (task, total) = match source {
            Source::Client { total } => (Task::Prepare(id), total),
            Source::Rewritten(part) => {
                if let Some(statement) = self.statements.get_mut(id) {
                    statement.own = Some(part);
                }
                (Task::PrepareRewritten(id), 0)
            }
        };
        let statement = Statement {
            task,
            profile,
            total,
            bound: None,
        };
        let outcome = self.run_statement(statement).await?;
        if outcome == Outcome::Failed {
            self.statements.remove(id);
        }
        Ok(())
    }

    async fn execute(&mut self, total: usize) -> Result<(), End> {
        let Some((id, _)) = self.statement_of(total) else {
            return self.unknown_statement(total).await;
        };
        let hints = match self.hints_of_execute(id, total) {
            Ok(hints) => hints,
            Err(error) => {
                self.drop_long_data(id).await?;
                return self.refuse(error).await;
            }
        };
        self.state.hints = hints;
        let changes = match self.execute_own(id, total).await? {
            Execution::Run(changes) => changes,
            Execution::Answered => return Ok(()),
        };
        let Some(statement) = self.statements.get(id) else {
            return self.unknown_statement(total).await;
        };
        let asks_cursor = self
            .payload(total)
            .get(5)
            .is_some_and(|flags| flags & 0x07 != 0);
        let bound = match self.home_of(statement) {
            Some(side) if !statement.long_data.is_empty() => Some((side, Reason::LongData)),
            _ if asks_cursor => Some((self.state_side(), Reason::Cursor)),
            _ => None,
        };
        if !statement.long_data.is_empty() && bound.is_none() {
            // The connection that has the parameter's parts is gone, and they with it.
            return self.state_lost().await;
        }
        let profile = statement.profile;
        let task = Task::Execute(id);
        let outcome = self
            .run_statement(Statement {
                task,
                profile,
                total,
                bound,
            })
            .await?;
        if outcome != Outcome::Failed {
            self.apply(changes);
        }
        let home = bound.and_then(|(side, _)| Some(self.links.get(side)?.identity.serial));
        if let Some(statement) = self.statements.get_mut(id) {
            statement.long_data.clear();
            statement.home = home;
        }
        Ok(())
    }

    /// The connection that cursors and long data belong to: the primary's, unless a READ ONLY
    /// transaction is open on a replica.
    fn state_side(&self) -> Side {
        self.state.transaction.open_on().unwrap_or(Side::Primary)
    }

    /// The connection on which a statement's cursor or long data are, if it is still held.
    fn home_of(&self, statement: &super::prepared::Statement) -> Option<Side> {
        [Side::Primary, Side::Replica].into_iter().find(|side| {
            statement.home.is_some()
                && self.links.get(*side).map(|link| link.identity.serial) == statement.home
        })
    }

    /// The statement that the command at hand names.
    fn statement_of(&self, total: usize) -> Option<(ClientStmtId, &super::prepared::Statement)> {
        let id = ClientStmtId(stmt_id(self.payload(total))?);
        self.statements.get(id).map(|statement| (id, statement))
    }

    async fn unknown_statement(&mut self, total: usize) -> Result<(), End> {
        let id = stmt_id(self.payload(total)).unwrap_or_default();
        self.refuse(ClientError::UnknownStatement { id }).await
    }

    /// A part of a parameter's value, without a reply: the execution goes where the parts went.
    async fn send_long_data(&mut self, total: usize) -> Result<(), End> {
        let Some((id, statement)) = self.statement_of(total) else {
            return Ok(());
        };
        if let Some(OwnPart::Alone(_)) = statement.own {
            // No server has the statement; its execution says that this is not possible.
            let param = long_data_param(self.payload(total)).unwrap_or_default();
            if let Some(statement) = self.statements.get_mut(id) {
                statement.on_long_data(param);
            }
            return Ok(());
        }
        let side = self.home_of(statement).unwrap_or_else(|| self.state_side());
        // Whatever fails here shows at the execution, which has a reply to say so.
        let Some(server_id) = self.prepared_on(side, id).await? else {
            return Ok(());
        };
        let home = self.links.get(side).map(|link| link.identity.serial);
        let param = long_data_param(self.payload(total)).unwrap_or_default();
        if let Some(statement) = self.statements.get_mut(id) {
            statement.on_long_data(param);
            statement.home = home;
        }
        let mut payload = self.payload(total).to_vec();
        set_stmt_id(&mut payload, server_id.0);
        self.out.clear();
        append_packet(&mut self.out, &mut 0, &payload);
        self.send_to_server(side).await;
        Ok(())
    }

    /// An execution is refused: as on a server, what was sent ahead for it goes with it.
    pub(super) async fn drop_long_data(&mut self, id: ClientStmtId) -> Result<(), End> {
        let Some(statement) = self.statements.get_mut(id) else {
            return Ok(());
        };
        if std::mem::take(&mut statement.long_data).is_empty() {
            return Ok(());
        }
        let place = self.statements.get(id).and_then(|statement| {
            let side = self.home_of(statement)?;
            let serial = self.links.get(side)?.identity.serial;
            Some((side, statement.on(serial)?))
        });
        if let Some((side, server_id)) = place {
            self.out.clear();
            append_packet(&mut self.out, &mut 0, &com_stmt_reset(server_id.0));
            let reset =
                self.send_to_server(side).await && self.swallow(side, 1).await? == Swallowed::Done;
            if !reset {
                self.links.discard(side, &self.registered);
            }
        }
        Ok(())
    }

    /// COM_STMT_RESET drops a cursor and long data; without either there is nothing to reset.
    async fn reset_statement(&mut self, total: usize) -> Result<(), End> {
        let Some((id, statement)) = self.statement_of(total) else {
            return self.unknown_statement(total).await;
        };
        let Some(side) = self.home_of(statement) else {
            return self.answer_ok().await;
        };
        if let Some(statement) = self.statements.get_mut(id) {
            statement.long_data.clear();
        }
        self.about_statement(side, id, ReplyKind::Simple, total)
            .await
    }

    async fn fetch(&mut self, total: usize) -> Result<(), End> {
        let Some((id, statement)) = self.statement_of(total) else {
            return self.unknown_statement(total).await;
        };
        let Some(side) = self.home_of(statement) else {
            return self.refuse(ClientError::NoCursor { id: id.0 }).await;
        };
        self.about_statement(side, id, ReplyKind::Fetch, total)
            .await
    }

    /// Runs a command about a statement on the connection where its cursor and its long data are.
    async fn about_statement(
        &mut self,
        side: Side,
        id: ClientStmtId,
        kind: ReplyKind,
        total: usize,
    ) -> Result<(), End> {
        let serial = self.links.get(side).map(|link| link.identity.serial);
        let server_id = serial.and_then(|serial| self.statements.get(id)?.on(serial));
        let Some(server_id) = server_id else {
            return self.unknown_statement(total).await;
        };
        let payload = self.client.input.data_mut().get_mut(HEADER..total);
        set_stmt_id(payload.unwrap_or_default(), server_id.0);
        let bound = Some((side, Reason::Cursor));
        let task = Task::AsIs(kind);
        let statement = Statement {
            task,
            profile: COMMAND,
            total,
            bound,
        };
        self.run_statement(statement).await.map(drop)
    }

    /// COM_STMT_CLOSE has no reply: it goes out in front of the next command.
    fn close_statement(&mut self, total: usize) {
        let Some(statement) =
            stmt_id(self.payload(total)).and_then(|id| self.statements.remove(ClientStmtId(id)))
        else {
            return;
        };
        for link in self.links.iter_mut() {
            if let Some(id) = statement.on(link.identity.serial) {
                append_packet(&mut link.pending, &mut 0, &com_stmt_close(id.0));
            }
        }
    }
}
