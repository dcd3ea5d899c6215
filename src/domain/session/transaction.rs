//! Where a session stands in its transaction, by what the server says.

use super::Side;

/// Status flags of OK and EOF packets (MySQL protocol, `SERVER_STATUS_*`).
mod flag {
    pub(super) const IN_TRANSACTION: u16 = 0x0001;
    pub(super) const AUTOCOMMIT: u16 = 0x0002;
    pub(super) const NO_BACKSLASH_ESCAPES: u16 = 0x0200;
    pub(super) const READ_ONLY: u16 = 0x2000;
}

/// Transaction state.
///
/// ```text
///   closed --BEGIN, deferred--> deferred --first write--> open(primary)
///   closed --BEGIN / first statement with autocommit off--> open(side) --COMMIT, ROLLBACK--> closed
/// ```
#[derive(Clone, Debug)]
pub struct Transaction {
    open_on: Option<Side>,
    deferred: Option<Deferred>,
    read_only: bool,
    autocommit: bool,
    no_backslash_escapes: bool,
    one_shot: bool,
    tables_locked: bool,
    wrote: bool,
    read: bool,
    savepoint: bool,
    /// A statement failed on the primary, and no error says whether it began or ended a transaction there.
    unsure: bool,
}

/// A transaction that its client believes to be open, but that is open on no server yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// Whether the client spelled READ WRITE out.
    pub read_write: bool,
}

impl Deferred {
    /// The statement that opens it on the primary.
    pub const fn statement(self) -> &'static str {
        match self.read_write {
            true => "START TRANSACTION READ WRITE",
            false => "START TRANSACTION",
        }
    }
}

impl Default for Transaction {
    fn default() -> Self {
        Self {
            open_on: None,
            deferred: None,
            read_only: false,
            autocommit: true,
            no_backslash_escapes: false,
            one_shot: false,
            tables_locked: false,
            wrote: false,
            read: false,
            savepoint: false,
            unsure: false,
        }
    }
}

impl Transaction {
    /// The session starts with this autocommit, the server's global default.
    pub fn start_with_autocommit(&mut self, on: bool) {
        self.autocommit = on;
    }

    /// The session's strings have no escapes from the start: so has the server's global `sql_mode` it.
    pub fn start_without_backslash_escapes(&mut self, without: bool) {
        self.no_backslash_escapes = without;
    }

    /// The connection that the open transaction lives on.
    pub fn open_on(&self) -> Option<Side> {
        self.open_on
    }

    /// Whether a transaction is open, as far as the client knows.
    pub fn is_open(&self) -> bool {
        self.open_on.is_some() || self.deferred.is_some()
    }

    /// Whether only the primary's connection knows if a transaction is open there.
    pub fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// Whether a transaction is open on the primary's connection, for all that is known.
    pub fn may_be_on_primary(&self) -> bool {
        self.unsure || self.open_on == Some(Side::Primary)
    }

    /// A statement failed on the primary: what it began there goes on, such as the snapshot of a read, and
    /// what it ended before it failed is over. `opaque` says that it may have been several.
    pub(super) fn on_failed(&mut self, opaque: bool) {
        self.unsure |= match self.open_on {
            Some(side) => side == Side::Primary,
            None => opaque || !self.autocommit,
        };
    }

    /// The transaction that waits for its first write.
    pub fn deferred(&self) -> Option<Deferred> {
        self.deferred
    }

    /// The client began a transaction, with BEGIN or with a read while autocommit is off, and no
    /// server knows of it yet.
    pub fn defer(&mut self, deferred: Deferred) {
        self.deferred = Some(deferred);
    }

    /// The client ended the transaction that waited, or another one takes its place: it did nothing.
    pub fn drop_deferred(&mut self) {
        self.deferred = None;
    }

    /// The transaction that waited was begun on the primary.
    pub fn on_deferred_opened(&mut self) {
        self.deferred = None;
        self.open_on = Some(Side::Primary);
        self.read_only = false;
    }

