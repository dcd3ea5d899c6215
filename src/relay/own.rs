//! What Highwater answers itself: its own variables, and KILL.

mod kill;
mod mentions;
mod prepared;

pub(super) use prepared::{Execution, OwnPart};

use std::time::Instant;

use super::history::{Went, failed};
use super::session::{End, Relay};
use super::statement::Statement;
use super::values::Change;
use crate::domain::routing::Reason;
use crate::domain::session::Outcome;
use crate::domain::sql::control::{OwnItem, OwnStatement, parse_own};
use crate::domain::sql::{Access, Doubt, Effects, OwnVariable, StatementProfile};
use crate::frontend::ClientError;
use crate::protocol::packets::OkPacket;
use crate::protocol::resultset::text_resultset;
use crate::telemetry::Target;

/// Where variables of our own can be, for a client that put one elsewhere.
const NOT_HERE: &str = "variables of Highwater's own take plain values, DEFAULT or each other's; SET them \
    in a statement of its own or in the first ones of a packet, and not in a versioned comment";

/// Who answered a statement about variables of our own.
pub(super) enum Answered {
    Here,
    /// A server, whose answer was relayed and counted.
    ByServer(Outcome),
}

impl Relay {
    /// Answers a statement whose access is [`Access::Own`] or [`Access::Kill`].
    pub(super) async fn run_own(&mut self, statement: &Statement) -> Result<Outcome, End> {
        let started = Instant::now();
        let text = self.text(statement.total).to_vec();
        let answered = if statement.profile.access == Access::Kill {
            self.run_kill(statement, &text).await?
        } else {
            self.run_own_variables(&text).await?
        };
        let outcome = match answered {
            Ok(Answered::ByServer(outcome)) => return Ok(outcome),
            Ok(Answered::Here) => Outcome::Done {
                affected: 0,
                rows: false,
            },
            Err(error) => {
                self.refuse(error).await?;
                Outcome::Failed
            }
        };
        self.count_own(statement.profile.access, outcome, started);
        Ok(outcome)
    }

    /// Counts a statement that Highwater answered itself.
    pub(super) fn count_own(&mut self, access: Access, outcome: Outcome, started: Instant) {
        self.diary.by_proxy += 1;
        let shape = self.lexer.shape.as_ref();
        let went = Went {
            access,
            fingerprint: shape.map_or(0, |shape| shape.profile.fingerprint),
            target: Target::Proxy,
            reason: Reason::Own,
            failed: failed(outcome),
        };
        self.note_went(went, started);
    }

    async fn run_own_variables(
        &mut self,
        text: &[u8],
    ) -> Result<Result<Answered, ClientError>, End> {
        let mode = self.lexer.mode(&self.state).unwrap_or_default();
        let here = |answered: Result<(), ClientError>| answered.map(|()| Answered::Here);
        match parse_own(text, mode) {
            Some(OwnStatement::Set {
                assignments, rest, ..
            }) => match self.changes(&assignments, &[]).await {
                Err(error) => Ok(Err(error)),
                Ok(changes) => self.set_own(changes, rest).await.map(Ok),
            },
            Some(OwnStatement::Select(items)) => self.select_own(&items).await.map(here),
            Some(OwnStatement::Show(variables)) => self.show_own(&variables).await.map(here),
            Some(OwnStatement::Routes(most)) => self.show_routes(most).await.map(here),
            Some(OwnStatement::Mentions(template)) => self.run_mentions(&template).await,
            Some(OwnStatement::Packet {
                assignments,
                sets,
                rest,
            }) => match self.changes(&assignments, &[]).await {
                Err(error) => Ok(Err(error)),
                Ok(changes) => self.run_packet(changes, sets, rest).await.map(Ok),
            },
            None => Ok(Err(ClientError::Unsupported(NOT_HERE.to_owned()))),
        }
    }

    /// The assignments that are not ours go to the server; ours count only if those succeed.
    async fn set_own(
        &mut self,
        changes: Vec<Change>,
        rest: Option<Vec<u8>>,
    ) -> Result<Answered, End> {
        let Some(rest) = rest else {
            self.answer_ok().await?;
            self.apply(changes);
            return Ok(Answered::Here);
        };
        let rest = self.with_known(rest).await;
        let profile = StatementProfile {
            access: Access::Session,
            effects: Effects::ASSIGNS_USER_VARIABLE,
            doubt: Doubt::None,
            fingerprint: 0,
        };
        let outcome = self.run_rewritten(rest, profile).await?;
        if outcome != Outcome::Failed {
            self.apply(changes);
        }
        Ok(Answered::ByServer(outcome))
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
        self.answer_rows(&labels, &[values]).await.map(Ok)
    }

    /// Of several variables those are shown that can be shown.
    async fn show_own(
        &mut self,
        variables: &[OwnVariable],
    ) -> Result<Result<(), ClientError>, End> {
        let mut rows = Vec::new();
        for variable in variables {
            match self.value(*variable).await {
                Ok(value) => rows.push(vec![variable.name().to_owned(), value]),
                Err(error) if variables.len() == 1 => return Ok(Err(error)),
                Err(_) => {}
            }
        }
        rows.sort();
        self.answer_rows(&["Variable_name", "Value"], &rows)
            .await
            .map(Ok)
    }

    pub(super) async fn answer_rows(
        &mut self,
        labels: &[&str],
        rows: &[Vec<String>],
    ) -> Result<(), End> {
        let rows: Vec<Vec<_>> = rows
            .iter()
            .map(|row| row.iter().map(|value| Some(value.as_bytes())).collect())
            .collect();
        self.note_own_answer(Some(rows.len()));
        self.learn_transaction().await?;
        let status = self.status();
        self.out.clear();
        let deprecate_eof = self.who.profile.deprecate_eof();
        let mut seq = self.reply_seq;
        text_resultset(
            &mut self.out,
            &mut seq,
            labels,
            rows.iter().map(Vec::as_slice),
            status,
            deprecate_eof,
        );
        self.send_out().await
    }

    /// Answers a command with OK.
    pub(super) async fn answer_ok(&mut self) -> Result<(), End> {
        self.note_own_answer(None);
        self.send_ok(0).await
    }

    /// Answers a COM_STMT_RESET that has nothing to reset.
    pub(super) async fn answer_reset(&mut self) -> Result<(), End> {
        self.state.aftermath.on_own_reset();
        self.send_ok(0).await
    }

    /// Answers a command that is no statement with OK.
    pub(super) async fn answer_ping(&mut self) -> Result<(), End> {
        self.count_conditions().await?;
        self.state.aftermath.on_ping();
        let mariadb = self.mode().dialect.is_mariadb();
        let warnings = self.state.aftermath.warnings_told(mariadb);
        self.send_ok(warnings).await
    }

    pub(super) async fn send_ok(&mut self, warnings: u16) -> Result<(), End> {
        self.learn_transaction().await?;
        let ok = OkPacket {
            status: self.status(),
            warnings,
            ..OkPacket::default()
        };
        let mut seq = self.reply_seq;
        self.out.clear();
        ok.put(&mut self.out, &mut seq);
        if self.more_follows {
            self.reply_seq = seq;
        }
        self.send_out().await
    }
}
