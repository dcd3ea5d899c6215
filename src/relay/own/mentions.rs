//! Statements that a server runs with values of the session put in, and packets of several statements
//! of which the first are ours.

use super::Answered;
use crate::domain::session::Outcome;
use crate::domain::sql::control::{Literal, Mention, Template, parse_known, sets_known};
use crate::domain::sql::{Access, Effects, Known, StatementProfile};
use crate::frontend::ClientError;
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
        let rest = self.with_known(rest).await;
        let profile = self.profile_of(&rest).await;
        let outcome = self.run_rewritten(rest, profile).await?;
        if self.results >= sets {
            self.apply(changes);
        }
        Ok(Answered::ByServer(outcome))
    }

    /// A template with the values that the session has now.
    pub(super) async fn fill(&mut self, template: &Template) -> Result<Vec<u8>, ClientError> {
        let mut values = Vec::new();
        for mention in template.mentions() {
            values.push(match mention {
                Mention::Own(variable) => Some(Literal::Text(self.value(variable).await?)),
                Mention::Known(known) => self.known(known),
            });
        }
        Ok(template.fill(values))
    }

    /// What the session knows better than a server; `None` where the server's own answer is right.
    fn known(&self, known: Known) -> Option<Literal> {
        match known {
            Known::ConnectionId => {
                (!self.renamed).then(|| Literal::Unsigned(self.diary.id.0.into()))
            }
        }
    }

    /// Where a statement mentions what the session knows.
    pub(in crate::relay) fn known_in(
        &mut self,
        text: &[u8],
        profile: &StatementProfile,
    ) -> Option<Template> {
        if !profile.effects.contains(Effects::MENTIONS_KNOWN) {
            return None;
        }
        let mode = self.lexer.mode(&self.state)?;
        parse_known(text, mode)
    }

    /// A text of which a server is sent the values that the session knows.
    pub(in crate::relay) async fn with_known(&mut self, text: Vec<u8>) -> Vec<u8> {
        let profile = self.profile_of(&text).await;
        match self.known_in(&text, &profile) {
            Some(template) => self.fill(&template).await.unwrap_or(text),
            None => text,
        }
    }

    /// Runs the COM_QUERY at hand, which mentions something that the session knows, or sets it.
    pub(in crate::relay) async fn run_with_known(
        &mut self,
        statement: Statement,
    ) -> Result<Outcome, End> {
        let text = self.text(statement.total).to_vec();
        if let Some(template) = self.known_in(&text, &statement.profile) {
            let text = match self.fill(&template).await {
                Ok(text) => text,
                Err(error) => {
                    self.refuse(error).await?;
                    return Ok(Outcome::Failed);
                }
            };
            let profile = self.profile_of(&text).await;
            return self.run_rewritten(text, profile).await;
        }
        let outcome = self.run_statement(statement).await?;
        let mode = self.lexer.mode(&self.state);
        if outcome != Outcome::Failed && mode.is_none_or(|mode| sets_known(&text, mode)) {
            self.renamed = true;
        }
        Ok(outcome)
    }

    pub(in crate::relay) async fn profile_of(&mut self, text: &[u8]) -> StatementProfile {
        self.shared
            .classifier
            .profile(text, &self.state, &mut self.lexer)
            .await
    }

    /// Runs a text of ours instead of the client's.
    pub(in crate::relay) async fn run_rewritten(
        &mut self,
        text: Vec<u8>,
        profile: StatementProfile,
    ) -> Result<Outcome, End> {
        self.rewritten = text;
        let statement = Statement::rewritten(profile, None);
        Box::pin(self.run_statement(statement)).await
    }
}
