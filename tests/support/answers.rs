//! What the statements of an operator are answered, as texts.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "for tests, which fail by panicking"
)]

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row, Value};

/// A statement's rows as texts; `NULL` for none.
pub async fn rows(conn: &mut Conn, sql: &str) -> Vec<Vec<String>> {
    let rows: Vec<Row> = conn
        .query(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let cell = |value: Value| match value {
        Value::NULL => "NULL".to_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => other.as_sql(true).trim_matches('\'').to_owned(),
    };
    rows.into_iter()
        .map(|row| row.unwrap().into_iter().map(cell).collect())
        .collect()
}

/// The number and text of a statement's error.
pub async fn error(conn: &mut Conn, sql: &str) -> (u16, String) {
    match conn.query_drop(sql).await {
        Err(Error::Server(error)) => (error.code, error.message),
        other => panic!("{sql}: {other:?}"),
    }
}
