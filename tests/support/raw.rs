//! A client that sends packets as they are, and keeps the packets of the answers.

use std::time::Duration;

use highwater::backend::login::{ConnectError, LoggedIn, Login, Transport, login};
use highwater::protocol::auth::Plugin;
use highwater::protocol::caps::{CapabilityFlags, CapabilityProfile, REQUIRED};
use highwater::protocol::command::com_query;
use highwater::protocol::frame::{FrameHeader, HEADER, append_packet};
use highwater::protocol::handshake::AuthReply;
use highwater::protocol::ok::OkView;
use highwater::protocol::packets::ErrView;
use highwater::protocol::reply::{ReplyKind, ReplyTracker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No answer takes longer on any machine that the tests may run on.
const PATIENCE: Duration = Duration::from_secs(120);

/// A logged-in connection.
pub struct Raw {
    pub stream: TcpStream,
    pub profile: CapabilityProfile,
    pub logged_in: LoggedIn,
    /// The sequence id that the reply to the last command begins with.
    seq: u8,
}

/// Everything that a client may ask for, on top of what it must.
pub fn usual() -> CapabilityFlags {
    CapabilityFlags::CLIENT_MULTI_STATEMENTS
        | CapabilityFlags::CLIENT_MULTI_RESULTS
        | CapabilityFlags::CLIENT_PS_MULTI_RESULTS
        | CapabilityFlags::CLIENT_SESSION_TRACK
        | CapabilityFlags::CLIENT_DEPRECATE_EOF
}

impl Raw {
    /// Logs in with these capabilities and what every connection must have, except that session
    /// tracking is as in `flags`.
    pub async fn connect(
        address: &str,
        account: (&str, &str),
        database: Option<&str>,
        flags: CapabilityFlags,
    ) -> Result<Self, ConnectError> {
        Self::connect_speaking(255, address, account, database, flags).await
    }

    /// The same with the low byte of a collation's id.
    pub async fn connect_speaking(
        charset: u8,
        address: &str,
        (user, password): (&str, &str),
        database: Option<&str>,
        flags: CapabilityFlags,
    ) -> Result<Self, ConnectError> {
        let required = REQUIRED - CapabilityFlags::CLIENT_SESSION_TRACK;
        let profile = CapabilityProfile::new(required | flags);
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let details = Login {
            user: user.as_bytes(),
            password: password.as_bytes(),
            profile,
            charset,
            database: database.map(str::as_bytes),
            transport: Transport::Open,
        };
        let logged_in = login(&mut stream, &details).await?;
        Ok(Self {
            stream,
            profile,
            logged_in,
            seq: 1,
        })
    }

    /// Sends a command.
    pub async fn send(&mut self, payload: &[u8]) {
        let mut out = Vec::with_capacity(payload.len() + HEADER);
        self.seq = 0;
        append_packet(&mut out, &mut self.seq, payload);
        self.stream.write_all(&out).await.unwrap();
    }

    /// Reads one frame, header included; `None` at the end of the stream.
    pub async fn frame(&mut self) -> Option<Vec<u8>> {
        let mut frame = vec![0; HEADER];
        let read = tokio::time::timeout(PATIENCE, self.stream.read_exact(&mut frame));
        read.await.expect("no answer").ok()?;
        let header = FrameHeader::parse(&frame).unwrap();
        frame.resize(header.frame_len(), 0);
        let read = self.stream.read_exact(&mut frame[HEADER..]);
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("no answer")
            .ok()?;
        Some(frame)
    }

    /// Reads a whole reply: its frames, whose sequence ids must be right.
    pub async fn reply(&mut self, kind: ReplyKind) -> Vec<Vec<u8>> {
        let reply = self.try_reply(kind).await;
        reply.expect("the connection ended in a reply")
    }

    /// The same; `None` when the connection ended before the reply did.
    pub async fn try_reply(&mut self, kind: ReplyKind) -> Option<Vec<Vec<u8>>> {
        let mut tracker = ReplyTracker::new(kind, self.profile);
        let (mut frames, mut pending) = (Vec::new(), Vec::new());
        let mut seq = self.seq;
        while !tracker.is_done() {
            let frame = self.frame().await?;
            assert_eq!(frame[3], seq, "sequence id");
            seq = seq.wrapping_add(1);
            pending.extend_from_slice(&frame);
            frames.push(frame[HEADER..].to_vec());
            while !pending.is_empty() {
                let scan = tracker.scan(&pending);
                let used = scan.forward + scan.event.map_or(0, |event| event.len);
                if used == 0 {
                    break;
                }
                pending.drain(..used);
            }
        }
        Some(frames)
    }

    /// Sends a command and reads its reply.
    pub async fn ask(&mut self, payload: &[u8], kind: ReplyKind) -> Vec<Vec<u8>> {
        self.send(payload).await;
        self.reply(kind).await
    }

    /// Runs a statement as text.
    pub async fn query(&mut self, sql: &str) -> Vec<Vec<u8>> {
        let payload = com_query(sql.as_bytes(), self.profile.query_attributes());
        self.ask(&payload, ReplyKind::Query).await
    }

    /// The same; `None` when the connection ended before the reply did.
    pub async fn try_query(&mut self, sql: &str) -> Option<Vec<Vec<u8>>> {
        let payload = com_query(sql.as_bytes(), self.profile.query_attributes());
        self.send(&payload).await;
        self.try_reply(ReplyKind::Query).await
    }

    /// The first cell of a statement's only row, which must be shorter than 251 bytes.
    pub async fn cell(&mut self, sql: &str) -> String {
        let frames = self.query(sql).await;
        let at = if self.profile.deprecate_eof() { 2 } else { 3 };
        let row = frames
            .get(at)
            .unwrap_or_else(|| panic!("{sql}: {}", shown(&frames)));
        String::from_utf8_lossy(&row[1..=usize::from(row[0])]).into_owned()
    }

    /// Prepares a statement; gives its id.
    pub async fn prepare(&mut self, sql: &str) -> u32 {
        let payload = [b"\x16", sql.as_bytes()].concat();
        let frames = self.ask(&payload, ReplyKind::Prepare).await;
        assert_eq!(frames[0][0], 0, "{sql}: {}", shown(&frames));
        u32::from_le_bytes(frames[0][1..5].try_into().unwrap())
    }

    /// COM_CHANGE_USER with its dialogue; gives the last packet.
    pub async fn change_user(&mut self, user: &str, password: &str, database: &str) -> Vec<u8> {
        let plugin = Plugin::CachingSha2;
        let mut payload = vec![0x11];
        payload.extend_from_slice(user.as_bytes());
        payload.push(0);
        let proof = plugin.scramble(password.as_bytes(), &self.logged_in.server.nonce);
        payload.push(u8::try_from(proof.len()).unwrap());
        payload.extend_from_slice(&proof);
        payload.extend_from_slice(database.as_bytes());
        payload.extend_from_slice(&[0, 255, 0]);
        payload.extend_from_slice(plugin.name().as_bytes());
        payload.extend_from_slice(&[0, 0]);
        self.send(&payload).await;
        loop {
            let frame = self.frame().await.expect("the connection ended");
            let payload = frame[HEADER..].to_vec();
            match AuthReply::parse(&payload) {
                Some(AuthReply::Switch { data, .. }) => {
                    let nonce = highwater::protocol::handshake::nonce_of(data).unwrap();
                    let proof = plugin.scramble(password.as_bytes(), &nonce);
                    let mut out = Vec::new();
                    append_packet(&mut out, &mut frame[3].wrapping_add(1), &proof);
                    self.stream.write_all(&out).await.unwrap();
                }
                Some(AuthReply::FastAuthOk) => {}
                _ => return payload,
            }
        }
    }
}

/// The error code of a reply that ends with one.
pub fn error_of(frames: &[Vec<u8>]) -> Option<u16> {
    Some(ErrView::parse(frames.last()?)?.code)
}

/// The integer in the first column of a binary result's first row.
pub fn number(frames: &[Vec<u8>]) -> i64 {
    let row = frames.get(2).unwrap_or_else(|| panic!("{}", shown(frames)));
    i64::from_le_bytes(row[2..10].try_into().unwrap())
}

/// The OK that ends a reply.
pub fn ok_of(frames: &[Vec<u8>]) -> OkView<'_> {
    let last = frames.last().expect("a reply");
    OkView::parse(last).unwrap_or_else(|| panic!("no OK: {}", shown(frames)))
}

