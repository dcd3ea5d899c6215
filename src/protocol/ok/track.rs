//! The session-state block of an OK packet.
//!
//! A block is a list of `type, length, data`. mysql_common's reader of it fails on real type 2 and 3 entries,
//! hence this one.

use super::Reader;

pub(super) const SYSTEM_VARIABLES: u8 = 0;
const SCHEMA: u8 = 1;
const STATE_CHANGE: u8 = 2;
const GTIDS: u8 = 3;
const TRANSACTION_CHARACTERISTICS: u8 = 4;
const TRANSACTION_STATE: u8 = 5;

/// One thing that the server says about the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackEntry<'a> {
    /// A tracked variable has this value now. MariaDB's `last_gtid` comes this way too.
    SystemVariable {
        /// Its name, lower case.
        name: &'a [u8],
        /// Its value as text.
        value: &'a [u8],
    },
    /// The default schema is this one now.
    Schema(&'a [u8]),
    /// Whether some session state changed.
    StateChange(bool),
    /// GTIDs as text: of what was committed, or the executed set, as session_track_gtids asks.
    Gtids(&'a [u8]),
    /// SQL that recreates the transaction's characteristics; empty if there are none.
    TransactionCharacteristics(&'a [u8]),
    /// Eight letters: what the open transaction has done so far.
    TransactionState(&'a [u8]),
    /// An entry of unknown type, or of a known type (0 to 5) that cannot be read.
    Other {
        /// The type.
        kind: u8,
        /// The undecoded data.
        data: &'a [u8],
    },
}

/// Iterates over a state block; several variables in one entry come one by one.
#[derive(Clone, Debug)]
pub struct SessionTrack<'a> {
    entries: RawEntries<'a>,
    pairs: Reader<'a>,
}

impl<'a> SessionTrack<'a> {
    /// Iterates over `block`, which begins after the block's length.
    pub fn new(block: &'a [u8]) -> Self {
        Self {
            entries: RawEntries(Reader::new(block)),
            pairs: Reader::new(&[]),
        }
    }
}

impl<'a> Iterator for SessionTrack<'a> {
    type Item = TrackEntry<'a>;

    fn next(&mut self) -> Option<TrackEntry<'a>> {
        if !self.pairs.is_empty() {
            return Some(next_variable(&mut self.pairs));
        }
        let (kind, data) = match self.entries.next()? {
            (kind, Ok(data)) => (kind, data),
            (kind, Err(data)) => return Some(TrackEntry::Other { kind, data }),
        };
        if kind == SYSTEM_VARIABLES && !data.is_empty() {
            self.pairs = Reader::new(data);
            return Some(next_variable(&mut self.pairs));
        }
        Some(decode(kind, data).unwrap_or(TrackEntry::Other { kind, data }))
    }
}

/// The entries as type and data; `Err` holds a broken tail.
#[derive(Clone, Debug)]
pub(super) struct RawEntries<'a>(pub(super) Reader<'a>);

impl<'a> Iterator for RawEntries<'a> {
    type Item = (u8, Result<&'a [u8], &'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.0.u8()?;
        let data = self.0.lenenc_bytes();
        Some((kind, data.ok_or_else(|| take_rest(&mut self.0))))
    }
}

/// The next name and value of an entry that holds system variables.
pub(super) fn next_variable<'a>(pairs: &mut Reader<'a>) -> TrackEntry<'a> {
    let mut next = *pairs;
    if let (Some(name), Some(value)) = (next.lenenc_bytes(), next.lenenc_bytes()) {
        *pairs = next;
        return TrackEntry::SystemVariable { name, value };
    }
    TrackEntry::Other {
        kind: SYSTEM_VARIABLES,
        data: take_rest(pairs),
    }
}

/// Decodes any entry but system variables.
pub(super) fn decode<'a>(kind: u8, data: &'a [u8]) -> Option<TrackEntry<'a>> {
    let mut reader = Reader::new(data);
    Some(match kind {
        SCHEMA => TrackEntry::Schema(reader.lenenc_bytes()?),
        STATE_CHANGE => TrackEntry::StateChange(*data.last()? == b'1'),
        GTIDS => {
            let _encoding = reader.u8()?;
            TrackEntry::Gtids(reader.lenenc_bytes()?)
        }
        TRANSACTION_CHARACTERISTICS => {
            TrackEntry::TransactionCharacteristics(reader.lenenc_bytes()?)
        }
        TRANSACTION_STATE => TrackEntry::TransactionState(reader.lenenc_bytes()?),
        _ => return None,
    })
}

fn take_rest<'a>(reader: &mut Reader<'a>) -> &'a [u8] {
    let rest = reader.rest();
    *reader = Reader::new(&[]);
    rest
}
