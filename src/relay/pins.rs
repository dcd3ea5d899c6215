//! What binds a session to its connection: looks at the texts that may change it, takes in what came of
//! them, and tells metrics, log and registry.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::attempt::Task;
use super::kill::Registry;
use super::session::Relay;
use super::statement::{Statement, asks_previous};
use crate::backend::{BackendError, ServerConn};
use crate::domain::ids::SessionId;
use crate::domain::session::mirror::user;
use crate::domain::session::{Ending, Held, Outcome, Pin, PinReason, Side};
use crate::domain::sql::state::{self, Constant, Mention, StateFact, Touches};
use crate::domain::sql::{Access, Effects, StatementProfile};
use crate::domain::topology::Leavings;
use crate::domain::topology::leavings::may_run_programs;
use crate::protocol::reply::ReplyKind;

/// A pin that was in force for so long is told of when it ends.
const LONG: Duration = Duration::from_secs(60);

/// Verbs that may end or rename a temporary table, of statements that are else of no interest.
const TEMPORARY: [&str; 3] = ["drop", "alter", "rename"];

/// A pin of some session, for people.
#[derive(Clone, Debug)]
pub struct SessionPin {
    /// The session's id, which its client knows.
    pub session: SessionId,
    /// Its account.
    pub user: String,
    /// Why, by which statement, since when.
    pub pin: Pin,
}

/// What may make a table, among others.
const MAKES_TABLES: Effects = Effects::COMMITS
    .with(Effects::TEMPORARY_TABLE)
    .with(Effects::OPAQUE);

/// ER_TOO_BIG_SELECT: to MySQL, SHOW STATUS is a query of many rows, which the session's max_join_size may forbid.
const TOO_BIG: u16 = 1104;

/// Whether the statement runs what its text does not show.
fn runs_unseen(touches: &Touches) -> bool {
    let unseen = |fact: &StateFact| {
        matches!(
            fact,
            StateFact::RunsRoutine | StateFact::Unread | StateFact::Executes(_)
        )
    };
    touches.facts().any(unseen)
}

impl Registry {
    /// Every pin in force, of all sessions.
    pub fn pins(&self) -> Vec<SessionPin> {
        let of = |(session, user, pins): (SessionId, String, Vec<Pin>)| {
            let one = move |pin| SessionPin {
                session,
                user: user.clone(),
                pin,
            };
            pins.into_iter().map(one)
        };
        self.all_pins().into_iter().flat_map(of).collect()
    }
}

impl Relay {
    /// Before a statement is routed: what its text says of the session's state.
    pub(super) fn look_at(&mut self, statement: &Statement) {
        let profile = &statement.profile;
        self.touches = None;
        self.may_trigger = matches!(profile.access, Access::Read | Access::PrimaryRead);
        self.state.needs = None;
        let temporary = self.state.pins.has_temporary_tables();
        let prepares = matches!(statement.task, Task::Prepare(_) | Task::PrepareRewritten(_));
        if prepares {
            self.touches = Some(Touches::default());
            self.leavings = Leavings::NOTHING;
        } else if state::may_touch(profile) || profile.access == Access::Write {
            self.touches = self.touches_of(statement, temporary);
        }
        if profile.access == Access::Read || temporary && profile.access == Access::Write {
            self.state.needs = self.needs(statement, temporary);
        }
    }

    /// What the statement at hand may leave untold; where that is being found out, it is waited for.
    pub(super) async fn settle_programs(&mut self, access: Access) {
        if !may_run_programs(access) {
            self.leavings = Leavings::NOTHING;
            return;
        }
        let watch = &self.shared.watch;
        if watch.leavings().is_none() {
            watch.programs_settled().await;
        }
        self.leavings = watch.leavings().unwrap_or(Leavings::ANYTHING);
    }

    /// A string constant takes the connection's collation as it is now, which SET NAMES does not tell.
    pub(super) async fn learn_for_constants(&mut self) {
        let takes_collation = |fact: &StateFact| {
            let text = |constant: &Constant| matches!(constant, Constant::Text { .. });
            matches!(fact, StateFact::Assigns(_, Some(constant)) if text(constant))
        };
        let touches = self.touches.as_ref();
        if self.state.mirror.collation_untold()
            && touches.is_some_and(|touches| touches.facts().any(takes_collation))
        {
            // Where it cannot be learnt, the variable binds the session.
            self.learn_collation(Side::Primary).await;
        }
    }

