//! A server connection of the tests: commands out, replies followed by the tracker under test.

use highwater::protocol::caps::CapabilityProfile;
use highwater::protocol::frame::{FrameHeader, HEADER, append_packet, payload};
use highwater::protocol::reply::{EventKind, ReplyKind, ReplyTracker};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A logged-in connection.
pub(crate) struct Link<S> {
    stream: S,
    profile: CapabilityProfile,
    input: Vec<u8>,
    /// What the client answers to LOCAL INFILE.
    pub(crate) infile: Vec<u8>,
}

/// One command's reply.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// Payloads of the packets that were passed on unseen.
    pub(crate) passed: Vec<Vec<u8>>,
    /// What was shown, with its payload.
    pub(crate) events: Vec<(EventKind, Vec<u8>)>,
}

impl Reply {
    pub(crate) fn kinds(&self) -> Vec<EventKind> {
        self.events.iter().map(|(kind, _)| *kind).collect()
    }

    /// The payload of the last event.
    pub(crate) fn end(&self) -> &[u8] {
        &self.events.last().unwrap().1
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(crate) fn new(stream: S, profile: CapabilityProfile) -> Self {
        Self {
            stream,
            profile,
            input: Vec::new(),
            infile: Vec::new(),
        }
    }

    /// Runs COM_QUERY.
    pub(crate) async fn query(&mut self, sql: &str) -> Reply {
        let attributes = self.profile.query_attributes();
        let command = highwater::protocol::command::com_query(sql.as_bytes(), attributes);
        self.command(&command, ReplyKind::Query).await
    }

    /// Runs a command and follows its reply to the end.
    pub(crate) async fn command(&mut self, command: &[u8], kind: ReplyKind) -> Reply {
        let mut out = Vec::new();
        append_packet(&mut out, &mut 0, command);
        self.stream.write_all(&out).await.unwrap();
        self.reply(kind).await
    }

    async fn reply(&mut self, kind: ReplyKind) -> Reply {
        let mut tracker = ReplyTracker::new(kind, self.profile);
        let mut reply = Reply::default();
        let mut passed = Vec::new();
        while !tracker.is_done() {
            let scan = tracker.scan(&self.input);
            passed.extend(self.input.drain(..scan.forward));
            if let Some(event) = scan.event {
                let packet: Vec<u8> = self.input.drain(..event.len).collect();
                reply
                    .events
                    .push((event.kind, payload(&packet).unwrap().to_vec()));
                if event.kind == EventKind::LocalInfile {
                    self.send_file(packet[3].wrapping_add(1)).await;
                }
            } else if !tracker.is_done() {
                let read = self.stream.read_buf(&mut self.input).await.unwrap();
                assert_ne!(read, 0, "the server hung up in the middle of a reply");
            }
        }
        assert!(
            self.input.is_empty(),
            "the reply had more bytes than the tracker knows of"
        );
        reply.passed = packets(&passed);
        reply
    }

    async fn send_file(&mut self, mut seq: u8) {
        let mut out = Vec::new();
        append_packet(&mut out, &mut seq, &self.infile);
        append_packet(&mut out, &mut seq, b"");
        self.stream.write_all(&out).await.unwrap();
    }
}

/// Payloads of whole packets, continued frames joined.
fn packets(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut continues = false;
    while let Some(header) = FrameHeader::parse(bytes) {
        let part = &bytes[HEADER..header.frame_len()];
        match found.last_mut() {
            Some(packet) if continues => packet.extend(part),
            _ => found.push(part.to_vec()),
        }
        continues = header.continues();
        bytes = &bytes[header.frame_len()..];
    }
    assert!(bytes.is_empty() && !continues, "a packet is not whole");
    found
}
