//! What Highwater answers itself: its own variables, and KILL.

use super::attempt::Task;
use super::kill;
use super::session::{End, Relay};
use super::statement::Statement;
use super::values::Change;
use crate::domain::routing::Reason;
use crate::domain::session::Outcome;
use crate::domain::sql::control::{OwnItem, OwnStatement, parse_kill, parse_own};
use crate::domain::sql::{Access, Doubt, Effects, OwnVariable, StatementProfile};
use crate::frontend::ClientError;
use crate::protocol::packets::OkPacket;
use crate::protocol::reply::ReplyKind;
use crate::protocol::resultset::text_resultset;
use crate::protocol::status::Status;
use crate::telemetry::Target;

impl Relay {
    /// Answers a statement whose access is [`Access::Own`] or [`Access::Kill`].
    pub(super) async fn run_own(&mut self, statement: &Statement) -> Result<Outcome, End> {
        let started = std::time::Instant::now();
        let text = self.text(statement.total).to_vec();
        let answered = if statement.profile.access == Access::Kill {
            self.run_kill(&text).await
        } else {
            self.run_own_variables(&text).await
        }?;
        self.diary.by_proxy += 1;
        let access = statement.profile.access;
        self.shared
            .metrics
            .statement(access, Target::Proxy, Reason::Own, started.elapsed());
        match answered {
            Ok(()) => Ok(Outcome::Done {
                affected: 0,
                rows: false,
            }),
            Err(error) => {
                self.refuse(error).await?;
                Ok(Outcome::Failed)
            }
        }
    }

    async fn run_kill(&mut self, text: &[u8]) -> Result<Result<(), ClientError>, End> {
        let Some(order) = parse_kill(text) else {
            return Ok(Err(ClientError::KillExpression));
        };
        match kill::kill(&self.shared, self.links.key(), order.id, order.query_only).await {
            Ok(()) => self.answer_ok().await.map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn run_own_variables(&mut self, text: &[u8]) -> Result<Result<(), ClientError>, End> {
        let mode = self.lexer.mode(&self.state).unwrap_or_default();
        match parse_own(text, mode) {
            Some(OwnStatement::Set { assignments, rest }) => {
                let mut changes = Vec::new();
                for assignment in &assignments {
                    match self.check(assignment).await {
                        Ok(change) => changes.push(change),
                        Err(error) => return Ok(Err(error)),
                    }
                }
                self.set_own(changes, rest).await.map(Ok)
            }
            Some(OwnStatement::Select(items)) => self.select_own(&items).await,
            Some(OwnStatement::ShowVariable(variable)) => self.show_own(variable).await,
            None => Ok(Err(ClientError::Unsupported(
                "variables of Highwater's own take plain values in SET, and are selected by \
                 themselves: SELECT @@highwater_read_consistency"
                    .to_owned(),
            ))),
        }
    }

    /// The assignments that are not ours go to the server; ours count only if those succeed.
    async fn set_own(&mut self, changes: Vec<Change>, rest: Option<Vec<u8>>) -> Result<(), End> {
        match rest {
            None => self.answer_ok().await?,
            Some(rest) => {
                self.rewritten = rest;
                let statement = Statement {
                    task: Task::Rewritten(ReplyKind::Query),
                    profile: StatementProfile {
                        access: Access::Session,
                        effects: Effects::ASSIGNS_USER_VARIABLE,
                        doubt: Doubt::None,
                        fingerprint: 0,
                    },
                    total: 0,
                    bound: None,
                };
                let outcome = Box::pin(self.run_statement(statement)).await?;
                if outcome == Outcome::Failed {
                    return Ok(());
                }
            }
        }
        for change in changes {
            self.apply(change);
        }
        Ok(())
    }

    async fn select_own(&mut self, items: &[OwnItem]) -> Result<Result<(), ClientError>, End> {
        let mut values = Vec::new();
        for item in items {
            match self.value(item.variable).await {
                Ok(value) => values.push(value),
                Err(error) => return Ok(Err(error)),
            }
        }
        let labels: Vec<_> = items.iter().map(|item| item.label.as_str()).collect();
        self.answer_row(&labels, &values).await.map(Ok)
    }

    async fn show_own(&mut self, variable: OwnVariable) -> Result<Result<(), ClientError>, End> {
        let value = match self.value(variable).await {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        };
        let row = [variable.name().to_owned(), value];
        self.answer_row(&["Variable_name", "Value"], &row)
            .await
            .map(Ok)
    }

    async fn answer_row(&mut self, labels: &[&str], values: &[String]) -> Result<(), End> {
        let row: Vec<_> = values.iter().map(|value| Some(value.as_bytes())).collect();
        let status = self.status();
        self.out.clear();
        let deprecate_eof = self.who.profile.deprecate_eof();
        let mut seq = self.reply_seq;
        text_resultset(
            &mut self.out,
            &mut seq,
            labels,
            [&*row],
            status,
            deprecate_eof,
        );
        self.send_out().await
    }

    /// Answers a command with OK.
    pub(super) async fn answer_ok(&mut self) -> Result<(), End> {
        let ok = OkPacket {
            status: self.status(),
            ..OkPacket::default()
        };
        let mut seq = self.reply_seq;
        self.out.clear();
        ok.put(&mut self.out, &mut seq);
        self.send_out().await
    }

    pub(super) fn status(&self) -> Status {
        Status(self.state.transaction.status_flags())
    }
}
