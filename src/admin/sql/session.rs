//! One admin client, from its login to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answer::{self, Answer, Form, STATUS};
use super::{AdminError, command};
use crate::admin::house::{self, House};
use crate::config::Account;
use crate::frontend::ClientError;
use crate::frontend::login::{self, Accepted, LoginError, Terms, Users};
use crate::net::{Conn, Stream};
use crate::protocol::caps::{CapabilityFlags, OFFERED};
use crate::protocol::command::{CommandCode, query_text, stmt_id};
use crate::protocol::frame::{FrameHeader, HEADER, append_packet};
use crate::protocol::packets::OkPacket;
use crate::protocol::resultset::prepared_ok;

/// Until then a client must have logged in.
const LOGIN: Duration = Duration::from_secs(10);
/// utf8mb4_general_ci.
const UTF8MB4: u8 = 45;
/// What clients take the port for. They look at the number to know which statements they may send.
pub(super) const VERSION: &str = concat!("8.4.0-highwater-admin-", env!("CARGO_PKG_VERSION"));
/// Prepared statements that a client may have.
const MOST_STATEMENTS: usize = 256;
/// The longest command, in bytes.
const LONGEST: usize = super::token::LONGEST + 1024;

/// What is offered to admin clients: there is no second statement in a packet, and no file.
const CAPS: CapabilityFlags = OFFERED
    .difference(CapabilityFlags::CLIENT_SESSION_TRACK)
    .difference(CapabilityFlags::CLIENT_LOCAL_FILES)
    .difference(CapabilityFlags::CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS);

/// The only user.
struct Admin<'a>(&'a Account);

impl Users for Admin<'_> {
    fn password(&self, user: &[u8]) -> Option<&[u8]> {
        let account = self.0;
        (user == account.name.as_bytes()).then(|| account.password.expose().as_bytes())
    }
}

/// A session is over, whatever its reason.
struct Over;

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// Serves one client. `has_place` says whether there is room for it.
pub(super) async fn serve(
    stream: Stream,
    number: u32,
    has_place: bool,
    account: &Account,
    house: &dyn House,
) {
    let peer = stream.peer_host();
    let mut client = Conn::new(stream);
    if !has_place {
        let error = ClientError::TooManySessions { limit: super::MOST };
        let mut out = Vec::new();
        error.put(&mut out, &mut 0);
        // It may be gone already.
        let _ = client.send(&out).await;
        return;
    }
    let terms = Terms {
        version: VERSION.as_bytes(),
        connection_id: number,
        caps: CAPS,
        charset: UTF8MB4,
        status: STATUS,
        peer: &peer,
    };
    let users = Admin(account);
    let login = login::login(&mut client.stream, &terms, &users);
    let accepted = match tokio::time::timeout(LOGIN, login).await {
        Ok(Ok(accepted)) => accepted,
        Ok(Err(LoginError::Rejected(error))) => {
            tracing::warn!(%peer, %error, "admin login refused");
            return;
        }
        Ok(Err(_)) | Err(_) => return,
    };
    tracing::info!(%peer, "admin client connected");
    let mut session = Session {
        client,
        house,
        number,
        peer: &peer,
        form: Form {
            deprecate_eof: accepted
                .caps
                .contains(CapabilityFlags::CLIENT_DEPRECATE_EOF),
            binary: false,
        },
        accepted,
        prepared: BTreeMap::new(),
        last: 0,
        out: Vec::new(),
    };
    // Either its goodbye or the loss of its connection.
    let Over = session.run().await;
    tracing::info!(%peer, "admin client left");
}

struct Session<'a> {
    client: Conn,
    house: &'a dyn House,
    number: u32,
    peer: &'a str,
    accepted: Accepted,
    form: Form,
    /// Texts of prepared statements.
    prepared: BTreeMap<u32, String>,
    last: u32,
    out: Vec<u8>,
}

