//! One command of the protocol: what it is, and who answers it.

use std::sync::Arc;

use super::attempt::Task;
use super::bulk::GATHERED;
use super::groups::group_of;
use super::hints;
use super::kill::{self, Named};
use super::own::{Execution, OwnPart};
use super::prepared::MOST;
use super::session::{End, Relay};
use super::spans;
use super::statement::{Statement, asks_previous};
use crate::domain::ids::{BackendId, ClientStmtId};
use crate::domain::routing::Reason;
use crate::domain::session::{Aftermath, Lease, Outcome, Side};
use crate::domain::sql::{Access, Doubt, Effects, Hints, StatementProfile};
use crate::frontend::ClientError;
use crate::protocol::command::{
    CommandCode, StmtExecute, long_data_param, process_kill_id, query_text, set_option,
    set_stmt_id, stmt_id,
};
use crate::protocol::frame::{HEADER, append_packet};
use crate::protocol::reply::ReplyKind;
use crate::protocol::status::Status;
use crate::telemetry::PreparedEvent;

/// A command that the primary answers, and that shows no data.
pub(super) const COMMAND: StatementProfile = StatementProfile {
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
    /// There as well, made by a rule.
    ByRule,
}

impl Relay {
    /// Answers the command that stands whole in the client's buffer.
    pub(super) async fn command(&mut self, code: CommandCode, total: usize) -> Result<(), End> {
        self.start_from_globals_if_late();
        match code {
            CommandCode::Quit => Err(End::Quit),
            CommandCode::Ping => self.answer_ping().await,
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
            CommandCode::RegisterReplica => self.register_replica(total).await,
            CommandCode::BinlogDump
            | CommandCode::BinlogDumpGtid
            | CommandCode::Clone
            | CommandCode::SubscribeGroupReplication => self.tunnel(total).await,
            CommandCode::Refresh => {
                // One of its flags is FLUSH PRIVILEGES.
                let profile = StatementProfile {
                    effects: Effects::ACCOUNTS,
                    ..COMMAND
                };
                self.on_primary_side(ReplyKind::Simple, profile, total)
                    .await
            }
            CommandCode::Debug | CommandCode::Shutdown => {
                self.on_primary_side(ReplyKind::Simple, COMMAND, total)
                    .await
            }
            CommandCode::CreateDb | CommandCode::DropDb => {
                let profile = StatementProfile::unread(Doubt::Writes);
                self.on_primary_side(ReplyKind::Simple, profile, total)
                    .await
            }
            CommandCode::ProcessInfo => {
                let bound = Some((self.state_side(), Reason::Command));
                let task = Task::AsIs(ReplyKind::Query);
                self.show_processlist(Statement {
                    task,
                    profile: COMMAND,
                    total,
                    bound,
                })
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
            _ => {
                self.refuse_command(ClientError::UnknownCommand, false)
                    .await
            }
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
        let payload = match total {
            GATHERED => &*self.gathered,
            _ => {
                let packet = self.client.input.data().get(HEADER..total);
                packet.unwrap_or_default()
            }
        };
        let Some(range) = query_text(payload, self.who.profile.query_attributes()) else {
            return self.refuse_and_end(ClientError::Malformed).await;
        };
        let text = payload.get(range).unwrap_or_default();
        match hints::of_query(payload, text, self.who.profile.query_attributes()) {
            Ok(hints) => self.state.hints = hints,
            Err(error) => return self.refuse(error).await,
        }
        let attributes = self.who.profile.query_attributes();
        let parent = spans::of_query(&self.shared, payload, text, attributes);
        self.tally.parent = parent;
        self.links.laps.on |= parent.is_some();
        let profile = self
            .shared
            .classifier
            .profile(text, &self.state, &mut self.lexer)
            .await;
        if self.shared.rules.any() {
            return self.query_by_rules(profile, total).await;
        }
        self.run_query(profile, total).await
    }

    /// Runs the COM_QUERY at hand.
    pub(super) async fn run_query(
        &mut self,
        profile: StatementProfile,
        total: usize,
    ) -> Result<(), End> {
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
        if profile.access == Access::PrimaryRead && self.about_threads(&statement).await? {
            return Ok(());
        }
        self.run_statement(statement).await.map(drop)
    }

    async fn on_primary_side(
        &mut self,
        kind: ReplyKind,
        profile: StatementProfile,
        total: usize,
    ) -> Result<(), End> {
        if kind == ReplyKind::Simple {
            self.count_conditions().await?;
        }
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
        self.count_conditions().await?;
        let option = set_option(self.payload(total));
        let statement = Statement {
            task: Task::AsIs(ReplyKind::Simple),
            profile: STATE,
            total,
            bound: None,
        };
        let outcome = self.run_statement(statement).await?;
        if outcome != Outcome::Failed {
            self.state.aftermath.on_set_option();
            self.links.on_multi_statements(option == Some(0));
        }
        Ok(())
    }

    async fn process_kill(&mut self, total: usize) -> Result<(), End> {
        let Some(id) = process_kill_id(self.payload(total)) else {
            return self.refuse_and_end(ClientError::Malformed).await;
        };
        let id = id.into();
        let killed = match kill::named(&self.shared, id) {
            Named::Session(id) => self.kill_session(id, false).await?,
            Named::Nobody => Err(ClientError::NoSuchThread { id }),
            // As text: a 9.7 does not speak this command any more.
            Named::Thread => Ok(self.kill_thread(format!("KILL {id}").into_bytes()).await?),
        };
        match killed {
            Ok(_) => Ok(()),
            Err(error) => self.refuse(error).await,
        }
    }

    /// COM_RESET_CONNECTION: on the primary's connection it is the client's own command; the
    /// replica's goes back to its pool. Positions stay.
    async fn reset_connection(&mut self, total: usize) -> Result<(), End> {
        self.shared.settle_defaults().await;
        // What is known of a connection that holds nothing is restored by difference.
        let holds = matches!(self.lease(Side::Primary), Lease::Keep(_));
        self.links.release(Side::Replica, &self.registered);
        self.state.transaction.on_lost();
        if self.links.get(Side::Primary).is_none() || self.links.lends() && !holds {
            self.after_reset();
            self.part_if_unsuited(Side::Primary).await;
            return self.answer_ok().await;
        }
        // Its OK counts nothing of the statement before.
        self.state.aftermath = Aftermath::default();
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
                link.copies.clear();
            }
            self.after_reset();
        }
        Ok(())
    }

