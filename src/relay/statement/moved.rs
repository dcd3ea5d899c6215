//! A READ ONLY transaction that cannot stay on its replica: ended there, or begun again on the primary.

use super::Next;
use crate::domain::routing::{Reason, Route};
use crate::domain::session::Side;
use crate::frontend::ClientError;
use crate::relay::errors::client_error;
use crate::relay::session::{End, Relay};

impl Relay {
    /// Ends the READ ONLY transaction on the replica, as the statement at hand does on one server.
    pub(super) async fn end_replica_transaction(&mut self) -> Result<(), End> {
        if !self.run_quietly(Side::Replica, b"COMMIT").await? {
            self.links.discard(Side::Replica, &self.registered);
        }
        self.state.transaction.on_lost();
        Ok(())
    }

    /// Ends the READ ONLY transaction on the replica and begins it on the primary.
    pub(super) async fn move_transaction(&mut self, reason: Reason) -> Result<Next, End> {
        self.end_replica_transaction().await?;
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