    fn touches_of(&mut self, statement: &Statement, temporary: bool) -> Option<Touches> {
        let mode = self.lexer.mode(&self.state);
        let text = self.text_of(statement)?;
        let of_interest = state::may_touch(&statement.profile)
            || state::begins_with(text, &["set", "flush", "truncate"])
            || (temporary && state::begins_with(text, &TEMPORARY));
        if !of_interest {
            self.may_trigger |= state::may_trigger(text);
            return None;
        }
        let touches = match mode {
            Some(mode) if !text.is_empty() => state::touches(text, mode),
            _ => Touches::unread(),
        };
        Some(self.state.resolve(touches))
    }

    /// What a read, or a write, needs of the primary's connection.
    fn needs(&mut self, statement: &Statement, temporary: bool) -> Option<PinReason> {
        if temporary && self.may_name_temporary(statement) {
            return Some(PinReason::TemporaryTable);
        }
        // Since 8.0.22 a prepared statement keeps the types that its variables had at its PREPARE.
        let prepared = !matches!(statement.task, Task::AsIs(_) | Task::Rewritten(_));
        let variables = statement.profile.effects.contains(Effects::USER_VARIABLE);
        (prepared && variables).then_some(PinReason::UserVariable)
    }

    fn may_name_temporary(&mut self, statement: &Statement) -> bool {
        let mode = self.lexer.mode(&self.state);
        let tables = self.state.pins.temporary_tables();
        match (mode, self.text_of(statement), tables) {
            (Some(mode), Some(text), Some(tables)) if !text.is_empty() => {
                state::mentions(text, mode, tables) == Mention::Maybe
            }
            _ => true,
        }
    }

    /// The text of a statement, `None` for a command that has none; empty if it is not known any more.
    fn text_of(&self, statement: &Statement) -> Option<&[u8]> {
        match statement.task {
            Task::AsIs(ReplyKind::Query) => Some(self.text(statement.total)),
            Task::AsIs(_) => None,
            Task::Rewritten(_) | Task::PrepareRewritten(_) => Some(&self.rewritten),
            Task::Prepare(_) => self.payload(statement.total).get(1..),
            Task::Execute(id) => Some(self.statements.get(id).map_or(&[], |it| it.text())),
        }
    }

    /// A statement ended on a connection that is still held; what it was to do is known from
    /// [`Self::look_at`], unless its text was never there as a whole.
    pub(super) fn take_touches(
        &mut self,
        side: Side,
        profile: &StatementProfile,
        outcome: Outcome,
    ) {
        let Some(link) = self.links.get_mut(side) else {
            return;
        };
        let unread = || state::may_touch(profile).then(Touches::unread);
        let touches = self.touches.take().or_else(unread).unwrap_or_default();
        let ending = Ending {
            side,
            outcome,
            results: self.results,
            may_trigger: self.may_trigger,
            leavings: self.leavings,
            now: Instant::now(),
        };
        self.state
            .on_touched(profile, &touches, ending, &mut link.applied);
        let frees = |fact: &StateFact| matches!(fact, StateFact::Locks(_) | StateFact::Unlocks);
        self.locks_unsure |= touches.facts().any(frees);
        let known = self.state.pins.temporary_tables().is_some();
        match runs_unseen(&touches) {
            true => self.tables_unsure |= known && side == Side::Primary,
            false => link.applied.tables_uncounted |= profile.effects.intersects(MAKES_TABLES),
        }
        let nulls = |fact: &StateFact| matches!(fact, StateFact::Assigns(_, Some(Constant::Null)));
        self.nulls_unsure |= touches.facts().any(nulls);
    }