/// Frames for people.
pub fn shown(frames: &[Vec<u8>]) -> String {
    let one = |frame: &Vec<u8>| {
        frame
            .iter()
            .take(80)
            .map(|byte| byte.escape_ascii().to_string())
            .collect::<String>()
    };
    frames.iter().map(one).collect::<Vec<_>>().join("\n    ")
}

/// A parameter of a prepared statement.
pub enum Param<'a> {
    Int(i64),
    Text(&'a [u8]),
    /// Its value was sent ahead.
    Sent,
    Null,
}

/// COM_STMT_EXECUTE; `bind` says whether the types are sent.
pub fn execute(id: u32, flags: u8, params: &[Param<'_>], bind: bool, attributes: bool) -> Vec<u8> {
    let mut out = vec![0x17];
    out.extend_from_slice(&id.to_le_bytes());
    out.push(if attributes { flags | 8 } else { flags });
    out.extend_from_slice(&1_u32.to_le_bytes());
    if attributes {
        out.push(u8::try_from(params.len()).unwrap());
    }
    if params.is_empty() {
        return out;
    }
    let mut nulls = vec![0_u8; params.len().div_ceil(8)];
    let (mut types, mut values) = (Vec::new(), Vec::new());
    for (index, param) in params.iter().enumerate() {
        let kind: u8 = match param {
            Param::Int(value) => {
                values.extend_from_slice(&value.to_le_bytes());
                8
            }
            Param::Text(text) => {
                put_length(&mut values, text.len());
                values.extend_from_slice(text);
                253
            }
            Param::Sent => 252,
            Param::Null => {
                nulls[index / 8] |= 1 << (index % 8);
                6
            }
        };
        types.extend_from_slice(&[kind, 0]);
        if attributes {
            types.push(0);
        }
    }
    out.extend_from_slice(&nulls);
    out.push(u8::from(bind));
    if bind {
        out.extend_from_slice(&types);
    }
    out.extend_from_slice(&values);
    out
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    if length < 251 {
        out.push(u8::try_from(length).unwrap());
    } else {
        out.push(0xFE);
        out.extend_from_slice(&(length as u64).to_le_bytes());
    }
}

/// A command whose payload is its code and a statement's id.
pub fn about(code: u8, id: u32) -> Vec<u8> {
    let mut out = vec![code];
    out.extend_from_slice(&id.to_le_bytes());
    out
}

/// COM_STMT_FETCH.
pub fn fetch(id: u32, rows: u32) -> Vec<u8> {
    let mut out = about(0x1C, id);
    out.extend_from_slice(&rows.to_le_bytes());
    out
}

/// COM_STMT_SEND_LONG_DATA.
pub fn long_data(id: u32, param: u16, part: &[u8]) -> Vec<u8> {
    let mut out = about(0x18, id);
    out.extend_from_slice(&param.to_le_bytes());
    out.extend_from_slice(part);
    out
}
