//! What a session's previous statement left to be asked for: its warnings, ROW_COUNT(), FOUND_ROWS() and
//! LAST_INSERT_ID().
//!
//! Replies tell most of it. What they do not tell is on the connection where the statement ran, for as long
//! as nothing else is sent there. As measured on MySQL 9.7 and MariaDB 10.11 (`tests/diagnostics.rs` holds
//! each of these against a server):
//!
//! - ROW_COUNT() is the count of the OK packet, and -1 after rows or an error. GET DIAGNOSTICS and
//!   COM_STMT_PREPARE leave it alone, COM_PING and COM_INIT_DB make it 0.
//! - FOUND_ROWS() is the number of rows that a SELECT sent, unless it has SQL_CALC_FOUND_ROWS, an offset or a
//!   LIMIT over a UNION. INSERT, SET, DDL and the statements of transactions leave it alone; UPDATE makes it
//!   the number of matching rows on MySQL and leaves it alone on MariaDB.
//! - What may or may not leave FOUND_ROWS() alone (a procedure, an error) is believed to have left it alone
//!   where the connection that ran it had another one's before.
//! - LAST_INSERT_ID() need not be the id of the OK packet: that also names an id which the statement gave
//!   itself, or the row that ON DUPLICATE KEY UPDATE changed. An error may have changed it, too.
//! - An OK packet counts the warnings. What precedes an error is not told. On MySQL every statement but the
//!   diagnostic ones begins a new list; on MariaDB one that uses no table and warns of nothing keeps the old
//!   one, although its reply counts none.

mod states;

pub use states::{is_signal, state_of};

use crate::domain::sql::{Access, Effects, StatementProfile};

/// A moment of one connection: it holds for as long as no other command is sent there and nobody else
/// has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The lease under which the session has it: what it left there is not there any more when it gets
    /// the same connection again after others.
    pub lease: u64,
    /// How many times something was sent there.
    pub sent: u64,
}

/// How serious a condition is, as SHOW WARNINGS has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// `Note`.
    Note,
    /// `Warning`.
    Warning,
    /// `Error`.
    Error,
}

impl Severity {
    /// The word that SHOW WARNINGS has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "Note",
            Self::Warning => "Warning",
            Self::Error => "Error",
        }
    }

    /// The severity of a word of SHOW WARNINGS.
    pub fn of_name(name: &[u8]) -> Self {
        match name {
            b"Error" => Self::Error,
            b"Note" => Self::Note,
            _ => Self::Warning,
        }
    }
}

/// One row of SHOW WARNINGS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its level.
    pub severity: Severity,
    /// The error number.
    pub code: u16,
    /// The SQLSTATE, where a reply told it: SHOW WARNINGS does not.
    pub state: Option<[u8; 5]>,
    /// The message, in the session's character set for results.
    pub message: Box<[u8]>,
}

/// The conditions that a statement left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// How many the server counted.
    pub count: u64,
    /// How many of these are errors.
    pub errors: u64,
    /// Those that are known.
    pub list: Vec<Condition>,
    /// Whether nobody has told which they are. A server itself may list fewer than it counted:
    /// `max_error_count`.
    pub untold: bool,
}

impl Conditions {
    fn uncertain(count: u64) -> Self {
        Self {
            count,
            untold: count > 0,
            ..Self::default()
        }
    }

    fn of_error(error: Condition) -> Self {
        Self {
            count: 1,
            errors: 1,
            list: vec![error],
            untold: false,
        }
    }

    /// All of them, as a server listed them. `count` is what it counted, which can be more.
    pub fn listed(list: Vec<Condition>, count: u64) -> Self {
        let is_error = |condition: &&Condition| condition.severity == Severity::Error;
        Self {
            count: count.max(list.len() as u64),
            errors: list.iter().filter(is_error).count() as u64,
            list,
            untold: false,
        }
    }
}

