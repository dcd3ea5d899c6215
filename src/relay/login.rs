//! A client's way in: greeted like the primary greets, checked against the configured users, given
//! its default schema.

use std::sync::Arc;

use mysql_common::collations::{Collation, CollationId};

use super::classify::{Baseline, Lexer};
use super::errors::client_error;
use super::reply::Swallowed;
use super::session::{End, Relay};
use super::shared::{Seat, Shared};
use crate::backend::{PoolKey, Want};
use crate::config::Config;
use crate::domain::ids::{BackendId, SessionId};
use crate::domain::session::mirror::READ_UTF8;
use crate::domain::session::{Session, Side, is_no_chain};
use crate::domain::topology::Engine;
use crate::frontend::ClientError;
use crate::frontend::login::{self, Accepted, LoginError, Terms, Users};
use crate::net::Conn;
use crate::protocol::caps::{
    CapabilityFlags, CapabilityProfile, OFFERED, backend_caps, greeting_caps,
};
use crate::protocol::command::com_init_db;
use crate::protocol::frame::{HEADER, append_packet};
use crate::protocol::handshake::ServerGreeting;
use crate::protocol::packets::OkPacket;

/// A client that is logged in.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) user: Arc<str>,
    pub(super) caps: CapabilityFlags,
    /// What its server connections are negotiated with.
    pub(super) profile: CapabilityProfile,
    /// What the login gave.
    pub(super) accepted: Accepted,
}

impl Client {
    pub(super) fn new(accepted: Accepted) -> Self {
        Self {
            user: String::from_utf8_lossy(&accepted.user).into(),
            caps: accepted.caps,
            profile: backend_caps(accepted.caps),
            accepted,
        }
    }

    /// The pool that its connections come from.
    pub(super) fn key(&self) -> PoolKey {
        PoolKey {
            user: Arc::clone(&self.user),
            profile: self.profile,
        }
    }
}

/// The configured users.
pub(super) struct Configured<'a>(pub(super) &'a Config);

impl Users for Configured<'_> {
    fn password(&self, user: &[u8]) -> Option<&[u8]> {
        let account = self
            .0
            .users
            .iter()
            .find(|account| account.name.as_bytes() == user)?;
        Some(account.password.expose().as_bytes())
    }
}

/// The capabilities that most client libraries ask for: the pools are warmed for them.
pub fn usual_profile() -> CapabilityProfile {
    let unusual = CapabilityFlags::CLIENT_FOUND_ROWS
        | CapabilityFlags::CLIENT_NO_SCHEMA
        | CapabilityFlags::CLIENT_ODBC
        | CapabilityFlags::CLIENT_IGNORE_SPACE
        | CapabilityFlags::CLIENT_INTERACTIVE;
    backend_caps(OFFERED - unusual)
}

/// Greets a client and has it prove who it is, if it has a place. The OK is sent later, by
/// [`Relay::open`].
pub(super) async fn accept(
    shared: &Shared,
    client: &mut Conn,
    id: SessionId,
    seat: Option<&Seat>,
) -> Result<Client, LoginError> {
    let config = shared.config();
    let limits = &config.limits;
    if seat.is_none() {
        let limit = limits.max_sessions;
        return turn_away(client, ClientError::TooManySessions { limit }).await;
    }
    let greeting = match primary_greeting(shared).await {
        Ok(greeting) => greeting,
        Err(error) => return turn_away(client, error).await,
    };
    let peer = client.stream.peer_host();
    let terms = Terms {
        version: &greeting.version,
        connection_id: id.0,
        caps: greeting_caps(greeting.caps),
        charset: greeting.charset,
        status: greeting.status,
        peer: &peer,
    };
    let users = Configured(&config);
    let login = login::login(&mut client.stream, &terms, &users);
    match tokio::time::timeout(limits.login_timeout, login).await {
        Ok(accepted) => accepted.map(Client::new),
        Err(_) => Err(LoginError::Closed),
    }
}

