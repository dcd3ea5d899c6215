//! Statements about our variables that a client prepares.
//!
//! A SET of nothing else is ours alone: no server ever sees it. Of any other SET the server prepares
//! what is left of it. Every other statement is prepared with the values put in, and again at an
//! execution when they have changed.

use std::time::Instant;

use super::Answered;
use crate::domain::ids::ClientStmtId;
use crate::domain::sql::control::{
    OwnAssignment, OwnSet, OwnSource, OwnStatement, OwnValue, Template, parse_kill,
    parse_own_prepared,
};
use crate::domain::sql::{Access, Hints, StatementProfile};
use crate::frontend::ClientError;
use crate::protocol::command::{CommandCode, Parameter, ParameterValue, StmtExecute};
use crate::protocol::reply::ReplyKind;
use crate::protocol::resultset::prepared_ok;
use crate::relay::attempt::Task;
use crate::relay::commands::Source;
use crate::relay::session::{End, Relay};
use crate::relay::statement::{DONE, Statement};
use crate::relay::values::Change;

/// What a prepared statement has to do with our variables.
#[derive(Clone, Debug)]
pub(in crate::relay) enum OwnPart {
    /// All of it: no server has it.
    Alone(Vec<OwnSet>),
    /// It sets some when the server has run the rest.
    Sets(Vec<OwnSet>),
    /// It mentions some.
    Mentions(Template),
    /// It is this KILL: no server has it.
    Kill(Box<[u8]>),
    /// It asks about the statement before an execution of it: this is the client's text.
    Previous(Box<[u8]>),
}

/// What is to be done about an execution.
pub(in crate::relay) enum Execution {
    /// The server runs it, and then these count.
    Run(Vec<Change>),
    /// It was answered.
    Answered,
}

impl Relay {
    /// Answers a COM_STMT_PREPARE of a text whose access is [`Access::Own`].
    pub(in crate::relay) async fn prepare_own(
        &mut self,
        text: &[u8],
        profile: StatementProfile,
        hints: Hints,
    ) -> Result<(), End> {
        let mode = self.lexer.mode(&self.state).unwrap_or_default();
        let (part, text) = match parse_own_prepared(text, mode) {
            Some(OwnStatement::Set {
                assignments,
                rest: None,
                placeholders,
            }) => {
                return self
                    .prepare_alone(assignments, placeholders, profile, hints)
                    .await;
            }
            Some(OwnStatement::Set {
                assignments,
                rest: Some(rest),
                ..
            }) => (OwnPart::Sets(assignments), rest),
            Some(OwnStatement::Mentions(template)) => match self.fill(&template).await {
                Ok(text) => (OwnPart::Mentions(template), text),
                Err(error) => return self.refuse(error).await,
            },
            _ => {
                let error = ClientError::Unsupported(super::NOT_HERE.to_owned());
                return self.refuse(error).await;
            }
        };
        self.prepare_filled(part, text, hints).await
    }

    /// Answers a COM_STMT_PREPARE of a text of which a server is sent the values that the session knows.
    pub(in crate::relay) async fn prepare_known(
        &mut self,
        template: Template,
        hints: Hints,
    ) -> Result<(), End> {
        match self.fill(&template).await {
            Ok(text) => {
                self.prepare_filled(OwnPart::Mentions(template), text, hints)
                    .await
            }
            Err(error) => self.refuse(error).await,
        }
    }

    async fn prepare_filled(
        &mut self,
        part: OwnPart,
        text: Vec<u8>,
        hints: Hints,
    ) -> Result<(), End> {
        let profile = self.profile_of(&text).await;
        if matches!(profile.access, Access::Own | Access::Kill) {
            let error = ClientError::Unsupported(super::NOT_HERE.to_owned());
            return self.refuse(error).await;
        }
        self.rewritten = text.clone();
        let source = Source::Rewritten(part);
        self.prepare_text(&text, profile, hints, source).await
    }

