//! Clients log in: greeting, response, proof of the password.
//!
//! The proxy knows the users' passwords, so caching_sha2_password's fast path always suffices. On success the caller sends the OK
//! (or an ERR, if the default schema cannot be had) with [`Accepted::seq`]. Deadlines are the caller's business.
//!
//! Room is left for TLS (the stream is any; [`ClientHello::SslRequest`] is where it would start) and for logins that the primary
//! checks (they would take the place of [`Users`]).

use super::errors::ClientError;
use crate::protocol::auth::{NONCE_LEN, Nonce, Plugin, nonce_from};
use crate::protocol::caps::{CapabilityFlags, OFFERED};
use crate::protocol::command::ChangeUser;
use crate::protocol::frame::{FrameHeader, HEADER};
use crate::protocol::handshake::{
    ClientHello, Greeting, HandshakeResponse, hello, put_auth_switch, put_fast_auth_ok,
};
use crate::protocol::status::Status;
use mysql_common::crypto::rsa::{GetRandom, Rng};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// No packet of a login is longer: servers cap the connection attributes at 64 KiB.
const MAX_PACKET: usize = 64 * 1024;

/// Who may log in.
pub trait Users {
    /// The user's password; `None` if there is no such user.
    fn password(&self, user: &[u8]) -> Option<&[u8]>;
}

/// What a client is greeted with.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The version to show: that of the primary.
    pub version: &'a [u8],
    /// The connection id, by which clients ask for KILL.
    pub connection_id: u32,
    /// The capabilities to offer; what is not supported is left out.
    pub caps: CapabilityFlags,
    /// The low byte of the default collation's id.
    pub charset: u8,
    /// The status flags of a new session.
    pub status: Status,
    /// Where the client comes from, for messages.
    pub peer: &'a str,
}

/// A client that has proven who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The user's name.
    pub user: Vec<u8>,
    /// The default schema that the client asks for.
    pub database: Option<Vec<u8>>,
    /// The capabilities in force on this connection.
    pub caps: CapabilityFlags,
    /// The collation's id; only its low byte is known from a first login.
    pub charset: u16,
    /// The largest packet that the client takes, in bytes.
    pub max_packet: u32,
    /// The connection attributes, undecoded.
    pub connect_attrs: Vec<u8>,
    /// The greeting's nonce, for a later [`change_user`] of a client without PLUGIN_AUTH.
    pub nonce: Nonce,
    /// The sequence id of the packet that ends the login.
    pub seq: u8,
}

/// Why a login failed. A rejected client has been told.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The client went without a word, as health checks do.
    #[error("the client closed the connection before it logged in")]
    Closed,
    /// The connection broke.
    #[error("i/o with the client: {0}")]
    Io(#[from] io::Error),
    /// The client was refused; the ERR packet has been sent. Close the connection.
    #[error("{0}")]
    Rejected(ClientError),
}

/// Greets a client and lets it prove who it is.
pub async fn login<S>(
    stream: &mut S,
    terms: &Terms<'_>,
    users: &impl Users,
) -> Result<Accepted, LoginError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let nonce = fresh_nonce()?;
    let mut dialogue = Dialogue {
        stream,
        seq: 0,
        out: Vec::new(),
    };
    let greeting = Greeting {
        version: terms.version,
        connection_id: terms.connection_id,
        caps: terms.caps & OFFERED,
        charset: terms.charset,
        status: terms.status,
        nonce,
        plugin: Plugin::CachingSha2.name(),
    };
    dialogue.send(|out, seq| greeting.put(out, seq)).await?;
    let packet = dialogue.read().await?;
    let response = match hello(&packet).map(checked) {
        Some(Ok(response)) => response,
        Some(Err(error)) => return dialogue.reject(error).await,
        None => {
            let error = ClientError::BadHandshake("malformed response");
            return dialogue.reject(error).await;
        }
    };
    let caps = response.caps & terms.caps & OFFERED;
    let claim = Claim {
        user: response.user,
        auth: response.auth,
        plugin: response.plugin,
        nonce,
        switch_always: false,
    };
    dialogue.prove(&claim, caps, users, terms.peer).await?;
    Ok(Accepted {
        user: response.user.to_vec(),
        database: some(response.database),
        caps,
        charset: u16::from(response.charset),
        max_packet: response.max_packet,
        connect_attrs: response.connect_attrs.to_vec(),
        nonce,
        seq: dialogue.seq,
    })
}

/// Lets a client that is logged in become another user (COM_CHANGE_USER). Its proof is always asked for anew, against a fresh nonce.
///
/// `session` is what the login gave, `request` the command. A client that fails is told and has to be closed, as servers do.
pub async fn change_user<S>(
    stream: &mut S,
    session: &Accepted,
    request: &ChangeUser<'_>,
    users: &impl Users,
    peer: &str,
) -> Result<Accepted, LoginError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut dialogue = Dialogue {
        stream,
        seq: 1,
        out: Vec::new(),
    };
    let claim = Claim {
        user: request.user,
        auth: request.auth,
        plugin: request.plugin,
        nonce: session.nonce,
        switch_always: true,
    };
    dialogue.prove(&claim, session.caps, users, peer).await?;
    Ok(Accepted {
        user: request.user.to_vec(),
        database: some(request.database),
        charset: request.charset.unwrap_or(session.charset),
        connect_attrs: request.connect_attrs.to_vec(),
        seq: dialogue.seq,
        ..session.clone()
    })
}

