//! Statements that ask about the one before them, wherever that ran: on the connection that still has the
//! answer, or from what is remembered of it.

use super::attempt::Task;
use super::session::{End, Relay};
use super::statement::Statement;
use crate::backend::ServerConn;
use crate::domain::ids::ClientStmtId;
use crate::domain::routing::Reason;
use crate::domain::session::aftermath::{
    Asked, Condition, Conditions, Ended, Ending, Kind, Look, Place, Severity,
};
use crate::domain::session::{Outcome, Side};
use crate::domain::sql::control::{
    Answers, Field, Item, Mentions, Previous, Target, parse_previous,
};
use crate::domain::sql::{Access, Doubt, Effects, LexMode, StatementProfile};
use crate::frontend::ClientError;
use crate::protocol::frame;
use crate::protocol::packets::ErrView;
use crate::protocol::reply::ReplyKind;
use crate::protocol::resultset::{Column, typed_resultset};

/// The most rows of SHOW WARNINGS that are remembered: what max_error_count is by default.
const MOST: usize = 1024;

/// The code of a row that stands for warnings which were lost with their connection. 50000 to 51999 are
/// left to third parties by MySQL's numbering.
const LOST: u16 = 51_001;

/// What the reply under way has told.
#[derive(Debug, Default)]
pub(super) struct Told {
    before: Option<Place>,
    had_last_insert_id: bool,
    kind: Option<ReplyKind>,
    ending: Option<Ending>,
    /// Whether rows came before the last result.
    rows_before: bool,
    /// What the statement looks at, if it is a diagnostic one.
    look: Option<Look>,
}

impl Told {
    /// A reply of this kind is expected.
    pub(super) fn expect(&mut self, kind: ReplyKind) {
        self.kind = Some(kind);
        self.ending = None;
        self.rows_before = false;
    }

    /// It is this ERR packet.
    pub(super) fn fails(&mut self, packet: &[u8]) {
        let error = frame::payload(packet).and_then(ErrView::parse);
        self.ending = error.map(|error| Ending::Error(condition_of(&error)));
    }

    /// One of its results ended.
    pub(super) fn ends(&mut self, ending: Ending) {
        self.rows_before |= matches!(self.ending, Some(Ending::Rows { .. }));
        self.ending = Some(ending);
    }
}

/// How a statement that asks about the one before it is to be answered.
pub(super) enum Recall {
    /// As any other one.
    AsUsual,
    /// By the connection on that side.
    There(Side),
    /// It was.
    Answered(Outcome),
}

impl Relay {
    /// Takes note of where a connection stands before anything is sent for a statement.
    pub(super) fn note_before(&mut self, side: Side) {
        self.told.before = self.place(side);
        self.told.kind = None;
        self.told.ending = None;
        self.told.rows_before = false;
    }

    /// A reply was relayed to its end: what it leaves to be asked for.
    pub(super) fn note_aftermath(&mut self, side: Side, profile: &StatementProfile) {
        let Some(ending) = self.told.ending.take() else {
            return;
        };
        let kind = match (self.told.kind, self.told.look.take()) {
            (Some(ReplyKind::Query | ReplyKind::Execute { .. }) | None, Some(look)) => {
                Kind::Look(look)
            }
            (Some(ReplyKind::Query | ReplyKind::Execute { .. }) | None, None) => Kind::Statement,
            (Some(ReplyKind::Prepare), _) => Kind::Prepare,
            (Some(_), _) => Kind::Command,
        };
        let ended = Ended {
            kind,
            profile,
            ending,
            before: self.told.before,
            had_last_insert_id: self.told.had_last_insert_id,
            rows_before: self.told.rows_before,
            after: self.place(side),
            mariadb: self.mode().dialect.is_mariadb(),
        };
        self.state.aftermath.on_end(&ended);
        if let Some(link) = self.links.get_mut(side)
            && !self.state.aftermath.last_insert_id.exact
            && self
                .state
                .aftermath
                .is_last_insert_id_at(link.identity.serial)
        {
            link.applied.last_insert_id_changed();
        }
    }