    /// Answers a COM_STMT_PREPARE of a text whose access is [`Access::Kill`].
    pub(in crate::relay) async fn prepare_kill(
        &mut self,
        text: &[u8],
        profile: StatementProfile,
        hints: Hints,
        total: usize,
    ) -> Result<(), End> {
        let mode = self.lexer.mode(&self.state).unwrap_or_default();
        if parse_kill(text, mode).is_none() || text.contains(&b'?') {
            // A server refuses placeholders, and several statements; it knows best with which words.
            let profile = StatementProfile {
                access: Access::Write,
                ..profile
            };
            let source = Source::Client { total };
            return self.prepare_text(text, profile, hints, source).await;
        }
        let part = OwnPart::Kill(text.into());
        self.prepare_here_only(part, 0, profile, hints).await
    }

    async fn prepare_alone(
        &mut self,
        assignments: Vec<OwnSet>,
        placeholders: usize,
        profile: StatementProfile,
        hints: Hints,
    ) -> Result<(), End> {
        let Ok(params) = u16::try_from(placeholders) else {
            let error = ClientError::Unsupported("too many placeholders".to_owned());
            return self.refuse(error).await;
        };
        let part = OwnPart::Alone(assignments);
        self.prepare_here_only(part, params, profile, hints).await
    }

    /// Answers a COM_STMT_PREPARE of a statement that no server has.
    async fn prepare_here_only(
        &mut self,
        part: OwnPart,
        params: u16,
        profile: StatementProfile,
        hints: Hints,
    ) -> Result<(), End> {
        let started = Instant::now();
        let id = self.enter_statement(&[], profile, hints);
        if let Some(statement) = self.statements.get_mut(id) {
            statement.params = params;
            statement.own = Some(part);
        }
        let (status, mut seq) = (self.status(), self.reply_seq);
        let deprecate_eof = self.who.profile.deprecate_eof();
        self.out.clear();
        prepared_ok(&mut self.out, &mut seq, id.0, params, status, deprecate_eof);
        self.send_out().await?;
        self.count_own(Access::Own, DONE, started);
        Ok(())
    }

    /// Does our part of a COM_STMT_EXECUTE before a server runs it.
    pub(in crate::relay) async fn execute_own(
        &mut self,
        id: ClientStmtId,
        total: usize,
    ) -> Result<Execution, End> {
        let Some(part) = self.statements.get(id).and_then(|s| s.own.clone()) else {
            return Ok(Execution::Run(Vec::new()));
        };
        let done = match part {
            OwnPart::Sets(assignments) => self.changes(&assignments, &[]).await.map(Execution::Run),
            OwnPart::Mentions(template) => self.refill(id, &template).await,
            OwnPart::Kill(text) => self.execute_kill(id, &text).await?,
            OwnPart::Previous(text) => self.refill_previous(id, &text).await?,
            OwnPart::Alone(assignments) => {
                let started = Instant::now();
                match self.execute_alone(id, &assignments, total).await {
                    Ok(changes) => {
                        self.answer_ok().await?;
                        self.apply(changes);
                        self.count_own(Access::Own, DONE, started);
                        Ok(Execution::Answered)
                    }
                    Err(error) => Err(error),
                }
            }
        };
        match done {
            Ok(execution) => Ok(execution),
            Err(error) => {
                self.drop_long_data(id);
                self.refuse(error).await?;
                Ok(Execution::Answered)
            }
        }
    }

    async fn execute_kill(
        &mut self,
        id: ClientStmtId,
        text: &[u8],
    ) -> Result<Result<Execution, ClientError>, End> {
        let started = Instant::now();
        let Some(profile) = self.statements.get(id).map(|statement| statement.profile) else {
            return Ok(Err(self.unknown(CommandCode::StmtExecute, id.0)));
        };
        let statement = Statement {
            task: Task::AsIs(ReplyKind::Query),
            profile,
            total: 0,
            bound: None,
        };
        let ran = self.run_kill(&statement, text).await?;
        Ok(ran.map(|answered| {
            if let Answered::Here = answered {
                self.count_own(Access::Kill, DONE, started);
            }
            Execution::Answered
        }))
    }

