//! KILL in all its forms, EXPLAIN FOR CONNECTION, and reads of a server's threads: an id of ours stands for
//! a session, whose thread is put in its place; any other id is a thread of the primary.

use super::Answered;
use crate::domain::ids::SessionId;
use crate::domain::routing::Reason;
use crate::domain::session::{Outcome, Side};
use crate::domain::sql::control::{
    KillId, NamedConnection, asks_for_processlist, explained_connection, killed_in_packet,
    leading_kills, numbers_beside_threads, parse_kill,
};
use crate::domain::sql::{Access, Doubt, LexMode, StatementProfile};
use crate::frontend::ClientError;
use crate::protocol::resultset::TextResult;
use crate::relay::kill::{self, Named};
use crate::relay::session::{End, Relay};
use crate::relay::statement::Statement;

/// What stands in the place of a KILL that was carried out.
const NOTHING: &[u8] = b"DO 0;";

/// Statements about threads are shorter than this, in bytes.
const LONGEST: usize = 1024;

impl Relay {
    /// Runs a text whose access is [`Access::Kill`].
    pub(super) async fn run_kill(
        &mut self,
        statement: &Statement,
        text: &[u8],
    ) -> Result<Result<Answered, ClientError>, End> {
        let mode = self.lexer.mode(&self.state).unwrap_or_default();
        let Some(order) = parse_kill(text, mode) else {
            return self.run_kill_packet(statement, text).await;
        };
        let (number, written) = match order.id {
            KillId::Number(number) => (number, text.to_vec()),
            KillId::Expression(range) => {
                let expression = text.get(range).unwrap_or_default();
                match self.number_of(expression).await? {
                    Ok(number) => {
                        let what = if order.query_only {
                            "QUERY"
                        } else {
                            "CONNECTION"
                        };
                        (number, format!("KILL {what} {number}").into_bytes())
                    }
                    Err(reply) => {
                        self.out = reply;
                        self.send_out().await?;
                        return Ok(Ok(Answered::ByServer(Outcome::Failed)));
                    }
                }
            }
        };
        match kill::named(&self.shared, number) {
            Named::Session(id) => self.kill_session(id, order.query_only).await,
            Named::Nobody => Ok(Err(ClientError::NoSuchThread { id: number })),
            Named::Thread => self.kill_thread(written).await.map(Ok),
        }
    }