    /// The session is as after a login.
    pub(super) fn after_reset(&mut self) {
        self.trace = false;
        self.in_force.on_reset();
        let defaults = self.defaults();
        self.state.on_reset(defaults);
        self.group = group_of(&self.in_force.config, &self.who);
        self.read_after.clear();
        self.open_groups.clear();
        self.permit = None;
        self.renamed = false;
        self.start_as_reset();
        self.statements.clear();
        self.tell_pins();
    }

    async fn prepare(&mut self, total: usize) -> Result<(), End> {
        if self.statements.is_full() {
            let error = ClientError::TooManyStatements { limit: MOST };
            return self.refuse(error).await;
        }
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
        if self.shared.rules.any() && self.prepare_by_rules(&text, &profile, &hints).await? {
            return Ok(());
        }
        match profile.access {
            Access::Own => self.prepare_own(&text, profile, hints).await,
            Access::Kill => self.prepare_kill(&text, profile, hints, total).await,
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
        let id = self
            .statements
            .add(text, profile, hints, &self.state.mirror);
        if let Some(statement) = self.statements.get_mut(id) {
            statement.shape = self.lexer.shape.clone();
            statement.asked = self.asked_text.take();
        }
        id
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
        if self.state.mirror.collation_untold() {
            // Where it cannot be learnt, nobody else shares the statement.
            self.learn_collation(Side::Primary).await;
        }
        let id = self.enter_statement(text, profile, hints);
        if let (true, Source::Client { .. } | Source::ByRule, Some(statement)) = (
            asks_previous(&profile),
            &source,
            self.statements.get_mut(id),
        ) {
            statement.own = Some(OwnPart::Previous(text.into()));
        }
        self.shared.metrics.prepared.at(PreparedEvent::Asked).inc();
        if !matches!(profile.access, Access::Read | Access::Diagnostics) {
            // Preparing a write does not write: no probe is due after an error.
            profile = StatementProfile {
                access: Access::PrimaryRead,
                ..profile
            };
        }
        let (task, total) = match source {
            Source::Client { total } => (Task::Prepare(id), total),
            Source::ByRule => (Task::PrepareRewritten(id), 0),
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
        let Some((id, statement)) = self.statement_of(total) else {
            return self.unknown_statement(total).await;
        };
        let shape = statement.shape.clone();
        self.lexer.shape = shape;
        let hints = match self.hints_of_execute(id, total) {
            Ok(hints) => hints,
            Err(error) => {
                self.drop_long_data(id);
                return self.refuse(error).await;
            }
        };
        self.state.hints = hints;
        self.trace_of_execute(id, total);
        if self.shared.rules.any() {
            return self.execute_by_rules(id, total).await;
        }
        self.run_execute(id, total).await
    }

    /// Runs the COM_STMT_EXECUTE at hand.
    pub(super) async fn run_execute(&mut self, id: ClientStmtId, total: usize) -> Result<(), End> {
        let changes = match self.execute_own(id, total).await? {
            Execution::Run(changes) => changes,
            Execution::Answered => return Ok(()),
        };
        let flags = self.payload(total).get(5).copied().unwrap_or_default();
        let asks_cursor = flags & 0x07 != 0;
        self.end_cursor(id, asks_cursor);
        self.unshare_types(id, total);
        self.foresee_kinds(id, total);
        let Some(statement) = self.statements.get(id) else {
            return self.unknown_statement(total).await;
        };
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
        let opened = asks_cursor && self.ended_with.contains(Status::CURSOR_EXISTS);
        self.after_tied(id, outcome, opened);
        Ok(())
    }

    /// An execution relies on types that its client never told: it may not borrow what was bound for an
    /// equal statement.
    fn unshare_types(&mut self, id: ClientStmtId, total: usize) {
        let Some(statement) = self.statements.get(id) else {
            return;
        };
        if statement.params == 0 || !statement.types.is_empty() {
            return;
        }
        let attributes = self.who.profile.query_attributes();
        let execute = StmtExecute::parse(self.payload(total), statement.params, attributes);
        if execute.is_some_and(|execute| execute.needs_types())
            && let Some(statement) = self.statements.get_mut(id)
        {
            statement.close_bound(self.links.both_mut());
        }
    }

    /// An execution ends the cursor of the one before, also where it runs on another connection.
    fn end_cursor(&mut self, id: ClientStmtId, asks_cursor: bool) {
        if let Some(statement) = self.statements.get_mut(id) {
            statement.cursor = asks_cursor;
        }
        let next = self.links.get(self.state_side());
        let next = next.map(|link| link.identity.serial);
        let Some(statement) = self.statements.get_mut(id) else {
            return;
        };
        let on = statement.tied_on();
        if on.is_none() || !statement.long_data.is_empty() {
            return;
        }
        let link = self.links.with_serial(on);
        if asks_cursor && on == next {
            statement.untie(link);
        } else {
            statement.close_tied(link);
        }
    }

    /// After a command on the copy that was tied to a statement: whether it still has to be.
    fn after_tied(&mut self, id: ClientStmtId, outcome: Outcome, cursor: bool) {
        let Some(statement) = self.statements.get_mut(id) else {
            return;
        };
        statement.long_data.clear();
        let link = self.links.with_serial(statement.tied_on());
        match outcome {
            Outcome::Done { .. } if cursor => {}
            Outcome::Done { .. } => statement.untie(link),
            // What is left on it is not known.
            Outcome::Failed | Outcome::Lost => statement.close_tied(link),
        }
    }

    /// The connection that cursors and long data belong to: the primary's, unless a READ ONLY
    /// transaction is open on a replica.
    fn state_side(&self) -> Side {
        self.state.transaction.open_on().unwrap_or(Side::Primary)
    }

    /// The connection on which a statement's cursor or long data are, if it is still held.
    fn home_of(&self, statement: &super::prepared::Statement) -> Option<Side> {
        let tied = statement.tied_on()?;
        let has = |side| self.links.get(side).map(|link| link.identity.serial) == Some(tied);
        [Side::Primary, Side::Replica]
            .into_iter()
            .find(|side| has(*side))
    }

    /// The statement that the command at hand names.
    fn statement_of(&self, total: usize) -> Option<(ClientStmtId, &super::prepared::Statement)> {
        let id = ClientStmtId(stmt_id(self.payload(total))?);
        self.statements.get(id).map(|statement| (id, statement))
    }

    async fn unknown_statement(&mut self, total: usize) -> Result<(), End> {
        let payload = self.payload(total);
        let id = stmt_id(payload).unwrap_or_default();
        let code = payload.first().copied().and_then(CommandCode::from_byte);
        let error = self.unknown(code.unwrap_or(CommandCode::StmtExecute), id);
        self.refuse_command(error, true).await
    }

    /// The error for a statement that a command names and nobody knows, in the words of each engine.
    pub(super) fn unknown(&mut self, code: CommandCode, id: u32) -> ClientError {
        let given_to = match code {
            _ if !self.mode().dialect.is_mariadb() => "mysql_stmt_precheck",
            CommandCode::StmtFetch => "mysqld_stmt_fetch",
            CommandCode::StmtReset => "mysqld_stmt_reset",
            _ => "mysqld_stmt_execute",
        };
        ClientError::UnknownStatement { id, given_to }
    }

    /// A part of a parameter's value, without a reply: the execution goes where the parts went.
    async fn send_long_data(&mut self, total: usize) -> Result<(), End> {
        let Some((id, statement)) = self.statement_of(total) else {
            return Ok(());
        };
        if let Some(OwnPart::Alone(_) | OwnPart::Kill(_)) = statement.own {
            // No server has the statement; its execution says that this is not possible.
            let param = long_data_param(self.payload(total)).unwrap_or_default();
            if let Some(statement) = self.statements.get_mut(id) {
                statement.on_long_data(param);
            }
            return Ok(());
        }
        let side = self.home_of(statement).unwrap_or_else(|| self.state_side());
        if let Some(statement) = self.statements.get_mut(id) {
            statement.cursor = false;
        }
        // Whatever fails here shows at the execution, which has a reply to say so.
        if !self.prepared_on(side, id).await? {
            return Ok(());
        }
        let param = long_data_param(self.payload(total)).unwrap_or_default();
        let mut payload = self.payload(total).to_vec();
        let (Some(link), Some(statement)) = (self.links.get_mut(side), self.statements.get_mut(id))
        else {
            return Ok(());
        };
        let at = statement.tie(side, link);
        let Some(server_id) = at.and_then(|at| link.copies.id(at)) else {
            return Ok(());
        };
        statement.on_long_data(param);
        set_stmt_id(&mut payload, server_id.0);
        self.out.clear();
        append_packet(&mut self.out, &mut 0, &payload);
        self.send_to_server(side).await;
        Ok(())
    }

    /// An execution is refused: as on a server, what was sent ahead for it goes with it.
    pub(super) fn drop_long_data(&mut self, id: ClientStmtId) {
        if let Some(statement) = self.statements.get_mut(id)
            && !statement.long_data.is_empty()
        {
            let link = self.links.with_serial(statement.tied_on());
            statement.close_tied(link);
        }
    }

    /// COM_STMT_RESET drops a cursor and long data; without either there is nothing to reset.
    async fn reset_statement(&mut self, total: usize) -> Result<(), End> {
        let Some((id, statement)) = self.statement_of(total) else {
            return self.unknown_statement(total).await;
        };
        let Some(side) = self.home_of(statement) else {
            return self.answer_reset().await;
        };
        let outcome = self
            .about_statement(side, id, ReplyKind::Simple, total)
            .await?;
        self.after_tied(id, outcome, false);
        Ok(())
    }

    async fn fetch(&mut self, total: usize) -> Result<(), End> {
        let Some((id, statement)) = self.statement_of(total) else {
            return self.unknown_statement(total).await;
        };
        let Some(side) = self.home_of(statement) else {
            let (id, mariadb) = (id.0, self.mode().dialect.is_mariadb());
            let error = ClientError::NoCursor { id, mariadb };
            return self.refuse_command(error, true).await;
        };
        let outcome = self
            .about_statement(side, id, ReplyKind::Fetch, total)
            .await?;
        if outcome != Outcome::Failed && self.ended_with.contains(Status::LAST_ROW_SENT) {
            // The server closed the cursor.
            self.after_tied(id, outcome, false);
        }
        Ok(())
    }

    /// Runs a command about a statement on the connection where its cursor and its long data are.
    async fn about_statement(
        &mut self,
        side: Side,
        id: ClientStmtId,
        kind: ReplyKind,
        total: usize,
    ) -> Result<Outcome, End> {
        let Self {
            links, statements, ..
        } = self;
        let server_id = links.get_mut(side).and_then(|link| {
            let at = statements.get_mut(id)?.find(side, link)?;
            link.copies.id(at)
        });
        let Some(server_id) = server_id else {
            self.unknown_statement(total).await?;
            return Ok(Outcome::Failed);
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
        self.told.of_prepared = true;
        let outcome = self.run_statement(statement).await;
        self.told.of_prepared = false;
        outcome
    }

    /// COM_STMT_CLOSE has no reply. A copy that others can use stays with its connection.
    fn close_statement(&mut self, total: usize) {
        let Some(statement) =
            stmt_id(self.payload(total)).and_then(|id| self.statements.remove(ClientStmtId(id)))
        else {
            return;
        };
        for link in self.links.both_mut().into_iter().flatten() {
            statement.leave(link);
        }
    }
}
