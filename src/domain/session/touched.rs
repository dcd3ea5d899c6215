//! What a statement's text said it would do to its session, and what came of it: pins, and user
//! variables and roles in the mirror.
//!
//! The text speaks of success. What failed did nothing, unless it may have done something first; then
//! whatever it may have done counts.

use std::time::Instant;

use super::mirror::{Applied, Role};
use super::pins::Held;
use super::{Outcome, PinReason, Session, Side};
use crate::domain::sql::StatementProfile;
use crate::domain::sql::state::{StateFact, TableName, Touches, XaStep};
use crate::domain::topology::Leavings;

/// Error codes of the servers that matter to what a failed statement did.
mod code {
    /// ER_PARSE_ERROR: no word of it ran.
    pub(super) const PARSE: u16 = 1064;
    /// ER_BAD_FIELD_ERROR: a SET resolves every name before it assigns anything.
    pub(super) const BAD_FIELD: u16 = 1054;
    /// ER_UNKNOWN_SYSTEM_VARIABLE: the same.
    pub(super) const UNKNOWN_VARIABLE: u16 = 1193;
    /// ER_UNKNOWN_STMT_HANDLER: there is no such prepared statement.
    pub(super) const UNKNOWN_STATEMENT: u16 = 1243;
    /// ER_SP_DOES_NOT_EXIST.
    pub(super) const NO_ROUTINE: u16 = 1305;
}

/// How a statement ended that touched, or may have touched, its session's state.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Where it ran.
    pub side: Side,
    /// How its last result ended.
    pub outcome: Outcome,
    /// Results that ended well.
    pub results: usize,
    /// Whether it may have run a trigger, or a view's function.
    pub may_trigger: bool,
    /// What these may leave untold on the server where it ran.
    pub leavings: Leavings,
    /// When.
    pub now: Instant,
}

/// One ended statement and the connection it ran on.
struct Taking<'a> {
    ending: Ending,
    fingerprint: u64,
    applied: &'a mut Applied,
}

impl Session {
    /// Takes in what a statement did that said that it does this. Call it before [`Self::on_end`]
    /// and once the whole reply is taken in.
    pub fn on_touched(
        &mut self,
        profile: &StatementProfile,
        touches: &Touches,
        ending: Ending,
        applied: &mut Applied,
    ) {
        let mut taking = Taking {
            ending,
            fingerprint: profile.fingerprint,
            applied,
        };
        self.take_in(touches, &mut taking);
        let unforeseen = ending.may_trigger && touches.is_nothing() || touches.changes_rows;
        if self.statement.state_change && unforeseen {
            self.may_have_done_anything(true, &mut taking);
        }
        self.leave_behind(profile, touches, &mut taking);
    }

    /// What a program may have left that nobody tells of.
    fn leave_behind(
        &mut self,
        profile: &StatementProfile,
        touches: &Touches,
        taking: &mut Taking<'_>,
    ) {
        let Ending {
            side,
            results,
            may_trigger,
            leavings,
            ..
        } = taking.ending;
        let not_read = results == 0 && self.statement.error == code::PARSE;
        let changes_rows = may_trigger || touches.changes_rows;
        if not_read || !leavings.after(profile.access, changes_rows) {
            return;
        }
        match side {
            Side::Primary => self.may_have_done_anything(leavings.tables, taking),
            // Nothing binds a session to a replica: what was left is nobody's.
            Side::Replica => taking.applied.untold = true,
        }
    }

    fn take_in(&mut self, touches: &Touches, taking: &mut Taking<'_>) {
        let Ending {
            outcome, results, ..
        } = taking.ending;
        let done = matches!(outcome, Outcome::Done { .. });
        if touches.stored && results <= usize::from(done) {
            // Its body was only read.
            return;
        }
        if touches.uncounted && !done {
            return self.ended_somewhere(touches, taking);
        }
        let statements = &touches.statements;
        let ended = match (done, statements.len()) {
            (true, all) => all,
            // One may give several results.
            (false, 0 | 1) => 0,
            (false, all) => results.min(all),
        };
        for fact in statements.iter().take(ended).flatten() {
            self.on_done(fact, taking);
        }
        if let Some(failed) = statements.get(ended) {
            for fact in failed {
                self.on_failed(fact, taking);
            }
        }
    }

    /// A packet failed, and nobody can tell at which of its statements.
    fn ended_somewhere(&mut self, touches: &Touches, taking: &mut Taking<'_>) {
        self.may_have_done_anything(true, taking);
        for fact in touches.facts() {
            match fact {
                StateFact::Assigns(name, _) => self.assigned_something(name, taking),
                StateFact::SetsTracker => taking.applied.list_untold = true,
                _ => {}
            }
        }
    }

