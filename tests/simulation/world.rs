//! The servers as they really are: what is visible on each, what it names, and how it comes there.
//!
//! A transaction of the primary is owned and in the binary log first, then visible, and only then
//! named by the executed set; its OK comes after that. A replica applies it the same way, several at
//! a time and out of order where it is allowed to.

use std::collections::BTreeSet;

use highwater::domain::position::GtidSet;

use super::bits::Bits;

pub(crate) type TxnId = usize;

/// The source of transactions whose owners chose their GTIDs.
const CHOSEN: usize = 999;

/// How many transactions of a replica may be applied at a time.
const WORKERS: usize = 3;

/// What a restart with relaxed durability can lose.
const LOST_AT_MOST: usize = 8;

pub(crate) struct Txn {
    /// The server that numbered it, and the number; `None` for one in no binary log.
    pub(crate) gtid: Option<(usize, u64)>,
    /// When the primary's executed set named it, in microseconds.
    pub(crate) executed_at: Option<u64>,
    /// Owned by somebody who has not begun to commit it, in this life of this server.
    owned_only: Option<(usize, u64)>,
}

/// One server process on one machine.
#[derive(Default)]
pub(crate) struct Server {
    pub(crate) life: u64,
    pub(crate) up: bool,
    pub(crate) visible: Bits,
    named: Bits,
    pub(crate) executed: GtidSet,
    pub(crate) owned: BTreeSet<TxnId>,
    /// What it has or is applying.
    claimed: Bits,
    pub(crate) stalled_until: u64,
    /// Applies in parallel, without keeping the order of commits.
    pub(crate) parallel: bool,
    numbers: u64,
}

pub(crate) struct World {
    pub(crate) servers: Vec<Server>,
    /// Which server answers at a configured address.
    pub(crate) at: Vec<usize>,
    pub(crate) txns: Vec<Txn>,
    /// The primary's binary log.
    log: Vec<TxnId>,
    /// Acknowledged or not: what a failover left behind.
    pub(crate) lost: Bits,
    /// Written on a replica behind the primary's back.
    pub(crate) errant: Bits,
    /// In no binary log.
    pub(crate) unlogged: Bits,
    /// Addresses that answer nobody until then.
    pub(crate) unreachable_until: Vec<u64>,
    pub(crate) failovers: usize,
}

impl World {
    pub(crate) fn new(servers: usize) -> Self {
        let server = || Server {
            up: true,
            ..Server::default()
        };
        Self {
            servers: (0..servers).map(|_| server()).collect(),
            at: (0..servers).collect(),
            txns: Vec::new(),
            log: Vec::new(),
            lost: Bits::default(),
            errant: Bits::default(),
            unlogged: Bits::default(),
            unreachable_until: vec![0; servers],
            failovers: 0,
        }
    }

    pub(crate) fn primary(&self) -> usize {
        self.at[0]
    }

    /// Whether a connection to that life of a server still works.
    pub(crate) fn lives(&self, server: usize, life: u64) -> bool {
        let it = &self.servers[server];
        it.up && it.life == life
    }

    /// A transaction begins to commit on a server.
    pub(crate) fn begin(&mut self, server: usize, logged: bool) -> TxnId {
        let id = self.txns.len();
        let it = &mut self.servers[server];
        let gtid = logged.then(|| {
            it.numbers += 1;
            (server, it.numbers)
        });
        self.txns.push(Txn {
            gtid,
            executed_at: None,
            owned_only: None,
        });
        let it = &mut self.servers[server];
        if logged {
            it.owned.insert(id);
            it.claimed.insert(id);
            if self.at[0] == server {
                self.log.push(id);
            } else {
                self.errant.insert(id);
            }
        } else {
            self.unlogged.insert(id);
        }
        id
    }

    /// Somebody takes a GTID of his own choice on the primary, and works.
    pub(crate) fn own(&mut self) -> Option<(usize, u64, TxnId)> {
        let (id, server) = (self.txns.len(), self.at[0]);
        let it = self.servers.get_mut(server).filter(|it| it.up)?;
        self.txns.push(Txn {
            gtid: Some((CHOSEN, id as u64 + 1)),
            executed_at: None,
            owned_only: Some((server, it.life)),
        });
        it.owned.insert(id);
        Some((server, it.life, id))
    }

    /// Its transaction begins to commit.
    pub(crate) fn log_owned(&mut self, server: usize, id: TxnId) {
        self.txns[id].owned_only = None;
        self.servers[server].claimed.insert(id);
        self.log.push(id);
    }

    /// It does not.
    pub(crate) fn roll_back(&mut self, server: usize, id: TxnId) {
        self.servers[server].owned.remove(&id);
    }

    /// What somebody owned in the present life of the primary, and rolled back.
    pub(crate) fn rolled_back(&self) -> impl Iterator<Item = TxnId> {
        let server = self.primary();
        let it = &self.servers[server];
        let here = move |id: &TxnId| {
            self.txns[*id].owned_only == Some((server, it.life)) && !it.owned.contains(id)
        };
        (0..self.txns.len()).filter(here)
    }

    pub(crate) fn show(&mut self, server: usize, id: TxnId) {
        self.servers[server].visible.insert(id);
    }