/// One of the things that may be asked for.
#[derive(Clone, Debug)]
pub struct Part<T> {
    /// The value, as far as replies told it.
    pub value: T,
    /// Whether the value is the right one, not only the best guess.
    pub exact: bool,
    /// Where a server answers it right.
    pub at: Option<Place>,
}

impl<T> Part<T> {
    fn exactly(value: T) -> Self {
        Self {
            value,
            exact: true,
            at: None,
        }
    }

    /// What is known of it now.
    pub fn learn(&mut self, value: T) {
        self.value = value;
        self.exact = true;
    }

    fn take(&mut self, fate: Fate<T>, ended: &Ended<'_>) {
        match fate {
            Fate::Kept if self.at.is_some() && self.at == ended.before => self.at = ended.after,
            Fate::Kept => {}
            Fate::KeptOrNot => {
                if self.at.is_some() && self.at == ended.before {
                    self.at = ended.after;
                    self.exact = false;
                }
            }
            Fate::Becomes(value) => {
                *self = Self {
                    value,
                    exact: true,
                    at: ended.after,
                }
            }
            Fate::Perhaps(value) => {
                *self = Self {
                    value,
                    exact: false,
                    at: ended.after,
                }
            }
        }
    }
}

/// What a statement does to one part.
enum Fate<T> {
    Kept,
    /// Only a server that had it before knows.
    KeptOrNot,
    Becomes(T),
    /// The server knows; this is the best guess.
    Perhaps(T),
}

/// How the last result of a statement ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With an OK packet.
    Ok {
        /// Its count of rows.
        affected: u64,
        /// Its id; 0 for none.
        insert_id: u64,
        /// Its count of warnings.
        warnings: u16,
    },
    /// With the end of a result set.
    Rows {
        /// How many rows it had.
        count: u64,
        /// Its count of warnings.
        warnings: u16,
    },
    /// With an error.
    Error(Condition),
}

/// What ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A statement, as text or prepared.
    Statement,
    /// SHOW WARNINGS, SHOW ERRORS, SHOW COUNT(*) and GET DIAGNOSTICS, which leave the conditions.
    Look(Look),
    /// COM_STMT_PREPARE.
    Prepare,
    /// COM_INIT_DB, COM_SET_OPTION and other commands that are no statement.
    Command,
    /// COM_STMT_RESET and COM_STMT_FETCH: the same, but they count what is their own alone (tried).
    OfPrepared,
    /// COM_FIELD_LIST, whose error alone is left (tried).
    FieldList,
}

impl Kind {
    const fn is_statement(self) -> bool {
        matches!(self, Self::Statement)
    }
}

/// The statements that look at the conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// SHOW WARNINGS and SHOW ERRORS.
    List,
    /// SHOW COUNT(*).
    Count,
    /// GET DIAGNOSTICS.
    Get,
}

/// A statement that ended on a server.
#[derive(Clone, Debug)]
pub struct Ended<'a> {
    /// What it was.
    pub kind: Kind,
    /// What its text says.
    pub profile: &'a StatementProfile,
    /// How it ended.
    pub ending: Ending,
    /// Its connection before anything was sent for it.
    pub before: Option<Place>,
    /// Its connection now.
    pub after: Option<Place>,
    /// Whether LAST_INSERT_ID() there was the session's before.
    pub had_last_insert_id: bool,
    /// Whether rows came before the last result.
    pub rows_before: bool,
    /// Whether its rows wait in a cursor.
    pub cursor: bool,
    /// Whether the server is a MariaDB.
    pub mariadb: bool,
}

/// What a statement asks of the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// ROW_COUNT().
    pub row_count: bool,
    /// FOUND_ROWS().
    pub found_rows: bool,
    /// The conditions or their counts.
    pub conditions: bool,
}

impl Asked {
    /// Everything.
    pub const ALL: Self = Self {
        row_count: true,
        found_rows: true,
        conditions: true,
    };
}