    /// Ends a session of this proxy, or its statement.
    pub(in crate::relay) async fn kill_session(
        &mut self,
        id: u64,
        query_only: bool,
    ) -> Result<Result<Answered, ClientError>, End> {
        if id == u64::from(self.diary.id.0) {
            // A server ends the KILL itself, too.
            self.refuse(ClientError::Interrupted).await?;
            return match query_only {
                true => Ok(Ok(Answered::ByServer(Outcome::Failed))),
                false => Err(End::Killed),
            };
        }
        match kill::kill(&self.shared, self.links.key(), id, query_only).await {
            Ok(()) => self.answer_ok().await.map(|()| Ok(Answered::Here)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Has the primary run a KILL of a thread of its own.
    pub(in crate::relay) async fn kill_thread(&mut self, text: Vec<u8>) -> Result<Answered, End> {
        let outcome = self.run_there(text).await?;
        Ok(Answered::ByServer(outcome))
    }

    /// Runs a packet of several statements, or a KILL that names nobody by a connection's id, where the
    /// ids of sessions are those of the threads that work for them.
    async fn run_kill_packet(
        &mut self,
        statement: &Statement,
        text: &[u8],
    ) -> Result<Result<Answered, ClientError>, End> {
        let mode = self.lexer.mode(&self.state).unwrap_or_default();
        let rest = match self.kill_leading(text, mode).await {
            Ok(rest) => rest,
            Err(error) => return Ok(Err(error)),
        };
        let text = rest.as_slice();
        let named = killed_in_packet(text, mode);
        let mut aims = Vec::new();
        let text = put_threads(text, &named, |number| {
            let aimed = kill::aim_at(&self.shared, number)?;
            let thread = aimed.thread.filter(|(backend, _)| backend.is_primary());
            aims.push(aimed);
            thread.map(|(_, thread)| thread.0.to_string())
        });
        let profile = StatementProfile {
            access: Access::Write,
            ..statement.profile
        };
        let outcome = self.run_rewritten(text, profile).await?;
        Ok(Ok(Answered::ByServer(outcome)))
    }

    /// Ends the sessions that the first statements of a packet kill, and puts statements that do nothing in
    /// their place: nobody knows whether a later one is reached.
    async fn kill_leading(&mut self, text: &[u8], mode: LexMode) -> Result<Vec<u8>, ClientError> {
        let (mut done, mut from) = (Vec::new(), 0);
        if !self.links.takes_multi_statements() {
            // A server refuses such a packet as a whole.
            return Ok(text.to_vec());
        }
        for (order, next) in leading_kills(text, mode) {
            let KillId::Number(number) = order.id else {
                break;
            };
            let own = u64::from(self.diary.id.0);
            let other = |id: &u64| SessionId::of_number(*id).is_some() && *id != own;
            let Some(id) = Some(number).filter(other) else {
                break;
            };
            kill::kill(&self.shared, self.links.key(), id, order.query_only).await?;
            done.extend_from_slice(NOTHING);
            from = next;
        }
        done.extend_from_slice(text.get(from..).unwrap_or_default());
        Ok(done)
    }

    /// Answers a statement that shows a server's threads or names one of them, if that is what it is.
    pub(in crate::relay) async fn about_threads(
        &mut self,
        statement: &Statement,
    ) -> Result<bool, End> {
        let mode = self.lexer.mode(&self.state).unwrap_or_default();
        let text = self.text(statement.total);
        if statement.profile.doubt != Doubt::ServerLocal || text.len() > LONGEST {
            return Ok(false);
        }
        if asks_for_processlist(text, mode) {
            self.show_processlist(*statement).await?;
            return Ok(true);
        }
        Ok(self.explain_session(statement).await? || self.look_at_threads(statement).await?)
    }

    /// Runs a read of what lists the primary's threads, if it names a session of this proxy by its number:
    /// with that of the thread that the session holds, which is what is listed.
    async fn look_at_threads(&mut self, statement: &Statement) -> Result<bool, End> {
        let mode = self.lexer.mode(&self.state).unwrap_or_default();
        let text = self.text(statement.total);
        let mut numbers = numbers_beside_threads(text, mode);
        numbers.retain(|(_, number)| SessionId::of_number(*number).is_some());
        if numbers.is_empty() {
            return Ok(false);
        }
        let own_id = u64::from(self.diary.id.0);
        let text = put_threads(text, &numbers, |number| {
            // Which connection will run this is not known yet.
            let own = || "CONNECTION_ID()".to_owned();
            let others = || Some(self.shared.registry.primary_thread(number)?.0.to_string());
            (number == own_id).then(own).or_else(others)
        });
        self.run_rewritten(text, statement.profile).await?;
        Ok(true)
    }

    /// Runs EXPLAIN FOR CONNECTION of a session of this proxy, if that is what it is.
    async fn explain_session(&mut self, statement: &Statement) -> Result<bool, End> {
        let mode = self.lexer.mode(&self.state).unwrap_or_default();
        let text = self.text(statement.total);
        let Some((place, number)) = explained_connection(text, mode) else {
            return Ok(false);
        };
        let Some(aimed) = kill::aim_at(&self.shared, number) else {
            return Ok(false);
        };
        match aimed.thread {
            Some((backend, thread)) if backend.is_primary() => {
                let text = put_threads(text, &[(place, number)], |_| Some(thread.0.to_string()));
                self.run_there(text).await?;
            }
            _ if aimed.runs => {
                let told =
                    "a statement that a replica runs cannot be explained from here".to_owned();
                self.refuse(ClientError::Unsupported(told)).await?;
            }
            // As a server answers about a connection that runs nothing.
            _ => self.answer_ok().await?,
        }
        Ok(true)
    }

    /// Runs a text of ours on the primary's connection.
    async fn run_there(&mut self, text: Vec<u8>) -> Result<Outcome, End> {
        self.rewritten = text;
        let statement = Statement::rewritten(
            crate::relay::commands::COMMAND,
            Some((Side::Primary, Reason::Command)),
        );
        Box::pin(self.run_statement(statement)).await
    }

    /// What an expression in a KILL comes to; the inner error is a server's reply that says why not.
    async fn number_of(&mut self, expression: &[u8]) -> Result<Result<u64, Vec<u8>>, End> {
        let text = [b"SELECT CAST((", expression, b") AS SIGNED)"].concat();
        let text = self.with_known(text).await;
        let profile = self.profile_of(&text).await;
        self.rewritten = text;
        let statement = Statement::rewritten(profile, None);
        let (_, reply) = self.run_captured(statement).await?;
        let Some(result) = TextResult::parse(&reply, self.who.profile.deprecate_eof()) else {
            return Ok(Err(reply));
        };
        // NULL is nobody's number.
        let cell = result.rows.first().and_then(|row| *row.first()?);
        let number = cell
            .and_then(|text| std::str::from_utf8(text).ok())
            .and_then(|text| text.parse().ok());
        Ok(Ok(number.unwrap_or_default()))
    }
}

/// A text with other words in place of those numbers that have some.
fn put_threads(
    text: &[u8],
    named: &[NamedConnection],
    mut thread_of: impl FnMut(u64) -> Option<String>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut from = 0;
    for (place, number) in named {
        if let Some(thread) = thread_of(*number) {
            out.extend_from_slice(text.get(from..place.start).unwrap_or_default());
            out.extend_from_slice(thread.as_bytes());
            from = place.end;
        }
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    out
}
