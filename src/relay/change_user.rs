//! COM_CHANGE_USER: another account on the same client connection. Positions stay.

use super::links::SIDES;
use super::login::{Client, Configured};
use super::session::{End, Relay};
use crate::frontend::ClientError;
use crate::frontend::login::{self, LoginError};
use crate::protocol::command::ChangeUser;

impl Relay {
    /// Has the client prove that it is the other user; a client that fails is told, and closed.
    pub(super) async fn change_user(&mut self, total: usize) -> Result<(), End> {
        let payload = self.payload(total).to_vec();
        let Some(request) = ChangeUser::parse(&payload, self.who.caps) else {
            return self.refuse_and_end(ClientError::Malformed).await;
        };
        if self.client.input.len() > total {
            // The dialogue reads from the socket, so nothing may have been sent ahead.
            return self.refuse_and_end(ClientError::PacketsOutOfOrder).await;
        }
        let peer = self.client.stream.peer_host();
        let config = self.shared.config();
        let users = Configured(&config);
        let dialogue = login::change_user(
            &mut self.client.stream,
            &self.who.accepted,
            &request,
            &users,
            &peer,
        );
        let limit = config.limits.login_timeout;
        match tokio::time::timeout(limit, dialogue).await {
            Ok(Ok(accepted)) => self.become_user(Client::new(accepted)).await,
            Ok(Err(LoginError::Rejected(error))) => {
                self.diary.errors += 1;
                self.shared.metrics.error(error.kind(), error.side());
                Err(End::Refused)
            }
            Ok(Err(_)) | Err(_) => Err(End::ClientGone),
        }
    }

    async fn become_user(&mut self, client: Client) -> Result<(), End> {
        for side in SIDES {
            match self.links.lends() {
                true => self.part_with(side).await,
                false => self.links.release(side, &self.registered),
            }
        }
        self.state.transaction.on_lost();
        self.registered.becomes(client.user.clone());
        self.diary.user = client.user.clone();
        self.links = self.links.of_other_user(&client);
        self.who = client;
        self.state.on_other_user();
        self.after_reset();
        self.state.mirror.set_schema(b"");
        self.open().await
    }
}
