//! What binds a session to its connection to the primary: what cannot be restored on another one.
//! Each pin says why, which statement made it, and when; it ends as soon as what it stands for is gone.

use std::time::Instant;

use crate::domain::sql::state::{ServerLock, TableName, Touches};

/// Pins that are told apart. Beyond that only a reset takes one away.
const MAX_PINS: usize = 256;

/// Why a session keeps to one server connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PinReason {
    /// A temporary table.
    TemporaryTable,
    /// LOCK TABLES, FLUSH TABLES WITH READ LOCK and their kin.
    TableLock,
    /// GET_LOCK().
    NamedLock,
    /// A user variable with a value that only the server knows.
    UserVariable,
    /// A statement that was prepared as text.
    TextPrepared,
    /// HANDLER … OPEN.
    Handler,
    /// An XA transaction.
    Xa,
    /// SET ROLE, which a reset does not undo.
    Role,
    /// SET RESOURCE GROUP, which a reset does not undo.
    ResourceGroup,
    /// A variable of the connection that no tracker tells.
    Setting,
    /// A cursor that is open.
    Cursor,
    /// Parts of a parameter that were sent ahead.
    LongData,
    /// Something ran that may have done anything: a routine, or a statement that was not understood.
    Unknown,
}

impl PinReason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::TemporaryTable,
        Self::TableLock,
        Self::NamedLock,
        Self::UserVariable,
        Self::TextPrepared,
        Self::Handler,
        Self::Xa,
        Self::Role,
        Self::ResourceGroup,
        Self::Setting,
        Self::Cursor,
        Self::LongData,
        Self::Unknown,
    ];

    /// The metric label and log field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TemporaryTable => "temporary_table",
            Self::TableLock => "table_lock",
            Self::NamedLock => "named_lock",
            Self::UserVariable => "user_variable",
            Self::TextPrepared => "text_prepared",
            Self::Handler => "handler",
            Self::Xa => "xa",
            Self::Role => "role",
            Self::ResourceGroup => "resource_group",
            Self::Setting => "setting",
            Self::Cursor => "cursor",
            Self::LongData => "long_data",
            Self::Unknown => "unknown",
        }
    }

    /// What it means and how it ends, as a sentence for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::TemporaryTable => "a temporary table exists; DROP ends it",
            Self::TableLock => "tables are locked; UNLOCK TABLES ends it",
            Self::NamedLock => "GET_LOCK() holds a lock; RELEASE_LOCK() ends it",
            Self::UserVariable => {
                "a user variable has a value that only the server knows; SET to a constant ends it"
            }
            Self::TextPrepared => "PREPARE made a statement; DEALLOCATE PREPARE ends it",
            Self::Handler => "HANDLER … OPEN is in force; HANDLER … CLOSE ends it",
            Self::Xa => "an XA transaction is open; its end ends it",
            Self::Role => "SET ROLE, which no reset undoes; the end of the session ends it",
            Self::ResourceGroup => {
                "SET RESOURCE GROUP, which no reset undoes; the end of the session ends it"
            }
            Self::Setting => "a setting that cannot be restored elsewhere; a reset ends it",
            Self::Cursor => "a cursor is open; its last row, or its statement's end, ends it",
            Self::LongData => "parts of a parameter were sent ahead; the execution ends it",
            Self::Unknown => {
                "a routine or a statement that was not understood may have left something; a reset ends it"
            }
        }
    }
}

/// A pin in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Why.
    pub reason: PinReason,
    /// The fingerprint of the statement that made it; 0 when that was not read.
    pub fingerprint: u64,
    /// When that statement ended.
    pub since: Instant,
}

/// What a pin stands for. Names are those that the server compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// A temporary table; its schema is spelled out unless the session had none.
    TemporaryTable(TableName),
    /// Temporary tables of unknown names, perhaps.
    SomeTemporaryTables,
    /// LOCK TABLES, by the server's word.
    Tables,
    /// A lock of the whole server.
    Server(ServerLock),
    /// A named lock.
    NamedLock(Box<[u8]>),
    /// Named locks of unknown names, perhaps.
    SomeNamedLocks,
    /// A user variable.
    UserVariable(Box<[u8]>),
    /// User variables of unknown names.
    SomeUserVariables,
    /// A statement that was prepared as text.
    Prepared(Box<[u8]>),
    /// A handler.
    Handler(Box<[u8]>),
    /// An XA transaction.
    Xa,
    /// A role.
    Role,
    /// A resource group.
    ResourceGroup,
    /// A variable of the connection.
    Setting(Box<[u8]>),
    /// A cursor.
    Cursor,
    /// Parts of a parameter.
    LongData,
    /// Anything.
    Unknown,
}

