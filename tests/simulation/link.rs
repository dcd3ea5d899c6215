//! A connection of a session to a server, and what the server does with a statement on it.

use highwater::domain::ids::BackendId;
use highwater::domain::session::{Applied, Outcome};
use highwater::domain::topology::Generation;

use super::bits::Bits;
use super::client::{Client, Kind, Op};
use super::sim::{Defect, POOL, Sim};
use super::watch::incarnation;
use super::world::TxnId;

const AUTOCOMMIT: u16 = 0x0002;
const IN_TRANSACTION: u16 = 0x0001;
const READ_ONLY: u16 = 0x2000;

/// A leased connection.
pub(crate) struct Link {
    pub(crate) backend: BackendId,
    pub(crate) generation: Option<Generation>,
    pub(crate) server: usize,
    pub(crate) life: u64,
    pub(crate) serial: u64,
    pub(crate) applied: Applied,
    transaction: Option<Open>,
}

impl Link {
    /// START TRANSACTION READ ONLY, of which the client knows nothing.
    pub(crate) fn begin_read_only(&mut self) {
        self.transaction = Some(Open {
            read_only: true,
            ..Open::default()
        });
    }
}

/// A transaction that is open on a connection.
#[derive(Default)]
struct Open {
    read_only: bool,
    writes: bool,
    /// A change to a table without transactions, which a ROLLBACK leaves.
    stays: bool,
    snapshot: Option<Bits>,
}

/// What a server answered.
pub(crate) struct Reply {
    pub(crate) outcome: Outcome,
    pub(crate) status: u16,
    pub(crate) seen: Option<Bits>,
    pub(crate) gtid: Option<String>,
    pub(crate) letters: &'static [u8],
    /// What was committed, told or not.
    pub(crate) committed: Option<TxnId>,
    /// 1792: a write on a replica.
    pub(crate) refused: bool,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoLink {
    Unreachable,
    Exhausted,
}

impl Sim {
    /// Leased connections to one server.
    pub(crate) fn leased(&self, backend: usize) -> usize {
        let leases = self.leases.borrow();
        leases.iter().filter(|(_, to)| *to == backend).count()
    }

    pub(crate) async fn lease(&self, backend: BackendId) -> Result<Link, NoLink> {
        self.travel().await;
        // The primary's pool is as large as the number of clients.
        if !backend.is_primary() && self.leased(backend.index()) >= POOL {
            return Err(NoLink::Exhausted);
        }
        let (server, life) = self.reach(backend.index()).ok_or(NoLink::Unreachable)?;
        let reached = incarnation(server, life);
        let generation = self.watch.borrow().identify(backend.index(), &reached);
        self.serial.set(self.serial.get() + 1);
        let serial = self.serial.get();
        self.leases.borrow_mut().insert((serial, backend.index()));
        Ok(Link {
            backend,
            generation,
            server,
            life,
            serial,
            applied: Applied::default(),
            transaction: None,
        })
    }

    /// A lease ends, here and nowhere else.
    pub(crate) fn end_lease(&self, link: Link) {
        let lease = (link.serial, link.backend.index());
        let alive = self.world.borrow().lives(link.server, link.life);
        let times = 1 + usize::from(!alive && self.has(Defect::LeasesEndTwice));
        for _ in 0..times {
            if !self.leases.borrow_mut().remove(&lease) {
                self.broken(|| format!("lease {lease:?} ended twice"));
            }
        }
    }

    pub(crate) fn is_alive(&self, link: &Link) -> bool {
        let reachable = self.reach(link.backend.index()).is_some();
        reachable && self.world.borrow().lives(link.server, link.life)
    }

    /// Sends a statement and gives the reply; `None` when the connection broke on the way.
    pub(crate) async fn send(&self, client: &Client, link: &mut Link, op: &Op) -> Option<Reply> {
        self.travel().await;
        let alive = self.world.borrow().lives(link.server, link.life);
        if !alive {
            return None;
        }
        let reply = self.serve(client, link, op).await?;
        self.travel().await;
        let alive = self.world.borrow().lives(link.server, link.life);
        // A reply that was on its way may still arrive.
        let lost = !alive && self.random.percent(70) || self.random.percent(1);
        (!lost).then_some(reply)
    }

