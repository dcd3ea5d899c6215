//! Plays the same steps on one bare server and through a proxy, and compares the packets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::frame::{HEADER, append_packet};
use highwater::protocol::ok::{TrackEntry, rewrite_ok};
use highwater::protocol::packets::ErrView;
use highwater::protocol::reply::ReplyKind;
use highwater::rig::{APP, Cluster, ROOT};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::steps::{Move, Step, Value};
use super::words::TABLES;
use crate::support::raw::{Param, Raw, about, execute, fetch, long_data, shown, usual};

/// A step that takes longer waits for what will not come: another session's lock.
const PATIENCE: Duration = Duration::from_secs(100);

/// Both sides of the comparison.
pub(crate) struct Arena<'a> {
    pub(crate) bare: &'a Cluster,
    pub(crate) cluster: &'a Cluster,
    /// Where the proxy listens.
    pub(crate) proxy: String,
    pub(crate) sessions: usize,
    pub(crate) flags: CapabilityFlags,
}

/// Where two answers differ.
pub(crate) struct Difference {
    /// The number of the step.
    pub(crate) at: usize,
    pub(crate) bare: String,
    pub(crate) proxied: String,
}

/// Names of schemas are never used twice.
static ROUND: AtomicUsize = AtomicUsize::new(0);

/// The schemas of a session: `{A}`, `{B}`, and the next session's first one.
#[derive(Clone)]
struct Names([String; 3]);

impl Names {
    fn new(round: usize, session: usize, sessions: usize) -> Self {
        let first = |session: usize| format!("same_{round}_{session}");
        let own = first(session);
        Self([
            own.clone(),
            format!("{own}b"),
            first((session + 1) % sessions),
        ])
    }

    fn put(&self, text: &str) -> String {
        let [a, b, o] = &self.0;
        text.replace("{A}", a).replace("{B}", b).replace("{O}", o)
    }
}

/// A prepared statement of a client.
#[derive(Clone, Default)]
struct Slot {
    id: u32,
    params: usize,
    lists_warnings: bool,
    /// Whether a part of its first parameter was sent ahead.
    sent: bool,
}

/// A client of one of both.
struct Player {
    address: String,
    names: Names,
    flags: CapabilityFlags,
    raw: Option<Raw>,
    slots: BTreeMap<usize, Slot>,
}

impl Player {
    async fn new(address: &str, names: &Names, flags: CapabilityFlags) -> Self {
        let mut player = Self {
            address: address.to_owned(),
            names: names.clone(),
            flags,
            raw: None,
            slots: BTreeMap::new(),
        };
        player.come().await;
        player
    }

    async fn come(&mut self) {
        self.slots.clear();
        let account = (APP.user, APP.password);
        let schema = self.names.put("{A}");
        let raw = Raw::connect(&self.address, account, Some(&schema), self.flags).await;
        self.raw = Some(raw.unwrap());
    }

    /// The packets of the answer; one line of words where there are none.
    async fn play(&mut self, step: &Step) -> Vec<Vec<u8>> {
        match tokio::time::timeout(PATIENCE, self.answer(step)).await {
            Ok(Some(frames)) => frames,
            Ok(None) => {
                self.come().await;
                vec![b"the connection ended".to_vec()]
            }
            Err(_) => {
                self.come().await;
                vec![b"no answer".to_vec()]
            }
        }
    }