    async fn execute_alone(
        &mut self,
        id: ClientStmtId,
        assignments: &[OwnSet],
        total: usize,
    ) -> Result<Vec<Change>, ClientError> {
        let attributes = self.who.profile.query_attributes();
        let payload = self.payload(total).to_vec();
        let Some(statement) = self.statements.get_mut(id) else {
            return Err(ClientError::Malformed);
        };
        let execute = StmtExecute::parse(&payload, statement.params, attributes)
            .ok_or(ClientError::Malformed)?;
        if let Some(types) = execute.types() {
            statement.bind(types);
        }
        let (types, ahead) = (statement.types.clone(), statement.long_data.clone());
        let (parameters, _) = execute
            .values(&types, &ahead)
            .ok_or(ClientError::Malformed)?;
        self.changes(assignments, &parameters).await
    }

    /// Has the statement prepared anew where the values in its text have changed.
    async fn refill(
        &mut self,
        id: ClientStmtId,
        template: &Template,
    ) -> Result<Execution, ClientError> {
        let text = self.fill(template).await?;
        self.becomes(id, text).await
    }

    /// The same of a statement that asks about the one before it.
    async fn refill_previous(
        &mut self,
        id: ClientStmtId,
        text: &[u8],
    ) -> Result<Result<Execution, ClientError>, End> {
        Ok(match self.filled_text(text, id).await? {
            Ok(None) => Ok(Execution::Run(Vec::new())),
            Ok(Some(text)) => self.becomes(id, text).await,
            Err(error) => Err(error),
        })
    }

    async fn becomes(&mut self, id: ClientStmtId, text: Vec<u8>) -> Result<Execution, ClientError> {
        let profile = self.profile_of(&text).await;
        let Some(statement) = self.statements.get_mut(id) else {
            return Ok(Execution::Run(Vec::new()));
        };
        if *statement.text() == *text {
            return Ok(Execution::Run(Vec::new()));
        }
        if !statement.long_data.is_empty() {
            return Err(ClientError::Unsupported(
                "a statement that mentions what the session knows takes no parameters in parts"
                    .to_owned(),
            ));
        }
        statement.profile = profile;
        statement.becomes(&text, self.links.both_mut());
        Ok(Execution::Run(Vec::new()))
    }

    /// What assignments change, once the values of their placeholders are known.
    pub(super) async fn changes(
        &mut self,
        assignments: &[OwnSet],
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Change>, ClientError> {
        let mut changes = Vec::new();
        for set in assignments {
            let variable = set.variable;
            let value = match &set.source {
                OwnSource::Value(value) => value.clone(),
                OwnSource::Of(other) => OwnValue::Text(self.value(*other).await?),
                OwnSource::Placeholder(index) => {
                    OwnValue::Text(bound(variable.name(), parameters.get(*index))?)
                }
            };
            changes.push(self.check(&OwnAssignment { variable, value }).await?);
        }
        Ok(changes)
    }
}

/// A parameter's value as text.
fn bound(name: &str, parameter: Option<&Parameter<'_>>) -> Result<String, ClientError> {
    let value = match parameter.map(|parameter| parameter.value) {
        Some(ParameterValue::Text(text)) => String::from_utf8(text.to_vec()).ok(),
        Some(ParameterValue::Int(number)) => Some(number.to_string()),
        Some(ParameterValue::UInt(number)) => Some(number.to_string()),
        Some(ParameterValue::Null | ParameterValue::Other) | None => None,
    };
    value.ok_or_else(|| ClientError::WrongValue {
        name: name.to_owned(),
        value: "?".to_owned(),
        expected: "expected a string or an integer that is bound to the placeholder".to_owned(),
    })
}
