//! Follows one command's reply in the byte stream of a server connection: the hot path.
//!
//! Rows and column definitions are passed over by their frame headers and first byte; only what ends or
//! turns a reply is shown to the caller as an [`Event`]. Nothing is copied or allocated.
//!
//! ```text
//! First ─OK/ERR─────────────────────────────▶ Done        (OK with MORE_RESULTS: First again)
//!   │ └─LOCAL INFILE─▶ First (after the client's data)
//!   └─column count─▶ Columns ─▶ (ColumnsEnd) ─▶ Rows ─terminator─▶ Done, or First with MORE_RESULTS
//! PrepareFirst ─OK─▶ Definitions ─▶ Done        Text ─▶ Done
//! ```
//! ColumnsEnd is the EOF that a server without DEPRECATE_EOF sends; it ends the reply if it opens a cursor.

use super::caps::CapabilityProfile;
use super::frame::{FrameHeader, HEADER, MAX_PAYLOAD};
use super::ok::OkView;
use super::reader::Reader;
use super::status::Status;

/// An EOF packet's payload is shorter than this; a longer one that begins with 0xFE is data.
const EOF_BELOW: usize = 9;

/// The packet with a result set's column count is no longer than a length-encoded integer and a metadata flag.
const COLUMN_COUNT_MAX: usize = 10;

/// Which shape of reply a command has.
///
/// COM_STMT_SEND_LONG_DATA, COM_STMT_CLOSE and COM_QUIT have none; COM_CHANGE_USER has a dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// COM_QUERY.
    Query,
    /// COM_STMT_EXECUTE. The columns end the reply only if a cursor was asked for.
    Execute {
        /// Whether the command's flags ask for a cursor.
        cursor: bool,
    },
    /// COM_STMT_PREPARE.
    Prepare,
    /// COM_STMT_FETCH.
    Fetch,
    /// COM_FIELD_LIST.
    FieldList,
    /// One OK, EOF or ERR: COM_INIT_DB, COM_PING, COM_RESET_CONNECTION, COM_SET_OPTION, COM_STMT_RESET and the like.
    Simple,
    /// COM_STATISTICS: one packet of plain text.
    Statistics,
}

/// What [`ReplyTracker::scan`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// So many bytes at the start of the buffer hold no terminator and may go to the client as they are.
    pub forward: usize,
    /// The packet at `buf[forward .. forward + event.len]`, to be taken in before it is forwarded.
    pub event: Option<Event>,
}

/// A whole packet that ends or turns the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is.
    pub kind: EventKind,
    /// Bytes of its frame, header included.
    pub len: usize,
    /// Its status flags; empty where the packet has none.
    pub status: Status,
    /// Whether more of this reply follows the packet.
    pub more: bool,
}

/// The packets that a caller must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// An OK packet that is a result of its own.
    Ok,
    /// The EOF or OK packet after rows, or after columns if a cursor was opened.
    ResultEnd,
    /// The EOF packet after columns, if [`ReplyTracker::telling_columns_end`] asks for it.
    ColumnsEnd,
    /// An ERR packet. It ends the reply, also one of many results.
    Err,
    /// The server asks for a client's file. The client's frames, up to and with an empty one, go
    /// to the server; then the reply goes on.
    LocalInfile,
    /// COM_STMT_PREPARE succeeded. Definitions of `params` and `columns` follow.
    Prepared {
        /// The statement's id on this server connection, at bytes 5..9 of the frame.
        stmt_id: u32,
        /// How many parameters it has.
        params: u16,
        /// How many columns its result has.
        columns: u16,
    },
    /// Not a reply that this command can have; the packet need not be whole. The connection's state is unknown: discard it.
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    First,
    Columns { left: u64 },
    ColumnsEnd,
    Rows,
    PrepareFirst,
    Definitions { left: u32 },
    Text,
    Done,
}

/// What the packet at hand leads to.
enum Step {
    /// Too few bytes to tell.
    Wait,
    /// Not a terminator: the frame may pass.
    Pass(State),
    /// A terminator, whole in the buffer.
    Event(EventKind, Status, State),
}

/// Follows one reply. Call [`scan`](Self::scan) with whatever has arrived, forward, take in the event,
/// and go on with the bytes after both until [`is_done`](Self::is_done).
#[derive(Clone, Debug)]
pub struct ReplyTracker {
    kind: ReplyKind,
    deprecate_eof: bool,
    /// Whether the EOF packet after columns is an event.
    tells_columns_end: bool,
    state: State,
    /// Bytes of the frame under way that have not arrived yet.
    frame_left: usize,
    /// Whether the packet under way goes on in the next frame.
    continues: bool,
    /// Rows of the result under way, or of the last one.
    rows: u64,
    /// Columns of the last result set.
    columns: u64,
}