    async fn answer(&mut self, step: &Step) -> Option<Vec<Vec<u8>>> {
        if let Step::Again = step {
            let raw = self.raw.as_mut()?;
            raw.send(&[1]).await;
            while raw.frame().await.is_some() {}
            self.come().await;
            return Some(Vec::new());
        }
        let names = self.names.clone();
        let raw = self.raw.as_mut()?;
        if let Step::Execute { slot, .. }
        | Step::Fetch(slot)
        | Step::StatementReset(slot)
        | Step::Close(slot)
        | Step::LongData(slot, _) = step
            && !self.slots.contains_key(slot)
        {
            return Some(Vec::new());
        }
        let slots = self.slots.clone();
        let known = |slot| &slots[slot];
        let (payload, kind) = match step {
            Step::Script(all) => {
                let mut frames = Vec::new();
                for sql in all {
                    frames.extend(query(raw, &names.put(sql)).await?);
                }
                return Some(frames);
            }
            Step::Packet(all) => return query(raw, &names.put(&all.join("; "))).await,
            Step::Query(sql) => return query(raw, &names.put(sql)).await,
            Step::Prepare(slot, sql) => return self.prepare(*slot, &names.put(sql)).await,
            Step::Execute {
                slot,
                values,
                cursor,
            } => {
                let Slot {
                    id, params, sent, ..
                } = *known(slot);
                let mut values: Vec<Param<'_>> = values.iter().take(params).map(param).collect();
                if sent && let Some(first) = values.first_mut() {
                    *first = Param::Sent;
                }
                self.slots.entry(*slot).and_modify(|it| it.sent = false);
                let payload = execute(id, u8::from(*cursor), &values, true, false);
                (payload, ReplyKind::Execute { cursor: *cursor })
            }
            Step::Fetch(slot) => (fetch(known(slot).id, 2), ReplyKind::Fetch),
            Step::StatementReset(slot) => {
                self.slots.entry(*slot).and_modify(|it| it.sent = false);
                (about(0x1A, known(slot).id), ReplyKind::Simple)
            }
            Step::Close(slot) => {
                raw.send(&about(0x19, known(slot).id)).await;
                self.slots.remove(slot);
                return Some(Vec::new());
            }
            Step::LongData(slot, text) => {
                raw.send(&long_data(known(slot).id, 0, text.as_bytes()))
                    .await;
                self.slots.entry(*slot).and_modify(|it| it.sent = true);
                return Some(Vec::new());
            }
            Step::InitDb(schema) => {
                let payload = [b"\x02", names.put(schema).as_bytes()].concat();
                (payload, ReplyKind::Simple)
            }
            Step::SetOption(on) => (vec![0x1B, u8::from(!on), 0], ReplyKind::Simple),
            Step::Ping => (vec![0x0E], ReplyKind::Simple),
            Step::Reset => {
                self.slots.clear();
                raw.send(&[0x1F]).await;
                let frames = raw.try_reply(ReplyKind::Simple).await?;
                return forgets(raw, frames).await;
            }
            Step::ChangeUser(schema) => {
                self.slots.clear();
                let schema = names.put(schema);
                let mut last = raw.change_user(APP.user, APP.password, &schema).await;
                // Behind an OK's header and numbers a server names the schema to clients that
                // asked for session tracking; Highwater tells of later changes only.
                if last.first() == Some(&0) {
                    last.truncate(3);
                }
                return forgets(raw, vec![last]).await;
            }
            Step::Again => unreachable!("done above"),
        };
        let lists_warnings =
            matches!(step, Step::Execute { slot, .. } if known(slot).lists_warnings);
        raw.send(&payload).await;
        let mut frames = raw.try_reply(kind).await?;
        if lists_warnings {
            forget_charsets(&mut frames);
        }
        Some(frames)
    }

    async fn prepare(&mut self, slot: usize, sql: &str) -> Option<Vec<Vec<u8>>> {
        let raw = self.raw.as_mut()?;
        // As a client does that uses a variable again.
        if let Some(Slot { id, .. }) = self.slots.remove(&slot) {
            raw.send(&about(0x19, id)).await;
        }
        if sql.contains("@a = ?") {
            // A server makes them at the PREPARE, if they are not there, and they are of another type then.
            query(raw, "SET @a = 1, @b = 2").await?;
        }
        raw.send(&[b"\x16", sql.as_bytes()].concat()).await;
        let mut frames = raw.try_reply(ReplyKind::Prepare).await?;
        if let Some([0, a, b, c, d, _, _, count, ..]) = frames.first().map(Vec::as_slice) {
            let id = u32::from_le_bytes([*a, *b, *c, *d]);
            let made = Slot {
                id,
                params: usize::from(*count),
                lists_warnings: lists_warnings(sql),
                sent: false,
            };
            self.slots.insert(slot, made);
            frames[0][1..5].fill(0);
        }
        if lists_warnings(sql) {
            forget_charsets(&mut frames);
        }
        Some(frames)
    }
}

/// FOUND_ROWS() outlives a reset on a server: a statement behind it ends that.
async fn forgets(raw: &mut Raw, mut frames: Vec<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    frames.extend(raw.try_query("SELECT 1").await?);
    Some(frames)
}

async fn query(raw: &mut Raw, sql: &str) -> Option<Vec<Vec<u8>>> {
    raw.try_query(sql).await
}

/// Column definitions without charset and length: a prepared SHOW WARNINGS that is answered from memory is a
/// SELECT of constants.
fn forget_charsets(frames: &mut [Vec<u8>]) {
    for frame in frames {
        if !frame.starts_with(b"\x03def") {
            continue;
        }
        let mut at = 0;
        for _ in 0..6 {
            at += 1 + usize::from(frame[at]);
        }
        frame[at + 1..at + 7].fill(0);
    }
}

