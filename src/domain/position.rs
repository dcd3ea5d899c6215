//! Positions: how much of the primary's history a server has, or a session has seen.
//!
//! Positions of one kind are partially ordered ([`Position::covers`]) and can be joined. Each kind
//! of server history is one variant; nobody outside this room and the monitor looks which.

pub mod binlog;
mod brief;
pub mod gtid;
pub mod mariadb;

use std::fmt;

pub use binlog::BinlogPlace;
pub use brief::Brief;
pub use gtid::{GtidError, GtidSet};
pub use mariadb::DomainGtids;

/// How much of a primary's history somebody has or demands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Position {
    /// Nothing of any history: everybody covers it, and joined with a position it becomes that one.
    #[default]
    Nothing,
    /// MySQL: the set of transactions.
    Gtids(GtidSet),
    /// MariaDB: the last transaction of each domain.
    MariaDb(DomainGtids),
    /// Aurora: a log sequence number of the storage that all servers of a cluster share.
    Lsn(u64),
    /// A place in the binary log of one server, where transactions have no ids.
    Binlog(BinlogPlace),
}

/// The kind of history that a server tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PositionKind {
    /// None at all.
    #[default]
    Nothing,
    /// MySQL's GTID sets.
    Gtids,
    /// MariaDB's GTIDs.
    MariaDb,
    /// Aurora's log sequence numbers.
    Lsn,
    /// File and offset of the primary's binary log.
    Binlog,
}

impl PositionKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Gtids,
        Self::MariaDb,
        Self::Lsn,
        Self::Binlog,
    ];

    /// The name used in logs, metrics and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Gtids => "gtid",
            Self::MariaDb => "mariadb_gtid",
            Self::Lsn => "aurora_lsn",
            Self::Binlog => "binlog",
        }
    }

    /// Whether the reply of a write names the write's own position. Where it does not, the primary
    /// has to be asked after each write.
    pub const fn tells_own_writes(self) -> bool {
        matches!(self, Self::Gtids | Self::MariaDb)
    }
}

/// Two positions of different kinds have nothing to do with each other, nor have places in the logs
/// of two servers. The caller's fault; a retry cannot help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these positions belong to different histories")]
pub struct MixedKinds;

/// Why a text is not a position. The fault is with whoever wrote the text; a retry cannot help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    /// It looks like a GTID set and is none.
    #[error(transparent)]
    Gtids(#[from] GtidError),
    /// It looks like MariaDB's GTIDs and is none.
    #[error("expected MariaDB GTIDs of the form domain-server-sequence, separated by commas")]
    MariaDb,
    /// It begins like a log sequence number and is none.
    #[error("expected a log sequence number of the form lsn:4711")]
    Lsn,
    /// It begins like a place in a binary log and is none.
    #[error("expected a place in a binary log of the form binlog:server-uuid:file.000001:4711")]
    Binlog,
}

/// What the text of a log sequence number begins with.
const LSN: &[u8] = b"lsn:";