/// How the primary greeted last; a first connection finds out.
async fn primary_greeting(shared: &Shared) -> Result<Arc<ServerGreeting>, ClientError> {
    let config = shared.config();
    let account = config.users.first();
    let (Some(pool), Some(account)) = (shared.pool(BackendId::PRIMARY), account) else {
        return Err(ClientError::NoPrimary);
    };
    let mut why = ClientError::NoPrimary;
    if pool.dialer().greeting.load().is_none() {
        let key = PoolKey {
            user: account.name.as_str().into(),
            profile: usual_profile(),
        };
        match pool.lease(Want::any(&key)).await {
            Ok(conn) => pool.give_back_as_is(conn),
            // One that was met greets for itself.
            Err(error) => {
                tracing::debug!(%error, "the first look at the primary");
                if error.refusal().is_some() {
                    why = client_error(&error);
                }
            }
        }
    }
    pool.dialer().greeting.load_full().ok_or(why)
}

/// Refuses a client before it was greeted.
async fn turn_away(client: &mut Conn, error: ClientError) -> Result<Client, LoginError> {
    let mut out = Vec::new();
    error.put(&mut out, &mut 0);
    client.send(&out).await?;
    Err(LoginError::Rejected(error))
}

impl Relay {
    /// Gives the session what the login asked for, and ends the login with OK or ERR.
    pub(super) async fn open(&mut self) -> Result<(), End> {
        self.shared.settle_defaults().await;
        self.start_from_defaults();
        let Accepted {
            database, mut seq, ..
        } = self.who.accepted.clone();
        self.shared.on_history(self.history);
        self.see_account_changes();
        let welcome = match &database {
            Some(schema) => self.choose_schema(schema).await?,
            None => self.be_let_in().await,
        };
        if let Err(mut error) = welcome {
            renumber(&mut error, seq);
            self.diary.errors += 1;
            self.out = error;
            self.send_out().await?;
            return Err(End::Refused);
        }
        let ok = OkPacket {
            status: self.status(),
            ..OkPacket::default()
        };
        self.out.clear();
        ok.put(&mut self.out, &mut seq);
        self.send_out().await
    }

    /// A session has the rights that its account has when it begins: it does not read where those are
    /// not known yet.
    fn see_account_changes(&mut self) {
        if let Some(change) = self.shared.accounts.last_change() {
            let positions = &mut self.state.positions;
            positions.on_read_after(&change.position);
            if let Some(since) = change.untold_since {
                positions.on_unknown(since);
            }
        }
    }

    /// Has the primary judge whether the account may log in, unless it is known. The error is the
    /// server's own, as a packet; a server that cannot be asked says nothing against the account.
    async fn be_let_in(&mut self) -> Result<(), Vec<u8>> {
        let Self {
            shared,
            links,
            registered,
            state,
            ..
        } = self;
        let topology = shared.watch.topology();
        let usable = topology
            .get(BackendId::PRIMARY)
            .is_some_and(|view| view.usable());
        let vouched = shared
            .pool(BackendId::PRIMARY)
            .is_some_and(|pool| pool.vouches_for(&links.key().user));
        if vouched || !usable {
            return Ok(());
        }
        let held = links
            .hold(Side::Primary, BackendId::PRIMARY, &state.mirror, registered)
            .await;
        match held {
            Ok(()) if links.is_confined() => Ok(()),
            Ok(()) => {
                links.release_clean(Side::Primary, registered);
                Ok(())
            }
            Err(error) if error.refusal().is_some() => Err(packet(&client_error(&error))),
            Err(error) => {
                tracing::debug!(%error, "a login that nobody could judge");
                Ok(())
            }
        }
    }

    /// What a session starts with on the primary: its global defaults, and the charset of the
    /// client's handshake.
    fn start_from_defaults(&mut self) {
        self.start_from_globals();
        self.set_charset(self.who.accepted.charset);
    }