    fn on_done(&mut self, fact: &StateFact, taking: &mut Taking<'_>) {
        match fact {
            StateFact::Assigns(name, Some(constant)) => {
                let mirror = &mut self.mirror;
                let known = mirror.give(name, constant);
                taking.applied.copy_variable(name, mirror);
                let held = Held::UserVariable(name.clone());
                match known {
                    true => self.pins.release(&held),
                    false => self.hold(held, taking),
                }
            }
            StateFact::Assigns(name, None) => self.assigned_something(name, taking),
            StateFact::AssignsSome => self.hold(Held::SomeUserVariables, taking),
            StateFact::CreatesTemporary(name) => {
                let name = self.qualified(name);
                self.hold(Held::TemporaryTable(name), taking);
            }
            StateFact::Drops(name) => {
                let name = self.qualified(name);
                self.pins.release(&Held::TemporaryTable(name));
            }
            StateFact::Renames(from, to) => {
                let (from, to) = (self.qualified(from), self.qualified(to));
                self.pins.rename(&from, to);
            }
            StateFact::Locks(name) => self.hold(named_lock(name.as_deref()), taking),
            StateFact::UnlocksAll => {
                let other = |held: &Held| held.reason() != PinReason::NamedLock;
                self.pins.retain(other);
            }
            StateFact::LocksServer(lock) => self.hold(Held::Server(*lock), taking),
            StateFact::UnlocksServer(lock) => self.pins.release(&Held::Server(*lock)),
            StateFact::OpensHandler(name) => self.hold(Held::Handler(name.clone()), taking),
            StateFact::ClosesHandler(name) => self.pins.release(&Held::Handler(name.clone())),
            StateFact::Prepares(name, touches) => {
                self.pins.on_prepared(name, touches.clone());
                self.hold(Held::Prepared(name.clone()), taking);
            }
            StateFact::Deallocates(name) => self.pins.release(&Held::Prepared(name.clone())),
            StateFact::TakesRole(words) => {
                let time = self.mirror.version();
                let role = words
                    .clone()
                    .map_or(Role::Odd, |words| Role::Words(words, time));
                taking.applied.set_role(role.clone());
                self.mirror.set_role(role);
                self.hold(Held::Role, taking);
            }
            StateFact::JoinsResourceGroup => {
                taking.applied.joined_resource_group();
                self.hold(Held::ResourceGroup, taking);
            }
            StateFact::Xa(step) => self.xa(*step, taking),
            StateFact::Untracked(name, true) => self.pins.release(&Held::Setting(name.clone())),
            StateFact::Untracked(name, false) => self.hold(Held::Setting(name.clone()), taking),
            StateFact::RunsRoutine | StateFact::Unread | StateFact::Executes(_) => {
                self.may_have_done_anything(self.statement.state_change, taking);
            }
            StateFact::SetsTracker => taking.applied.list_untold = true,
            StateFact::Settings | StateFact::Unlocks => {}
        }
    }

    /// What a statement that failed may have done before.
    fn on_failed(&mut self, fact: &StateFact, taking: &mut Taking<'_>) {
        let error = self.statement.error;
        let early = [code::PARSE, code::BAD_FIELD, code::UNKNOWN_VARIABLE].contains(&error);
        match fact {
            StateFact::Assigns(name, _) if !early => self.assigned_something(name, taking),
            StateFact::AssignsSome if !early => self.hold(Held::SomeUserVariables, taking),
            StateFact::Locks(name) if !early => self.hold(named_lock(name.as_deref()), taking),
            StateFact::Deallocates(name) if error == code::UNKNOWN_STATEMENT => {
                self.pins.release(&Held::Prepared(name.clone()));
            }
            StateFact::SetsTracker => taking.applied.list_untold = true,
            StateFact::Unread if error != code::PARSE => self.may_have_done_anything(true, taking),
            StateFact::RunsRoutine | StateFact::Executes(_) => {
                let somewhere = ![code::NO_ROUTINE, code::UNKNOWN_STATEMENT].contains(&error);
                self.may_have_done_anything(somewhere, taking);
            }
            _ => {}
        }
    }

    fn hold(&mut self, held: Held, taking: &Taking<'_>) {
        self.pins.hold(held, taking.fingerprint, taking.ending.now);
    }

    /// `tables` says whether a temporary table is believed to be part of it: the server tells that state
    /// changed when one is made, in the packet that ends a statement well. But for CREATE … SELECT inside of a
    /// routine (9.7): the caller counts.
    fn may_have_done_anything(&mut self, tables: bool, taking: &mut Taking<'_>) {
        taking.applied.untold = true;
        self.hold(Held::Unknown, taking);
        if tables {
            self.hold(Held::SomeTemporaryTables, taking);
        }
    }