    /// Highwater answers the statement at hand with an error of its own.
    pub(super) fn note_refusal(&mut self, error: &ClientError) {
        let condition = Condition {
            severity: Severity::Error,
            code: error.code(),
            state: Some(error.state()),
            message: error.to_string().into_bytes().into(),
        };
        self.state.aftermath.on_own_error(condition);
    }

    /// The client is told what a server said to something else.
    pub(super) fn note_error(&mut self, packet: &[u8]) {
        if let Some(error) = frame::payload(packet).and_then(ErrView::parse) {
            self.state.aftermath.on_own_error(condition_of(&error));
        }
    }

    /// Highwater answers the statement at hand with OK, or with so many rows.
    pub(super) fn note_own_answer(&mut self, rows: Option<usize>) {
        let mariadb = self.mode().dialect.is_mariadb();
        let rows = rows.map(|rows| rows as u64);
        self.state.aftermath.on_own_answer(rows, mariadb);
    }

    /// Before a statement is routed: whether it asks about the one before it, and who answers then.
    pub(super) async fn recall(&mut self, statement: &Statement) -> Result<Recall, End> {
        let started = std::time::Instant::now();
        self.told.look = None;
        let Some(previous) = self.previous_of(statement) else {
            return Ok(Recall::AsUsual);
        };
        let look = match &previous {
            Previous::List { .. } => Some(Look::List),
            Previous::Count { .. } => Some(Look::Count),
            Previous::Get(_) => Some(Look::Get),
            Previous::Mentions(_) => None,
        };
        let prepared = match statement.task {
            Task::Execute(id) => Some(id),
            _ => None,
        };
        let asked = asked_by(&previous);
        for side in self.sides_of(statement, &previous) {
            self.hold_again(side);
            if self.is_there(side, asked, prepared).await {
                self.told.look = look;
                return Ok(Recall::There(side));
            }
        }
        if prepared.is_some() {
            // Its text was filled in when it was executed.
            return Ok(Recall::AsUsual);
        }
        self.settle_all().await?;
        let outcome = match previous {
            Previous::List {
                errors,
                offset,
                limit,
            } => self.answer_list(errors, offset, limit).await?,
            Previous::Count { errors } => self.answer_count(errors).await?,
            Previous::Get(targets) => return self.answer_get(&targets).await,
            Previous::Mentions(mentions) => {
                let text = self.fill_in(&mentions);
                return self.run_filled(text, statement.profile).await;
            }
        };
        self.count_own(statement.profile.access, started);
        Ok(Recall::Answered(outcome))
    }

    fn previous_of(&mut self, statement: &Statement) -> Option<Previous> {
        if statement.bound.is_some() {
            return None;
        }
        let mode = self.mode();
        match statement.task {
            Task::AsIs(ReplyKind::Query) => parse_previous(self.text(statement.total), mode),
            Task::Rewritten(_) => parse_previous(&self.rewritten, mode),
            Task::Execute(id) => parse_previous(self.statements.get(id)?.text(), mode),
            Task::AsIs(_) | Task::Prepare(_) | Task::PrepareRewritten(_) => None,
        }
    }

    /// The connections that the statement may run on.
    fn sides_of(&self, statement: &Statement, previous: &Previous) -> Vec<Side> {
        let anywhere = statement.profile.access == Access::Diagnostics
            && !matches!(previous, Previous::Get(_));
        match self.state.transaction.open_on() {
            Some(side) => vec![side],
            None if anywhere => vec![Side::Primary, Side::Replica],
            None => vec![Side::Primary],
        }
    }

    /// Whether a connection answers all of this as one server would, with nothing to be sent there before.
    async fn is_there(&mut self, side: Side, asked: Asked, prepared: Option<ClientStmtId>) -> bool {
        let opens = side == Side::Primary && self.state.transaction.deferred().is_some();
        let Some(place) = self.place(side).filter(|_| !opens) else {
            return false;
        };
        let Self {
            links,
            state,
            statements,
            ..
        } = self;
        let Some(link) = links.get(side) else {
            return false;
        };
        let in_transaction = state.transaction.open_on() == Some(side);
        let ready = state.mirror.is_applied(&link.applied)
            && !link.applied.lacks_guard(in_transaction)
            && prepared.is_none_or(|id| {
                let statement = statements.get_mut(id);
                statement.is_some_and(|statement| statement.find(side, link).is_some())
            });
        ready && self.state.aftermath.is_at(asked, place) && !self.links.died_idle(side).await
    }

