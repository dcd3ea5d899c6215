//! Statements that ask about the one before them, wherever that ran: on the connection that still has the
//! answer, or from what is remembered of it.

mod asking;
mod constants;
mod told;

use constants::as_query;
pub(super) use told::Told;

use super::attempt::Task;
use super::session::{End, Relay};
use super::statement::Statement;
use crate::domain::ids::ClientStmtId;
use crate::domain::routing::Reason;
use crate::domain::session::aftermath::{Asked, Condition, Conditions, Look, Place, Severity};
use crate::domain::session::{Outcome, Side, Way};
use crate::domain::sql::control::{Answers, Item, Mentions, Previous, Target, parse_previous};
use crate::domain::sql::{Access, Doubt, Effects, LexMode, StatementProfile};
use crate::frontend::ClientError;
use crate::protocol::reply::ReplyKind;
use crate::protocol::resultset::{Column, typed_resultset};

/// The most rows of SHOW WARNINGS that are remembered: what max_error_count is by default.
const MOST: usize = 1024;

/// The code of a row that stands for warnings which were lost with their connection. 50000 to 51999 are
/// left to third parties by MySQL's numbering.
const LOST: u16 = 51_001;

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
        self.count_own(statement.profile.access, outcome, started);
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
        let guarded = side == Side::Replica;
        let ready = state.mirror.way(&link.applied, guarded) == Way::Nothing
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
            lease: link.lease,
            sent: link.sent,
        })
    }

    pub(super) fn mode(&mut self) -> LexMode {
        self.lexer.mode(&self.state).unwrap_or_default()
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

    /// The text that a prepared statement is to be executed with: `None` where a connection still has the
    /// answer to its own, else one with the answer put in.
    pub(super) async fn filled_text(
        &mut self,
        text: &[u8],
        id: ClientStmtId,
    ) -> Result<Result<Option<Vec<u8>>, ClientError>, End> {
        let mode = self.mode();
        let (Some(previous), Some(prepared)) =
            (parse_previous(text, mode), self.statements.get(id))
        else {
            return Ok(Ok(None));
        };
        let as_it_was = prepared.text() == text;
        let statement = Statement {
            task: Task::Execute(id),
            profile: prepared.profile,
            total: 0,
            bound: None,
        };
        let asked = asked_by(&previous);
        for side in self.sides_of(&statement, &previous) {
            self.hold_again(side);
            if as_it_was && self.is_there(side, asked, Some(id)).await {
                return Ok(Ok(None));
            }
        }
        self.settle_all().await?;
        Ok(match previous {
            Previous::Mentions(mentions) => Ok(Some(self.fill_in(&mentions))),
            Previous::Count { errors } => Ok(Some(self.counts_as_query(errors))),
            Previous::List {
                errors,
                offset,
                limit,
            } => Ok(Some(as_query(&self.listed(errors, offset, limit)))),
            Previous::Get(targets) => match self.assignments(&targets) {
                Some(text) => Ok(Some(text)),
                None => Err(ClientError::DiagnosticsElsewhere),
            },
        })
    }

    /// SHOW COUNT(*) as a query.
    fn counts_as_query(&mut self, errors: bool) -> Vec<u8> {
        let (name, count) = self.count_of(errors);
        format!("SELECT IF(1,CAST({count} AS UNSIGNED),NULL) AS `{name}`").into_bytes()
    }

    /// What SHOW COUNT(*) calls its column, and the count.
    fn count_of(&self, errors: bool) -> (&'static str, u64) {
        let answers = self.answers();
        match errors {
            true => ("@@session.error_count", answers.errors),
            false => ("@@session.warning_count", answers.warnings),
        }
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
        let (name, count) = self.count_of(errors);
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
        let (usual, decimals, code_length) = if mariadb { (45, 39, 4) } else { (255, 31, 5) };
        // Its default collation, and the most bytes of a character.
        let (charset, bytes) = match self.state.mirror.get(b"character_set_results") {
            Some(b"utf8mb3") => (33, 3),
            Some(b"latin1") => (8, 1),
            Some(b"ascii") => (11, 1),
            _ => (usual, 4),
        };
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
        [text("Level", 7 * bytes), code, text("Message", 512 * bytes)]
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