    fn assigned_something(&mut self, name: &[u8], taking: &mut Taking<'_>) {
        self.mirror.forget_variable(name);
        taking.applied.copy_variable(name, &self.mirror);
        self.hold(Held::UserVariable(name.into()), taking);
    }

    /// A prepared transaction may leave its connection (xa_detach_on_prepare): none is open then.
    fn xa(&mut self, step: XaStep, taking: &mut Taking<'_>) {
        let detached = !self.transaction.is_open();
        match step {
            XaStep::Begins => self.hold(Held::Xa, taking),
            XaStep::Prepared if !detached => taking.applied.set_prepared_xa(true),
            XaStep::Prepared => self.pins.release(&Held::Xa),
            XaStep::Ends => {
                // Of another transaction than the connection's own it would have failed.
                taking.applied.set_prepared_xa(false);
                self.pins.release(&Held::Xa);
            }
        }
    }

    /// The table with its schema.
    fn qualified(&self, name: &TableName) -> TableName {
        let own = || self.mirror.schema().map(Into::into);
        TableName {
            schema: name.schema.clone().or_else(own),
            table: name.table.clone(),
        }
    }

    /// Replaces what is executed by what was prepared under its name.
    pub fn resolve(&self, mut touches: Touches) -> Touches {
        for facts in &mut touches.statements {
            let found = facts.iter().find_map(|fact| match fact {
                StateFact::Executes(name) => Some(self.pins.prepared(name)?.statements.concat()),
                _ => None,
            });
            if let Some(found) = found {
                facts.retain(|fact| !matches!(fact, StateFact::Executes(_)));
                facts.extend(found);
            }
        }
        touches
    }
}