/// What the session's previous statement left.
#[derive(Clone, Debug)]
pub struct Aftermath {
    /// ROW_COUNT(), which replies always tell.
    pub row_count: Part<i64>,
    /// FOUND_ROWS().
    pub found_rows: Part<u64>,
    /// LAST_INSERT_ID(). Only its connection counts in its place: nothing that Highwater sends for itself
    /// changes it.
    pub last_insert_id: Part<u64>,
    /// What it is if its connection answers 0: that had not the session's own before.
    last_insert_id_else: Option<u64>,
    /// What SHOW WARNINGS lists.
    pub conditions: Part<Conditions>,
    /// Conditions besides, which the server of the others does not list: Highwater's own, one of each code,
    /// and errors of commands that another server answered.
    own: Vec<Condition>,
    /// How many the reply to the last statement counted, if it did; one that looks at them counts its own only.
    counted: Option<u16>,
}

impl Default for Aftermath {
    /// As after a login: one server has FOUND_ROWS() 0 and ROW_COUNT() 0 then.
    fn default() -> Self {
        Self {
            row_count: Part::exactly(0),
            found_rows: Part::exactly(0),
            last_insert_id: Part::exactly(0),
            last_insert_id_else: None,
            conditions: Part::exactly(Conditions::default()),
            own: Vec::new(),
            counted: Some(0),
        }
    }
}

impl Aftermath {
    /// A statement ended on a server.
    pub fn on_end(&mut self, ended: &Ended<'_>) {
        self.row_count.take(row_count(ended), ended);
        let found_rows = self.found_rows(ended);
        self.found_rows.take(found_rows, ended);
        let last_insert_id = self.last_insert_id(ended);
        self.take_last_insert_id(last_insert_id, ended);
        let conditions = self.conditions(ended);
        if !matches!(conditions, Fate::Kept) {
            self.own.clear();
        }
        self.conditions.take(conditions, ended);
        match (&ended.ending, ended.kind) {
            (Ending::Error(error), Kind::Command) if !ended.mariadb => {
                self.counted = self.counted.map(|count| count.saturating_add(1));
                self.add_error(error, ended.after);
            }
            (Ending::Error(error), Kind::OfPrepared) if !ended.mariadb => {
                self.counted = Some(1);
                self.add_error(error, ended.after);
            }
            // Its error alone is counted, though SHOW WARNINGS would list more (tried).
            (Ending::Error(_), Kind::FieldList) => self.counted = Some(1),
            (Ending::Error(_), _) => self.counted = None,
            (_, Kind::Command | Kind::FieldList) => {}
            (Ending::Ok { warnings, .. } | Ending::Rows { warnings, .. }, _) => {
                self.counted = Some(*warnings);
            }
        }
    }

    /// A command that is no statement failed: its error follows what the statement before left.
    fn add_error(&mut self, error: &Condition, after: Option<Place>) {
        if self.conditions.at.is_none() || self.conditions.at != after {
            return self.own.push(error.clone());
        }
        let conditions = &mut self.conditions.value;
        conditions.count += 1;
        conditions.errors += 1;
        conditions.list.push(error.clone());
    }

    /// Highwater answered a statement itself: with OK, or with so many `rows`.
    pub fn on_own_answer(&mut self, rows: Option<u64>, mariadb: bool) {
        self.counted = Some(0);
        self.row_count = Part::exactly(if rows.is_some() { -1 } else { 0 });
        if let Some(rows) = rows {
            self.found_rows = Part::exactly(rows);
        }
        if !mariadb {
            self.clear_conditions();
        }
    }

    /// Highwater answered a statement with an error of its own.
    pub fn on_own_error(&mut self, error: Condition) {
        self.counted = None;
        self.row_count = Part::exactly(-1);
        self.own.clear();
        self.conditions = Part::exactly(Conditions::of_error(error));
    }