    /// What a reset leaves: the primary's global defaults; on MariaDB the charset of the client's handshake, too
    /// (tried on 10.11).
    pub(super) fn start_as_reset(&mut self) {
        let facts = self.shared.watch.facts(BackendId::PRIMARY);
        match facts.is_some_and(|facts| facts.engine == Engine::MariaDb) {
            true => self.start_from_defaults(),
            false => self.start_from_globals(),
        }
    }

    fn start_from_globals(&mut self) {
        self.lexer = start_from_globals(&self.shared, &mut self.state);
    }

    /// A session that began before the primary was known has its defaults from now on.
    pub(super) fn start_from_globals_if_late(&mut self) {
        let is_without = self.state.mirror.base().is_empty();
        if is_without && self.shared.watch.facts(BackendId::PRIMARY).is_some() {
            self.start_from_globals();
        }
    }

    /// As the server does with the collation of a handshake.
    pub(super) fn set_charset(&mut self, collation: u16) {
        if self.is_unknown_to_server(collation) {
            return;
        }
        let known = Collation::from(CollationId::from(collation));
        let (charset, name) = (known.charset(), known.collation());
        let unknown = known.id() == CollationId::UNKNOWN_COLLATION_ID || charset.is_empty();
        if unknown || matches!(charset, "ucs2" | "utf16" | "utf16le" | "utf32") {
            // No client can speak these; the server falls back to its default, as we do.
            return;
        }
        // The columns of every result name the collation of the handshake, not the default one of
        // its charset (tried on 9.7); drivers compute lengths by it. Only a number can say so in a SET.
        let results = match known.is_default() {
            true => charset.to_owned(),
            false => collation.to_string(),
        };
        let mirror = &mut self.state.mirror;
        mirror.set(b"character_set_client", charset.as_bytes());
        mirror.set(b"character_set_results", results.as_bytes());
        mirror.set(b"collation_connection", name.as_bytes());
    }

    /// MariaDB does not have the collations that MySQL 8.0 brought, which its clients ask for; it
    /// falls back to its default.
    fn is_unknown_to_server(&self, collation: u16) -> bool {
        let facts = self.shared.watch.facts(BackendId::PRIMARY);
        let mariadb = facts.is_some_and(|facts| facts.engine == Engine::MariaDb);
        mariadb && (255..=323).contains(&collation)
    }

    /// Chooses the default schema on the primary, which knows best whether it exists. The inner
    /// error is the answer to the client, as a packet.
    pub(super) async fn choose_schema(
        &mut self,
        schema: &[u8],
    ) -> Result<Result<(), Vec<u8>>, End> {
        let Self {
            links,
            registered,
            state,
            ..
        } = self;
        let mut mirror = state.mirror.clone();
        mirror.set_schema(schema);
        if let Err(error) = links
            .hold(Side::Primary, BackendId::PRIMARY, &mirror, registered)
            .await
        {
            return Ok(Err(packet(&client_error(&error))));
        }
        if links.is_confined() {
            // It is chosen when the server takes more than a new password.
            state.mirror.set_schema(schema);
            return Ok(Ok(()));
        }
        let in_utf8 = match schema.is_ascii() {
            true => Some(schema.to_vec()),
            false => self.schema_in_utf8(schema).await,
        };
        let schema = in_utf8.as_deref().unwrap_or_default();
        self.out.clear();
        append_packet(&mut self.out, &mut 0, &com_init_db(schema));
        let answer = match in_utf8.is_some() && self.send_to_server(Side::Primary).await {
            true => self.swallow(Side::Primary, 1).await?,
            false => Swallowed::Broken,
        };
        match answer {
            Swallowed::Done => {
                self.state.mirror.set_schema(schema);
                if let Some(link) = self.links.get_mut(Side::Primary) {
                    link.applied.set_schema(schema);
                }
                // Nothing else was done on it, so others may have it until this session writes.
                self.links.release_clean(Side::Primary, &self.registered);
                Ok(Ok(()))
            }
            Swallowed::Refused(error) => Ok(Err(error)),
            Swallowed::Broken => {
                self.links.discard(Side::Primary, &self.registered);
                Ok(Err(packet(&ClientError::NoPrimary)))
            }
        }
    }

