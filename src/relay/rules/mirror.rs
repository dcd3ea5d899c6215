//! The mirror of a rule: a server that repeats a share of the reads, and whose answers go nowhere.
//!
//! Sessions put a copy into a bounded queue, or drop it; nothing ever waits for the mirror. A few tasks
//! take copies out and run them on connections of their own, in READ ONLY transactions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout};

use crate::config::{Account, Address};
use crate::domain::routing::rules::{Mirror, Sampler};
use crate::relay::Shared;

/// Copies that wait at most.
const QUEUE: usize = 256;
/// Bytes of texts that wait at most.
const QUEUE_BYTES: usize = 4 << 20;
/// Copies that run at the same time.
const AT_ONCE: usize = 4;
/// A copy that takes longer is given up, and its connection with it.
const LONGEST: Duration = Duration::from_secs(10);
/// How long nothing is tried after the mirror could not be reached.
const REST: Duration = Duration::from_secs(1);

/// A read to be repeated.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) user: Arc<str>,
    pub(super) schema: Option<Box<[u8]>>,
    pub(super) text: Box<[u8]>,
}

/// What sessions know of a mirror.
#[derive(Debug)]
pub(in crate::relay) struct Mirroring {
    address: Option<Address>,
    share: Sampler,
    seen: AtomicU64,
    queue: OnceLock<mpsc::Sender<Copied>>,
    waiting: Arc<AtomicUsize>,
}

impl Mirroring {
    pub(super) fn new(mirror: &Mirror) -> Self {
        Self {
            address: mirror.address.parse().ok(),
            share: Sampler(mirror.percent),
            seen: AtomicU64::new(0),
            queue: OnceLock::new(),
            waiting: Arc::default(),
        }
    }

    /// Whether the next read is of the share.
    pub(super) fn takes_next(&self) -> bool {
        self.share.takes(self.seen.fetch_add(1, Ordering::Relaxed))
    }

    /// Puts a copy into the queue; `false` if there is no room for it.
    pub(super) fn send(&self, shared: &Shared, copied: Copied) -> bool {
        let Some(address) = &self.address else {
            return false;
        };
        let queue = self
            .queue
            .get_or_init(|| start(address, &shared.config().users, &self.waiting));
        let bytes = copied.text.len();
        if self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES
            || queue.try_send(copied).is_err()
        {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }
}

/// Starts the tasks that run copies; they end with the queue.
fn start(address: &Address, users: &[Account], waiting: &Arc<AtomicUsize>) -> mpsc::Sender<Copied> {
    let (queue, copies) = mpsc::channel::<Copied>(QUEUE);
    let copies = Arc::new(Mutex::new(copies));
    for _ in 0..AT_ONCE {
        let mut repeater = Repeater {
            address: address.clone(),
            users: users.to_vec(),
            conns: HashMap::new(),
            rests_until: None,
        };
        let (copies, waiting) = (Arc::clone(&copies), Arc::clone(waiting));
        tokio::spawn(async move {
            loop {
                // Held while it waits: the next one waits for the queue behind it.
                let copied = copies.lock().await.recv().await;
                let Some(copied) = copied else { return };
                waiting.fetch_sub(copied.text.len(), Ordering::Relaxed);
                repeater.repeat(copied).await;
            }
        });
    }
    queue
}

/// A connection, and its default schema.
type Connected = (Conn, Option<Box<[u8]>>);

/// One of those that run copies, with a connection for each user.
struct Repeater {
    address: Address,
    users: Vec<Account>,
    conns: HashMap<Arc<str>, Connected>,
    rests_until: Option<Instant>,
}

impl Repeater {
    async fn repeat(&mut self, copied: Copied) {
        if self.rests_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let user = Arc::clone(&copied.user);
        let kept = self.conns.remove(&user);
        let run = async {
            let (mut conn, schema) = match kept {
                // A connection cannot lose its schema.
                Some(kept) if copied.schema.is_some() || kept.1.is_none() => kept,
                _ => (self.connect(&user).await?, None),
            };
            if schema != copied.schema
                && let Some(schema) = &copied.schema
            {
                let name = String::from_utf8_lossy(schema).replace('`', "``");
                conn.query_drop(format!("USE `{name}`")).await?;
            }
            match conn.query_drop(copied.text.to_vec()).await {
                // The mirror may not have what it reads; the connection is fine.
                Ok(()) | Err(mysql_async::Error::Server(_)) => Ok((conn, copied.schema.clone())),
                Err(error) => Err(error),
            }
        };
        match timeout(LONGEST, run).await {
            Ok(Ok(kept)) => {
                self.conns.insert(user, kept);
            }
            Ok(Err(error)) => {
                tracing::debug!(mirror = %self.address, %error, "a read was not repeated");
                self.rests_until = Some(Instant::now() + REST);
            }
            Err(_) => tracing::debug!(mirror = %self.address, "a repeated read took too long"),
        }
    }

    async fn connect(&self, user: &str) -> Result<Conn, mysql_async::Error> {
        let account = self.users.iter().find(|account| account.name == user);
        let password = account.map(|account| account.password.expose().to_owned());
        let opts = OptsBuilder::default()
            .ip_or_hostname(self.address.host())
            .tcp_port(self.address.port())
            .prefer_socket(false)
            .user(Some(user))
            .pass(password)
            .setup(vec!["SET SESSION TRANSACTION READ ONLY"]);
        Conn::new(opts).await
    }
}