impl Held {
    /// Why it pins.
    pub const fn reason(&self) -> PinReason {
        match self {
            Self::TemporaryTable(_) | Self::SomeTemporaryTables => PinReason::TemporaryTable,
            Self::Tables | Self::Server(_) => PinReason::TableLock,
            Self::NamedLock(_) | Self::SomeNamedLocks => PinReason::NamedLock,
            Self::UserVariable(_) | Self::SomeUserVariables => PinReason::UserVariable,
            Self::Prepared(_) => PinReason::TextPrepared,
            Self::Handler(_) => PinReason::Handler,
            Self::Xa => PinReason::Xa,
            Self::Role => PinReason::Role,
            Self::ResourceGroup => PinReason::ResourceGroup,
            Self::Setting(_) => PinReason::Setting,
            Self::Cursor => PinReason::Cursor,
            Self::LongData => PinReason::LongData,
            Self::Unknown => PinReason::Unknown,
        }
    }

    /// The same without a name, for a session that has too many.
    const fn nameless(&self) -> Self {
        match self {
            Self::TemporaryTable(_) => Self::SomeTemporaryTables,
            Self::NamedLock(_) => Self::SomeNamedLocks,
            Self::UserVariable(_) => Self::SomeUserVariables,
            _ => Self::Unknown,
        }
    }

    /// Whether COM_RESET_CONNECTION leaves it where it is (tried on MySQL 9.7 and MariaDB 10.11).
    const fn outlives_reset(&self) -> bool {
        matches!(self, Self::Role | Self::ResourceGroup)
    }
}

/// The pins of one session.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    held: Vec<(Held, Pin)>,
    /// What the statements do that were prepared as text.
    prepared: Vec<(Box<[u8]>, Touches)>,
    version: u64,
}

impl Pins {
    /// A statement with this fingerprint made the session hold something. What is held already keeps
    /// its beginning.
    pub fn hold(&mut self, held: Held, fingerprint: u64, now: Instant) {
        let held = match self.held.len() >= MAX_PINS {
            true => held.nameless(),
            false => held,
        };
        if self.has(&held) {
            return;
        }
        let pin = Pin {
            reason: held.reason(),
            fingerprint,
            since: now,
        };
        self.held.push((held, pin));
        self.version += 1;
    }

    /// It is gone.
    pub fn release(&mut self, held: &Held) {
        self.retain(|it| it != held);
    }

    /// Keeps only what `stays` says.
    pub fn retain(&mut self, stays: impl Fn(&Held) -> bool) {
        let before = self.held.len();
        self.held.retain(|(held, _)| stays(held));
        self.version += u64::from(self.held.len() != before);
    }

    /// COM_RESET_CONNECTION.
    pub fn on_reset(&mut self) {
        self.retain(Held::outlives_reset);
        self.prepared.clear();
    }

    /// A temporary table has another name. The pin stays the same.
    pub fn rename(&mut self, from: &TableName, to: TableName) {
        let named = |(held, _): &&mut (Held, Pin)| matches!(held, Held::TemporaryTable(name) if name == from);
        if let Some((held, _)) = self.held.iter_mut().find(named) {
            *held = Held::TemporaryTable(to);
            self.version += 1;
        }
    }

    /// A statement was prepared as text, in the place of one of the same name.
    pub fn on_prepared(&mut self, name: &[u8], touches: Touches) {
        self.prepared.retain(|(other, _)| **other != *name);
        if self.prepared.len() < MAX_PINS {
            self.prepared.push((name.into(), touches));
        }
    }

    /// What executing the statement of this name does; `None` where that is not known.
    pub fn prepared(&self, name: &[u8]) -> Option<&Touches> {
        let found = self.prepared.iter().find(|(other, _)| **other == *name);
        found.map(|(_, touches)| touches)
    }

