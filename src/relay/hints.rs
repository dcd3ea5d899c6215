//! The hints of the statement at hand: from the comments before its text, and from query attributes,
//! which win.

use super::prepared::Statement;
use super::session::Relay;
use crate::domain::ids::ClientStmtId;
use crate::domain::sql::{HintError, Hints};
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