fn lists_warnings(sql: &str) -> bool {
    sql.contains("SHOW WARNINGS") || sql.contains("SHOW ERRORS")
}

/// An OK packet without the state of the transaction: MySQL 9.7 tells it to clients that never asked for it,
/// and though session_track_transaction_info is OFF.
fn without_transaction_state(payload: &[u8]) -> Vec<u8> {
    let (mut frame, mut out) = (Vec::new(), Vec::new());
    append_packet(&mut frame, &mut 0, payload);
    let stays = |entry: &TrackEntry<'_>| !matches!(entry, TrackEntry::TransactionState(_));
    match rewrite_ok(&frame, &mut out, true, stays) {
        true => out.split_off(HEADER),
        false => payload.to_vec(),
    }
}

fn param(value: &Value) -> Param<'_> {
    match value {
        Value::Int(number) => Param::Int(*number),
        Value::Text(text) => Param::Text(text.as_bytes()),
        Value::Null => Param::Null,
    }
}

impl Arena<'_> {
    /// Plays all steps, or up to the first difference.
    pub(crate) async fn play(&self, moves: &[Move]) -> Option<Difference> {
        let round = ROUND.fetch_add(1, Ordering::Relaxed);
        let names: Vec<Names> = (0..self.sessions)
            .map(|session| Names::new(round, session, self.sessions))
            .collect();
        let script = names.iter().flat_map(|names| {
            let lines = TABLES.lines().map(str::trim).filter(|it| !it.is_empty());
            lines.map(|line| names.put(line))
        });
        let script: Vec<String> = script.collect();
        self.both(&script).await;
        self.cluster.wait_all_caught_up().await.unwrap();
        let difference = self.compare(&names, moves).await;
        let drop = names.iter().flat_map(|it| {
            ["{A}", "{B}", "{A}x"].map(|name| format!("DROP DATABASE IF EXISTS {}", it.put(name)))
        });
        let drop: Vec<String> = drop.collect();
        self.both(&drop).await;
        difference
    }

    async fn both(&self, script: &[String]) {
        let [bare, cluster] = [self.bare, self.cluster].map(|it| it.primary().connect(&ROOT));
        for conn in [&mut bare.await.unwrap(), &mut cluster.await.unwrap()] {
            run(conn, script).await;
        }
    }

    async fn compare(&self, names: &[Names], moves: &[Move]) -> Option<Difference> {
        let mut players = Vec::new();
        for names in names {
            let bare = self.bare.primary().address();
            players.push([
                Player::new(&bare, names, self.flags).await,
                Player::new(&self.proxy, names, self.flags).await,
            ]);
        }
        for (at, Move { session, step }) in moves.iter().enumerate() {
            let [bare, proxied] = &mut players[*session];
            let (bare, proxied) = (bare.play(step).await, proxied.play(step).await);
            if !same(&bare, &proxied) {
                return Some(Difference {
                    at,
                    bare: shown(&bare),
                    proxied: shown(&proxied),
                });
            }
        }
        None
    }
}

async fn run(conn: &mut Conn, script: &[String]) {
    for sql in script {
        conn.query_drop(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// What clients of this seed ask for on top of what they must.
pub(crate) fn flags(seed: u64) -> CapabilityFlags {
    let mut flags = usual();
    flags.set(CapabilityFlags::CLIENT_SESSION_TRACK, seed % 4 == 3);
    flags.set(CapabilityFlags::CLIENT_DEPRECATE_EOF, seed % 3 != 2);
    flags
}

/// ER_STMT_HAS_NO_OPEN_CURSOR, whose text has the number of the statement.
const NO_CURSOR: u16 = 1421;

/// Words of errors may differ where they are Highwater's own, and say so.
fn same(bare: &[Vec<u8>], proxied: &[Vec<u8>]) -> bool {
    let own = |(bare, proxied): (&Vec<u8>, &Vec<u8>)| {
        let [bare, proxied] = [bare, proxied].map(|frame| ErrView::parse(frame));
        let (Some(bare), Some(proxied)) = (bare, proxied) else {
            return false;
        };
        let words = proxied.message.starts_with(b"Highwater: ") || bare.code == NO_CURSOR;
        words && (bare.code, bare.state) == (proxied.code, proxied.state)
    };
    let mut frames = bare.iter().zip(proxied);
    let stateless = |(bare, proxied): (&Vec<u8>, &Vec<u8>)| {
        without_transaction_state(bare) == without_transaction_state(proxied)
    };
    bare.len() == proxied.len() && frames.all(|it| it.0 == it.1 || own(it) || stateless(it))
}