    /// Status flags that a replica's answer to a read outside of its own transactions lacks, and
    /// those that it has too many: there every read commits by itself.
    pub fn flags_on_replica(&self) -> (u16, u16) {
        if self.open_on == Some(Side::Replica) {
            return (0, 0);
        }
        let lacks = match self.deferred {
            Some(_) => flag::IN_TRANSACTION,
            None => 0,
        };
        let extra = match self.autocommit {
            true => 0,
            false => flag::AUTOCOMMIT,
        };
        (lacks, extra)
    }

    /// Status flags that the primary's answer lacks: a READ ONLY transaction is open on a replica.
    pub fn flags_on_primary(&self) -> u16 {
        match self.open_on {
            Some(Side::Replica) => self.status_flags() & (flag::IN_TRANSACTION | flag::READ_ONLY),
            _ => 0,
        }
    }

    /// Whether the open transaction is READ ONLY.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Whether autocommit is on.
    pub fn autocommit(&self) -> bool {
        self.autocommit
    }

    /// Whether a backslash in a string literal is only a backslash (sql_mode
    /// NO_BACKSLASH_ESCAPES, which every status says).
    pub fn no_backslash_escapes(&self) -> bool {
        self.no_backslash_escapes
    }

    /// Whether SET TRANSACTION … waits for the next transaction on the primary's connection.
    pub fn one_shot(&self) -> bool {
        self.one_shot
    }

    /// Whether LOCK TABLES is in force.
    pub fn tables_locked(&self) -> bool {
        self.tables_locked
    }

    /// Whether the transaction that is open, or was until the statement in flight, changed
    /// something.
    pub fn may_have_written(&self) -> bool {
        self.wrote
    }

    /// Whether the open transaction has read anything, so that its snapshot is taken.
    pub fn has_read(&self) -> bool {
        self.read
    }

    /// Whether the primary's connection may have a savepoint or a transaction though none was told: with
    /// autocommit off a savepoint can be set first, and a statement that failed began one all the same.
    /// What comes next belongs to it.
    pub fn has_savepoint(&self) -> bool {
        self.savepoint
    }

    /// A statement on the primary told of no open transaction; `savepoint` says whether it may have left
    /// a savepoint or a transaction.
    pub fn on_left_closed(&mut self, savepoint: bool) {
        self.savepoint = savepoint && !self.autocommit;
    }

    /// A READ ONLY transaction that had read nothing was ended where it was and begun on the primary.
    pub fn on_moved_to_primary(&mut self) {
        self.open_on = Some(Side::Primary);
        self.read_only = true;
    }

    /// The status flags of an OK packet that Highwater makes itself.
    pub fn status_flags(&self) -> u16 {
        let when = |set: bool, bits: u16| if set { bits } else { 0 };
        when(self.is_open(), flag::IN_TRANSACTION)
            | when(self.read_only, flag::READ_ONLY)
            | when(self.autocommit, flag::AUTOCOMMIT)
            | when(self.no_backslash_escapes, flag::NO_BACKSLASH_ESCAPES)
    }

    /// The transaction's connection is gone, and the transaction with it.
    pub fn on_lost(&mut self) {
        self.open_on = None;
        self.deferred = None;
        self.read_only = false;
        self.wrote = false;
        self.read = false;
        self.one_shot = false;
        self.tables_locked = false;
        self.savepoint = false;
        self.unsure = false;
    }