    fn place(&self, side: Side) -> Option<Place> {
        let link = self.links.get(side)?;
        Some(Place {
            connection: link.identity.serial,
            sent: link.sent,
        })
    }

    fn mode(&mut self) -> LexMode {
        self.lexer.mode(&self.state).unwrap_or_default()
    }

    /// Asks a connection for what only it can tell of the session's previous statement, before anything else
    /// is sent there that would make it forget.
    pub(super) async fn settle(&mut self, side: Side) -> Result<(), End> {
        if self.ask_before(side, false).await {
            return Ok(());
        }
        match side {
            Side::Primary if !self.drop_primary() => return self.state_lost().await,
            Side::Primary => {}
            Side::Replica => self.links.discard(side, &self.registered),
        }
        Ok(())
    }

    /// Asks a connection that is about to leave the session for the same, all in one write. `false` when the
    /// connection failed.
    ///
    /// It leaves with no LAST_INSERT_ID(): by that the id of another session's INSERT can be told from one that
    /// the INSERT did not make.
    pub(super) async fn settle_for_parting(&mut self, side: Side) -> bool {
        let settled = self.ask_before(side, true).await;
        if let Some(link) = self.links.get(side) {
            self.state.aftermath.on_parted(link.identity.serial);
        }
        settled
    }

    async fn ask_before(&mut self, side: Side, parting: bool) -> bool {
        // The list first: any other statement would clear it. It changes neither of the others.
        const ASKED: [&str; 4] = [
            "SHOW WARNINGS LIMIT 1024",
            "SELECT FOUND_ROWS()",
            "SELECT LAST_INSERT_ID()",
            "SET @@session.last_insert_id=0",
        ];
        let Some(place) = self.place(side) else {
            return true;
        };
        let [conditions, found_rows, last_insert_id] = self.state.aftermath.only_at(place);
        let clears = parting
            && self
                .links
                .get(side)
                .is_some_and(|link| !link.applied.has_no_last_insert_id());
        let only = [conditions, found_rows, last_insert_id, clears];
        if only == [false; 4] {
            return true;
        }
        if self.links.died_idle(side).await {
            return false;
        }
        let asked = ASKED.iter().zip(only).filter(|(_, only)| *only);
        let asked: Vec<_> = asked.map(|(sql, _)| *sql).collect();
        let Some(link) = self.links.get_mut(side) else {
            return true;
        };
        let Ok(answers) = link.ask_all(&asked).await else {
            return false;
        };
        let mut answers = answers.into_iter();
        let mut next = |only: bool| only.then(|| answers.next().flatten()).flatten();
        let aftermath = &mut self.state.aftermath;
        if let Some(rows) = next(conditions) {
            let list = rows.into_iter().filter_map(condition).collect();
            let count = aftermath.conditions.value.count;
            let known = std::mem::take(&mut aftermath.conditions.value.list);
            let mut listed = Conditions::listed(list, count);
            keep_states(&known, &mut listed.list);
            aftermath.conditions.learn(listed);
        }
        if let Some(count) = next(found_rows).as_deref().and_then(number) {
            aftermath.found_rows.learn(count);
        }
        if let Some(id) = next(last_insert_id).as_deref().and_then(number) {
            link.applied.on_last_insert_id(id);
            aftermath.learn_last_insert_id(id);
        }
        if next(clears).is_some() {
            link.applied.on_last_insert_id(0);
        }
        true
    }

    /// Before a command: connections that alone can tell something are not given back while it runs; one
    /// that others wait for is asked now.
    pub(super) async fn keep_tellers(&mut self) {
        if !self.links.lends() {
            return;
        }
        for side in [Side::Primary, Side::Replica] {
            let tells = self.place(side).is_some_and(|place| {
                self.state.aftermath.only_at(place) != [false; 3]
            });
            if tells && !self.links.get_mut(side).is_some_and(ServerConn::claim) {
                self.part_with(side).await;
            }
        }
    }

