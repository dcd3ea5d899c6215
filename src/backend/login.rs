//! Logging in to a server: caching_sha2_password with its full exchange, mysql_native_password, and the switch to either
//! or to sha256_password, which a server also asks for of accounts that it does not have, so as not to tell.
//!
//! Over plain TCP the full exchange asks the server for its public key, which whoever sits in between could replace: only TLS
//! helps against that. The password itself is never sent over a transport that is not [`Transport::Private`].

use crate::protocol::auth::{Nonce, Plugin, RsaError, encrypt_password};
use crate::protocol::caps::{CapabilityFlags, CapabilityProfile};
use crate::protocol::frame::{FrameHeader, HEADER, append_packet};
use crate::protocol::handshake::{
    AuthReply, HandshakeResponse, REQUEST_PUBLIC_KEY, ServerGreeting, nonce_of, put_response,
};
use crate::protocol::ok::OkView;
use crate::protocol::packets::ErrView;
use crate::protocol::status::Status;
use mysql_common::crypto::rsa::{GetRandom, Rng};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// No packet of a login is longer.
const MAX_PACKET: usize = 64 * 1024;
/// The largest packet that the server may send: as large as servers can be told.
const MAX_REPLY_PACKET: u32 = 1 << 30;
/// No login has more packets from the server; one that goes on is none.
const MAX_ROUNDS: usize = 8;
/// The plugin before caching_sha2_password, whose exchange is the long one of that.
const SHA256: &[u8] = b"sha256_password";
/// What asks for its key.
const REQUEST_KEY_SHA256: u8 = 1;
/// The connection attributes: names and values, each after its length.
const CONNECT_ATTRS: &[u8] = b"\x0cprogram_name\x09highwater";

/// Who may listen on the way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP.
    Open,
    /// A unix socket or TLS: the password itself may be sent.
    Private,
}

/// How to log in.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The account's name.
    pub user: &'a [u8],
    /// Its password.
    pub password: &'a [u8],
    /// The capabilities to log in with.
    pub profile: CapabilityProfile,
    /// The low byte of the collation's id.
    pub charset: u8,
    /// The default schema.
    pub database: Option<&'a [u8]>,
    /// Who may listen.
    pub transport: Transport,
}