    /// The name of a schema that the client wrote in the charset of its handshake. The primary's connection
    /// reads UTF-8 from then on. `None` when it broke.
    async fn schema_in_utf8(&mut self, schema: &[u8]) -> Option<Vec<u8>> {
        const CLIENT: &str = "character_set_client";
        let charset = String::from_utf8_lossy(self.state.mirror.value(CLIENT)).into_owned();
        let link = self.links.get_mut(Side::Primary)?;
        link.ask(READ_UTF8).await.ok()?;
        link.applied.set(CLIENT.as_bytes(), b"utf8mb4");
        let named = charset.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if charset.is_empty() || charset.starts_with("utf8") || !named {
            return Some(schema.to_vec());
        }
        let written: String = schema.iter().map(|byte| format!("{byte:02X}")).collect();
        let asked = format!("SELECT HEX(CONVERT(_{charset} X'{written}' USING utf8mb4))");
        match link.ask(&asked).await {
            Ok(row) => unhex(row.first()?),
            // It says of the bytes as they are that there is no such schema.
            Err(error) => error.refusal().map(|_| schema.to_vec()),
        }
    }
}

/// Gives a session the primary's global defaults; gives what its statements are read with.
pub(super) fn start_from_globals(shared: &Shared, state: &mut Session) -> Lexer {
    let facts = shared.watch.facts(BackendId::PRIMARY);
    let global = |name: &str| {
        facts
            .as_ref()
            .and_then(|facts| facts.globals.get(name))
            .cloned()
            .unwrap_or_default()
    };
    if let Some(facts) = &facts {
        state.mirror.start_from(Arc::clone(&facts.globals));
    }
    let off = |value: &str| value.eq_ignore_ascii_case("OFF") || value == "0";
    if state.mirror.get(b"autocommit").is_none() {
        let on = !off(&global("autocommit"));
        state.transaction.start_with_autocommit(on);
    }
    if state.mirror.get(b"sql_mode").is_none() {
        let mode = global("sql_mode");
        let without = |word: &str| word.eq_ignore_ascii_case("NO_BACKSLASH_ESCAPES");
        let without = mode.split(',').any(without);
        state.transaction.start_without_backslash_escapes(without);
    }
    let isolation = match global("transaction_isolation") {
        // MariaDB's word before 11.1.
        unknown if unknown.is_empty() => global("tx_isolation"),
        isolation => isolation,
    };
    state.serializable_by_default = isolation.eq_ignore_ascii_case("SERIALIZABLE");
    state.read_committed_by_default = isolation.eq_ignore_ascii_case("READ-COMMITTED");
    state.completes_specially_by_default = !is_no_chain(global("completion_type").as_bytes());
    Lexer::new(Baseline {
        engine: facts.as_ref().map(|facts| facts.engine),
        sql_mode: global("sql_mode"),
        character_set_client: global("character_set_client"),
    })
}

/// Bytes from their hexadecimal digits.
fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    // They are as wide as the connection's results.
    let digits: Vec<u8> = digits.iter().copied().filter(|digit| *digit != 0).collect();
    digits.chunks(2).map(byte).collect()
}

fn packet(error: &ClientError) -> Vec<u8> {
    let mut out = Vec::new();
    error.put(&mut out, &mut 1);
    out
}

/// Gives a whole packet another sequence id.
pub(super) fn renumber(packet: &mut [u8], seq: u8) {
    if let Some(place) = packet.get_mut(HEADER - 1) {
        *place = seq;
    }
}
