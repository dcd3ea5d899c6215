//! What is remembered of a statement, as texts that a server runs.

use super::super::session::Relay;
use crate::domain::session::aftermath::{Condition, is_signal};
use crate::domain::sql::control::{Field, Item, Target};

/// What GET DIAGNOSTICS assigns.
pub(super) enum Assigned {
    /// What this SET of constants assigns.
    By(Vec<u8>),
    /// Nothing: it asks about a condition that there is not.
    Nothing,
    /// Nobody knows.
    Untold,
}

impl Relay {
    /// What GET DIAGNOSTICS assigns.
    pub(super) fn assignments(&self, targets: &[Target]) -> Assigned {
        let all = self.state.aftermath.all_conditions();
        let mut text = Vec::new();
        for Target { variable, item } in targets {
            text.extend_from_slice(if text.is_empty() { b"SET " } else { b", " });
            text.extend_from_slice(variable);
            text.push(b'=');
            match *item {
                Item::Number if all.untold => put_unsigned(&mut text, all.count),
                Item::Number => put_unsigned(&mut text, all.list.len() as u64),
                Item::RowCount => {
                    let count = self.state.aftermath.row_count.value;
                    text.extend_from_slice(count.to_string().as_bytes());
                }
                Item::Condition(number, field) => {
                    let Some(number) = number else {
                        return Assigned::Untold;
                    };
                    let condition = number.checked_sub(1).and_then(|at| all.list.get(at));
                    let Some(condition) = condition else {
                        return match all.untold {
                            true => Assigned::Untold,
                            false => Assigned::Nothing,
                        };
                    };
                    if put_field(&mut text, condition, field).is_none() {
                        return Assigned::Untold;
                    }
                }
            }
        }
        Assigned::By(text)
    }
}

fn put_field(text: &mut Vec<u8>, condition: &Condition, field: Field) -> Option<()> {
    match field {
        Field::State => put_own_text(text, &condition.state?),
        Field::Code => put_unsigned(text, condition.code.into()),
        Field::Message => put_own_text(text, &condition.message),
        Field::Origin => put_own_text(text, origin(condition)?),
        Field::Empty => put_own_text(text, b""),
    }
    Some(())
}

/// CLASS_ORIGIN and SUBCLASS_ORIGIN of what a server raised itself; SIGNAL sets others (tried on MySQL 9.7).
fn origin(condition: &Condition) -> Option<&'static [u8]> {
    const STANDARD: [&[u8; 2]; 22] = [
        b"01", b"02", b"08", b"0A", b"0K", b"0L", b"0Z", b"20", b"21", b"22", b"23", b"24", b"25",
        b"28", b"2F", b"35", b"3D", b"40", b"42", b"44", b"HY", b"00",
    ];
    let state = condition.state.filter(|_| !is_signal(condition.code))?;
    let standard = STANDARD.iter().any(|class| state.starts_with(*class));
    Some(if standard { b"ISO 9075" } else { b"MySQL" })
}

/// A text as a server has its own ones: in utf8mb3, which cannot be asked for without a warning.
fn put_own_text(text: &mut Vec<u8>, value: &[u8]) {
    match value.is_ascii() {
        true => {
            text.extend_from_slice(b"CONCAT(LEFT(USER(),0),");
            put_text(text, value);
            text.push(b')');
        }
        false => put_text(text, value),
    }
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