    async fn serve(&self, client: &Client, link: &mut Link, op: &Op) -> Option<Reply> {
        if op.kind.writes() && !self.received.borrow_mut().insert(op.id) {
            self.broken(|| format!("client {}: write {} was sent twice", client.id, op.id));
        }
        let in_write = link
            .transaction
            .as_ref()
            .is_some_and(|open| !open.read_only);
        if !link.backend.is_primary() && (op.kind.belongs_to_primary() || in_write) {
            self.broken(|| format!("client {}: {:?} left the primary", client.id, op.kind));
        }
        if link.backend.is_primary()
            && let Some(pinned) = client.pinned
            && pinned != link.serial
        {
            self.broken(|| format!("client {}: its temporary table is elsewhere", client.id));
        }
        let mut reply = match op.kind {
            Kind::Read | Kind::PrimaryRead | Kind::Locking => self.show(link),
            Kind::HiddenWrite if !link.backend.is_primary() => Reply {
                refused: true,
                ..plain(Outcome::Failed)
            },
            Kind::HiddenWrite | Kind::Write | Kind::Unlogged | Kind::HalfFails => {
                self.write(link, op).await?
            }
            Kind::Begin | Kind::BeginReadOnly => {
                link.transaction = Some(Open {
                    read_only: op.kind == Kind::BeginReadOnly,
                    ..Open::default()
                });
                plain(done(0, false))
            }
            Kind::Commit | Kind::Rollback => self.end(link, op.kind).await?,
            Kind::TemporaryTable | Kind::Diagnostics => plain(done(0, false)),
        };
        reply.status = match &link.transaction {
            None => AUTOCOMMIT,
            Some(open) if open.read_only => AUTOCOMMIT | IN_TRANSACTION | READ_ONLY,
            Some(_) => AUTOCOMMIT | IN_TRANSACTION,
        };
        Some(reply)
    }

    fn show(&self, link: &mut Link) -> Reply {
        let visible = self.visible(link.server);
        let seen = match &mut link.transaction {
            Some(open) if open.read_only => open.snapshot.get_or_insert(visible).clone(),
            _ => visible,
        };
        Reply {
            seen: Some(seen),
            ..plain(done(0, true))
        }
    }

    async fn write(&self, link: &mut Link, op: &Op) -> Option<Reply> {
        if let Some(open) = &mut link.transaction {
            open.writes = true;
            open.stays |= op.kind == Kind::HalfFails;
            let outcome = match op.kind {
                Kind::HalfFails => Outcome::Failed,
                _ => done(1, false),
            };
            return Some(Reply {
                letters: b"T_____W_",
                ..plain(outcome)
            });
        }
        let logged = op.kind != Kind::Unlogged;
        let id = self.commit(link.server, link.life, logged).await?;
        let told = logged && op.kind != Kind::HalfFails;
        let gtid = if told {
            self.world.borrow().gtid(id)
        } else {
            None
        };
        Some(Reply {
            gtid,
            committed: Some(id),
            ..plain(match op.kind {
                Kind::HalfFails => Outcome::Failed,
                Kind::HiddenWrite => done(0, true),
                _ => done(1, false),
            })
        })
    }

    async fn end(&self, link: &mut Link, kind: Kind) -> Option<Reply> {
        let open = link.transaction.take().unwrap_or_default();
        let commits = match kind {
            Kind::Commit => open.writes,
            _ => open.stays,
        };
        if !commits {
            return Some(plain(done(0, false)));
        }
        let id = self.commit(link.server, link.life, true).await?;
        let told = kind == Kind::Commit;
        let gtid = if told {
            self.world.borrow().gtid(id)
        } else {
            None
        };
        Some(Reply {
            gtid,
            committed: Some(id),
            ..plain(done(0, false))
        })
    }

    /// What the tracker of a replica says of its executed set.
    pub(crate) fn note_executed(&self, link: &Link) {
        let executed = self.world.borrow().servers[link.server].executed.clone();
        if let Some(generation) = link.generation {
            let backend = link.backend.index();
            self.watch
                .borrow_mut()
                .note_executed(backend, generation, &executed.into());
        }
    }
}

fn done(affected: u64, rows: bool) -> Outcome {
    Outcome::Done { affected, rows }
}

fn plain(outcome: Outcome) -> Reply {
    Reply {
        outcome,
        status: AUTOCOMMIT,
        seen: None,
        gtid: None,
        letters: b"________",
        committed: None,
        refused: false,
    }
}
