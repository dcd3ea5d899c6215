//! A client with capabilities that no library at hand has.

use highwater::backend::login::{Login, Transport, login};
use highwater::daemon::Proxy;
use highwater::protocol::caps::{CapabilityFlags, CapabilityProfile, backend_caps};
use highwater::protocol::command::{com_query, com_reset_connection};
use highwater::protocol::frame::{FrameHeader, HEADER, append_packet};
use highwater::protocol::packets::ErrView;
use highwater::protocol::reply::{EventKind, ReplyKind, ReplyTracker};
use highwater::rig::APP;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::Setup;
use super::writes::{Case, Step, numbered};

/// What clients differ in that decides what their replies can tell.
pub(crate) const KINDS: [(&str, CapabilityFlags); 3] = [
    ("no DEPRECATE_EOF", CapabilityFlags::empty()),
    (
        "no DEPRECATE_EOF, FOUND_ROWS",
        CapabilityFlags::CLIENT_FOUND_ROWS,
    ),
    (
        "DEPRECATE_EOF, FOUND_ROWS",
        CapabilityFlags::CLIENT_DEPRECATE_EOF.union(CapabilityFlags::CLIENT_FOUND_ROWS),
    ),
];

/// A connection to the proxy that speaks text only.
pub(crate) struct Raw {
    stream: TcpStream,
    profile: CapabilityProfile,
    /// What came and was not yet taken.
    input: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(setup: &Setup, kind: CapabilityFlags) -> Self {
        Self::connect_to(&setup.proxy, kind).await
    }

    pub(crate) async fn connect_to(proxy: &Proxy, kind: CapabilityFlags) -> Self {
        let several =
            CapabilityFlags::CLIENT_MULTI_STATEMENTS | CapabilityFlags::CLIENT_MULTI_RESULTS;
        let flags = backend_caps(kind | several).flags() - CapabilityFlags::CLIENT_SESSION_TRACK;
        let profile = CapabilityProfile::new(flags);
        let mut stream = TcpStream::connect(proxy.addresses().mysql).await.unwrap();
        let who = Login {
            user: APP.user.as_bytes(),
            password: APP.password.as_bytes(),
            profile,
            charset: 45,
            database: APP.database.map(str::as_bytes),
            transport: Transport::Open,
        };
        login(&mut stream, &who).await.unwrap();
        Self {
            stream,
            profile,
            input: Vec::new(),
        }
    }

    /// Runs a statement; its packets, or the error's number.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Vec<Vec<u8>>, u16> {
        self.send(&[sql]).await;
        self.reply(ReplyKind::Query).await
    }

    /// Sends statements in one piece, before any of them is answered.
    pub(crate) async fn send(&mut self, statements: &[&str]) {
        let mut out = Vec::new();
        for sql in statements {
            let command = com_query(sql.as_bytes(), self.profile.query_attributes());
            append_packet(&mut out, &mut 0, &command);
        }
        self.stream.write_all(&out).await.unwrap();
    }

    async fn reset(&mut self) -> Result<(), u16> {
        let mut out = Vec::new();
        append_packet(&mut out, &mut 0, &com_reset_connection());
        self.stream.write_all(&out).await.unwrap();
        self.reply(ReplyKind::Simple).await.map(drop)
    }

    /// The next reply.
    pub(crate) async fn reply(&mut self, kind: ReplyKind) -> Result<Vec<Vec<u8>>, u16> {
        let (mut tracker, mut seen, mut error) = (ReplyTracker::new(kind, self.profile), 0, None);
        while !tracker.is_done() {
            let scan = tracker.scan(&self.input[seen..]);
            seen += scan.forward;
            if let Some(event) = scan.event {
                let packet = &self.input[seen..seen + event.len];
                match event.kind {
                    EventKind::Err => error = Some(ErrView::parse(&packet[HEADER..]).unwrap().code),
                    EventKind::Malformed => panic!("malformed reply: {packet:?}"),
                    _ => {}
                }
                seen += event.len;
            } else if !tracker.is_done() {
                let more = self.stream.read_buf(&mut self.input).await.unwrap();
                assert!(more > 0, "the proxy hung up");
            }
        }
        let reply: Vec<u8> = self.input.drain(..seen).collect();
        let (mut packets, mut rest) = (Vec::new(), &*reply);
        while let Some(header) = FrameHeader::parse(rest) {
            packets.push(rest[HEADER..header.frame_len()].to_vec());
            rest = &rest[header.frame_len()..];
        }
        error.map_or(Ok(packets), Err)
    }

    /// Does a case's steps as number `n`; `false` if it has some that are not text.
    pub(crate) async fn perform(&mut self, case: &Case, n: u32) -> bool {
        if case
            .steps
            .iter()
            .any(|step| matches!(step, Step::Exec(_) | Step::ChangeUser))
        {
            return false;
        }
        for step in case.steps {
            let done = match step {
                Step::Run(sql) => self.query(&numbered(sql, n)).await.map(drop),
                Step::Fails(sql, code) => match self.query(&numbered(sql, n)).await {
                    Err(actual) if actual == *code => Ok(()),
                    other => panic!("{}: {step:?}: {other:?}", case.name),
                },
                _ => self.reset().await,
            };
            done.unwrap_or_else(|error| panic!("{}: {step:?}: error {error}", case.name));
        }
        true
    }

    /// What a case's read shows: a number, or the error.
    pub(crate) async fn look(&mut self, case: &Case, n: u32) -> String {
        match self.query(&numbered(case.read, n)).await {
            Ok(packets) => only_cell(&packets),
            Err(code) => format!("error {code}"),
        }
    }
}

/// The one cell of the one row, which stands before the packet that ends the rows, after its length.
pub(crate) fn only_cell(packets: &[Vec<u8>]) -> String {
    String::from_utf8(packets[packets.len() - 2][1..].to_vec()).unwrap()
}
