//! A READ ONLY transaction that cannot stay on its replica: ended there, or begun again on the primary.

use super::{Next, Statement};
use crate::domain::routing::{Reason, Route};
use crate::domain::session::Side;
use crate::domain::sql::{Access, Effects};
use crate::frontend::ClientError;
use crate::protocol::reply::ReplyKind;
use crate::relay::attempt::Task;
use crate::relay::errors::client_error;
use crate::relay::session::{End, Relay};

/// With these errors a server answers a text that it cannot read, or that names a table where no schema is in use:
/// ER_NO_DB_ERROR, ER_PARSE_ERROR.
const BEFORE_COMMIT: [u16; 2] = [1046, 1064];

impl Relay {
    /// The statement at hand ends the READ ONLY transaction on the replica. One that begins with BEGIN in the
    /// same breath is READ ONLY again unless it says otherwise: a MySQL keeps the access mode (tried on
    /// 9.7; a MariaDB 10.11 does not).
    pub(super) async fn end_for(
        &mut self,
        statement: &Statement,
        reason: Reason,
    ) -> Result<Next, End> {
        if self.is_refused_as_text(statement).await? {
            return Ok(Next::Again(Route::Primary(reason)));
        }
        self.end_replica_transaction().await?;
        let mut profile = statement.profile;
        let silent = matches!(profile.access, Access::Begin(begin) if begin.read_only.is_none());
        let keeps = silent && !self.mode().dialect.is_mariadb();
        if let (Access::Begin(begin), true) = (&mut profile.access, keeps) {
            begin.read_only = Some(true);
        }
        match self.routed(&profile) {
            route @ Route::Replica { .. } => Ok(Next::Again(route)),
            _ if keeps => self.begin_on_primary(reason).await,
            Route::EndReplicaTransaction(_) => Ok(Next::Again(Route::Primary(reason))),
            route => Ok(Next::Again(route)),
        }
    }

    /// Whether the primary refuses the text of the statement at hand as it stands, before it commits anything.
    async fn is_refused_as_text(&mut self, statement: &Statement) -> Result<bool, End> {
        let effects = statement.profile.effects;
        if !effects.contains(Effects::COMMITS) || effects.contains(Effects::MULTI) {
            return Ok(false);
        }
        let text = match statement.task {
            Task::AsIs(ReplyKind::Query) => self.text(statement.total).to_vec(),
            Task::Rewritten(_) => self.rewritten.clone(),
            // It was prepared, so it can be read.
            _ => return Ok(false),
        };
        let side = Side::Primary;
        if self.hold_primary().await.is_err()
            || self.links.died_idle(side).await
            || !self.restore(side).await?
        {
            return Ok(false);
        }
        self.settle(side).await?;
        let Some(link) = self.links.get_mut(side) else {
            return Ok(false);
        };
        match link.refusal(&text).await {
            Ok(code) => Ok(code.is_some_and(|code| BEFORE_COMMIT.contains(&code))),
            Err(_) if self.drop_primary() => Ok(false),
            Err(_) => self.state_lost().await,
        }
    }

    /// Ends the READ ONLY transaction on the replica, as the statement at hand does on one server.
    async fn end_replica_transaction(&mut self) -> Result<(), End> {
        if !self.run_quietly(Side::Replica, b"COMMIT").await? {
            self.links.discard(Side::Replica, &self.registered);
        }
        self.state.transaction.on_lost();
        Ok(())
    }

    /// Ends the READ ONLY transaction on the replica and begins it on the primary.
    pub(super) async fn move_transaction(&mut self, reason: Reason) -> Result<Next, End> {
        self.end_replica_transaction().await?;
        self.begin_on_primary(reason).await
    }

    /// Begins a READ ONLY transaction on the primary, where the statement at hand goes on.
    async fn begin_on_primary(&mut self, reason: Reason) -> Result<Next, End> {
        if let Err(error) = self.hold_primary().await {
            let error = client_error(&error);
            return self.answer_error(error, Side::Primary, reason).await;
        }
        let begun = !self.links.died_idle(Side::Primary).await
            && self.restore(Side::Primary).await?
            && self
                .run_quietly(Side::Primary, b"START TRANSACTION READ ONLY")
                .await?;
        if !begun {
            if !self.drop_primary() {
                return self.state_lost().await;
            }
            let error = ClientError::ReadOnlyTransactionLost;
            return self.answer_error(error, Side::Primary, reason).await;
        }
        self.state.transaction.on_moved_to_primary();
        Ok(Next::Again(Route::Primary(reason)))
    }
}
