//! A place in the binary log of one server, where transactions have no ids.
//!
//! Such a place means something only in the log of the server that wrote it, so it carries that
//! server's uuid: places in two servers' logs do not compare.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::MixedKinds;
use super::gtid::{Uuid, parse_uuid};

/// What the text begins with.
pub(super) const PREFIX: &[u8] = b"binlog:";

/// Characters of a uuid.
const UUID: usize = 36;

/// The longest file name that is taken.
const MAX_FILE: usize = 512;

/// A file and an offset in it: everything before is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinlogPlace {
    /// The uuid of the server whose log it is.
    server: u128,
    file: Arc<str>,
    offset: u64,
}

impl BinlogPlace {
    /// A place from a server's uuid, and file and offset as that server or a replica of it tells
    /// them. `None` when the uuid or the file's name is none.
    pub fn new(server_uuid: &str, file: &str, offset: u64) -> Option<Self> {
        numbered(file)?;
        Some(Self {
            server: parse_uuid(server_uuid.as_bytes())?,
            file: file.into(),
            offset,
        })
    }

    /// A place in a log of which only one is spoken of, so that its server need not be named.
    pub fn of_one_log(file: &str, offset: u64) -> Option<Self> {
        numbered(file)?;
        Some(Self {
            server: 0,
            file: file.into(),
            offset,
        })
    }

    /// Reads `binlog:server-uuid:file.000001:4711`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text.strip_prefix(PREFIX)?).ok()?;
        let (uuid, rest) = text.split_at_checked(UUID)?;
        let (file, offset) = rest.strip_prefix(':')?.rsplit_once(':')?;
        let offset = super::is_digits(offset).then(|| offset.parse().ok())??;
        Self::new(uuid, file, offset)
    }

    /// The file's name, without its folder.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Bytes from the beginning of the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether it is in the same log, and not before `other`.
    pub fn covers(&self, other: &Self) -> bool {
        self.compare(other).is_some_and(Ordering::is_ge)
    }

    /// Becomes the later one of both.
    ///
    /// # Errors
    /// When they are places in different logs.
    pub fn join(&mut self, other: &Self) -> Result<(), MixedKinds> {
        if self.compare(other).ok_or(MixedKinds)?.is_lt() {
            self.clone_from(other);
        }
        Ok(())
    }

    /// How far it is ahead of `base`: bytes within one file, and a large number a file further.
    /// `None` for places in different logs.
    pub fn ahead_of(&self, base: &Self) -> Option<u64> {
        if self.compare(base)?.is_le() {
            return Some(0);
        }
        let number = |place: &Self| numbered(&place.file).map(|(_, number)| number);
        match number(self)?.saturating_sub(number(base)?) {
            0 => Some(self.offset.saturating_sub(base.offset)),
            files => Some(files.saturating_mul(1 << 32)),
        }
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        let (base, number) = numbered(&self.file)?;
        let (their_base, their_number) = numbered(&other.file)?;
        let same = self.server == other.server && base == their_base;
        same.then(|| (number, self.offset).cmp(&(their_number, other.offset)))
    }
}

impl fmt::Display for BinlogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "binlog:{}:{}:{}",
            Uuid(self.server),
            self.file,
            self.offset
        )
    }
}

/// A file's name and number: after 999999 the number simply has more digits. The name has only
/// characters that need no care in SQL.
fn numbered(file: &str) -> Option<(&str, u64)> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let (base, number) = file.rsplit_once('.')?;
    let fine = file.len() <= MAX_FILE && file.bytes().all(plain) && super::is_digits(number);
    Some((base, fine.then(|| number.parse().ok())??))
}