/// A server connection that is ready for commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// How the server greeted: its version, capabilities, charset, and the connection's id there.
    pub server: ServerGreeting,
    /// The capabilities in force on the connection.
    pub caps: CapabilityFlags,
    /// The session's status flags.
    pub status: Status,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The connection could not be made, or broke. May be tried again.
    #[error("i/o with the server: {0}")]
    Io(#[from] io::Error),
    /// The server refused, for the reason it gave.
    #[error("the server refused the login: {message} ({code}, {state})")]
    Refused {
        /// The server's error number.
        code: u16,
        /// The SQLSTATE.
        state: String,
        /// The server's words.
        message: String,
        /// How it greeted before; `None` if it refused at once.
        server: Option<Box<ServerGreeting>>,
    },
    /// The server cannot do what the connection is needed for.
    #[error("the server lacks capabilities: {missing:?}")]
    MissingCapabilities {
        /// What it lacks.
        missing: CapabilityFlags,
        /// How it greeted.
        server: Box<ServerGreeting>,
    },
    /// The account's plugin is not known here.
    #[error("the account's authentication plugin {0:?} is not supported")]
    UnsupportedPlugin(String),
    /// The password could not be sealed with the server's public key.
    #[error(transparent)]
    Seal(#[from] RsaError),
    /// What the server sent is no login.
    #[error("the server broke the protocol of a login: {0}")]
    Protocol(&'static str),
}

impl ConnectError {
    /// How the server greeted, if it came to that.
    pub fn greeting(&self) -> Option<&ServerGreeting> {
        match self {
            Self::MissingCapabilities { server, .. } => Some(server),
            Self::Refused { server, .. } => server.as_deref(),
            _ => None,
        }
    }

    fn greeted(mut self, by: ServerGreeting) -> Self {
        if let Self::Refused { server, .. } = &mut self {
            *server = Some(Box::new(by));
        }
        self
    }

    /// Whether another try may succeed without a change to configuration or accounts.
    pub fn may_retry(&self) -> bool {
        match self {
            Self::Io(_) => true,
            // Too many connections (of all, of this user), shutdown, starting up, resource limit.
            Self::Refused { code, .. } => matches!(code, 1040 | 1203 | 1053 | 3168 | 1226),
            _ => false,
        }
    }
}

/// Logs in on a fresh connection. Deadlines are the caller's business; after an error the stream is of no use.
pub async fn login<S>(stream: &mut S, login: &Login<'_>) -> Result<LoggedIn, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut dialogue = Dialogue { stream, seq: 0 };
    let packet = dialogue.read().await?;
    if packet.first() == Some(&0xFF) {
        return Err(refused(&packet));
    }
    let server = ServerGreeting::parse(&packet).ok_or(ConnectError::Protocol("greeting"))?;
    let missing = login.profile.flags() - server.caps;
    if !missing.is_empty() {
        let server = Box::new(server);
        return Err(ConnectError::MissingCapabilities { missing, server });
    }
    let mut caps = login.profile.flags();
    caps.set(
        CapabilityFlags::CLIENT_CONNECT_WITH_DB,
        login.database.is_some(),
    );
    // An unknown default plugin says nothing about the account: the server switches to what that has.
    let plugin = Plugin::from_name(&server.plugin).unwrap_or(Plugin::CachingSha2);
    let nonce = server.nonce;
    dialogue.respond(login, caps, plugin, &nonce).await?;
    let status = match dialogue.prove(login, plugin, nonce).await {
        Ok(status) => status,
        Err(error) => return Err(error.greeted(server)),
    };
    Ok(LoggedIn {
        server,
        caps,
        status,
    })
}

fn refused(payload: &[u8]) -> ConnectError {
    match ErrView::parse(payload) {
        Some(err) => ConnectError::Refused {
            code: err.code,
            state: String::from_utf8_lossy(&err.state).into_owned(),
            message: String::from_utf8_lossy(err.message).into_owned(),
            server: None,
        },
        None => ConnectError::Protocol("malformed ERR packet"),
    }
}

/// Packets to and fro, with their sequence ids.
struct Dialogue<'s, S> {
    stream: &'s mut S,
    /// The sequence id of the next packet, from either side.
    seq: u8,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<'_, S> {
    async fn respond(
        &mut self,
        login: &Login<'_>,
        caps: CapabilityFlags,
        plugin: Plugin,
        nonce: &Nonce,
    ) -> Result<(), ConnectError> {
        let response = HandshakeResponse {
            caps,
            max_packet: MAX_REPLY_PACKET,
            charset: login.charset,
            user: login.user,
            auth: &plugin.scramble(login.password, nonce),
            database: login.database.unwrap_or_default(),
            plugin: plugin.name().as_bytes(),
            connect_attrs: CONNECT_ATTRS,
        };
        let mut out = Vec::new();
        put_response(&response, &mut out, &mut self.seq);
        self.write(&out).await
    }

    /// Answers whatever the server asks until it says OK.
    async fn prove(
        &mut self,
        login: &Login<'_>,
        mut plugin: Plugin,
        mut nonce: Nonce,
    ) -> Result<Status, ConnectError> {
        for _ in 0..MAX_ROUNDS {
            let packet = self.read().await?;
            match AuthReply::parse(&packet) {
                Some(AuthReply::Ok(payload)) => {
                    let ok = OkView::parse(payload).ok_or(ConnectError::Protocol("OK packet"))?;
                    return Ok(ok.status);
                }
                Some(AuthReply::Err(payload)) => return Err(refused(payload)),
                Some(AuthReply::Switch { plugin: name, data }) if name == SHA256 => {
                    let nonce = nonce_of(data).ok_or(ConnectError::Protocol("nonce"))?;
                    match login.password.is_empty() {
                        true => self.send(&[0]).await?,
                        false => self.full_auth(login, &nonce, REQUEST_KEY_SHA256).await?,
                    }
                }
                Some(AuthReply::Switch { plugin: name, data }) => {
                    (plugin, nonce) = switch_to(name, data)?;
                    let proof = plugin.scramble(login.password, &nonce);
                    self.send(&proof).await?;
                }
                Some(AuthReply::FastAuthOk) if plugin == Plugin::CachingSha2 => {}
                Some(AuthReply::FullAuth) if plugin == Plugin::CachingSha2 => {
                    self.full_auth(login, &nonce, REQUEST_PUBLIC_KEY).await?;
                }
                _ => return Err(ConnectError::Protocol("authentication")),
            }
        }
        Err(ConnectError::Protocol("authentication without end"))
    }

    /// The server does not remember the password's hash: it wants the password. `request` asks for the
    /// key to seal it with.
    async fn full_auth(
        &mut self,
        login: &Login<'_>,
        nonce: &Nonce,
        request: u8,
    ) -> Result<(), ConnectError> {
        if login.transport == Transport::Private {
            return self.send(&[login.password, &[0]].concat()).await;
        }
        self.send(&[request]).await?;
        let packet = self.read().await?;
        let key = match AuthReply::parse(&packet) {
            Some(AuthReply::Data(key)) => key,
            Some(AuthReply::Err(payload)) => return Err(refused(payload)),
            // Data may come without a mark.
            _ if packet.starts_with(b"-----BEGIN") => &packet,
            _ => return Err(ConnectError::Protocol("public key")),
        };
        let mut seed = [0; 20];
        GetRandom.fill(&mut seed).map_err(io::Error::other)?;
        let sealed = encrypt_password(key, login.password, nonce, seed)?;
        self.send(&sealed).await
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), ConnectError> {
        let mut out = Vec::new();
        append_packet(&mut out, &mut self.seq, payload);
        self.write(&out).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), ConnectError> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Reads one packet, never more.
    async fn read(&mut self) -> Result<Vec<u8>, ConnectError> {
        let mut bytes = [0; HEADER];
        self.stream.read_exact(&mut bytes).await?;
        let header = FrameHeader::parse(&bytes).ok_or(ConnectError::Protocol("header"))?;
        if header.len > MAX_PACKET {
            return Err(ConnectError::Protocol("packet too large"));
        }
        let mut packet = vec![0; header.len];
        self.stream.read_exact(&mut packet).await?;
        // An ERR sent before the greeting may have any sequence id.
        if header.seq != self.seq && packet.first() != Some(&0xFF) {
            return Err(ConnectError::Protocol("packets out of order"));
        }
        self.seq = header.seq.wrapping_add(1);
        Ok(packet)
    }
}

fn switch_to(name: &[u8], data: &[u8]) -> Result<(Plugin, Nonce), ConnectError> {
    let plugin = Plugin::from_name(name).ok_or_else(|| {
        ConnectError::UnsupportedPlugin(String::from_utf8_lossy(name).into_owned())
    })?;
    let nonce = nonce_of(data).ok_or(ConnectError::Protocol("nonce"))?;
    Ok((plugin, nonce))
}