impl Session<'_> {
    async fn run(&mut self) -> Over {
        let mut seq = self.accepted.seq;
        OkPacket {
            status: STATUS,
            ..OkPacket::default()
        }
        .put(&mut self.out, &mut seq);
        loop {
            if let Err(over) = self.one_command().await {
                return over;
            }
        }
    }

    /// Sends what is ready, reads one command and prepares its reply.
    async fn one_command(&mut self) -> Result<(), Over> {
        self.client.send(&self.out).await?;
        self.out.clear();
        self.client.fill_to(HEADER).await?;
        let header = FrameHeader::parse(self.client.input.data()).ok_or(Over)?;
        if header.seq != 0 || header.len == 0 || header.len > LONGEST {
            let error = match header.len > LONGEST {
                true => ClientError::PacketTooLarge { limit: LONGEST },
                false => ClientError::Malformed,
            };
            error.put(&mut self.out, &mut 1);
            self.client.send(&self.out).await?;
            return Err(Over);
        }
        self.client.fill_to(header.frame_len()).await?;
        let frame = self.client.input.data().get(HEADER..header.frame_len());
        let payload = frame.ok_or(Over)?.to_vec();
        self.client.input.consume(header.frame_len());
        self.command(&payload).await
    }

    async fn command(&mut self, payload: &[u8]) -> Result<(), Over> {
        let code = payload.first().copied().and_then(CommandCode::from_byte);
        let form = self.form;
        match code {
            Some(CommandCode::Quit) => return Err(Over),
            Some(CommandCode::Query) => {
                let attributes = CapabilityFlags::CLIENT_QUERY_ATTRIBUTES;
                let attributes = self.accepted.caps.contains(attributes);
                let range = query_text(payload, attributes).ok_or(Over)?;
                let answer = self.answer(payload.get(range).unwrap_or_default()).await;
                answer::put(&answer, form, &mut self.out);
            }
            Some(
                CommandCode::Ping
                | CommandCode::InitDb
                | CommandCode::ResetConnection
                | CommandCode::StmtReset
                | CommandCode::Debug,
            ) => answer::put(&Ok(Answer::ok()), form, &mut self.out),
            // An EOF, which no other reply is alone.
            Some(CommandCode::SetOption) => OkPacket {
                status: STATUS,
                ..OkPacket::default()
            }
            .put_result_end(form.deprecate_eof, &mut self.out, &mut 1),
            Some(CommandCode::FieldList) => self.fields(payload),
            Some(CommandCode::StmtPrepare) => self.prepare(payload),
            Some(CommandCode::StmtExecute) => {
                let text = stmt_id(payload).and_then(|id| self.prepared.get(&id));
                let answer = match text.cloned() {
                    Some(text) => self.answer(text.as_bytes()).await,
                    None => Err(AdminError::Refused("no such prepared statement".to_owned())),
                };
                let form = Form {
                    binary: true,
                    ..form
                };
                answer::put(&answer, form, &mut self.out);
            }
            Some(CommandCode::StmtClose) => {
                if let Some(id) = stmt_id(payload) {
                    self.prepared.remove(&id);
                }
            }
            Some(CommandCode::StmtSendLongData) => {}
            Some(CommandCode::Statistics) => {
                append_packet(&mut self.out, &mut 1, VERSION.as_bytes());
            }
            _ => ClientError::UnknownCommand.put(&mut self.out, &mut 1),
        }
        Ok(())
    }

    async fn answer(&self, text: &[u8]) -> Result<Answer, AdminError> {
        let asker = command::Asker {
            number: self.number,
            peer: self.peer,
            database: self.accepted.database.as_deref(),
        };
        match std::str::from_utf8(text) {
            Ok(text) => command::run(self.house, asker, text).await,
            Err(_) => Err(AdminError::Syntax("the command is not UTF-8".to_owned())),
        }
    }

    /// COM_FIELD_LIST: a table's name, 0x00, a pattern.
    fn fields(&mut self, payload: &[u8]) {
        let name = payload.get(1..).unwrap_or_default();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        match house::table(&name) {
            Some(table) => answer::put_fields(table, self.form, &mut self.out),
            None => {
                let error = AdminError::UnknownTable(name.into_owned());
                answer::put(&Err(error), self.form, &mut self.out);
            }
        }
    }

    fn prepare(&mut self, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload.get(1..).unwrap_or_default()).into_owned();
        let refused = if self.prepared.len() >= MOST_STATEMENTS {
            Some("too many prepared statements")
        } else if text.contains('?') {
            Some("prepared commands take no parameters here")
        } else {
            None
        };
        if let Some(why) = refused {
            let error = AdminError::Refused(why.to_owned());
            return answer::put(&Err(error), self.form, &mut self.out);
        }
        self.last = self.last.wrapping_add(1).max(1);
        self.prepared.insert(self.last, text);
        let eof = self.form.deprecate_eof;
        prepared_ok(&mut self.out, &mut 1, self.last, 0, STATUS, eof);
    }
}