    /// Highwater answered COM_PING, or another command that is no statement, with OK.
    pub fn on_ping(&mut self) {
        self.row_count = Part::exactly(0);
    }

    /// COM_SET_OPTION was answered with what ends rows.
    pub fn on_set_option(&mut self) {
        self.row_count.value = -1;
    }

    /// Highwater answered COM_STMT_RESET with OK.
    pub fn on_own_reset(&mut self) {
        self.counted = Some(0);
        self.row_count = Part::exactly(0);
    }

    /// Highwater answered a command of a MySQL's client with an error before anything could run: it follows
    /// what the statement before left, in a list of at most so many. All of these have been asked for.
    pub fn on_own_command_error(&mut self, error: Condition, most: usize, of_prepared: bool) {
        self.counted = match of_prepared {
            true => Some(1),
            false => Some(self.warnings_told(false).saturating_add(1)),
        };
        self.row_count = Part::exactly(-1);
        self.append(error, most);
    }

    /// Highwater answered one of these itself.
    pub fn on_own_look(&mut self, look: Look) {
        self.counted = Some(0);
        match look {
            Look::List => self.row_count = Part::exactly(-1),
            Look::Count => {
                self.row_count = Part::exactly(-1);
                self.found_rows = Part::exactly(1);
            }
            Look::Get => {}
        }
    }

    /// Highwater answered GET DIAGNOSTICS for a condition that there is not: MySQL adds an error to the list,
    /// which has at most so many.
    pub fn on_no_condition(&mut self, most: usize) {
        self.counted = Some(1);
        self.row_count = Part::exactly(-1);
        let error = Condition {
            severity: Severity::Error,
            code: 1758,
            state: Some(*b"35000"),
            message: b"Invalid condition number".as_slice().into(),
        };
        self.append(error, most);
    }

    /// Adds an error to conditions that are all known, of which at most so many are listed.
    fn append(&mut self, error: Condition, most: usize) {
        let mut all = self.all_conditions();
        self.own.clear();
        all.count += 1;
        if all.list.len() < most {
            all.errors += 1;
            all.list.push(error);
        }
        self.conditions = Part::exactly(all);
    }

    /// The answer that was given carries a warning of Highwater's own.
    pub fn add_own(&mut self, condition: Condition) {
        self.own.retain(|own| own.code != condition.code);
        self.own.push(condition);
        self.counted = self.counted.map(|count| count.saturating_add(1));
    }

    /// The conditions as SHOW WARNINGS has to list them.
    pub fn all_conditions(&self) -> Conditions {
        let mut all = self.conditions.value.clone();
        let is_error = |condition: &&Condition| condition.severity == Severity::Error;
        all.count += self.own.len() as u64;
        all.errors += self.own.iter().filter(is_error).count() as u64;
        all.list.extend_from_slice(&self.own);
        all
    }

    /// What the OK packet of a command that is no statement counts: on MySQL what the statement before counted,
    /// errors among them, on MariaDB nothing (tried on both).
    pub fn warnings_told(&self, mariadb: bool) -> u16 {
        if mariadb {
            return 0;
        }
        let count = self.conditions.value.count + self.own.len() as u64;
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        self.counted.unwrap_or(count)
    }

    /// Whether nobody has told what [`Self::warnings_told`] is on MySQL: an error does not say what came before it.
    pub fn is_uncounted(&self) -> bool {
        self.counted.is_none() && !self.conditions.exact
    }

    /// Whether a server that is asked there, next, answers all that is asked for as one server would.
    pub fn is_at(&self, asked: Asked, place: Place) -> bool {
        let there = |at: Option<Place>| at == Some(place);
        (!asked.row_count || there(self.row_count.at))
            && (!asked.found_rows || there(self.found_rows.at))
            && (!asked.conditions || there(self.conditions.at) && self.own.is_empty())
    }