    /// The same of all connections.
    pub(super) async fn settle_all(&mut self) -> Result<(), End> {
        for side in [Side::Primary, Side::Replica] {
            self.settle(side).await?;
        }
        Ok(())
    }

    /// Before a statement that LAST_INSERT_ID() may matter to runs on a connection: it has to answer there
    /// what it answers for the session.
    pub(super) async fn recall_last_insert_id(
        &mut self,
        side: Side,
        profile: &StatementProfile,
    ) -> Result<(), End> {
        let shows = profile
            .effects
            .intersects(Effects::LAST_INSERT_ID.with(Effects::OPAQUE));
        if !shows && profile.access != Access::Write {
            return Ok(());
        }
        let Some(link) = self.links.get(side) else {
            return Ok(());
        };
        let (serial, aftermath) = (link.identity.serial, &self.state.aftermath);
        self.told.had_last_insert_id = true;
        if aftermath.has_last_insert_id(serial) {
            return Ok(());
        }
        if !shows
            && (aftermath.is_last_insert_id_at(serial) || link.applied.has_no_last_insert_id())
        {
            // An id that the statement makes will be told from none.
            self.told.had_last_insert_id = false;
            return Ok(());
        }
        if !aftermath.last_insert_id.exact {
            self.settle_all().await?;
        }
        let id = self.state.aftermath.last_insert_id.value;
        if let Some(link) = self.links.get_mut(side) {
            link.applied.want_last_insert_id(id);
        }
        Ok(())
    }

    fn fill_in(&mut self, mentions: &Mentions) -> Vec<u8> {
        let warns = !self.mode().dialect.is_mariadb();
        mentions.fill(self.answers(), warns)
    }

    fn answers(&self) -> Answers {
        let aftermath = &self.state.aftermath;
        let Conditions { count, errors, .. } = aftermath.all_conditions();
        Answers {
            row_count: aftermath.row_count.value,
            found_rows: aftermath.found_rows.value,
            warnings: count,
            errors,
        }
    }

    /// Gives the prepared statement the text to be executed: its own where the connection still has the
    /// answer, else one with the answer put in.
    pub(super) async fn filled_text(
        &mut self,
        original: &[u8],
        id: ClientStmtId,
        profile: StatementProfile,
    ) -> Result<Option<Vec<u8>>, End> {
        let mode = self.mode();
        let Some(previous) = parse_previous(original, mode) else {
            return Ok(None);
        };
        let statement = Statement {
            task: Task::Execute(id),
            profile,
            total: 0,
            bound: None,
        };
        let asked = asked_by(&previous);
        for side in self.sides_of(&statement, &previous) {
            let as_it_was = self
                .statements
                .get(id)
                .is_some_and(|statement| statement.text() == original);
            self.hold_again(side);
            if as_it_was && self.is_there(side, asked, Some(id)).await {
                return Ok(None);
            }
        }
        self.settle_all().await?;
        Ok(match previous {
            Previous::Mentions(mentions) => Some(self.fill_in(&mentions)),
            Previous::Count { errors } => {
                let name: &[u8] = match errors {
                    true => b"SELECT @@session.error_count",
                    false => b"SELECT @@session.warning_count",
                };
                match parse_previous(name, mode) {
                    Some(Previous::Mentions(mentions)) => Some(self.fill_in(&mentions)),
                    _ => None,
                }
            }
            Previous::List {
                errors,
                offset,
                limit,
            } => Some(as_query(&self.listed(errors, offset, limit))),
            Previous::Get(targets) => self.assignments(&targets),
        })
    }

    /// The rows of SHOW WARNINGS or SHOW ERRORS.
    fn listed(&self, errors: bool, offset: usize, limit: usize) -> Vec<Condition> {
        let all = self.state.aftermath.all_conditions();
        let lost = all.count.saturating_sub(all.list.len() as u64);
        let lost = (lost > 0 && all.list.len() < MOST).then(|| Condition {
            severity: Severity::Warning,
            code: LOST,
            state: None,
            message: format!(
                "Highwater: {lost} warnings of the statement before were lost with its connection"
            )
            .into_bytes()
            .into(),
        });
        let asked = |condition: &Condition| !errors || condition.severity == Severity::Error;
        let rows = all.list.into_iter().chain(lost).filter(asked);
        rows.skip(offset).take(limit).collect()
    }