fn named_lock(name: Option<&[u8]>) -> Held {
    match name {
        Some(name) => Held::NamedLock(name.to_ascii_lowercase().into()),
        None => Held::SomeNamedLocks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::consistency::Settings;
    use crate::domain::session::{ClientTraits, Tracked};
    use crate::domain::sql::state::touches;
    use crate::domain::sql::{LexMode, Seed, explain};

    /// How a statement ended.
    #[derive(Clone, Copy)]
    struct End {
        results: usize,
        error: u16,
        told: bool,
        leavings: Leavings,
    }

    const OK: End = End {
        results: 1,
        error: 0,
        told: false,
        leavings: Leavings::NOTHING,
    };
    const TOLD: End = End { told: true, ..OK };

    const fn failed(results: usize, error: u16) -> End {
        End {
            results,
            error,
            told: false,
            leavings: Leavings::NOTHING,
        }
    }

    fn run(session: &mut Session, sql: &str, end: End) -> Applied {
        let mode = LexMode::default();
        let profile = explain(sql.as_bytes(), mode, &Seed::new(1));
        let touches = session.resolve(touches(sql.as_bytes(), mode));
        let mut applied = Applied::default();
        session.on_start(&profile);
        if end.told {
            session.on_tracked(Side::Primary, Tracked::StateChange, &mut applied);
        }
        session.on_error(end.error);
        let outcome = match end.error {
            0 => Outcome::Done {
                affected: 0,
                rows: false,
            },
            _ => Outcome::Failed,
        };
        let ending = Ending {
            side: Side::Primary,
            outcome,
            results: end.results,
            may_trigger: crate::domain::sql::state::may_trigger(sql.as_bytes()),
            leavings: end.leavings,
            now: Instant::now(),
        };
        session.on_touched(&profile, &touches, ending, &mut applied);
        applied
    }

    fn pins(session: &Session) -> String {
        let names: Vec<_> = session.pins.iter().map(|pin| pin.reason.name()).collect();
        names.join(" ")
    }

    #[test]
    fn what_came_of_statements() {
        let client = ClientTraits {
            found_rows: false,
            state_after_rows: true,
        };
        for (sql, end, expected) in [
            ("CREATE TEMPORARY TABLE t (a INT)", TOLD, "temporary_table"),
            ("CREATE TEMPORARY TABLE t (a INT)", failed(0, 1050), ""),
            ("SET @a = NOW()", TOLD, "user_variable"),
            ("SET @a = 1", TOLD, ""),
            ("SET @a = 1, @b = nosuch", failed(0, 1054), ""),
            ("SET @a = 1", failed(0, 1317), "user_variable"),
            ("SELECT 1, 2 INTO @a, @b", OK, "user_variable user_variable"),
            ("CALL p()", OK, "unknown"),
            ("CALL p()", TOLD, "unknown temporary_table"),
            ("CALL p()", failed(0, 1305), "unknown"),
            ("CALL p()", failed(1, 1644), "unknown temporary_table"),
            ("SELEC 1", failed(0, 1064), ""),
            ("FROBNICATE", OK, "unknown"),
            ("INSERT INTO t VALUES (1)", OK, ""),
            ("INSERT INTO t VALUES (1)", TOLD, "unknown temporary_table"),
            ("SET sql_mode = ''", TOLD, ""),
            (
                "SET @a = NOW(); SELECT nosuch; DO GET_LOCK('l', 1)",
                failed(1, 1054),
                "user_variable",
            ),
            (
                "SET @a = 1; CALL p(); DO 1",
                failed(2, 1644),
                "unknown temporary_table user_variable",
            ),
            ("CREATE PROCEDURE p() BEGIN DO 1; END", OK, ""),
            (
                "CREATE PROCEDURE p() DO 1; SET @a = NOW()",
                End { results: 2, ..TOLD },
                "unknown temporary_table",
            ),
            ("EXECUTE nosuch", failed(0, 1243), "unknown"),
            ("XA START 'x'", OK, "xa"),
            ("SET ROLE r", OK, "role"),
            ("SET RESOURCE GROUP g", OK, "resource_group"),
            ("SET timestamp = 5", TOLD, "setting"),
        ] {
            let mut session = Session::new(Settings::default(), client);
            run(&mut session, sql, end);
            assert_eq!(pins(&session), expected, "{sql}");
        }
    }

    #[test]
    fn what_programs_may_leave_binds_who_may_have_run_them() {
        let client = ClientTraits {
            found_rows: false,
            state_after_rows: true,
        };
        let triggers = End {
            leavings: Leavings {
                by_triggers: true,
                ..Leavings::NOTHING
            },
            ..OK
        };
        let tables = End {
            leavings: Leavings::ANYTHING,
            ..OK
        };
        for (sql, end, expected) in [
            ("INSERT INTO t VALUES (1)", triggers, "unknown"),
            (
                "INSERT INTO t VALUES (1)",
                tables,
                "unknown temporary_table",
            ),
            ("SELECT 1; DELETE FROM t", triggers, "unknown"),
            (
                "INSERT INTO t VALUES (@a := 1)",
                triggers,
                "user_variable unknown",
            ),
            ("SELECT * FROM v", triggers, ""),
            ("SELECT * FROM v", tables, "unknown temporary_table"),
            ("ALTER TABLE t ADD c INT", triggers, ""),
            ("COMMIT", tables, ""),
            (
                "INSERT INTO t VALUES (1",
                End {
                    error: 1064,
                    results: 0,
                    ..triggers
                },
                "",
            ),
            (
                "INSERT INTO t VALUES (1)",
                End {
                    error: 1062,
                    results: 0,
                    ..triggers
                },
                "unknown",
            ),
            (
                "INSERT INTO t VALUES (1); DELETE FROM t WHERE",
                End {
                    error: 1064,
                    ..triggers
                },
                "unknown",
            ),
            // Told, but by which of the statements?
            (
                "INSERT INTO t VALUES (1); SET NAMES utf8mb4",
                TOLD,
                "unknown temporary_table",
            ),
        ] {
            let mut session = Session::new(Settings::default(), client);
            run(&mut session, sql, end);
            assert_eq!(pins(&session), expected, "{sql}");
        }
    }

    #[test]
    fn whoever_may_have_set_a_tracker_is_asked() {
        let client = ClientTraits {
            found_rows: false,
            state_after_rows: true,
        };
        for (sql, end, asked) in [
            ("SET session_track_gtids = OFF", OK, true),
            ("SET session_track_gtids = OFF", failed(0, 1766), true),
            ("SET session_track_gtids = OFF; DO 1", OK, true),
            (
                "SET session_track_gtids = OFF; CALL p()",
                failed(1, 1644),
                true,
            ),
            ("SET sql_mode = ''; DO 1", OK, false),
            (
                "DO 1; SET session_track_gtids = OFF",
                failed(0, 1054),
                false,
            ),
        ] {
            let mut session = Session::new(Settings::default(), client);
            let applied = run(&mut session, sql, end);
            assert_eq!(applied.list_untold, asked, "{sql}");
        }
        let mut session = Session::new(Settings::default(), client);
        let prepared = run(
            &mut session,
            "PREPARE s FROM 'SET session_track_gtids = OFF'",
            OK,
        );
        assert!(!prepared.list_untold);
        assert!(run(&mut session, "EXECUTE s", OK).list_untold);
    }

    #[test]
    fn what_was_prepared_is_executed() {
        let client = ClientTraits {
            found_rows: false,
            state_after_rows: true,
        };
        let mut session = Session::new(Settings::default(), client);
        run(&mut session, "PREPARE s FROM 'SET @a = NOW()'", TOLD);
        run(&mut session, "EXECUTE s", TOLD);
        assert_eq!(pins(&session), "text_prepared user_variable");
        run(&mut session, "SET @a = 1", TOLD);
        run(&mut session, "DEALLOCATE PREPARE s", TOLD);
        assert_eq!(pins(&session), "");
    }
}