    /// What only the connection at this place can tell: conditions, FOUND_ROWS(), LAST_INSERT_ID().
    pub fn only_at(&self, place: Place) -> [bool; 3] {
        [
            !self.conditions.exact && self.conditions.at == Some(place),
            !self.found_rows.exact && self.found_rows.at == Some(place),
            !self.last_insert_id.exact && self.is_last_insert_id_at(place.lease),
        ]
    }

    /// Whether the connection of this lease is the one that has changed the session's LAST_INSERT_ID() last.
    pub fn is_last_insert_id_at(&self, lease: u64) -> bool {
        let at = self.last_insert_id.at;
        at.is_some_and(|at| at.lease == lease)
    }

    /// Whether the connection of this lease answers LAST_INSERT_ID() right by itself.
    pub fn has_last_insert_id(&self, lease: u64) -> bool {
        self.is_last_insert_id_at(lease) && self.last_insert_id_else.is_none()
    }

    /// The connection that changed it last answers LAST_INSERT_ID() with this. Gives what it is for the
    /// session.
    pub fn learn_last_insert_id(&mut self, answer: u64) -> u64 {
        let id = match self.last_insert_id_else.take() {
            Some(before) if answer == 0 => {
                self.last_insert_id.at = None;
                before
            }
            _ => answer,
        };
        self.last_insert_id.learn(id);
        id
    }

    /// The connection of this lease leaves the session, with LAST_INSERT_ID() 0.
    pub fn on_parted(&mut self, lease: u64) {
        if self.is_last_insert_id_at(lease) {
            self.last_insert_id.at = None;
            self.last_insert_id_else = None;
        }
    }

    fn take_last_insert_id(&mut self, fate: Fate<u64>, ended: &Ended<'_>) {
        if let Fate::Perhaps(_) = fate
            && !ended
                .after
                .is_some_and(|after| self.is_last_insert_id_at(after.lease))
        {
            let before = self.last_insert_id.value;
            self.last_insert_id_else = (!ended.had_last_insert_id && before != 0).then_some(before);
        }
        self.last_insert_id.take(fate, ended);
    }

    fn clear_conditions(&mut self) {
        self.own.clear();
        self.conditions = Part::exactly(Conditions::default());
    }

    fn found_rows(&self, ended: &Ended<'_>) -> Fate<u64> {
        let effects = ended.profile.effects;
        let opaque = effects.contains(Effects::OPAQUE);
        let sets = effects.contains(Effects::SETS_FOUND_ROWS);
        match (&ended.ending, ended.kind) {
            (Ending::Rows { .. }, Kind::Look(Look::Count)) => Fate::Becomes(1),
            (_, kind) if !kind.is_statement() => Fate::Kept,
            (Ending::Rows { count, .. }, _) if effects.contains(Effects::COUNTS_ROWS) => {
                match opaque || ended.cursor {
                    true => Fate::Perhaps(*count),
                    false => Fate::Becomes(*count),
                }
            }
            (_, _) if effects.contains(Effects::KEEPS_FOUND_ROWS) && !opaque => Fate::Kept,
            // One of several statements had rows, and FOUND_ROWS() was theirs.
            (Ending::Error(_), _) if ended.rows_before => Fate::Perhaps(self.found_rows.value),
            (Ending::Error(_), _) if !ended.mariadb && !opaque => Fate::Kept,
            (Ending::Error(_), _) => Fate::KeptOrNot,
            (Ending::Rows { count, .. }, _) if opaque || sets => Fate::Perhaps(*count),
            (Ending::Ok { .. }, _) if ended.rows_before => Fate::Perhaps(self.found_rows.value),
            // UPDATE counts what matched, which is near enough if the connection is lost.
            (Ending::Ok { affected, .. }, _) if sets && !opaque => Fate::Perhaps(*affected),
            (Ending::Ok { .. }, _) if sets => Fate::Perhaps(self.found_rows.value),
            _ => Fate::KeptOrNot,
        }
    }

