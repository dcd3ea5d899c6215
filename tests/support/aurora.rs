//! A scripted cluster that answers as Aurora does: its variables, its table of servers, a log that all
//! of its servers share, and one counter for data.
//!
//! It stands for what cannot be had here. What it says follows what AWS documents; a row of the table
//! is always a little old, and a reader shows what its read point says.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by test binaries, each of which uses a part; a test fails by panicking"
)]

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use highwater::config::{Account, Address, Config};
use highwater::frontend::login::{Accepted, Terms, Users, login};
use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::command::{CommandCode, query_text};
use highwater::protocol::frame::{FrameHeader, HEADER};
use highwater::protocol::packets::OkPacket;
use highwater::protocol::resultset::text_resultset;
use highwater::protocol::status::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How often the rows of the table are refreshed.
const REFRESH: Duration = Duration::from_millis(40);
const PASSWORD: &str = "pw";

/// The cluster: server 0 writes, the others read.
#[derive(Clone)]
pub struct Aurora {
    state: Arc<Mutex<State>>,
    pub addresses: Vec<Address>,
}

struct State {
    started: Instant,
    /// When each number of the log was durable, and the counter then.
    log: Vec<(Instant, u64, u64)>,
    servers: Vec<Server>,
    /// Added to the age of every row.
    older: Duration,
}

struct Server {
    name: String,
    /// How its row says it is the writer.
    claims_to_write: bool,
    lag: Duration,
    /// Where it stands still.
    frozen: Option<Instant>,
    statements: Vec<String>,
}

type Cells = Vec<Option<String>>;

/// What one statement is answered.
enum Reply {
    Ok(u64),
    Rows(Vec<&'static str>, Vec<Cells>),
}

impl Aurora {
    pub async fn start(readers: usize) -> Self {
        let now = Instant::now();
        let server = |number: usize| Server {
            name: format!("instance-{number}"),
            claims_to_write: number == 0,
            lag: Duration::from_millis(20),
            frozen: None,
            statements: Vec::new(),
        };
        let state = State {
            started: now,
            log: vec![(now, 1000, 0)],
            servers: (0..=readers).map(server).collect(),
            older: Duration::ZERO,
        };
        let mut cluster = Self {
            state: Arc::new(Mutex::new(state)),
            addresses: Vec::new(),
        };
        for number in 0..=readers {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            cluster.addresses.push(Address::new("127.0.0.1", port));
            let state = Arc::clone(&cluster.state);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(Arc::clone(&state), number, stream));
                }
            });
        }
        cluster
    }

    pub fn config(&self) -> Config {
        let (writer, readers) = self.addresses.split_first().unwrap();
        let app = Account::new("app", PASSWORD);
        let monitor = Account::new("monitor", PASSWORD);
        let mut config = Config::for_cluster(writer.clone(), readers.to_vec(), vec![app], monitor);
        config.proxy.workers = 1;
        config
    }

    /// How far behind a reader is.
    pub fn lag(&self, server: usize, lag: Duration) {
        self.lock().servers[server].lag = lag;
    }

    /// A reader stands still, or goes on.
    pub fn freeze(&self, server: usize, frozen: bool) {
        self.lock().servers[server].frozen = frozen.then(Instant::now);
    }

    /// Whether a server's row says that it is the writer.
    pub fn claim(&self, server: usize, writes: bool) {
        self.lock().servers[server].claims_to_write = writes;
    }

    /// Makes every row this much older.
    pub fn age(&self, older: Duration) {
        self.lock().older = older;
    }

    /// What a server was asked and told so far.
    pub fn statements(&self, server: usize) -> Vec<String> {
        self.lock().servers[server].statements.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    /// The log's end and the counter at a time.
    fn at(&self, time: Instant) -> (u64, u64) {
        let before = self.log.iter().rev().find(|(at, ..)| *at <= time);
        let (_, lsn, value) = before.unwrap_or(&self.log[0]);
        (*lsn, *value)
    }

    /// What a reader shows at a time.
    fn read_point(&self, server: usize, time: Instant) -> (u64, u64) {
        let server = &self.servers[server];
        let time = server.frozen.map_or(time, |frozen| frozen.min(time));
        self.at(time.checked_sub(server.lag).unwrap_or(self.started))
    }

    fn answer(&mut self, number: usize, sql: &str) -> Reply {
        self.servers[number].statements.push(sql.to_owned());
        let name = self.servers[number].name.clone();
        let uptime = self.started.elapsed().as_secs() + 3600;
        let unix = std::time::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs()
            .to_string();
        let has = |part: &str| sql.contains(part);
        if let Some(value) = sql.strip_prefix("UPDATE counter SET v = ") {
            assert_eq!(number, 0, "a write on a reader");
            let (lsn, _) = self.at(Instant::now());
            let value = value.parse().unwrap();
            self.log.push((Instant::now(), lsn + 7, value));
            Reply::Ok(1)
        } else if has("FROM counter") {
            let (_, value) = match number {
                0 => self.at(Instant::now()),
                _ => self.read_point(number, Instant::now()),
            };
            Reply::Rows(vec!["v"], vec![vec![Some(value.to_string())]])
        } else if has("REPLICA_HOST_STATUS") {
            self.hosts(unix)
        } else if has("LIKE 'aurora_server_id'") {
            pairs(&[("aurora_server_id", &name)])
        } else if has("LIKE 'Uptime'") {
            pairs(&[("Uptime", &uptime.to_string())])
        } else if has("@@aurora_server_id") {
            row(&[&format!("aurora-{name}"), &unix])
        } else if has("@@version, @@server_id") {
            row(&["8.0.32", "1"])
        } else if has("@@version_comment") {
            row(&["Source distribution", "UTC"])
        } else if has("COLLATIONS") {
            row(&["255"])
        } else if has("@@global.read_only") {
            row(&["0", "0", if number == 0 { "0" } else { "1" }, "OFF", "OFF"])
        } else if has("VARIABLES") {
            pairs(&[
                ("autocommit", "ON"),
                ("character_set_client", "utf8mb4"),
                ("sql_mode", ""),
                ("time_zone", "SYSTEM"),
            ])
        } else if sql.starts_with("SHOW") || sql.starts_with("SELECT") {
            Reply::Rows(vec!["none"], Vec::new())
        } else {
            Reply::Ok(0)
        }
    }

    fn hosts(&self, unix: String) -> Reply {
        let since = self.started.elapsed();
        let age = Duration::from_nanos((since.as_nanos() % REFRESH.as_nanos()) as u64);
        let then = Instant::now() - age;
        let age = (age + self.older).as_micros().to_string();
        let one = |(number, server): (usize, &Server)| {
            let session = match server.claims_to_write {
                true => "MASTER_SESSION_ID".to_owned(),
                false => format!("session-{number}"),
            };
            let durable = (number == 0).then(|| self.at(then).0.to_string());
            let read = (number > 0).then(|| self.read_point(number, then).0.to_string());
            let lag = server.lag.as_millis().to_string();
            let (id, age) = (server.name.clone(), age.clone());
            vec![
                Some(id),
                Some(session),
                durable,
                read,
                Some(lag),
                Some(age),
                Some(unix.clone()),
            ]
        };
        let columns = vec![
            "SERVER_ID",
            "SESSION_ID",
            "DURABLE_LSN",
            "CURRENT_READ_POINT",
            "REPLICA_LAG_IN_MILLISECONDS",
            "AGE",
            "NOW",
        ];
        Reply::Rows(columns, self.servers.iter().enumerate().map(one).collect())
    }
}

