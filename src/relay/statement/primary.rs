//! One try of a statement on the primary, and what comes next when it fails.

use super::{Next, Progress, Statement};
use crate::backend::BackendError;
use crate::domain::ids::BackendId;
use crate::domain::routing::{Reason, Route};
use crate::domain::session::{Outcome, Side};
use crate::domain::sql::{Effects, StatementProfile};
use crate::frontend::ClientError;
use crate::relay::attempt::Tried;
use crate::relay::deferred::Opened;
use crate::relay::errors::client_error;
use crate::relay::freshness::Terms;
use crate::relay::reply::Relayed;
use crate::relay::session::{End, Relay};

impl Relay {
    pub(super) async fn on_primary(
        &mut self,
        statement: &Statement,
        terms: &Terms,
        reason: Reason,
        progress: &mut Progress,
    ) -> Result<Next, End> {
        if statement.profile.may_show_data()
            && let Err(error) = self.primary_ready(terms.level).await?
        {
            return self.answer_error(error, Side::Primary, reason).await;
        }
        self.denied = None;
        if reason == Reason::FollowsPrevious {
            self.hold_again(Side::Primary);
        }
        self.free_other_to_lease(Side::Primary).await;
        let open = self.state.transaction.may_be_on_primary();
        if open && self.links.get(Side::Primary).is_none() {
            // Another connection would take what follows for statements of their own.
            return self.state_lost().await;
        }
        if let Err(error) = self.hold_primary().await {
            if error.blames_server() {
                self.shared.watch.suspect(BackendId::PRIMARY);
            }
            return self
                .answer_error(client_error(&error), Side::Primary, reason)
                .await;
        }
        match self.open_deferred(statement).await? {
            Opened::Yes => {}
            Opened::Broken => return self.redial(statement, reason, progress).await,
            Opened::Denied(packet) => {
                self.pass_error(packet).await?;
                return Ok(Next::Answered(Side::Primary, reason, Outcome::Failed));
            }
            Opened::Refused if !self.drop_primary() => return self.state_lost().await,
            Opened::Refused => return self.answer_not_restored(reason).await,
        }
        let Statement {
            task,
            total,
            mut profile,
            ..
        } = *statement;
        if reason == Reason::ReplicaRefused {
            // A function or a view in it writes, which its text does not show.
            profile.effects = profile.effects.with(Effects::OPAQUE);
        }
        let tried = self
            .attempt(Side::Primary, task, total, &profile, false, false)
            .await?;
        match tried {
            Tried::Relayed(Relayed::Done(outcome)) => {
                self.ended(Side::Primary, &profile, outcome);
                self.note_savepoint(statement, outcome);
                Ok(Next::Answered(Side::Primary, reason, outcome))
            }
            Tried::Relayed(Relayed::Lost { forwarded }) => {
                self.primary_lost(&profile, forwarded).await
            }
            // `may_retry` was false, so the client has the refusal already.
            Tried::Relayed(Relayed::RefusedAsWrite | Relayed::GoingDown) => {
                Ok(Next::Answered(Side::Primary, reason, Outcome::Failed))
            }
            Tried::NotRestored => {
                if !self.drop_primary() {
                    return self.state_lost().await;
                }
                self.answer_not_restored(reason).await
            }
            Tried::NotSent => self.redial(statement, reason, progress).await,
        }
    }

    /// The primary's connection does not take the session's state. Of its schema the server's own error says
    /// why: a statement would come across the same on one server.
    async fn answer_not_restored(&mut self, reason: Reason) -> Result<Next, End> {
        let Some(packet) = self.denied.take() else {
            let error = ClientError::NotRestored;
            return self.answer_error(error, Side::Primary, reason).await;
        };
        self.pass_error(packet).await?;
        Ok(Next::Answered(Side::Primary, reason, Outcome::Failed))
    }

    /// The primary's connection had died before anything was sent.
    async fn redial(
        &mut self,
        statement: &Statement,
        reason: Reason,
        progress: &mut Progress,
    ) -> Result<Next, End> {
        let anywhere = self.drop_primary() && !statement.is_tied();
        progress.redialled += 1;
        if anywhere && progress.redialled < 3 {
            return Ok(Next::Again(Route::Primary(reason)));
        }
        self.state_lost().await
    }

    /// The primary's connection broke while a statement ran: what it did is unknown.
    async fn primary_lost(
        &mut self,
        profile: &StatementProfile,
        forwarded: bool,
    ) -> Result<Next, End> {
        self.shared.watch.suspect(BackendId::PRIMARY);
        self.ended(Side::Primary, profile, Outcome::Lost);
        self.drop_primary();
        if forwarded {
            return Err(End::ReplyBroken);
        }
        self.refuse(ClientError::PrimaryLost).await?;
        Err(End::StateLost)
    }

    /// Makes sure that a connection to the primary is held.
    pub(in crate::relay) async fn hold_primary(&mut self) -> Result<(), BackendError> {
        let Self {
            links,
            state,
            registered,
            ..
        } = self;
        links
            .hold(Side::Primary, BackendId::PRIMARY, &state.mirror, registered)
            .await
    }

    /// Closes the primary's connection. `false` when a transaction or state of the session went
    /// with it, so that no other connection may go on in its place.
    pub(in crate::relay) fn drop_primary(&mut self) -> bool {
        let open = self.state.transaction.may_be_on_primary();
        let replaceable = !open && !self.state.holds_connection();
        self.links.discard(Side::Primary, &self.registered);
        if open {
            self.state.transaction.on_lost();
        }
        replaceable
    }

    /// Ends a session whose transaction or state is gone, before anything runs without it.
    pub(in crate::relay) async fn state_lost<T>(&mut self) -> Result<T, End> {
        self.refuse(ClientError::PrimaryLostIdle).await?;
        Err(End::StateLost)
    }
}
