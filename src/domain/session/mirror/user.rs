//! User variables that were given constants, and how they are given to another connection.
//!
//! A variable that is assigned the same constant elsewhere has the same value, type, charset,
//! collation and coercibility there (tried on MySQL 9.7 and MariaDB 10.11); NULL leaves it the type
//! it had, so what was before is assigned first; after a value that only the server knows, something of the
//! type that the server tells. Nothing makes a variable one that was never set:
//! a connection that has too many needs a reset.

use std::collections::BTreeMap;

use crate::domain::sql::state::Constant;

/// Variables that are kept for one session.
const MAX_VARIABLES: usize = 64;
/// Names that are remembered in all, of variables whose values nobody knows, too. A session with more
/// is bound to its connection by those that have no name any more.
const MAX_NAMES: usize = 256;
/// Bytes of their names and values together.
const MAX_BYTES: usize = 16 << 10;

/// What the session's strings are when they name no charset themselves.
#[derive(Clone, Copy, Debug)]
pub struct Charsets<'a> {
    /// `character_set_client`.
    pub client: &'a [u8],
    /// `collation_connection`, whose charset is that of the connection.
    pub collation: &'a [u8],
}

/// How one variable gets its value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// By this expression.
    Of(Box<[u8]>),
    /// By NULL, after this expression gave it its type.
    NullAfter(Box<[u8]>),
    /// Nobody but the server knows.
    Untold,
    /// It is NULL, of a type that nobody but the server knows.
    NullUntold,
}

/// User variables by name: those of a session, or those on one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserVariables(BTreeMap<Box<[u8]>, Value>);

impl Value {
    /// Whether another connection cannot be given it.
    fn is_untold(&self) -> bool {
        matches!(self, Self::Untold | Self::NullUntold)
    }
}

impl UserVariables {
    /// A variable was given a constant. `false` if that cannot be repeated elsewhere: then nothing is
    /// known of it any more.
    pub fn give(&mut self, name: &[u8], constant: &Constant, charsets: Charsets<'_>) -> bool {
        let before = self.0.get(name);
        if *constant == Constant::Null && before.is_some_and(Value::is_untold) {
            self.0.insert(name.into(), Value::NullUntold);
            return false;
        }
        let value = match (constant, before) {
            (Constant::Null, None) => Some(Value::NullAfter(b"_binary''".as_slice().into())),
            (Constant::Null, Some(Value::Untold | Value::NullUntold)) => None,
            (Constant::Null, Some(Value::Of(before) | Value::NullAfter(before))) => {
                Some(Value::NullAfter(before.clone()))
            }
            (constant, _) => expression(constant, charsets).map(Value::Of),
        };
        match value.filter(|value| self.has_room(name, value)) {
            Some(value) => {
                self.0.insert(name.into(), value);
                true
            }
            None => {
                self.forget(name);
                false
            }
        }
    }

    /// The variables that are NULL, of a type that is to be asked for.
    pub fn nulls_untold(&self) -> impl Iterator<Item = &[u8]> {
        let all = self.0.iter();
        let untold = all.filter(|(_, value)| **value == Value::NullUntold);
        untold.map(|(name, _)| &**name)
    }

    /// One of them has the type of this expression. `false` if there is no room for it.
    pub fn learn_null(&mut self, name: &[u8], of_type: Box<[u8]>) -> bool {
        let value = Value::NullAfter(of_type);
        let is_meant = self.0.get(name) == Some(&Value::NullUntold);
        let takes = is_meant && self.has_room(name, &value);
        if takes {
            self.0.insert(name.into(), value);
        }
        takes
    }

    /// A variable has a value that nobody knows.
    pub fn forget(&mut self, name: &[u8]) {
        if self.0.len() < MAX_NAMES || self.0.contains_key(name) {
            self.0.insert(name.into(), Value::Untold);
        }
    }

    /// A variable has the value that it has elsewhere.
    pub fn copy(&mut self, name: &[u8], from: &Self) {
        if let Some(value) = from.0.get(name) {
            self.0.insert(name.into(), value.clone());
        }
    }