    pub(super) fn on_status(&mut self, side: Side, status: u16) {
        let opens = status & flag::IN_TRANSACTION != 0;
        self.unsure &= side != Side::Primary;
        if side == Side::Primary || self.open_on == Some(side) || opens {
            // Other reads on a replica commit by themselves whatever the session's autocommit is.
            self.autocommit = status & flag::AUTOCOMMIT != 0;
            self.savepoint &= !self.autocommit;
        }
        self.no_backslash_escapes = status & flag::NO_BACKSLASH_ESCAPES != 0;
        if opens {
            self.open_on = Some(side);
            self.deferred = None;
            self.read_only = status & flag::READ_ONLY != 0;
            self.one_shot = false;
            self.savepoint = false;
        } else if self.open_on == Some(side) {
            self.open_on = None;
            self.read_only = false;
        }
    }

    /// Type 4: SQL that would recreate the characteristics. Outside a transaction it is what
    /// SET TRANSACTION prepared for the next one; empty when there is nothing.
    pub(super) fn on_characteristics(&mut self, sql: &[u8]) {
        self.one_shot = sql.len() > 1 && !contains(sql, b"START TRANSACTION");
    }

    /// A statement read, or began the transaction with its snapshot.
    pub(super) fn on_read(&mut self) {
        self.read = true;
    }

    /// Type 5: `R` read transactional, `r` read other tables, `W` wrote transactional, `w` wrote other tables, `L` LOCK TABLES. `s` (unsafe for
    /// statement-based logging) says nothing of writes: every LIMIT and RAND() sets it.
    pub(super) fn on_letters(&mut self, side: Side, letters: &[u8]) {
        if self.open_on == Some(side) {
            self.read |= letters.iter().any(|letter| matches!(letter, b'R' | b'r'));
        }
        self.tables_locked = letters.contains(&b'L');
        if letters.iter().any(|letter| matches!(letter, b'W' | b'w')) {
            self.wrote = true;
        }
    }

    /// The same of a statement that ends a transaction: where one is open that has done nothing, it was
    /// chained to the one that ended, and takes a snapshot of its own.
    pub(super) fn on_letters_at_end(&mut self, side: Side, letters: &[u8]) {
        let untouched = letters.iter().skip(1).all(|letter| *letter == b'_');
        if self.open_on == Some(side) && untouched {
            self.read = false;
        }
    }

    /// A statement in the open transaction was a write by its text.
    pub(super) fn on_write(&mut self) {
        self.wrote = true;
    }

    pub(super) fn on_statement_end(&mut self) {
        if self.open_on.is_none() {
            self.wrote = false;
            self.read = false;
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTOCOMMIT: u16 = 0x0002;

    #[test]
    fn an_error_leaves_open_what_only_the_next_status_tells() {
        // Autocommit, whether a transaction was open, whether several statements may have failed; unsure.
        for (autocommit, open, opaque, unsure) in [
            (true, false, false, false),
            (true, false, true, true),
            (true, true, false, true),
            (false, false, false, true),
        ] {
            let mut transaction = Transaction::default();
            let flags = if autocommit { AUTOCOMMIT } else { 0 };
            transaction.on_status(Side::Primary, flags | u16::from(open));
            transaction.on_failed(opaque);
            let case = (autocommit, open, opaque);
            assert_eq!(transaction.is_unsure(), unsure, "{case:?}");
            assert_eq!(transaction.may_be_on_primary(), unsure, "{case:?}");
            transaction.on_status(Side::Primary, AUTOCOMMIT);
            assert!(!transaction.may_be_on_primary(), "{case:?}");
        }
    }

    #[test]
    fn the_primary_does_not_tell_of_a_transaction_on_a_replica() {
        let mut transaction = Transaction::default();
        transaction.on_status(Side::Replica, 0x2003);
        transaction.on_failed(true);
        assert!(!transaction.is_unsure(), "it is not the primary's");
        assert_eq!(transaction.flags_on_primary(), 0x2001);
        transaction.on_status(Side::Primary, AUTOCOMMIT);
        assert_eq!(transaction.open_on(), Some(Side::Replica));
        transaction.on_status(Side::Replica, AUTOCOMMIT);
        assert_eq!(transaction.flags_on_primary(), 0);
    }
}