    /// The executed set names it from now on.
    pub(crate) fn name(&mut self, server: usize, id: TxnId, now: u64) {
        let text = self.gtid(id);
        let it = &mut self.servers[server];
        it.owned.remove(&id);
        it.named.insert(id);
        if let Some(text) = text {
            it.executed.join(&GtidSet::parse(text.as_bytes()).unwrap());
        }
        if self.at[0] == server {
            self.txns[id].executed_at.get_or_insert(now);
        }
    }

    /// `uuid:number`.
    pub(crate) fn gtid(&self, id: TxnId) -> Option<String> {
        let (source, number) = self.txns[id].gtid?;
        Some(format!("{}:{number}", uuid(source)))
    }

    /// What a server owns, as a set.
    pub(crate) fn owned(&self, server: usize) -> GtidSet {
        let mut set = GtidSet::new();
        for &id in &self.servers[server].owned {
            if let Some(text) = self.gtid(id) {
                set.join(&GtidSet::parse(text.as_bytes()).unwrap());
            }
        }
        set
    }

    /// The next transaction for the replica at an address, its server and that server's life.
    pub(crate) fn fetch(&mut self, backend: usize, now: u64) -> Option<(usize, u64, TxnId)> {
        let server = self.at[backend];
        let primary = &self.servers[self.at[0]];
        let it = &self.servers[server];
        let busy = it.owned.len() >= if it.parallel { WORKERS } else { 1 };
        if !it.up || !primary.up || busy || it.stalled_until > now {
            return None;
        }
        let id = self
            .log
            .iter()
            .copied()
            .find(|&id| !it.claimed.contains(id))?;
        let it = &mut self.servers[server];
        it.claimed.insert(id);
        it.owned.insert(id);
        Some((server, it.life, id))
    }

    /// A server dies. What was on its way is there afterwards, unless it `loses` it, and perhaps more:
    /// `keeps` is asked for each of its last transactions.
    pub(crate) fn crash(&mut self, server: usize, mut keeps: impl FnMut() -> bool, now: u64) {
        let is_primary = self.at[0] == server;
        let recent: Vec<TxnId> = match is_primary {
            true => Vec::new(),
            false => {
                let applied = self.log.iter().rev().copied();
                let visible = &self.servers[server].visible;
                applied
                    .filter(|&id| visible.contains(id))
                    .take(LOST_AT_MOST)
                    .collect()
            }
        };
        let gone: Vec<TxnId> = recent.into_iter().filter(|_| !keeps()).collect();
        let half_done: Vec<TxnId> = self.servers[server].owned.iter().copied().collect();
        for id in half_done {
            let committing = self.txns[id].owned_only.is_none();
            if committing && (is_primary || keeps()) {
                self.show(server, id);
                self.name(server, id, now);
            } else {
                self.forget(server, id);
            }
        }
        for id in gone {
            self.forget(server, id);
        }
        let it = &mut self.servers[server];
        it.life += 1;
        it.up = false;
        it.owned.clear();
        it.claimed.clone_from(&it.visible);
        self.recount(server);
    }

    fn forget(&mut self, server: usize, id: TxnId) {
        let it = &mut self.servers[server];
        it.visible.remove(id);
        it.named.remove(id);
        it.owned.remove(&id);
    }

    /// Makes the executed set anew from what is named.
    fn recount(&mut self, server: usize) {
        let mut executed = GtidSet::new();
        for id in 0..self.txns.len() {
            if self.servers[server].named.contains(id)
                && let Some(text) = self.gtid(id)
            {
                executed.join(&GtidSet::parse(text.as_bytes()).unwrap());
            }
        }
        self.servers[server].executed = executed;
    }

    /// The replica at this address becomes the primary, under the primary's address, and everybody
    /// else is made anew from it. What it lacks is lost.
    pub(crate) fn fail_over(&mut self, backend: usize, now: u64) {
        self.failovers += 1;
        let (old, new) = (self.at[0], self.at[backend]);
        self.at.swap(0, backend);
        let half_done: Vec<TxnId> = self.servers[new].owned.iter().copied().collect();
        for id in half_done {
            self.show(new, id);
            self.name(new, id, now);
        }
        for id in 0..self.txns.len() {
            if self.servers[new].visible.contains(id) {
                if self.errant.contains(id) && !self.log.contains(&id) {
                    self.log.push(id);
                }
                self.txns[id].executed_at.get_or_insert(now);
            } else {
                self.lost.insert(id);
            }
        }
        let kept = &self.servers[new].visible;
        self.log.retain(|&id| kept.contains(id));
        let others: Vec<usize> = (0..self.servers.len()).filter(|&it| it != new).collect();
        for server in others {
            let source = &self.servers[new];
            let (visible, executed) = (source.visible.clone(), source.executed.clone());
            let it = &mut self.servers[server];
            it.life += 1;
            it.up = false;
            it.owned.clear();
            it.claimed.clone_from(&visible);
            it.named.clone_from(&visible);
            (it.visible, it.executed) = (visible, executed);
        }
        debug_assert_ne!(old, new);
    }
}

/// The uuid of a server.
pub(crate) fn uuid(server: usize) -> String {
    format!("{:08x}-0000-0000-0000-000000000000", server + 1)
}