    /// Everything that is known there is true here now.
    pub fn on_restored(&mut self, wanted: &Self) {
        for (name, value) in &wanted.0 {
            if !value.is_untold() {
                self.0.insert(name.clone(), value.clone());
            }
        }
    }

    /// Whether a connection with these variables has one that `wanted` never set.
    pub fn exceed(&self, wanted: &Self) -> bool {
        self.0.keys().any(|name| !wanted.0.contains_key(name))
    }

    /// Whether a connection with these variables lacks one of those that `wanted` knows.
    pub fn lack(&self, wanted: &Self) -> bool {
        wanted.missing(self).next().is_some()
    }

    /// Appends the assignments that a connection with the variables `applied` lacks, for a SET that
    /// begins in `set` if there is nothing yet.
    pub fn put_missing(&self, applied: &Self, set: &mut Vec<u8>) {
        for (name, value) in self.missing(applied) {
            match value {
                Value::Of(expression) => put(name, expression, set),
                Value::NullAfter(before) => {
                    put(name, before, set);
                    put(name, b"NULL", set);
                }
                Value::Untold | Value::NullUntold => {}
            }
        }
    }

    fn missing<'a>(&'a self, applied: &'a Self) -> impl Iterator<Item = (&'a [u8], &'a Value)> {
        let all = self.0.iter().map(|(name, value)| (&**name, value));
        all.filter(|(name, value)| !value.is_untold() && applied.0.get(*name) != Some(*value))
    }

    fn has_room(&self, name: &[u8], value: &Value) -> bool {
        let all = self.0.iter().map(|(name, value)| (&**name, value));
        let others = all.filter(|(other, value)| *other != name && !value.is_untold());
        let (mut count, mut bytes) = (1, name.len() + length(value));
        for (name, value) in others {
            count += 1;
            bytes += name.len() + length(value);
        }
        count <= MAX_VARIABLES && bytes <= MAX_BYTES
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::Of(expression) | Value::NullAfter(expression) => expression.len(),
        Value::Untold | Value::NullUntold => 0,
    }
}

/// Names are in backticks, which mean the same in every sql_mode.
fn put(name: &[u8], expression: &[u8], set: &mut Vec<u8>) {
    set.extend_from_slice(if set.is_empty() { b"SET " } else { b", " });
    put_name(name, set);
    set.push(b'=');
    set.extend_from_slice(expression);
}

/// Appends a variable as it is written in a statement.
pub fn put_name(name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"@`");
    for byte in name {
        if *byte == b'`' {
            out.push(b'`');
        }
        out.push(*byte);
    }
    out.push(b'`');
}

/// Something of the type that a server tells of a variable: the MYSQL_TYPE_* of its column, whether that is
/// unsigned, and what COLLATION() says. A variable is an integer, a float, a decimal or a string, whatever
/// it was assigned. `None` if it cannot be written.
pub fn of_type(kind: u8, unsigned: bool, collation: &[u8]) -> Option<Box<[u8]>> {
    const DOUBLE: u8 = 5;
    const LONGLONG: u8 = 8;
    const VARCHAR: u8 = 15;
    const NEWDECIMAL: u8 = 246;
    const BLOBS_AND_STRINGS: std::ops::RangeInclusive<u8> = 249..=254;
    let text = match (kind, unsigned) {
        (LONGLONG, false) => "0",
        (LONGLONG, true) => "CAST(0 AS UNSIGNED)",
        (DOUBLE, _) => "0e0",
        (NEWDECIMAL, _) => "0.0",
        (VARCHAR, _) => return empty(collation),
        (kind, _) if BLOBS_AND_STRINGS.contains(&kind) => return empty(collation),
        _ => return None,
    };
    Some(text.as_bytes().into())
}

fn empty(collation: &[u8]) -> Option<Box<[u8]>> {
    let text = Constant::Text {
        charset: Some(charset_of(collation).into()),
        value: b"".as_slice().into(),
        collation: Some(collation.into()),
    };
    let no_matter = Charsets {
        client: b"",
        collation,
    };
    expression(&text, no_matter)
}

