//! Small statements that the proxy runs for itself on a server connection.

use super::error::BackendError;
use crate::net::Conn;
use crate::protocol::caps::CapabilityProfile;
use crate::protocol::command::{com_query, com_stmt_close, com_stmt_prepare};
use crate::protocol::frame::{self, FrameHeader, HEADER, append_packet};
use crate::protocol::packets::ErrView;
use crate::protocol::reader::Reader;
use crate::protocol::reply::{EventKind, ReplyKind, ReplyTracker};

/// A column of an answer, and what is in its first row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// Its type (MYSQL_TYPE_*).
    pub kind: u8,
    /// Whether it is a number without a sign.
    pub unsigned: bool,
    /// Its text; empty for NULL.
    pub text: Vec<u8>,
}

/// UNSIGNED_FLAG of a column.
const UNSIGNED: u16 = 0x20;

/// Rows of text. NULL is empty.
pub(super) type Rows = Vec<Vec<Vec<u8>>>;

/// Sends COM_QUERY and returns the first row of its text result; empty without one. NULL is empty.
///
/// # Errors
/// [`BackendError::Setup`] when the server refuses, else when the connection fails.
pub(super) async fn query(
    conn: &mut Conn,
    profile: CapabilityProfile,
    address: &str,
    sql: &[u8],
) -> Result<Vec<Vec<u8>>, BackendError> {
    send(conn, profile, address, sql).await?;
    let rows = read_rows(conn, profile, address).await?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

/// The same with the type of each column; empty without a row.
///
/// # Errors
/// As [`query`].
pub(super) async fn query_typed(
    conn: &mut Conn,
    profile: CapabilityProfile,
    address: &str,
    sql: &[u8],
) -> Result<Vec<Typed>, BackendError> {
    send(conn, profile, address, sql).await?;
    let passed = read(conn, profile, address).await?;
    Ok(typed(&passed, profile).unwrap_or_default())
}

/// Prepares a statement and closes it again.
///
/// # Errors
/// As [`query`].
pub(super) async fn prepare(
    conn: &mut Conn,
    profile: CapabilityProfile,
    address: &str,
    sql: &[u8],
) -> Result<(), BackendError> {
    send_packet(conn, address, &com_stmt_prepare(sql)).await?;
    let reply = read_reply(conn, profile, address, ReplyKind::Prepare).await?;
    match reply.prepared {
        Some(id) => send_packet(conn, address, &com_stmt_close(id)).await,
        None => Ok(()),
    }
}

async fn send(
    conn: &mut Conn,
    profile: CapabilityProfile,
    address: &str,
    sql: &[u8],
) -> Result<(), BackendError> {
    let query = com_query(sql, profile.query_attributes());
    send_packet(conn, address, &query).await
}

async fn send_packet(conn: &mut Conn, address: &str, payload: &[u8]) -> Result<(), BackendError> {
    let mut out = Vec::new();
    append_packet(&mut out, &mut 0, payload);
    conn.send(&out).await.map_err(|source| BackendError::Lost {
        address: address.to_owned(),
        source,
    })
}

/// Reads the reply of a statement that returns no rows.
///
/// # Errors
/// As [`query`].
pub(super) async fn read_ok(
    conn: &mut Conn,
    profile: CapabilityProfile,
    address: &str,
) -> Result<(), BackendError> {
    read_rows(conn, profile, address).await.map(drop)
}

/// Reads the reply of a statement: all rows of its result.
///
/// # Errors
/// As [`query`].
pub(super) async fn read_rows(
    conn: &mut Conn,
    profile: CapabilityProfile,
    address: &str,
) -> Result<Rows, BackendError> {
    let passed = read(conn, profile, address).await?;
    Ok(rows(&passed, profile).unwrap_or_default())
}

/// Reads the reply of a statement: the packets of its result before the last one.
async fn read(
    conn: &mut Conn,
    profile: CapabilityProfile,
    address: &str,
) -> Result<Vec<u8>, BackendError> {
    let reply = read_reply(conn, profile, address, ReplyKind::Query).await?;
    Ok(reply.passed)
}

/// What a command was answered with.
#[derive(Default)]
struct Reply {
    /// What the tracker let pass: column count, columns and rows, a few hundred bytes.
    passed: Vec<u8>,
    /// The number of the statement that was prepared.
    prepared: Option<u32>,
}

async fn read_reply(
    conn: &mut Conn,
    profile: CapabilityProfile,
    address: &str,
    kind: ReplyKind,
) -> Result<Reply, BackendError> {
    let malformed = || BackendError::Malformed {
        address: address.to_owned(),
    };
    let mut tracker = ReplyTracker::new(kind, profile);
    let mut reply = Reply::default();
    let mut failure = None;
    while !tracker.is_done() {
        let scan = tracker.scan(conn.input.data());
        let data = conn.input.data();
        let passed = &mut reply.passed;
        passed.extend_from_slice(data.get(..scan.forward).unwrap_or_default());
        let mut used = scan.forward;
        if let Some(event) = scan.event {
            let packet = data.get(used..used + event.len).unwrap_or_default();
            match event.kind {
                EventKind::Ok | EventKind::ResultEnd => {}
                EventKind::Prepared { stmt_id, .. } => reply.prepared = Some(stmt_id),
                EventKind::Err => {
                    let err = frame::payload(packet).and_then(ErrView::parse);
                    failure = Some(err.map_or_else(malformed, |err| BackendError::Setup {
                        address: address.to_owned(),
                        code: err.code,
                        state: err.state,
                        message: String::from_utf8_lossy(err.message).into_owned(),
                    }));
                }
                _ => return Err(malformed()),
            }
            used += event.len;
        }
        conn.input.consume(used);
        if used == 0 && !tracker.is_done() {
            conn.fill().await.map_err(|source| BackendError::Lost {
                address: address.to_owned(),
                source,
            })?;
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(reply),
    }
}

/// What packets carry, one after the other.
fn payloads(mut packets: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let header = FrameHeader::parse(packets)?;
        let payload = packets.get(HEADER..header.frame_len())?;
        packets = packets.get(header.frame_len()..)?;
        Some(payload)
    })
}

