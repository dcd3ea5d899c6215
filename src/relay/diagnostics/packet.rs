//! A packet of several statements whose first one asks about the statement before the packet.

use super::super::attempt::Task;
use super::super::session::{End, Relay};
use super::super::statement::Statement;
use super::Recall;
use crate::domain::session::Outcome;
use crate::domain::sql::Access;
use crate::domain::sql::control::Previous;

impl Relay {
    /// Answers the first statement, `head`, from memory, and has the `rest` run.
    pub(super) async fn recall_packet(
        &mut self,
        statement: &Statement,
        head: Previous,
        rest: usize,
    ) -> Result<Recall, End> {
        let text = match statement.task {
            Task::Rewritten(_) => &self.rewritten,
            _ => self.text(statement.total),
        };
        let rest = text.get(rest..).unwrap_or_default().to_vec();
        let profile = self.profile_of(&rest).await;
        // What is Highwater's own is read from the client's packet as it stands.
        let own = matches!(profile.access, Access::Own | Access::Kill);
        if own || !self.links.takes_multi_statements() {
            return Ok(Recall::AsUsual);
        }
        self.settle_all().await?;
        self.more_follows = true;
        let answered = self.answer_look(&head).await?;
        let answered = answered.unwrap_or(Outcome::Failed);
        self.more_follows = false;
        if answered == Outcome::Failed {
            return Ok(Recall::Answered(answered));
        }
        self.rewritten = rest;
        let rest = Statement::rewritten(profile, None);
        let outcome = Box::pin(self.run_statement(rest)).await?;
        Ok(Recall::Answered(outcome))
    }
}