    fn last_insert_id(&self, ended: &Ended<'_>) -> Fate<u64> {
        let now = self.last_insert_id.value;
        let effects = ended.profile.effects;
        let may_set = effects.intersects(Effects::LAST_INSERT_ID.with(Effects::OPAQUE));
        match (ended.kind, &ended.ending) {
            (kind, _) if !kind.is_statement() => Fate::Kept,
            (_, Ending::Ok { insert_id, .. }) if *insert_id != 0 => Fate::Perhaps(*insert_id),
            (_, Ending::Error(_) | Ending::Rows { .. })
                if ended.profile.access == Access::Write =>
            {
                Fate::Perhaps(now)
            }
            _ if may_set => Fate::Perhaps(now),
            _ => Fate::Kept,
        }
    }

    fn conditions(&self, ended: &Ended<'_>) -> Fate<Conditions> {
        let warnings = match (&ended.ending, ended.kind) {
            (Ending::Error(_), Kind::Command | Kind::OfPrepared) if !ended.mariadb => {
                return Fate::Kept;
            }
            (Ending::Error(error), _) => {
                return Fate::Perhaps(Conditions::of_error(error.clone()));
            }
            (Ending::Ok { warnings: 1.., .. }, Kind::Look(Look::Get)) => {
                // A condition that there is not: MySQL adds an error to the list.
                return Fate::Perhaps(Conditions::uncertain(self.conditions.value.count + 1));
            }
            (_, Kind::Look(_) | Kind::Command | Kind::OfPrepared | Kind::FieldList) => {
                return Fate::Kept;
            }
            (Ending::Ok { warnings, .. } | Ending::Rows { warnings, .. }, _) => *warnings,
        };
        match (warnings, ended.kind) {
            // Of what the reply counts, only what reading the text alone gave is kept (tried).
            (1.., Kind::Prepare) if !ended.mariadb => Fate::Perhaps(Conditions::default()),
            (1.., _) => Fate::Perhaps(Conditions::uncertain(warnings.into())),
            (0, _) if !ended.mariadb || self.nothing_to_keep() => {
                Fate::Becomes(Conditions::default())
            }
            (0, _) if uses_no_table(ended.profile) => Fate::Kept,
            (0, _) if uses_tables(ended.profile) => Fate::Becomes(Conditions::default()),
            (0, _) => Fate::Perhaps(Conditions::default()),
        }
    }

    fn nothing_to_keep(&self) -> bool {
        self.conditions.exact && self.conditions.value.count == 0 && self.own.is_empty()
    }
}

fn row_count(ended: &Ended<'_>) -> Fate<i64> {
    match (&ended.ending, ended.kind) {
        (Ending::Ok { .. }, Kind::Prepare) => Fate::Kept,
        (Ending::Ok { warnings: 0, .. }, Kind::Look(Look::Get)) => Fate::Kept,
        (Ending::Ok { .. }, Kind::Look(_)) => Fate::Becomes(-1),
        (Ending::Ok { affected, .. }, _) => {
            Fate::Becomes(i64::try_from(*affected).unwrap_or(i64::MAX))
        }
        (Ending::Rows { .. } | Ending::Error(_), _) => Fate::Becomes(-1),
    }
}

/// Whether it certainly names no table, by which MariaDB keeps the conditions of the statement before.
fn uses_no_table(profile: &StatementProfile) -> bool {
    match profile.access {
        Access::Session | Access::Begin(_) | Access::TransactionEnd => true,
        Access::Read | Access::PrimaryRead | Access::Diagnostics => !profile
            .effects
            .intersects(Effects::READS_TABLES.with(Effects::OPAQUE)),
        _ => false,
    }
}

/// Whether it certainly names one.
fn uses_tables(profile: &StatementProfile) -> bool {
    profile.effects.contains(Effects::READS_TABLES) && !profile.effects.contains(Effects::OPAQUE)
}

#[cfg(test)]
#[path = "aftermath/tests.rs"]
mod tests;
