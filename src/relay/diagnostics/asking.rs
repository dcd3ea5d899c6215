//! Asking a connection for what only it can tell of the session's previous statement, before it forgets.

use super::super::session::{End, Relay};
use crate::backend::ServerConn;
use crate::domain::ids::BackendId;
use crate::domain::session::Side;
use crate::domain::session::aftermath::{Condition, Conditions, Severity, state_of};
use crate::domain::sql::{Access, Effects, StatementProfile};

impl Relay {
    /// Asks a connection for what only it can tell of the session's previous statement, before anything else
    /// is sent there that would make it forget.
    pub(in crate::relay) async fn settle(&mut self, side: Side) -> Result<(), End> {
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
    pub(in crate::relay) async fn settle_for_parting(&mut self, side: Side) -> bool {
        let settled = self.ask_before(side, true).await;
        if let Some(link) = self.links.get(side) {
            self.state.aftermath.on_parted(link.lease);
        }
        settled
    }

    /// Asks a connection for the same, before a question of Highwater's own is sent there or others get it.
    /// `false` when the connection failed.
    pub(in crate::relay) async fn save_aftermath(&mut self, side: Side) -> bool {
        self.ask_before(side, false).await
    }

    /// Before a read leaves the replica of the one before for this one: if it fails there, FOUND_ROWS() is still
    /// that of the one before.
    pub(in crate::relay) async fn save_found_rows(&mut self, next: BackendId) {
        let side = Side::Replica;
        let held = self.links.get(side).map(|link| link.identity.backend);
        let tells = |place| {
            let [_, found_rows, _] = self.state.aftermath.only_at(place);
            found_rows
        };
        if held.is_some_and(|held| held != next)
            && self.place(side).is_some_and(tells)
            && !self.save_aftermath(side).await
        {
            self.links.discard(side, &self.registered);
        }
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
        let mariadb = self.mode().dialect.is_mariadb();
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
            let list = rows.into_iter().filter_map(|row| condition(row, mariadb));
            let list = list.collect();
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
    pub(in crate::relay) async fn keep_tellers(&mut self) {
        if !self.links.lends() {
            return;
        }
        for side in [Side::Primary, Side::Replica] {
            let tells = self
                .place(side)
                .is_some_and(|place| self.state.aftermath.only_at(place) != [false; 3]);
            if tells && !self.links.get_mut(side).is_some_and(ServerConn::claim) {
                self.part_with(side).await;
            }
        }
    }

    /// The same of all connections.
    pub(in crate::relay) async fn settle_all(&mut self) -> Result<(), End> {
        for side in [Side::Primary, Side::Replica] {
            self.settle(side).await?;
        }
        Ok(())
    }

    /// Before a statement that LAST_INSERT_ID() may matter to runs on a connection: it has to answer there
    /// what it answers for the session.
    pub(in crate::relay) async fn recall_last_insert_id(
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
        let (lease, aftermath) = (link.lease, &self.state.aftermath);
        self.told.had_last_insert_id = true;
        if aftermath.has_last_insert_id(lease) {
            return Ok(());
        }
        if !shows && (aftermath.is_last_insert_id_at(lease) || link.applied.has_no_last_insert_id())
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
}

/// A row of SHOW WARNINGS.
fn condition(row: Vec<Vec<u8>>, mariadb: bool) -> Option<Condition> {
    let [severity, code, message] = <[Vec<u8>; 3]>::try_from(row).ok()?;
    let code = std::str::from_utf8(&code).ok()?.parse().ok()?;
    Some(Condition {
        severity: Severity::of_name(&severity),
        code,
        state: state_of(code, mariadb),
        message: message.into(),
    })
}

/// The list tells no SQLSTATE; an error packet did.
fn keep_states(known: &[Condition], list: &mut [Condition]) {
    for condition in list {
        let same = |it: &&Condition| it.severity == condition.severity && it.code == condition.code;
        let told = known.iter().find(same).and_then(|it| it.state);
        condition.state = told.or(condition.state);
    }
}

fn number(rows: &[Vec<Vec<u8>>]) -> Option<u64> {
    std::str::from_utf8(rows.first()?.first()?)
        .ok()?
        .parse()
        .ok()
}