    /// Asks the server for the types of user variables that were set to NULL after a value that only it
    /// knows: NULL leaves them as they were, and with it the variable can be given to another connection.
    pub(super) async fn settle_nulls(&mut self) {
        if !std::mem::take(&mut self.nulls_unsure) || !self.links.lends() {
            return;
        }
        let Some(link) = self.links.get(Side::Primary) else {
            return;
        };
        let nulls = self.state.mirror.nulls_untold();
        let here = nulls.filter(|name| link.applied.has_null_untold(name));
        let names: Vec<Box<[u8]>> = here.map(Into::into).collect();
        if names.is_empty() || !self.save_aftermath(Side::Primary).await {
            return;
        }
        let Some(link) = self.links.get_mut(Side::Primary) else {
            return;
        };
        // A connection that broke is noticed before the next statement; the pins stay.
        let Ok(answers) = link.ask_types(&types_of(&names)).await else {
            return;
        };
        for (name, answer) in names.into_iter().zip(answers.chunks_exact(2)) {
            let [value, collation] = answer else { continue };
            let of_type = user::of_type(value.kind, value.unsigned, &collation.text);
            let mirror = &mut self.state.mirror;
            if of_type.is_some_and(|of_type| mirror.learn_null(&name, of_type)) {
                link.applied.copy_variable(&name, mirror);
                self.state.pins.release(&Held::UserVariable(name));
            }
        }
        self.tell_pins();
    }

    /// Asks the server which of the named locks the session really holds, after a statement that took or
    /// freed some: what its function returned is known to the client only.
    pub(super) async fn settle_locks(&mut self) {
        if !std::mem::take(&mut self.locks_unsure) {
            return;
        }
        let names: Vec<Box<[u8]>> = self.state.pins.named_locks().map(Into::into).collect();
        if names.is_empty() || !self.save_aftermath(Side::Primary).await {
            return;
        }
        let Some(link) = self.links.get_mut(Side::Primary) else {
            return;
        };
        let held: Vec<_> = names.iter().map(|name| is_held(name)).collect();
        let Ok(answers) = link.ask(&format!("SELECT {}", held.join(", "))).await else {
            // A connection that broke is noticed before the next statement; the pins stay.
            return;
        };
        for (name, answer) in names.into_iter().zip(answers) {
            if answer == b"0" {
                self.state.pins.release(&Held::NamedLock(name));
            }
        }
        self.tell_pins();
    }

    /// Whether [`Self::count_before_routine`] would ask the connection something before this statement.
    pub(super) fn counts_before(&mut self, side: Side, statement: &Statement) -> bool {
        let uncounted = |link: &ServerConn| link.applied.tables_uncounted;
        side == Side::Primary
            && self.links.get(side).is_some_and(uncounted)
            && state::may_touch(&statement.profile)
            && self
                .touches_of(statement, false)
                .is_some_and(|touches| runs_unseen(&touches))
    }

    /// Before a statement that runs what its text does not show: how many tables were made on the connection
    /// so far. `false` when the connection broke.
    pub(super) async fn count_before_routine(&mut self, side: Side) -> bool {
        let runs = self.touches.as_ref().is_some_and(runs_unseen);
        let uncounted = |link: &ServerConn| link.applied.tables_uncounted;
        if side != Side::Primary || !runs || !self.links.get(side).is_some_and(uncounted) {
            return true;
        }
        self.save_aftermath(side).await && self.count_tables().await.is_ok()
    }

    /// A routine may have made temporary tables by CREATE … SELECT, which no tracker tells, but which is
    /// counted: asked for before the next statement for which it matters.
    pub(super) async fn settle_tables(&mut self, profile: &StatementProfile) {
        let matters = !matches!(
            profile.access,
            Access::Write | Access::PrimaryRead | Access::Diagnostics
        );
        // What asks about the routine goes where it ran, and first.
        if !self.tables_unsure || !matters || asks_previous(profile) {
            return;
        }
        self.tables_unsure = false;
        let Some(link) = self.links.get(Side::Primary) else {
            return;
        };
        let before = link.applied.tables_made;
        let asked = self.save_aftermath(Side::Primary).await;
        if asked
            && self
                .count_tables()
                .await
                .is_ok_and(|now| now == Some(before))
        {
            return;
        }
        let mut pins = Vec::from_iter(self.state.pins.iter());
        pins.retain(|pin| pin.reason == PinReason::Unknown);
        let fingerprint = pins.first().map_or(0, |pin| pin.fingerprint);
        let tables = Held::SomeTemporaryTables;
        self.state.pins.hold(tables, fingerprint, Instant::now());
        self.tell_pins();
    }