/// The constant as it reads the same in every session; `None` if it cannot be written so.
fn expression(constant: &Constant, charsets: Charsets<'_>) -> Option<Box<[u8]>> {
    let (charset, value, collation) = match constant {
        Constant::Null => return None,
        Constant::Literal(spelled) => return Some(spelled.clone()),
        Constant::Text {
            charset,
            value,
            collation,
        } => (charset.as_deref(), value, collation.as_deref()),
    };
    let connection = charset_of(charsets.collation);
    // Without a charset of its own it was converted to the connection's.
    let same_bytes = charset.is_some() || value.is_ascii() || charsets.client == connection;
    let charset = charset.unwrap_or(connection);
    let collation = match charset {
        b"binary" => charset,
        _ => collation.unwrap_or(charsets.collation),
    };
    let plain = |name: &[u8]| {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        !name.is_empty() && name.iter().all(word)
    };
    let wide = |name: &[u8]| matches!(name, b"ucs2" | b"utf16" | b"utf16le" | b"utf32");
    if !same_bytes || !plain(charset) || !plain(collation) || wide(charset) {
        return None;
    }
    let mut out = Vec::with_capacity(2 * value.len() + charset.len() + collation.len() + 16);
    out.push(b'_');
    out.extend_from_slice(charset);
    out.extend_from_slice(b" X'");
    for byte in &**value {
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from_digit(digit.into(), 16)? as u8);
        }
    }
    out.push(b'\'');
    if charset != b"binary" {
        out.extend_from_slice(b" COLLATE ");
        out.extend_from_slice(collation);
    }
    Some(out.into())
}

