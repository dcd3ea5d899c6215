//! LOAD DATA LOCAL INFILE: the server asks, the **client** sends its own file, and we pass it on.

use super::session::{End, Relay};
use crate::domain::session::Side;
use crate::net::conn::send_all;
use crate::protocol::frame::{FrameHeader, HEADER};

impl Relay {
    /// Passes the client's frames to the server, up to and with an empty one. `false` when the
    /// server's connection broke.
    pub(super) async fn relay_infile(&mut self, side: Side) -> Result<bool, End> {
        let command = self.standing;
        loop {
            if !self.client_has(command + HEADER).await {
                self.links.stop(side, &self.registered);
                return Err(End::ClientGone);
            }
            let data = self.client.input.data().get(command..).unwrap_or_default();
            let header = FrameHeader::parse(data).ok_or(End::Malformed)?;
            if !self.pass_frame(side, command, header.frame_len()).await? {
                return Ok(false);
            }
            if header.len == 0 {
                return Ok(true);
            }
        }
    }

    async fn client_has(&mut self, total: usize) -> bool {
        self.client.input.len() >= total || self.client.fill_to(total).await.is_ok()
    }

    /// Passes `left` bytes, which begin at `at` in the client's buffer, as they come.
    async fn pass_frame(&mut self, side: Side, at: usize, mut left: usize) -> Result<bool, End> {
        while left > 0 {
            if !self.client_has(at + 1).await {
                self.links.stop(side, &self.registered);
                return Err(End::ClientGone);
            }
            let Self { links, client, .. } = self;
            let Some(link) = links.get_mut(side) else {
                return Ok(false);
            };
            let end = (at + left).min(client.input.len());
            let part = client.input.data().get(at..end).unwrap_or_default();
            if send_all(&link.conn.stream, part).await.is_err() {
                return Ok(false);
            }
            client.input.remove(at..end);
            left -= end - at;
        }
        Ok(true)
    }
}
