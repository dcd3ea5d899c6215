//! The hints of the statement at hand: from the comments before its text, and from query attributes,
//! which win.

use super::prepared::Statement;
use super::session::Relay;
use crate::domain::ids::ClientStmtId;
use crate::domain::sql::{HintError, Hints};
use crate::domain::trace::{self, TraceParent};
use crate::frontend::ClientError;
use crate::protocol::command::{Parameter, ParameterValue, StmtExecute, query_attributes};

impl From<HintError> for ClientError {
    fn from(error: HintError) -> Self {
        Self::WrongHint {
            word: error.word,
            expected: error.expected,
        }
    }
}

/// The hints of a COM_QUERY.
pub(super) fn of_query(
    payload: &[u8],
    text: &[u8],
    attributes_in_force: bool,
) -> Result<Hints, ClientError> {
    let of_text = Hints::of_text(text)?;
    if !attributes_in_force {
        return Ok(of_text);
    }
    let attributes = query_attributes(payload, true).ok_or(ClientError::Malformed)?;
    Ok(of_attributes(&attributes)?.over(&of_text))
}

fn of_attributes(attributes: &[Parameter<'_>]) -> Result<Hints, HintError> {
    let mut hints = Hints::default();
    for Parameter { name, value } in attributes {
        let value = match value {
            ParameterValue::Text(text) => Some(*text),
            _ => None,
        };
        hints.take_attribute(name, value)?;
    }
    Ok(hints)
}

/// The trace that the attributes of a COM_QUERY name.
pub(super) fn trace_of_query(payload: &[u8], in_force: bool) -> Option<TraceParent> {
    let attributes = in_force
        .then(|| query_attributes(payload, true))
        .flatten()?;
    trace_of(&attributes)
}

/// The same of a COM_STMT_EXECUTE.
pub(super) fn trace_of_execute(
    relay: &Relay,
    id: ClientStmtId,
    total: usize,
) -> Option<TraceParent> {
    let statement = relay.statements.get(id)?;
    let in_force = relay.who.profile.query_attributes();
    let payload = in_force.then(|| relay.payload(total))?;
    let execute = StmtExecute::parse(payload, statement.params, true)?;
    let execute = execute.has_attributes().then_some(execute)?;
    let (_, attributes) = execute.values(&statement.types, &statement.long_data)?;
    trace_of(&attributes)
}

fn trace_of(attributes: &[Parameter<'_>]) -> Option<TraceParent> {
    let named = |it: &&Parameter<'_>| it.name.eq_ignore_ascii_case(trace::NAME);
    match attributes.iter().find(named)?.value {
        ParameterValue::Text(text) => TraceParent::parse(text),
        _ => None,
    }
}

impl Relay {
    /// The hints of a COM_STMT_EXECUTE: those of the statement's text, and its own attributes.
    pub(super) fn hints_of_execute(
        &self,
        id: ClientStmtId,
        total: usize,
    ) -> Result<Hints, ClientError> {
        let Some(statement) = self.statements.get(id) else {
            return Ok(Hints::default());
        };
        let of_text = &statement.hints;
        if !self.who.profile.query_attributes() {
            return Ok(of_text.clone());
        }
        let of_attributes = of_execute(self.payload(total), statement)?;
        Ok(of_attributes.over(of_text))
    }
}

fn of_execute(payload: &[u8], statement: &Statement) -> Result<Hints, ClientError> {
    let execute =
        StmtExecute::parse(payload, statement.params, true).ok_or(ClientError::Malformed)?;
    if !execute.has_attributes() {
        return Ok(Hints::default());
    }
    let (_, attributes) = execute
        .values(&statement.types, &statement.long_data)
        .ok_or(ClientError::Malformed)?;
    Ok(of_attributes(&attributes)?)
}