impl Position {
    /// Reads what `Display` writes, of any kind. An empty text is [`Self::Nothing`].
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse(text: &[u8]) -> Result<Self, PositionError> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(Self::Nothing);
        }
        if let Some(number) = text.strip_prefix(LSN) {
            let number = std::str::from_utf8(number).ok().filter(|it| is_digits(it));
            let number = number.and_then(|it| it.parse().ok());
            return number.map(Self::Lsn).ok_or(PositionError::Lsn);
        }
        if text.starts_with(binlog::PREFIX) {
            let place = BinlogPlace::parse(text);
            return place.map(Self::Binlog).ok_or(PositionError::Binlog);
        }
        if mariadb::looks_like(text) {
            let gtids = DomainGtids::parse(text);
            return gtids.map(Self::MariaDb).ok_or(PositionError::MariaDb);
        }
        Ok(Self::Gtids(GtidSet::parse(text)?))
    }

    /// What kind it is.
    pub const fn kind(&self) -> PositionKind {
        match self {
            Self::Nothing => PositionKind::Nothing,
            Self::Gtids(_) => PositionKind::Gtids,
            Self::MariaDb(_) => PositionKind::MariaDb,
            Self::Lsn(_) => PositionKind::Lsn,
            Self::Binlog(_) => PositionKind::Binlog,
        }
    }

    /// Whether everything in `other` is in `self`. What demands something is never covered by a
    /// position of another kind.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gtids(mine), Self::Gtids(theirs)) => mine.covers(theirs),
            (Self::MariaDb(mine), Self::MariaDb(theirs)) => mine.covers(theirs),
            (Self::Lsn(mine), Self::Lsn(theirs)) => mine >= theirs,
            (Self::Binlog(mine), Self::Binlog(theirs)) => mine.covers(theirs),
            (_, other) => other.is_empty(),
        }
    }

    /// Adds everything in `other`.
    ///
    /// # Errors
    /// When both demand something and belong to different histories.
    pub fn join(&mut self, other: &Self) -> Result<(), MixedKinds> {
        match (&mut *self, other) {
            (Self::Gtids(mine), Self::Gtids(theirs)) => mine.join(theirs),
            (Self::MariaDb(mine), Self::MariaDb(theirs)) => mine.join(theirs),
            (Self::Lsn(mine), Self::Lsn(theirs)) => *mine = (*mine).max(*theirs),
            (Self::Binlog(mine), Self::Binlog(theirs)) => return mine.join(theirs),
            (_, other) if other.is_empty() => {}
            (mine, other) if mine.is_empty() => mine.clone_from(other),
            _ => return Err(MixedKinds),
        }
        Ok(())
    }

    /// What of `self` somebody lacks who has `bound`.
    #[must_use]
    pub fn missing_from(&self, bound: &Self) -> Self {
        match (self, bound) {
            (Self::Gtids(wanted), Self::Gtids(bound)) => {
                let mut missing = wanted.clone();
                missing.subtract(bound);
                Self::Gtids(missing)
            }
            (Self::MariaDb(wanted), Self::MariaDb(bound)) => {
                Self::MariaDb(wanted.missing_from(bound))
            }
            _ => self.clone(),
        }
    }

    /// What two sets of transactions have in common; positions of other kinds, or of two kinds, are
    /// not taken apart, and have nothing.
    #[must_use]
    pub fn common_with(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Gtids(mine), Self::Gtids(theirs)) => {
                let mut foreign = mine.clone();
                foreign.subtract(theirs);
                let mut common = mine.clone();
                common.subtract(&foreign);
                Self::Gtids(common)
            }
            _ => Self::Nothing,
        }
    }

    /// How far it reaches ahead of `base`, in units of its kind, if it continues the history that
    /// `base` has. `None` when it may never come: it lies in a gap of `base`, or names a source
    /// that `base` does not know.
    pub fn ahead_of(&self, base: &Self) -> Option<u64> {
        match (self, base) {
            (Self::Gtids(wanted), Self::Gtids(base)) => wanted.ahead_of(base),
            (Self::MariaDb(wanted), Self::MariaDb(base)) => wanted.ahead_of(base),
            (Self::Lsn(wanted), Self::Lsn(base)) => Some(wanted.saturating_sub(*base)),
            (Self::Binlog(wanted), Self::Binlog(base)) => wanted.ahead_of(base),
            _ => None,
        }
    }

    /// How much of it somebody lacks who has `bound`: transactions, or what else its kind counts in.
    /// `None` where that cannot be told: of another kind, or in a domain or log that `bound` does not
    /// know.
    pub fn lacked_by(&self, bound: &Self) -> Option<u64> {
        match (self.missing_from(bound), bound) {
            (Self::Gtids(missing), Self::Gtids(_)) => Some(missing.count()),
            (missing, _) => missing.ahead_of(bound),
        }
    }

    /// Grows into the gaps that `known` has filled, where a kind has gaps: see
    /// [`GtidSet::fill_gaps`].
    pub fn fill_gaps(&mut self, known: &Self) {
        if let (Self::Gtids(set), Self::Gtids(known)) = (self, known) {
            set.fill_gaps(known);
        }
    }

    /// How many pieces it takes to write it down: its real size.
    pub fn fragments(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Gtids(set) => set.fragments(),
            Self::MariaDb(gtids) => gtids.domains(),
            Self::Lsn(_) | Self::Binlog(_) => 1,
        }
    }

    /// Whether it demands nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Nothing | Self::Lsn(0) => true,
            Self::Gtids(set) => set.is_empty(),
            Self::MariaDb(gtids) => gtids.domains() == 0,
            Self::Lsn(_) | Self::Binlog(_) => false,
        }
    }
}

impl From<GtidSet> for Position {
    fn from(set: GtidSet) -> Self {
        Self::Gtids(set)
    }
}

impl std::str::FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        Self::parse(text.as_bytes())
    }
}

/// GTIDs of both engines as their servers print them; `lsn:4711`; `binlog:server-uuid:file:4711`;
/// nothing for [`Position::Nothing`].
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Gtids(set) => set.fmt(f),
            Self::MariaDb(gtids) => gtids.fmt(f),
            Self::Lsn(number) => write!(f, "lsn:{number}"),
            Self::Binlog(place) => place.fmt(f),
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