    /// Whether this is held.
    pub fn has(&self, held: &Held) -> bool {
        self.held.iter().any(|(it, _)| it == held)
    }

    /// Whether something is held for this reason.
    pub fn has_reason(&self, reason: PinReason) -> bool {
        self.held.iter().any(|(_, pin)| pin.reason == reason)
    }

    /// Whether anything is held.
    pub fn any(&self) -> bool {
        !self.held.is_empty()
    }

    /// The first pin that is still in force.
    pub fn first(&self) -> Option<Pin> {
        self.held.first().map(|(_, pin)| *pin)
    }

    /// All pins in force, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Pin> {
        self.held.iter().map(|(_, pin)| *pin)
    }

    /// Grows with every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether the session may have temporary tables.
    pub fn has_temporary_tables(&self) -> bool {
        self.has_reason(PinReason::TemporaryTable)
    }

    /// The names of its temporary tables, without schemas; `None` if there may be more than are known.
    pub fn temporary_tables(&self) -> Option<impl Iterator<Item = &[u8]> + Clone> {
        let names = self.held.iter().filter_map(|(held, _)| match held {
            Held::TemporaryTable(name) => Some(&*name.table),
            _ => None,
        });
        (!self.has(&Held::SomeTemporaryTables)).then_some(names)
    }

    /// The names of the named locks that it may hold and whose names are known.
    pub fn named_locks(&self) -> impl Iterator<Item = &[u8]> {
        self.held.iter().filter_map(|(held, _)| match held {
            Held::NamedLock(name) => Some(&**name),
            _ => None,
        })
    }

    /// Whether tables are locked.
    pub fn locks_tables(&self) -> bool {
        self.has(&Held::Tables)
    }

    /// Whether a user variable may have a value that only the connection knows.
    pub fn has_user_variables(&self) -> bool {
        self.has_reason(PinReason::UserVariable) || self.has_reason(PinReason::Unknown)
    }

    /// Whether a READ ONLY transaction must stay on the primary, since what it may use is there.
    pub fn bind_transactions(&self) -> bool {
        let elsewhere = |pin: Pin| {
            matches!(
                pin.reason,
                PinReason::TemporaryTable
                    | PinReason::NamedLock
                    | PinReason::UserVariable
                    | PinReason::TextPrepared
                    | PinReason::Handler
                    | PinReason::Unknown
            )
        };
        self.iter().any(elsewhere)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> Held {
        Held::TemporaryTable(TableName {
            schema: None,
            table: name.as_bytes().into(),
        })
    }

    #[test]
    fn the_last_name_unpins() {
        let mut pins = Pins::default();
        let now = Instant::now();
        pins.hold(table("a"), 1, now);
        pins.hold(table("b"), 2, now);
        let version = pins.version();
        pins.hold(table("a"), 3, now);
        assert_eq!(pins.version(), version, "held already");
        assert_eq!(pins.first().map(|pin| pin.fingerprint), Some(1));
        pins.release(&table("a"));
        assert!(pins.any());
        pins.release(&table("b"));
        assert!(!pins.any());
        assert!(pins.version() > version);
    }

    #[test]
    fn too_many_names_are_none() {
        let mut pins = Pins::default();
        for index in 0..=MAX_PINS {
            pins.hold(table(&index.to_string()), 0, Instant::now());
        }
        assert_eq!(pins.iter().count(), MAX_PINS + 1);
        assert!(pins.temporary_tables().is_none());
        for index in 0..=MAX_PINS {
            pins.release(&table(&index.to_string()));
        }
        assert!(pins.has_temporary_tables());
        pins.on_reset();
        assert!(!pins.any());
    }

    #[test]
    fn a_reset_leaves_roles() {
        let mut pins = Pins::default();
        for held in [Held::Role, Held::Unknown, Held::Xa] {
            pins.hold(held, 0, Instant::now());
        }
        pins.on_reset();
        assert_eq!(pins.iter().count(), 1);
        assert!(pins.has_reason(PinReason::Role));
    }

    #[test]
    fn reasons_stand_at_their_numbers() {
        for (index, reason) in PinReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
