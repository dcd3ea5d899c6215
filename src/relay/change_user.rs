//! COM_CHANGE_USER: another account on the same client connection. Positions stay.

use super::session::{End, Relay};
use crate::domain::session::Side;
use crate::frontend::{ClientError, login as frontend_login};
use crate::protocol::command::ChangeUser;

impl Relay {
    pub(super) async fn change_user(&mut self, total: usize) -> Result<(), End> {
        let payload = self.payload(total).to_vec();
        let Some(change) = ChangeUser::parse(&payload, self.who.caps) else {
            return self.refuse_and_end(ClientError::Malformed).await;
        };
        // The command leaves the buffer before the dialogue goes on in it.
        self.client.input.consume(total);
        todo()
    }
}
