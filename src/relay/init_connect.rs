//! The primary's `init_connect`: a server runs it for each client that logs in, behind the login's OK, unless the
//! account may administer connections. Pooled connections had it at their own logins, which is not the client's
//! and is reset before any session gets them.

use super::session::{End, Relay};
use super::statement::Statement;
use crate::domain::ids::BackendId;
use crate::domain::routing::Reason;
use crate::domain::session::{Outcome, Side};
use crate::domain::sql::control::statements;
use crate::frontend::ClientError;
use crate::protocol::resultset::TextResult;

/// Whether the account is one for which a server does not run it. Roles do not show there.
const IS_EXEMPT: &str = "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES \
    WHERE PRIVILEGE_TYPE IN ('SUPER', 'CONNECTION_ADMIN', 'CONNECTION ADMIN') \
    AND GRANTEE = CONCAT(QUOTE(LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) \
        - CHAR_LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)) - 1)), \
        '@', QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)))";

/// ER_NEW_ABORTING_CONNECTION.
const ABORTED: (u16, [u8; 5]) = (1184, *b"08S01");

impl Relay {
    /// Runs it for this session.
    ///
    /// # Errors
    /// When a statement of it fails: the client is told what a server would tell it, and the session ends.
    pub(super) async fn run_init_connect(&mut self) -> Result<(), End> {
        let facts = self.shared.watch.facts(BackendId::PRIMARY);
        let Some(facts) = facts.filter(|facts| !facts.init_connect.is_empty()) else {
            return Ok(());
        };
        let reply = self.run_unheard(IS_EXEMPT.into()).await?;
        let result = TextResult::parse(&reply, self.who.profile.deprecate_eof());
        let count = result.as_ref().and_then(|it| *it.rows.first()?.first()?);
        if count.is_some_and(|count| count != b"0") {
            return Ok(());
        }
        let mode = self.mode();
        for text in statements(facts.init_connect.as_bytes(), mode) {
            self.run_unheard(text.to_vec()).await?;
        }
        Ok(())
    }

    /// `told` says whether the client has an error of ours already.
    async fn abort<T>(&mut self, told: bool) -> Result<T, End> {
        if !told {
            let schema = self.state.mirror.schema().unwrap_or(b"unconnected");
            let message = format!(
                "Aborted connection {} to db: '{}' user: '{}' host: '{}' (init_connect command failed)",
                self.diary.id.0,
                String::from_utf8_lossy(schema),
                self.who.user,
                self.client.stream.peer_host(),
            );
            let (code, state) = ABORTED;
            let error = ClientError::Refused {
                code,
                state,
                message,
            };
            self.refuse(error).await?;
        }
        Err(End::Refused)
    }

    /// Runs a statement on the primary and keeps its reply from the client, unless that is an error of ours.
    async fn run_unheard(&mut self, text: Vec<u8>) -> Result<Vec<u8>, End> {
        let text = self.with_known(text).await;
        let profile = self.profile_of(&text).await;
        self.rewritten = text;
        let statement = Statement::rewritten(profile, Some((Side::Primary, Reason::Command)));
        match self.run_captured(statement).await? {
            (Outcome::Done { .. }, reply) => Ok(reply),
            (_, told) => self.abort(told.is_empty()).await,
        }
    }
}
