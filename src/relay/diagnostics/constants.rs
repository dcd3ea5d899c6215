//! What is remembered of a statement, as texts that a server runs.

use super::super::session::Relay;
use crate::domain::session::aftermath::Condition;
use crate::domain::sql::control::{Field, Item, Target};

impl Relay {
    /// What GET DIAGNOSTICS assigns, as a SET of constants. `None` where something is not known.
    pub(super) fn assignments(&self, targets: &[Target]) -> Option<Vec<u8>> {
        let all = self.state.aftermath.all_conditions();
        let mut text = Vec::new();
        for Target { variable, item } in targets {
            text.extend_from_slice(if text.is_empty() { b"SET " } else { b", " });
            text.extend_from_slice(variable);
            text.push(b'=');
            match *item {
                Item::Number => put_unsigned(&mut text, all.count),
                Item::RowCount => {
                    let count = self.state.aftermath.row_count.value;
                    text.extend_from_slice(count.to_string().as_bytes());
                }
                Item::Condition(number, field) => {
                    let condition = all.list.get(number.checked_sub(1)?)?;
                    put_field(&mut text, condition, field)?;
                }
            }
        }
        Some(text)
    }
}

fn put_field(text: &mut Vec<u8>, condition: &Condition, field: Field) -> Option<()> {
    match field {
        Field::State => {
            let state = condition.state?;
            text.push(b'\'');
            text.extend_from_slice(&state);
            text.push(b'\'');
        }
        Field::Code => put_unsigned(text, condition.code.into()),
        Field::Message => put_text(text, &condition.message),
        Field::Origin => return None,
        Field::Empty => text.extend_from_slice(b"''"),
    }
    Some(())
}

fn put_unsigned(text: &mut Vec<u8>, count: u64) {
    text.extend_from_slice(format!("CAST({count} AS UNSIGNED)").as_bytes());
}

/// A literal that reads the same in every sql_mode and character set.
fn put_text(text: &mut Vec<u8>, value: &[u8]) {
    text.extend_from_slice(b"_utf8mb4 X'");
    for byte in value {
        text.extend_from_slice(format!("{byte:02X}").as_bytes());
    }
    text.push(b'\'');
}

/// SHOW WARNINGS as a query, for an execution of it.
pub(super) fn as_query(rows: &[Condition]) -> Vec<u8> {
    if rows.is_empty() {
        return b"SELECT '' AS `Level`, 0 AS `Code`, '' AS `Message` FROM DUAL WHERE 0".to_vec();
    }
    let mut text = Vec::new();
    for row in rows {
        let union: &[u8] = if text.is_empty() { b"" } else { b" UNION ALL " };
        text.extend_from_slice(union);
        let (severity, code) = (row.severity.name(), row.code);
        text.extend_from_slice(
            format!("SELECT '{severity}' AS `Level`, {code} AS `Code`, ").as_bytes(),
        );
        put_text(&mut text, &row.message);
        text.extend_from_slice(b" AS `Message`");
    }
    text
}