impl ReplyTracker {
    /// A tracker for the reply of the next command on a connection with this profile.
    pub fn new(kind: ReplyKind, profile: CapabilityProfile) -> Self {
        Self {
            kind,
            deprecate_eof: profile.deprecate_eof(),
            tells_columns_end: false,
            state: match kind {
                ReplyKind::Prepare => State::PrepareFirst,
                ReplyKind::Fetch | ReplyKind::FieldList => State::Rows,
                ReplyKind::Statistics => State::Text,
                ReplyKind::Query | ReplyKind::Execute { .. } | ReplyKind::Simple => State::First,
            },
            frame_left: 0,
            continues: false,
            rows: 0,
            columns: 0,
        }
    }

    /// How many columns the last result set has so far; 0 before the first one.
    pub fn columns(&self) -> u64 {
        self.columns
    }

    /// How many rows the result under way has had, or the one whose end was the last event.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Shows the EOF packet after columns, too: its status flags are the connection's.
    #[must_use]
    pub fn telling_columns_end(mut self, tells: bool) -> Self {
        self.tells_columns_end = tells;
        self
    }

    /// Whether the whole reply has been forwarded or shown as events.
    pub fn is_done(&self) -> bool {
        self.state == State::Done && self.frame_left == 0 && !self.continues
    }

    /// Looks at `buf`, which begins with the first byte that was neither forwarded nor shown.
    ///
    /// The tracker takes both the `forward` bytes and the event's packet as consumed. Bytes after them, such as the
    /// start of a packet that has to be whole first, must come again with more behind them. Never
    /// reaches past the end of the reply.
    #[inline]
    pub fn scan(&mut self, buf: &[u8]) -> Scan {
        let mut pos = 0;
        loop {
            pos += self.pass_frame(buf.len() - pos);
            if self.frame_left > 0 || self.is_done() {
                return Scan {
                    forward: pos,
                    event: None,
                };
            }
            if self.state == State::Rows && !self.continues {
                pos = pass_rows(buf, pos, &mut self.rows);
            }
            let rest = buf.get(pos..).unwrap_or_default();
            let Some(header) = FrameHeader::parse(rest) else {
                return Scan {
                    forward: pos,
                    event: None,
                };
            };
            match self.step(header, rest) {
                Step::Wait => {
                    return Scan {
                        forward: pos,
                        event: None,
                    };
                }
                Step::Pass(next) => {
                    match (self.state, next) {
                        (State::First, State::Columns { left }) => {
                            self.rows = 0;
                            self.columns = left;
                        }
                        (State::First, _) => self.rows = 0,
                        (State::Rows, _) if !self.continues => self.rows += 1,
                        _ => {}
                    }
                    self.state = next;
                    self.frame_left = header.frame_len();
                    self.continues = header.continues();
                }
                Step::Event(kind, status, next) => {
                    self.state = next;
                    let event = Event {
                        kind,
                        len: header.frame_len().min(rest.len()),
                        status,
                        more: next != State::Done,
                    };
                    return Scan {
                        forward: pos,
                        event: Some(event),
                    };
                }
            }
        }
    }

    fn pass_frame(&mut self, available: usize) -> usize {
        let passed = self.frame_left.min(available);
        self.frame_left -= passed;
        passed
    }

    fn step(&self, header: FrameHeader, rest: &[u8]) -> Step {
        if self.continues {
            return Step::Pass(self.state);
        }
        let Some(&first) = rest.get(HEADER) else {
            return match (header.len, self.state) {
                (1.., _) => Step::Wait,
                (0, State::Rows) => Step::Pass(State::Rows),
                (0, State::Text) => Step::Pass(State::Done),
                (0, _) => malformed(),
            };
        };
        if header.len == 0 {
            return match self.state {
                State::Rows => Step::Pass(State::Rows),
                State::Text => Step::Pass(State::Done),
                _ => malformed(),
            };
        }
        if first == 0xFF && self.state != State::Done {
            return whole(header, rest, |_| {
                Step::Event(EventKind::Err, Status::default(), State::Done)
            });
        }
        match self.state {
            State::First => self.step_first(first, header, rest),
            State::Columns { left } => Step::Pass(self.after_column(left)),
            State::ColumnsEnd => self.step_columns_end(first, header, rest),
            State::Rows if self.is_terminator(first, header) => whole(header, rest, |payload| {
                self.step_end(EventKind::ResultEnd, payload)
            }),
            State::Rows => Step::Pass(State::Rows),
            State::PrepareFirst if first == 0 => {
                whole(header, rest, |payload| self.step_prepared(payload))
            }
            State::PrepareFirst => malformed(),
            State::Definitions { left } => Step::Pass(definitions(left.saturating_sub(1))),
            State::Text | State::Done => Step::Pass(State::Done),
        }
    }