/// `utf8mb4` of `utf8mb4_bin`; `binary` is both.
fn charset_of(collation: &[u8]) -> &[u8] {
    let end = collation.iter().position(|byte| *byte == b'_');
    collation
        .get(..end.unwrap_or(collation.len()))
        .unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::domain::sql::LexMode;
    use crate::domain::sql::state::{StateFact, touches};

    const UTF8: Charsets<'static> = Charsets {
        client: b"utf8mb4",
        collation: b"utf8mb4_0900_ai_ci",
    };

    /// Runs SETs of user variables and tells which of their values can be repeated.
    fn set(variables: &mut UserVariables, sql: &str, charsets: Charsets<'_>) -> Vec<bool> {
        let touches = touches(sql.as_bytes(), LexMode::default());
        let given = touches.facts().filter_map(|fact| match fact {
            StateFact::Assigns(name, Some(constant)) => Some((name, constant)),
            _ => None,
        });
        given
            .map(|(name, constant)| variables.give(name, constant, charsets))
            .collect()
    }

    fn missing(wanted: &UserVariables, applied: &UserVariables) -> String {
        let mut out = Vec::new();
        wanted.put_missing(applied, &mut out);
        assert_eq!(out.is_empty(), !applied.lack(wanted));
        String::from_utf8(out).unwrap_or_default()
    }

    #[test]
    fn constants_as_they_are_written() {
        let latin1 = Charsets {
            client: b"latin1",
            collation: b"latin1_swedish_ci",
        };
        let mixed = Charsets {
            client: b"latin1",
            ..UTF8
        };
        let wide = Charsets {
            collation: b"utf16_bin",
            ..UTF8
        };
        for (sql, charsets, expected) in [
            ("SET @a=1", UTF8, "SET @`a`=1"),
            (
                "SET @`a``b`='it''s'",
                UTF8,
                "SET @`a``b`=_utf8mb4 X'69742773' COLLATE utf8mb4_0900_ai_ci",
            ),
            (
                "SET @a='x'",
                latin1,
                "SET @`a`=_latin1 X'78' COLLATE latin1_swedish_ci",
            ),
            (
                "SET @a=_latin1'x' COLLATE latin1_bin",
                UTF8,
                "SET @`a`=_latin1 X'78' COLLATE latin1_bin",
            ),
            (
                "SET @a='\u{e9}'",
                UTF8,
                "SET @`a`=_utf8mb4 X'c3a9' COLLATE utf8mb4_0900_ai_ci",
            ),
            ("SET @a='\u{e9}'", mixed, ""),
            ("SET @a='x'", wide, ""),
            ("SET @a=_binary'x'", UTF8, "SET @`a`=_binary X'78'"),
            ("SET @a=NULL", UTF8, "SET @`a`=_binary'', @`a`=NULL"),
            ("SET @a=5, @a=NULL", UTF8, "SET @`a`=5, @`a`=NULL"),
            ("SET @a=5, @a=NULL, @a=NULL", UTF8, "SET @`a`=5, @`a`=NULL"),
        ] {
            let mut variables = UserVariables::default();
            set(&mut variables, sql, charsets);
            let text = missing(&variables, &UserVariables::default());
            assert_eq!(text, expected, "{sql}");
        }
    }

    #[test]
    fn a_connection_gets_what_it_lacks() {
        let (mut wanted, mut applied) = (UserVariables::default(), UserVariables::default());
        set(&mut wanted, "SET @a=1, @b=2", UTF8);
        set(&mut applied, "SET @b=2", UTF8);
        assert_eq!(missing(&wanted, &applied), "SET @`a`=1");
        applied.on_restored(&wanted);
        assert_eq!(missing(&wanted, &applied), "");
        set(&mut applied, "SET @c=3", UTF8);
        assert!(applied.exceed(&wanted), "nothing unsets @c");
        wanted.forget(b"c");
        assert!(
            !applied.exceed(&wanted),
            "what is not known is not restored"
        );
        assert_eq!(missing(&wanted, &applied), "");
        applied.forget(b"a");
        assert_eq!(missing(&wanted, &applied), "SET @`a`=1");
    }

    #[test]
    fn null_after_a_value_that_nobody_knows() {
        let mut variables = UserVariables::default();
        variables.forget(b"a");
        assert_eq!(set(&mut variables, "SET @a=NULL", UTF8), [false]);
        let untold: Vec<_> = variables.nulls_untold().collect();
        assert_eq!(untold, [b"a"]);
        let none = UserVariables::default();
        assert_eq!(missing(&variables, &none), "");
        let unsigned = of_type(8, true, b"binary").unwrap();
        assert!(variables.learn_null(b"a", unsigned.clone()));
        let text = "SET @`a`=CAST(0 AS UNSIGNED), @`a`=NULL";
        assert_eq!(missing(&variables, &none), text);
        assert!(!variables.learn_null(b"a", unsigned), "it is known");
        variables.forget(b"a");
        assert_eq!(variables.nulls_untold().count(), 0);
        assert_eq!(set(&mut variables, "SET @a=1, @a=NULL", UTF8), [true, true]);
    }

    #[test]
    fn types_that_a_server_tells() {
        for (kind, unsigned, collation, expected) in [
            (8, false, &b"binary"[..], Some("0")),
            (5, false, b"binary", Some("0e0")),
            (246, false, b"binary", Some("0.0")),
            (251, false, b"binary", Some("_binary X''")),
            (
                250,
                false,
                b"latin1_bin",
                Some("_latin1 X'' COLLATE latin1_bin"),
            ),
            (253, false, b"utf16_bin", None),
            (6, false, b"binary", None),
        ] {
            let text = of_type(kind, unsigned, collation);
            let text = text.map(|text| String::from_utf8(text.into()).unwrap());
            assert_eq!(text.as_deref(), expected, "{kind}");
        }
    }

    #[test]
    fn bounds() {
        let mut variables = UserVariables::default();
        for index in 0..MAX_VARIABLES {
            let sql = format!("SET @v{index}=1");
            assert_eq!(set(&mut variables, &sql, UTF8), [true]);
        }
        assert_eq!(set(&mut variables, "SET @more=1", UTF8), [false]);
        assert_eq!(set(&mut variables, "SET @v0=2", UTF8), [true]);
        let long = format!("SET @v1='{}'", "x".repeat(MAX_BYTES / 2));
        assert_eq!(set(&mut variables, &long, UTF8), [false]);
    }
}
