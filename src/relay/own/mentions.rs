//! Statements that a server runs with our variables' values put in, and packets of several statements
//! of which the first are ours.

use super::Answered;
use crate::domain::session::Outcome;
use crate::domain::sql::control::Template;
use crate::domain::sql::{Access, StatementProfile};
use crate::frontend::ClientError;
use crate::protocol::reply::ReplyKind;
use crate::relay::attempt::Task;
use crate::relay::session::{End, Relay};
use crate::relay::statement::Statement;
use crate::relay::values::Change;

impl Relay {
    /// Runs a statement that mentions our variables where the rest of it belongs.
    pub(super) async fn run_mentions(
        &mut self,
        template: &Template,
    ) -> Result<Result<Answered, ClientError>, End> {
        let text = match self.fill(template).await {
            Ok(text) => text,
            Err(error) => return Ok(Err(error)),
        };
        let profile = self.profile_of(&text).await;
        if matches!(profile.access, Access::Own | Access::Kill) {
            return Ok(Err(ClientError::Unsupported(super::NOT_HERE.to_owned())));
        }
        let outcome = self.run_rewritten(text, profile).await?;
        Ok(Ok(Answered::ByServer(outcome)))
    }

    /// Runs a packet in whose place of our `sets` stand statements that do nothing. Ours count as soon as
    /// the server has answered for them.
    pub(super) async fn run_packet(
        &mut self,
        changes: Vec<Change>,
        sets: usize,
        rest: Vec<u8>,
    ) -> Result<Answered, End> {
        let profile = self.profile_of(&rest).await;
        let outcome = self.run_rewritten(rest, profile).await?;
        if self.results >= sets {
            self.apply(changes);
        }
        Ok(Answered::ByServer(outcome))
    }

    /// A template with the values that our variables have now.
    pub(super) async fn fill(&mut self, template: &Template) -> Result<Vec<u8>, ClientError> {
        let mut values = Vec::new();
        for variable in template.variables() {
            values.push(self.value(variable).await?);
        }
        Ok(template.fill(values))
    }

    pub(super) async fn profile_of(&mut self, text: &[u8]) -> StatementProfile {
        self.shared
            .classifier
            .profile(text, &self.state, &mut self.lexer)
            .await
    }

    /// Runs a text of ours instead of the client's.
    pub(super) async fn run_rewritten(
        &mut self,
        text: Vec<u8>,
        profile: StatementProfile,
    ) -> Result<Outcome, End> {
        self.rewritten = text;
        let statement = Statement {
            task: Task::Rewritten(ReplyKind::Query),
            profile,
            total: 0,
            bound: None,
        };
        Box::pin(self.run_statement(statement)).await
    }
}