/// What a client says about itself.
struct Claim<'a> {
    user: &'a [u8],
    auth: &'a [u8],
    plugin: &'a [u8],
    /// What `auth` answers.
    nonce: Nonce,
    /// Whether `auth` is to be ignored and asked for anew.
    switch_always: bool,
}

fn checked(hello: ClientHello<'_>) -> Result<HandshakeResponse<'_>, ClientError> {
    match hello {
        ClientHello::SslRequest => Err(ClientError::TlsNotOffered),
        ClientHello::TooOld => Err(ClientError::ClientTooOld),
        ClientHello::Response(response) => {
            let new = CapabilityFlags::CLIENT_SECURE_CONNECTION;
            if response.caps.contains(new) {
                Ok(response)
            } else {
                Err(ClientError::ClientTooOld)
            }
        }
    }
}

fn some(name: &[u8]) -> Option<Vec<u8>> {
    (!name.is_empty()).then(|| name.to_vec())
}

fn fresh_nonce() -> io::Result<Nonce> {
    let mut entropy = [0; NONCE_LEN];
    GetRandom.fill(&mut entropy).map_err(io::Error::other)?;
    Ok(nonce_from(entropy))
}

/// Packets to and fro, with their sequence ids.
struct Dialogue<'s, S> {
    stream: &'s mut S,
    /// The sequence id of the next packet, from either side.
    seq: u8,
    out: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<'_, S> {
    /// Has the password proven by the plugin that the client names, or else by one that both have.
    async fn prove(
        &mut self,
        claim: &Claim<'_>,
        caps: CapabilityFlags,
        users: &impl Users,
        peer: &str,
    ) -> Result<(), LoginError> {
        let can_switch = caps.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH);
        let named = Plugin::from_name(claim.plugin);
        let (plugin, switch) = match named {
            _ if !can_switch => (Plugin::Native, false),
            // Some clients that lack the plugin of the greeting say nothing until they are asked by
            // theirs: MariaDB's replicas.
            Some(Plugin::Native) if matches!(claim.auth, [] | [0]) => (Plugin::Native, true),
            Some(plugin) => (plugin, claim.switch_always),
            None => (Plugin::CachingSha2, true),
        };
        let (mut nonce, mut auth) = (claim.nonce, claim.auth.to_vec());
        if switch {
            nonce = fresh_nonce()?;
            self.send(|out, seq| put_auth_switch(plugin.name(), &nonce, out, seq))
                .await?;
            auth = self.read().await?;
        }
        let password = users.password(claim.user);
        // An unknown user costs the same time as a wrong password.
        let right = plugin.verify(password.unwrap_or(b"no such user"), &nonce, &auth);
        let Some(password) = password.filter(|_| right) else {
            let denied = ClientError::AccessDenied {
                user: String::from_utf8_lossy(claim.user).into_owned(),
                host: peer.to_owned(),
                using_password: !matches!(*auth, [] | [0]),
            };
            return self.reject(denied).await;
        };
        if plugin == Plugin::CachingSha2 && !password.is_empty() {
            self.send(put_fast_auth_ok).await?;
        }
        Ok(())
    }

    /// Reads one packet, never more: what follows belongs to whoever has the stream next.
    async fn read(&mut self) -> Result<Vec<u8>, LoginError> {
        let mut header = [0; HEADER];
        if self.stream.read(&mut header[..1]).await? == 0 {
            return Err(LoginError::Closed);
        }
        self.stream.read_exact(&mut header[1..]).await?;
        let Some(FrameHeader { len, seq }) = FrameHeader::parse(&header) else {
            return Err(LoginError::Closed);
        };
        if seq != self.seq {
            return self.reject(ClientError::PacketsOutOfOrder).await;
        }
        self.seq = self.seq.wrapping_add(1);
        if len > MAX_PACKET {
            let limit = MAX_PACKET;
            return self.reject(ClientError::PacketTooLarge { limit }).await;
        }
        let mut packet = vec![0; len];
        self.stream.read_exact(&mut packet).await?;
        Ok(packet)
    }

    async fn send(&mut self, put: impl FnOnce(&mut Vec<u8>, &mut u8)) -> io::Result<()> {
        self.out.clear();
        put(&mut self.out, &mut self.seq);
        self.stream.write_all(&self.out).await?;
        self.stream.flush().await
    }

    /// Tells the client why not.
    async fn reject<T>(&mut self, error: ClientError) -> Result<T, LoginError> {
        self.send(|out, seq| error.put(out, seq)).await?;
        Err(LoginError::Rejected(error))
    }
}