/// The first row among the packets of one result set, with its columns.
fn typed(packets: &[u8], profile: CapabilityProfile) -> Option<Vec<Typed>> {
    let mut packets = payloads(packets);
    let count = Reader::new(packets.next()?).lenenc()?;
    let columns: Vec<_> = packets
        .by_ref()
        .take(usize::try_from(count).ok()?)
        .collect();
    if !profile.deprecate_eof() {
        packets.next()?;
    }
    let cells = cells(Reader::new(packets.next()?))?;
    let all = columns.into_iter().zip(cells);
    all.map(|(column, text)| typed_column(column, text))
        .collect()
}

/// Protocol::ColumnDefinition41.
fn typed_column(column: &[u8], text: Vec<u8>) -> Option<Typed> {
    let mut column = Reader::new(column);
    // Catalog, schema, table and name, the latter two as they are and as they are called.
    for _ in 0..6 {
        column.lenenc_bytes()?;
    }
    // The length of what follows, collation and length.
    column.lenenc()?;
    column.u16()?;
    column.u32()?;
    let kind = column.u8()?;
    let unsigned = column.u16()? & UNSIGNED != 0;
    Some(Typed {
        kind,
        unsigned,
        text,
    })
}

/// The rows among the packets of one result set.
fn rows(packets: &[u8], profile: CapabilityProfile) -> Option<Rows> {
    let mut packets = payloads(packets);
    let mut next = || packets.next();
    let columns = Reader::new(next()?).lenenc()?;
    for _ in 0..columns {
        next()?;
    }
    if !profile.deprecate_eof() {
        next()?;
    }
    let mut rows = Vec::new();
    while let Some(row) = next() {
        rows.push(cells(Reader::new(row))?);
    }
    Some(rows)
}

fn cells(mut row: Reader<'_>) -> Option<Vec<Vec<u8>>> {
    let mut cells = Vec::new();
    while !row.is_empty() {
        if row.rest().first() == Some(&0xFB) {
            row.u8()?;
            cells.push(Vec::new());
        } else {
            cells.push(row.lenenc_bytes()?.to_vec());
        }
    }
    Some(cells)
}
