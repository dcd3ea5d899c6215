//! Statements that ask about the one before them, wherever that ran: on the connection that still has the
//! answer, or from what is remembered of it.

mod asking;
mod constants;
mod packet;
mod told;

use constants::{Assigned, as_query};
pub(super) use told::Told;

use mysql_common::collations::{Collation, CollationId};

use super::attempt::Task;
use super::session::{End, Relay};
use super::statement::{DONE, Statement};
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

/// The last collation that is the default one of a charset.
const LAST_COLLATION: u16 = 255;

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
            Previous::Mentions(_) | Previous::Packet { .. } => None,
        };
        let prepared = match statement.task {
            Task::Execute(id) => Some(id),
            _ => None,
        };
        let asked = asked_by(&previous);
        for side in self.sides_of(statement, &previous) {
            self.hold_again(side);
            if self.is_there(side, asked, statement).await {
                self.told.look = look;
                return Ok(Recall::There(side));
            }
        }
        if prepared.is_some() {
            // Its text was filled in when it was executed.
            return Ok(Recall::AsUsual);
        }
        if let Previous::Packet { head, rest } = previous {
            return self.recall_packet(statement, *head, rest).await;
        }
        self.settle_all().await?;
        if let Previous::Mentions(mentions) = previous {
            let text = self.fill_in(&mentions);
            return self.run_filled(text, statement.profile).await;
        }
        let Some(outcome) = self.answer_look(&previous).await? else {
            return Ok(Recall::AsUsual);
        };
        if look != Some(Look::Get) {
            self.count_own(statement.profile.access, outcome, started);
        }
        Ok(Recall::Answered(outcome))
    }

    /// Answers from memory what only looks at the conditions; `None` for anything else.
    async fn answer_look(&mut self, previous: &Previous) -> Result<Option<Outcome>, End> {
        let outcome = match previous {
            Previous::List {
                errors,
                offset,
                limit,
            } => self.answer_list(*errors, *offset, *limit).await?,
            Previous::Count { errors } => self.answer_count(*errors).await?,
            Previous::Get(targets) => self.answer_get(targets).await?,
            Previous::Mentions(_) | Previous::Packet { .. } => return Ok(None),
        };
        Ok(Some(outcome))
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
    async fn is_there(&mut self, side: Side, asked: Asked, statement: &Statement) -> bool {
        let prepared = match statement.task {
            Task::Execute(id) => Some(id),
            _ => None,
        };
        let opens = side == Side::Primary && self.state.transaction.deferred().is_some();
        if self.counts_before(side, statement) {
            return false;
        }
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
            if as_it_was && self.is_there(side, asked, &statement).await {
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
                Assigned::By(text) => Ok(Some(text)),
                Assigned::Nothing | Assigned::Untold => Err(ClientError::DiagnosticsElsewhere),
            },
            // Nobody prepares several statements in one.
            Previous::Packet { .. } => Ok(None),
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
        let lost = (lost > 0 && all.untold).then(|| Condition {
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
        self.learn_transaction().await?;
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
        if self.more_follows {
            self.reply_seq = seq;
        }
        self.send_out().await?;
        Ok(Outcome::Done {
            affected: 0,
            rows: true,
        })
    }

    /// The columns of SHOW WARNINGS, as each engine defines them (captured).
    fn columns_of_list(&mut self) -> [Column<'static>; 3] {
        let mariadb = self.mode().dialect.is_mariadb();
        let (decimals, code_length) = if mariadb { (39, 4) } else { (31, 5) };
        let results = self.state.mirror.get(b"character_set_results");
        let (charset, bytes) = charset_of_results(results, mariadb);
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

    async fn answer_get(&mut self, targets: &[Target]) -> Result<Outcome, End> {
        let text = match self.assignments(targets) {
            Assigned::By(text) => text,
            Assigned::Nothing => {
                self.answer_no_condition().await?;
                return Ok(DONE);
            }
            Assigned::Untold => {
                self.refuse(ClientError::DiagnosticsElsewhere).await?;
                return Ok(Outcome::Failed);
            }
        };
        let profile = StatementProfile {
            access: Access::Session,
            effects: Effects::ASSIGNS_USER_VARIABLE.with(Effects::USER_VARIABLE),
            doubt: Doubt::None,
            fingerprint: 0,
        };
        let kept = self.state.aftermath.clone();
        let outcome = self.run_where_state_is(text, profile).await?;
        if outcome != Outcome::Failed {
            self.state.aftermath = kept;
            self.state.aftermath.on_own_look(Look::Get);
        }
        if self.more_follows {
            self.reply_seq = self.reply_seq.wrapping_add(1);
        }
        Ok(outcome)
    }

    /// Answers GET DIAGNOSTICS for a condition that there is not: a warning, and nothing is assigned.
    async fn answer_no_condition(&mut self) -> Result<(), End> {
        let most = self.most_conditions();
        self.state.aftermath.on_no_condition(most);
        self.send_ok(1).await
    }

    /// How many conditions are listed at most.
    fn most_conditions(&self) -> usize {
        let most = self.state.mirror.get(b"max_error_count");
        let most = most.and_then(|most| std::str::from_utf8(most).ok()?.parse().ok());
        most.unwrap_or(MOST)
    }

    async fn run_filled(
        &mut self,
        text: Vec<u8>,
        profile: StatementProfile,
    ) -> Result<Recall, End> {
        let outcome = self.run_where_state_is(text, profile).await?;
        Ok(Recall::Answered(outcome))
    }

    /// Runs a text with answers in it where the session's state is.
    async fn run_where_state_is(
        &mut self,
        text: Vec<u8>,
        profile: StatementProfile,
    ) -> Result<Outcome, End> {
        self.rewritten = text;
        let side = self.state.transaction.open_on().unwrap_or(Side::Primary);
        let statement = Statement::rewritten(profile, Some((side, Reason::FollowsPrevious)));
        Box::pin(self.run_statement(statement)).await
    }
}

/// The collation that columns of text name where results are in this charset, and the most bytes of a character.
/// A charset is named, or its collation by number; NULL leaves texts of a server's own in utf8mb3.
fn charset_of_results(results: Option<&[u8]>, mariadb: bool) -> (u16, u32) {
    let name = match results.map(std::str::from_utf8) {
        None => "utf8mb4",
        Some(Ok(name)) if !name.is_empty() => name,
        Some(_) => "utf8mb3",
    };
    if let Ok(id) = name.parse::<u16>() {
        let known = Collation::from(CollationId::from(id));
        return (id, known.max_len().into());
    }
    match name {
        "utf8mb3" => (33, 3),
        "utf8mb4" if mariadb => (45, 4),
        "utf8mb4" => (255, 4),
        name => {
            let all = (1..=LAST_COLLATION).map(|id| Collation::from(CollationId::from(id)));
            let found = all
                .filter(|it| it.is_default())
                .find(|it| it.charset().eq_ignore_ascii_case(name));
            found.map_or((33, 3), |it| (it.id() as u16, it.max_len().into()))
        }
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
        Previous::Packet { head, .. } => asked_by(head),
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
