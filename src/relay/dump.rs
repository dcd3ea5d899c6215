//! Replication through the proxy: a client that asks for the primary's binary log gets the session's own
//! connection there for itself.
//!
//! What it set before (`@source_binlog_checksum`, `@replica_uuid`, `@slave_connect_state` …) is on that
//! connection, as for any other statement. From the first packet of the log on, bytes pass both ways
//! unread, until either side closes.

use std::io;

use tokio::io::{AsyncWriteExt, BufReader, copy_buf, split};

use super::attempt::Task;
use super::commands::COMMAND;
use super::errors::client_error;
use super::reply::{Expect, Relayed};
use super::session::{End, Relay};
use super::statement::Statement;
use crate::domain::routing::Reason;
use crate::domain::session::Side;
use crate::domain::sql::{Access, Effects, StatementProfile};
use crate::frontend::ClientError;
use crate::net::{Conn, Stream};
use crate::protocol::frame::HEADER;
use crate::protocol::reply::ReplyKind;
use crate::telemetry::{ErrorKind, Target};

/// What is held of either direction, in bytes.
const HELD: usize = 64 << 10;

impl Relay {
    /// COM_REGISTER_SLAVE: the connection is a replica's for the rest of its life.
    pub(super) async fn register_replica(&mut self, total: usize) -> Result<(), End> {
        let profile = StatementProfile {
            access: Access::Session,
            effects: Effects::OPAQUE,
            ..COMMAND
        };
        let statement = Statement {
            task: Task::AsIs(ReplyKind::Simple),
            profile,
            total,
            bound: Some((Side::Primary, Reason::Command)),
        };
        self.run_statement(statement).await.map(drop)
    }

    /// COM_BINLOG_DUMP and its kin: if the primary does not refuse, the session is a tunnel from now on.
    pub(super) async fn tunnel(&mut self, total: usize) -> Result<(), End> {
        let started = std::time::Instant::now();
        if let Err(error) = self.ready_for_tunnel().await? {
            return self.refuse(error).await;
        }
        let command = self.client.input.data().get(..total).unwrap_or_default();
        let sent = match self.links.get_mut(Side::Primary) {
            Some(link) => link.send(command).await.is_ok(),
            None => false,
        };
        if !sent {
            return self.state_lost().await;
        }
        self.registered.runs(Some(Side::Primary));
        match self.first_byte().await? {
            None => {
                self.drop_primary();
                self.refuse(ClientError::PrimaryLost).await?;
                return Err(End::StateLost);
            }
            Some(0xFF) => {
                // A refusal, and the session goes on.
                let expect = Expect {
                    side: Side::Primary,
                    kind: ReplyKind::Simple,
                    may_retry: false,
                    stmt: None,
                };
                let relayed = self.relay_reply(expect).await;
                self.registered.runs(None);
                self.diary.errors += 1;
                let metrics = &self.shared.metrics;
                metrics.error(ErrorKind::Statement, crate::telemetry::Side::Backend);
                return match relayed? {
                    Relayed::Done(_) => Ok(()),
                    _ => Err(End::StateLost),
                };
            }
            Some(_) => {}
        }
        self.diary.on_primary += 1;
        self.shared.metrics.statement(
            Access::PrimaryRead,
            Target::Primary,
            Reason::Command,
            started.elapsed(),
        );
        tracing::info!(session = self.diary.id.0, "replicates from the primary");
        self.client.input.consume(total);
        self.standing = 0;
        // A shutdown need not wait for it.
        self.registered.waits();
        let Self { links, client, .. } = self;
        if let Some(link) = links.get_mut(Side::Primary) {
            pass_both_ways(client, &mut link.conn).await;
        }
        // It may still send, for as long as nobody tells it that the client is gone.
        self.links.stop(Side::Primary, &self.registered);
        Err(End::Replicated)
    }

    /// Holds a connection to the primary with the session's state on it.
    async fn ready_for_tunnel(&mut self) -> Result<Result<(), ClientError>, End> {
        if self.links.died_idle(Side::Primary).await && !self.drop_primary() {
            return Ok(Err(ClientError::PrimaryLostIdle));
        }
        if let Err(error) = self.hold_primary().await {
            return Ok(Err(client_error(&error)));
        }
        if !self.restore(Side::Primary).await? {
            self.drop_primary();
            return Ok(Err(ClientError::NotRestored));
        }
        Ok(Ok(()))
    }

    /// The first byte of the first packet that the primary answers with.
    async fn first_byte(&mut self) -> Result<Option<u8>, End> {
        loop {
            let Some(link) = self.links.get(Side::Primary) else {
                return Ok(None);
            };
            if let Some(byte) = link.conn.input.data().get(HEADER) {
                return Ok(Some(*byte));
            }
            if !self.fill_from_server(Side::Primary, false).await? {
                return Ok(None);
            }
        }
    }
}

/// Passes bytes between two sockets until either is closed.
async fn pass_both_ways(client: &mut Conn, server: &mut Conn) {
    let ended = async {
        send_rest(client, server).await?;
        send_rest(server, client).await?;
        let (from_client, to_client) = split(&mut client.stream);
        let (from_server, to_server) = split(&mut server.stream);
        tokio::select! {
            ended = pass(from_server, to_client) => ended,
            ended = pass(from_client, to_server) => ended,
        }
    };
    let ended: io::Result<()> = ended.await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a replication stream broke off");
    }
}

/// Sends on what was read already.
async fn send_rest(from: &mut Conn, to: &mut Conn) -> io::Result<()> {
    from.pass_on(usize::MAX, &to.stream).await
}

async fn pass(
    from: tokio::io::ReadHalf<&mut Stream>,
    mut to: tokio::io::WriteHalf<&mut Stream>,
) -> io::Result<()> {
    copy_buf(&mut BufReader::with_capacity(HELD, from), &mut to).await?;
    to.flush().await
}
