//! A client of the MySQL protocol that shows what drivers hide: the session trackers in the packet
//! that ends a reply.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// LONG_PASSWORD, CONNECT_WITH_DB, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION,
/// MULTI_STATEMENTS, PLUGIN_AUTH, SESSION_TRACK, DEPRECATE_EOF.
const CAPABILITIES: u32 =
    1 | 1 << 3 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 16 | 1 << 19 | 1 << 23 | 1 << 24;

const STATUS_MORE_RESULTS: u16 = 0x0008;
const STATUS_STATE_CHANGED: u16 = 0x4000;

/// A logged-in connection.
pub(crate) struct RawClient {
    stream: TcpStream,
}

/// How a statement ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The error's code and message.
    pub(crate) error: Option<(u16, String)>,
    /// The eight letters of the transaction tracker, if they changed.
    pub(crate) transaction: Option<String>,
    /// Whether the statement committed a GTID.
    pub(crate) wrote_gtid: bool,
}

impl RawClient {
    /// Logs in to an account that has no password.
    pub(crate) fn connect(address: &str, user: &str, schema: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut client = Self { stream };
        let (sequence, _greeting) = client.read()?;
        let mut login = Vec::new();
        login.extend_from_slice(&CAPABILITIES.to_le_bytes());
        login.extend_from_slice(&(1u32 << 24).to_le_bytes());
        login.push(255);
        login.extend_from_slice(&[0; 23]);
        login.extend_from_slice(user.as_bytes());
        login.extend_from_slice(&[0, 0]);
        login.extend_from_slice(schema.as_bytes());
        login.extend_from_slice(b"\0caching_sha2_password\0");
        client.write(sequence + 1, &login)?;
        loop {
            let (sequence, reply) = client.read()?;
            match reply.first() {
                Some(0x00) => return Ok(client),
                // Fast authentication succeeded: the OK is next.
                Some(0x01) => {}
                // MariaDB knows another way of proving that there is no password.
                Some(0xfe) => client.write(sequence + 1, &[])?,
                _ => return Err(io::Error::other(format!("login refused: {reply:?}"))),
            }
        }
    }

    /// Runs a statement and reads its replies to their end.
    pub(crate) fn run(&mut self, sql: &str) -> io::Result<Ended> {
        let mut command = vec![3];
        command.extend_from_slice(sql.as_bytes());
        self.write(0, &command)?;
        let mut ended = Ended::default();
        loop {
            let (_, first) = self.read()?;
            let last = match first.first() {
                Some(0x00 | 0xff) => first,
                _ => self.read_rows(&first)?,
            };
            if last.first() == Some(&0xff) {
                let code = u16::from_le_bytes([last[1], last[2]]);
                let message = String::from_utf8_lossy(&last[3..]).into_owned();
                ended.error = Some((code, message));
                return Ok(ended);
            }
            if take_ok(&last, &mut ended) & STATUS_MORE_RESULTS == 0 {
                return Ok(ended);
            }
        }
    }

    /// Reads columns and rows; gives the packet that ends them.
    fn read_rows(&mut self, first: &[u8]) -> io::Result<Vec<u8>> {
        let (columns, _) = lenenc(first);
        for _ in 0..columns {
            self.read()?;
        }
        loop {
            let (_, packet) = self.read()?;
            if matches!(packet.first(), Some(0xfe | 0xff)) {
                return Ok(packet);
            }
        }
    }

    fn read(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header)?;
        let len = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let mut payload = vec![0; len as usize];
        self.stream.read_exact(&mut payload)?;
        Ok((header[3], payload))
    }

    fn write(&mut self, sequence: u8, payload: &[u8]) -> io::Result<()> {
        let mut packet = u32::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
        packet[3] = sequence;
        packet.extend_from_slice(payload);
        self.stream.write_all(&packet)
    }
}

/// Takes the trackers out of an OK packet; gives its status flags.
fn take_ok(packet: &[u8], ended: &mut Ended) -> u16 {
    let mut rest = &packet[1..];
    for _affected_and_insert_id in 0..2 {
        (_, rest) = lenenc(rest);
    }
    let status = u16::from_le_bytes([rest[0], rest[1]]);
    rest = &rest[4..];
    if status & STATUS_STATE_CHANGED == 0 {
        return status;
    }
    let (_info, after) = lenenc_bytes(rest);
    let (mut entries, _) = lenenc_bytes(after);
    while let [kind, tail @ ..] = entries {
        let (data, next) = lenenc_bytes(tail);
        match kind {
            0 => ended.wrote_gtid |= names_gtid(data),
            3 => ended.wrote_gtid = true,
            5 => {
                let (letters, _) = lenenc_bytes(data);
                ended.transaction = Some(String::from_utf8_lossy(letters).into_owned());
            }
            _ => {}
        }
        entries = next;
    }
    status
}

/// Whether a changed variable is MariaDB's `last_gtid`, and not its clearing.
fn names_gtid(data: &[u8]) -> bool {
    let (name, rest) = lenenc_bytes(data);
    let (value, _) = lenenc_bytes(rest);
    name == b"last_gtid" && !value.is_empty()
}

/// A length-encoded integer and what follows it.
fn lenenc(bytes: &[u8]) -> (u64, &[u8]) {
    let wide = |len: usize| {
        let mut value = [0; 8];
        value[..len].copy_from_slice(&bytes[1..=len]);
        (u64::from_le_bytes(value), &bytes[len + 1..])
    };
    match bytes[0] {
        0xfc => wide(2),
        0xfd => wide(3),
        0xfe => wide(8),
        small => (small.into(), &bytes[1..]),
    }
}

fn lenenc_bytes(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (len, rest) = lenenc(bytes);
    rest.split_at(usize::try_from(len).unwrap())
}