    async fn answer_list(
        &mut self,
        errors: bool,
        offset: usize,
        limit: usize,
    ) -> Result<Outcome, End> {
        let rows: Vec<_> = self
            .listed(errors, offset, limit)
            .into_iter()
            .map(|row| {
                [
                    row.severity.name().as_bytes().to_vec(),
                    row.code.to_string().into_bytes(),
                    row.message.into_vec(),
                ]
            })
            .collect();
        let rows: Vec<Vec<_>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| Some(&**cell)).collect())
            .collect();
        let columns = self.columns_of_list();
        self.state.aftermath.on_own_look(Look::List);
        self.answer_typed(&columns, &rows).await
    }

    async fn answer_count(&mut self, errors: bool) -> Result<Outcome, End> {
        let answers = self.answers();
        let (name, count) = match errors {
            true => ("@@session.error_count", answers.errors),
            false => ("@@session.warning_count", answers.warnings),
        };
        let count = count.to_string();
        let column = Column {
            name,
            kind: 8,
            charset: 63,
            length: 21,
            flags: 0xA0,
            decimals: 0,
        };
        self.state.aftermath.on_own_look(Look::Count);
        self.answer_typed(&[column], &[vec![Some(count.as_bytes())]])
            .await
    }

    async fn answer_typed(
        &mut self,
        columns: &[Column<'_>],
        rows: &[Vec<Option<&[u8]>>],
    ) -> Result<Outcome, End> {
        let (status, mut seq) = (self.status(), self.reply_seq);
        let deprecate_eof = self.who.profile.deprecate_eof();
        self.out.clear();
        let rows = rows.iter().map(Vec::as_slice);
        typed_resultset(
            &mut self.out,
            &mut seq,
            columns,
            rows,
            status,
            deprecate_eof,
        );
        self.send_out().await?;
        Ok(Outcome::Done {
            affected: 0,
            rows: true,
        })
    }

    /// The columns of SHOW WARNINGS, as each engine defines them (captured).
    fn columns_of_list(&mut self) -> [Column<'static>; 3] {
        let mariadb = self.mode().dialect.is_mariadb();
        let (charset, decimals, code_length) = if mariadb { (45, 39, 4) } else { (255, 31, 5) };
        let text = |name, length| Column {
            name,
            kind: 253,
            charset,
            length,
            flags: 1,
            decimals,
        };
        let code = Column {
            name: "Code",
            kind: 3,
            charset: 63,
            length: code_length,
            flags: 0xA1,
            decimals: 0,
        };
        [text("Level", 28), code, text("Message", 2048)]
    }

    async fn answer_get(&mut self, targets: &[Target]) -> Result<Recall, End> {
        let Some(text) = self.assignments(targets) else {
            self.refuse(ClientError::DiagnosticsElsewhere).await?;
            return Ok(Recall::Answered(Outcome::Failed));
        };
        let profile = StatementProfile {
            access: Access::Session,
            effects: Effects::ASSIGNS_USER_VARIABLE.with(Effects::USER_VARIABLE),
            doubt: Doubt::None,
            fingerprint: 0,
        };
        let kept = self.state.aftermath.clone();
        let recall = self.run_filled(text, profile).await?;
        if matches!(recall, Recall::Answered(Outcome::Done { .. })) {
            self.state.aftermath = kept;
        }
        Ok(recall)
    }

    /// What GET DIAGNOSTICS assigns, as a SET of constants. `None` where something is not known.
    fn assignments(&self, targets: &[Target]) -> Option<Vec<u8>> {
        let all = self.state.aftermath.all_conditions();
        let mut text = Vec::new();
        for Target { variable, item } in targets {
            text.extend_from_slice(if text.is_empty() { b"SET " } else { b", " });
            text.extend_from_slice(variable);
            text.push(b'=');
            match *item {
                Item::Number => put_unsigned(&mut text, all.count),
                Item::RowCount => {
                    let count = self.state.aftermath.row_count.value;
                    text.extend_from_slice(count.to_string().as_bytes());
                }
                Item::Condition(number, field) => {
                    let condition = all.list.get(number.checked_sub(1)?)?;
                    put_field(&mut text, condition, field)?;
                }
            }
        }
        Some(text)
    }

    /// Runs a text with answers in it where the session's state is.
    async fn run_filled(
        &mut self,
        text: Vec<u8>,
        profile: StatementProfile,
    ) -> Result<Recall, End> {
        self.rewritten = text;
        let side = self.state.transaction.open_on().unwrap_or(Side::Primary);
        let statement = Statement {
            task: Task::Rewritten(ReplyKind::Query),
            profile,
            total: 0,
            bound: Some((side, Reason::FollowsPrevious)),
        };
        Box::pin(self.run_statement(statement))
            .await
            .map(Recall::Answered)
    }
}

