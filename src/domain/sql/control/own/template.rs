//! A statement with places for the values of own variables.

use super::super::super::variables::OwnVariable;
use super::super::columns::{Columns, is_evaluated, put_alias};
use super::super::lexeme::Placed;
use super::reader::Reader;

/// A statement that mentions own variables. A server is sent their values as string literals; a
/// column of a SELECT keeps the name that the mention would have given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<[u8]>),
    Value {
        variable: OwnVariable,
        label: Option<Box<[u8]>>,
    },
}

impl Template {
    /// Finds the mentions in a statement; `None` if there are none, or none that can be filled.
    pub(super) fn of(text: &[u8], lexemes: &[Placed<'_>]) -> Option<Self> {
        if !is_evaluated(lexemes) {
            return None;
        }
        let mut parts = Vec::new();
        let mut from = lexemes.first()?.1.start;
        let mut columns = Columns::new(lexemes);
        let mut at = 0;
        while at < lexemes.len() {
            let mut reader = Reader::at(text, lexemes, at);
            let Some(variable) = reader.system_variable() else {
                columns.pass(at);
                at += 1;
                continue;
            };
            let end = reader.position();
            let place = lexemes.get(at)?.1.start..lexemes.get(end.checked_sub(1)?)?.1.end;
            let label = columns
                .is_whole(at, end)
                .then(|| text.get(place.clone()))
                .flatten();
            parts.push(Part::Text(text.get(from..place.start)?.into()));
            parts.push(Part::Value {
                variable,
                label: label.map(Into::into),
            });
            from = place.end;
            at = end;
        }
        if parts.is_empty() {
            return None;
        }
        let end = lexemes.last()?.1.end;
        parts.push(Part::Text(text.get(from..end)?.into()));
        Some(Self { parts })
    }

    /// What SHOW VARIABLES answers about these.
    pub(super) fn of_show(variables: &[OwnVariable]) -> Self {
        let mut parts = Vec::new();
        for variable in variables {
            let union = if parts.is_empty() { "" } else { " UNION ALL " };
            let name = variable.name();
            let text = format!("{union}SELECT '{name}' AS `Variable_name`, ");
            parts.push(Part::Text(text.into_bytes().into()));
            parts.push(Part::Value {
                variable: *variable,
                label: Some(b"Value".as_slice().into()),
            });
        }
        Self { parts }
    }

    /// The variables whose values it needs, in their order.
    pub fn variables(&self) -> impl Iterator<Item = OwnVariable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Value { variable, .. } => Some(*variable),
        })
    }

    /// The statement with the values of [`Self::variables`].
    pub fn fill(&self, values: impl IntoIterator<Item = String>) -> Vec<u8> {
        let mut values = values.into_iter();
        let mut text = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.extend_from_slice(part),
                Part::Value { label, .. } => {
                    put_literal(&mut text, &values.next().unwrap_or_default());
                    if let Some(label) = label {
                        put_alias(&mut text, label);
                    }
                }
            }
        }
        text
    }
}

/// A string literal that reads the same in every sql_mode and character set.
fn put_literal(out: &mut Vec<u8>, value: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.,: ".contains(&byte);
    if value.bytes().all(plain) {
        out.push(b'\'');
        out.extend_from_slice(value.as_bytes());
        out.push(b'\'');
        return;
    }
    out.extend_from_slice(b"_utf8mb4 X'");
    for byte in value.bytes() {
        out.extend_from_slice(format!("{byte:02X}").as_bytes());
    }
    out.push(b'\'');
}