    /// How many tables were made on the connection to the primary since its last reset, temporary ones among
    /// them; `None` where the answer cannot be read.
    async fn count_tables(&mut self) -> Result<Option<u64>, BackendError> {
        let mariadb = self.mode().dialect.is_mariadb();
        let Some(link) = self.links.get_mut(Side::Primary) else {
            return Ok(None);
        };
        // MariaDB counts temporary ones for themselves.
        let kind = if mariadb { "temporary_table" } else { "table" };
        let question = format!("SHOW SESSION STATUS LIKE 'Com_create_{kind}'");
        let row = match link.ask(&question).await {
            Err(BackendError::Setup { code: TOO_BIG, .. }) => {
                let [allow, forbid] =
                    [1, 0].map(|on| format!("SET SESSION sql_big_selects = {on}"));
                let answers = link.ask_all(&[&allow, &question, &forbid]).await?;
                let rows = answers.into_iter().flatten().flatten();
                rows.last().unwrap_or_default()
            }
            answer => answer?,
        };
        let count = row.get(1).and_then(|count| std::str::from_utf8(count).ok());
        let count = count.and_then(|count| count.parse().ok());
        link.applied.tables_uncounted = count.is_none();
        link.applied.tables_made = count.unwrap_or(link.applied.tables_made);
        Ok(count)
    }

    /// Tells of pins that are new or gone.
    pub(super) fn tell_pins(&mut self) {
        let version = self.state.pins.version();
        if std::mem::replace(&mut self.told_pins, version) == version {
            return;
        }
        let pins: Vec<Pin> = self.state.pins.iter().collect();
        let before = self.registered.has_pins(pins.clone());
        for reason in PinReason::ALL {
            let of = |pins: &[Pin]| pins.iter().find(|pin| pin.reason == reason).copied();
            let now = of(&pins);
            if !self.pinned.set(reason, now.is_some()) {
                continue;
            }
            match (now, of(&before)) {
                (Some(pin), _) => self.tell_begin(pin),
                (None, Some(pin)) => self.tell_end(pin),
                (None, None) => {}
            }
        }
    }

    fn tell_begin(&self, pin: Pin) {
        self.shared.metrics.pins.at(pin.reason).inc();
        if let Some(shape) = self.shared.classifier.shape(pin.fingerprint) {
            shape.digest.pinned();
        }
        tracing::debug!(
            session = self.diary.id.0,
            reason = pin.reason.name(),
            fingerprint = pin.fingerprint,
            "the session is bound to its connection"
        );
    }

    fn tell_end(&self, pin: Pin) {
        let lasted = pin.since.elapsed();
        if lasted >= LONG {
            tracing::info!(
                session = self.diary.id.0,
                user = %self.diary.user,
                reason = pin.reason.name(),
                fingerprint = pin.fingerprint,
                seconds = lasted.as_secs_f64(),
                "the session was bound to its connection for long"
            );
        }
    }
}

/// SQL for the type and the collation of each of these user variables.
fn types_of(names: &[Box<[u8]>]) -> Vec<u8> {
    let mut sql = b"SELECT ".to_vec();
    for (index, name) in names.iter().enumerate() {
        sql.extend_from_slice(if index == 0 { b"" } else { b"," });
        user::put_name(name, &mut sql);
        sql.extend_from_slice(b",COLLATION(");
        user::put_name(name, &mut sql);
        sql.push(b')');
    }
    sql
}

/// SQL for whether the connection that asks holds this lock: 1, 0.
fn is_held(name: &[u8]) -> String {
    let digits: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("IS_USED_LOCK(_utf8mb4 X'{digits}') <=> CONNECTION_ID()")
}

/// Pins of a session as its entry in the registry keeps them.
#[derive(Debug, Default)]
pub(super) struct PinBoard(std::sync::Mutex<Vec<Pin>>);

impl PinBoard {
    /// Replaces the pins; gives those that were there.
    pub(super) fn replace(&self, pins: Vec<Pin>) -> Vec<Pin> {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut board, pins)
    }

    pub(super) fn get(&self) -> Vec<Pin> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