fn pairs(values: &[(&str, &str)]) -> Reply {
    let pair = |(name, value): &(&str, &str)| vec![Some((*name).into()), Some((*value).into())];
    Reply::Rows(
        vec!["Variable_name", "Value"],
        values.iter().map(pair).collect(),
    )
}

fn row(values: &[&str]) -> Reply {
    let cells: Cells = values
        .iter()
        .map(|value| Some((*value).to_owned()))
        .collect();
    Reply::Rows(values.iter().map(|_| "c").collect(), vec![cells])
}

struct Anybody;

impl Users for Anybody {
    fn password(&self, _: &[u8]) -> Option<&[u8]> {
        Some(PASSWORD.as_bytes())
    }
}

async fn serve(state: Arc<Mutex<State>>, number: usize, mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let terms = Terms {
        version: b"8.0.32",
        connection_id: 7,
        caps: CapabilityFlags::all() - CapabilityFlags::CLIENT_QUERY_ATTRIBUTES,
        charset: 255,
        status: Status::AUTOCOMMIT,
        peer: "proxy",
    };
    let Ok(who) = login(&mut stream, &terms, &Anybody).await else {
        return;
    };
    let (mut out, mut seq) = (Vec::new(), who.seq);
    put(&Reply::Ok(0), &who, false, &mut out, &mut seq);
    while stream.write_all(&out).await.is_ok() {
        out.clear();
        let mut header = [0; HEADER];
        if stream.read_exact(&mut header).await.is_err() {
            return;
        }
        let mut command = vec![0; FrameHeader::parse(&header).unwrap().len];
        stream.read_exact(&mut command).await.unwrap();
        let mut seq = 1;
        match CommandCode::from_byte(command[0]) {
            Some(CommandCode::Quit) => return,
            Some(CommandCode::Query) => {
                let text = query_text(&command, false).unwrap();
                let text = String::from_utf8_lossy(&command[text]).into_owned();
                let statements: Vec<&str> = text.split("; ").collect();
                for (place, sql) in statements.iter().enumerate() {
                    let reply = state.lock().unwrap().answer(number, sql);
                    let more = place + 1 < statements.len();
                    put(&reply, &who, more, &mut out, &mut seq);
                }
            }
            _ => put(&Reply::Ok(0), &who, false, &mut out, &mut seq),
        }
    }
}

fn put(reply: &Reply, who: &Accepted, more: bool, out: &mut Vec<u8>, seq: &mut u8) {
    let status = match more {
        true => Status(Status::AUTOCOMMIT.0 | Status::MORE_RESULTS.0),
        false => Status::AUTOCOMMIT,
    };
    match reply {
        Reply::Ok(affected_rows) => OkPacket {
            affected_rows: *affected_rows,
            status,
            ..OkPacket::default()
        }
        .put(out, seq),
        Reply::Rows(columns, rows) => {
            let rows: Vec<Vec<Option<&[u8]>>> = rows
                .iter()
                .map(|cells| {
                    cells
                        .iter()
                        .map(|cell| cell.as_deref().map(str::as_bytes))
                        .collect()
                })
                .collect();
            let deprecate_eof = who.caps.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF);
            let rows = rows.iter().map(Vec::as_slice);
            text_resultset(out, seq, columns, rows, status, deprecate_eof);
        }
    }
}