    fn step_first(&self, first: u8, header: FrameHeader, rest: &[u8]) -> Step {
        match first {
            0x00 => whole(header, rest, |payload| {
                self.step_end(EventKind::Ok, payload)
            }),
            0xFE if self.is_terminator(first, header) => whole(header, rest, |payload| {
                self.step_end(EventKind::Ok, payload)
            }),
            _ if self.kind == ReplyKind::Simple => malformed(),
            0xFB => whole(header, rest, |_| {
                Step::Event(EventKind::LocalInfile, Status::default(), State::First)
            }),
            _ if header.len > COLUMN_COUNT_MAX => malformed(),
            _ => whole(header, rest, |payload| {
                match Reader::new(payload).lenenc() {
                    Some(left @ 1..) => Step::Pass(State::Columns { left }),
                    _ => malformed(),
                }
            }),
        }
    }

    fn after_column(&self, left: u64) -> State {
        match left {
            2.. => State::Columns { left: left - 1 },
            _ if self.deprecate_eof => State::Rows,
            _ => State::ColumnsEnd,
        }
    }

    fn step_columns_end(&self, first: u8, header: FrameHeader, rest: &[u8]) -> Step {
        if first != 0xFE || header.len >= EOF_BELOW {
            return malformed();
        }
        whole(header, rest, |payload| match OkView::parse(payload) {
            None => malformed(),
            Some(end) if self.opens_cursor(end.status) => {
                self.step_end(EventKind::ResultEnd, payload)
            }
            Some(end) if self.tells_columns_end => {
                Step::Event(EventKind::ColumnsEnd, end.status, State::Rows)
            }
            Some(_) => Step::Pass(State::Rows),
        })
    }

    fn opens_cursor(&self, status: Status) -> bool {
        self.kind == ReplyKind::Execute { cursor: true } && status.contains(Status::CURSOR_EXISTS)
    }

    fn is_terminator(&self, first: u8, header: FrameHeader) -> bool {
        let below = if self.deprecate_eof {
            MAX_PAYLOAD
        } else {
            EOF_BELOW
        };
        first == 0xFE && header.len < below
    }

    fn step_end(&self, kind: EventKind, payload: &[u8]) -> Step {
        let Some(end) = OkView::parse(payload) else {
            return malformed();
        };
        let many = matches!(self.kind, ReplyKind::Query | ReplyKind::Execute { .. });
        let next = if many && end.status.contains(Status::MORE_RESULTS) {
            State::First
        } else {
            State::Done
        };
        Step::Event(kind, end.status, next)
    }

    /// The OK of COM_STMT_PREPARE: 0x00, statement id, columns, parameters, filler, warnings.
    fn step_prepared(&self, payload: &[u8]) -> Step {
        let mut reader = Reader::new(payload);
        let (Some(_), Some(stmt_id), Some(columns), Some(params)) =
            (reader.u8(), reader.u32(), reader.u16(), reader.u16())
        else {
            return malformed();
        };
        let group = |n: u16| u32::from(n) + u32::from(n > 0 && !self.deprecate_eof);
        let kind = EventKind::Prepared {
            stmt_id,
            params,
            columns,
        };
        let next = definitions(group(params) + group(columns));
        Step::Event(kind, Status::default(), next)
    }
}

/// Passes whole rows that lie in the buffer and cannot be anything else. Everything unusual is left to
/// [`ReplyTracker::step`].
#[inline]
fn pass_rows(buf: &[u8], mut pos: usize, rows: &mut u64) -> usize {
    let mut passed = 0;
    while let Some(&[a, b, c, _, first]) = buf.get(pos..).and_then(|rest| rest.first_chunk()) {
        let len = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
        let end = pos + HEADER + len;
        if first >= 0xFE || len == 0 || len == MAX_PAYLOAD || end > buf.len() {
            break;
        }
        pos = end;
        passed += 1;
    }
    *rows += passed;
    pos
}

fn definitions(left: u32) -> State {
    match left {
        0 => State::Done,
        left => State::Definitions { left },
    }
}

/// Runs `then` on the payload once the frame is whole. No packet that has to be whole needs two frames.
fn whole(header: FrameHeader, rest: &[u8], then: impl FnOnce(&[u8]) -> Step) -> Step {
    if header.continues() {
        return malformed();
    }
    match rest.get(HEADER..header.frame_len()) {
        Some(payload) => then(payload),
        None => Step::Wait,
    }
}

fn malformed() -> Step {
    Step::Event(EventKind::Malformed, Status::default(), State::Done)
}

#[cfg(test)]
#[path = "reply/tests.rs"]
mod tests;