fn asked_by(previous: &Previous) -> Asked {
    let none = Asked::default();
    let conditions = Asked {
        conditions: true,
        ..none
    };
    match previous {
        Previous::List { .. } | Previous::Count { .. } => conditions,
        Previous::Get(targets) => Asked {
            row_count: targets.iter().any(|target| target.item == Item::RowCount),
            ..conditions
        },
        Previous::Mentions(mentions) => Asked {
            row_count: mentions.row_count(),
            found_rows: mentions.found_rows(),
            conditions: mentions.counts(),
        },
    }
}

/// An error packet's condition.
pub(super) fn condition_of(error: &ErrView<'_>) -> Condition {
    Condition {
        severity: Severity::Error,
        code: error.code,
        state: Some(error.state),
        message: error.message.into(),
    }
}

/// A row of SHOW WARNINGS.
fn condition(row: Vec<Vec<u8>>) -> Option<Condition> {
    let [severity, code, message] = <[Vec<u8>; 3]>::try_from(row).ok()?;
    Some(Condition {
        severity: Severity::of_name(&severity),
        code: std::str::from_utf8(&code).ok()?.parse().ok()?,
        state: None,
        message: message.into(),
    })
}

/// The list tells no SQLSTATE; an error packet did.
fn keep_states(known: &[Condition], list: &mut [Condition]) {
    for condition in list {
        let same = |it: &&Condition| it.severity == condition.severity && it.code == condition.code;
        condition.state = known.iter().find(same).and_then(|it| it.state);
    }
}

fn number(rows: &[Vec<Vec<u8>>]) -> Option<u64> {
    std::str::from_utf8(rows.first()?.first()?)
        .ok()?
        .parse()
        .ok()
}

fn put_field(text: &mut Vec<u8>, condition: &Condition, field: Field) -> Option<()> {
    match field {
        Field::State => {
            let state = condition.state?;
            text.push(b'\'');
            text.extend_from_slice(&state);
            text.push(b'\'');
        }
        Field::Code => put_unsigned(text, condition.code.into()),
        Field::Message => put_text(text, &condition.message),
        Field::Origin => return None,
        Field::Empty => text.extend_from_slice(b"''"),
    }
    Some(())
}

fn put_unsigned(text: &mut Vec<u8>, count: u64) {
    text.extend_from_slice(format!("CAST({count} AS UNSIGNED)").as_bytes());
}

/// A literal that reads the same in every sql_mode and character set.
fn put_text(text: &mut Vec<u8>, value: &[u8]) {
    text.extend_from_slice(b"_utf8mb4 X'");
    for byte in value {
        text.extend_from_slice(format!("{byte:02X}").as_bytes());
    }
    text.push(b'\'');
}

/// SHOW WARNINGS as a query, for an execution of it.
fn as_query(rows: &[Condition]) -> Vec<u8> {
    if rows.is_empty() {
        return b"SELECT '' AS `Level`, 0 AS `Code`, '' AS `Message` FROM DUAL WHERE 0".to_vec();
    }
    let mut text = Vec::new();
    for row in rows {
        let union: &[u8] = if text.is_empty() { b"" } else { b" UNION ALL " };
        text.extend_from_slice(union);
        let (severity, code) = (row.severity.name(), row.code);
        text.extend_from_slice(
            format!("SELECT '{severity}' AS `Level`, {code} AS `Code`, ").as_bytes(),
        );
        put_text(&mut text, &row.message);
        text.extend_from_slice(b" AS `Message`");
    }
    text
}
