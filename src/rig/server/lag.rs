//! The knobs of replication: how far behind a replica is, and whom it follows.

use mysql_async::Value;
use tokio::time::{Instant, sleep};

use super::{LOOK_AGAIN, PATIENCE, Server, text};
use crate::rig::error::RigError;
use crate::rig::replication::{self, Status};

impl Server {
    /// Stops applying what the replica receives: its data ages, its receiver goes on.
    ///
    /// # Errors
    ///
    /// As [`Server::exec`].
    pub async fn stop_applier(&self) -> Result<(), RigError> {
        self.control("STOP", " SQL_THREAD").await
    }

    /// Applies again.
    ///
    /// # Errors
    ///
    /// As [`Server::exec`].
    pub async fn start_applier(&self) -> Result<(), RigError> {
        self.control("START", " SQL_THREAD").await
    }

    /// Stops receiving from the primary; what was received is still applied.
    ///
    /// # Errors
    ///
    /// As [`Server::exec`].
    pub async fn stop_receiver(&self) -> Result<(), RigError> {
        self.control("STOP", " IO_THREAD").await
    }

    /// Receives again.
    ///
    /// # Errors
    ///
    /// As [`Server::exec`].
    pub async fn start_receiver(&self) -> Result<(), RigError> {
        self.control("START", " IO_THREAD").await
    }

    /// Applies every transaction `seconds` after it was committed; 0 takes the delay away. A stopped
    /// applier is started by it.
    ///
    /// # Errors
    ///
    /// As [`Server::exec`].
    pub async fn delay(&self, seconds: u32) -> Result<(), RigError> {
        for sql in replication::delay(self.engine(), seconds) {
            self.exec(&sql).await?;
        }
        Ok(())
    }

    /// Waits until the replica receives and applies.
    ///
    /// # Errors
    ///
    /// [`RigError::Server`] with the replica's own words if it does not within a minute.
    pub async fn wait_replicating(&self) -> Result<(), RigError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.replication_status().await?;
            if status.receiver && status.applier {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.failed(format!("does not replicate: {status}")));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Follows the server on `port` from now on.
    pub(in crate::rig) async fn follow(&self, port: u16) -> Result<(), RigError> {
        self.exec(&replication::follow(self.engine(), port)).await?;
        self.control("START", "").await
    }

    /// Stops following, so that [`Server::follow`] can name another source.
    pub(in crate::rig) async fn unfollow(&self) -> Result<(), RigError> {
        self.control("STOP", "").await
    }

    /// Takes writes from now on.
    pub(in crate::rig) async fn become_primary(&self) -> Result<(), RigError> {
        for sql in replication::promote(self.engine()) {
            self.exec(&sql).await?;
        }
        Ok(())
    }

    /// What it has executed, in its engine's notation.
    pub(in crate::rig) async fn position(&self) -> Result<String, RigError> {
        let position = self.value(replication::position(self.engine())).await?;
        Ok(position.unwrap_or_default().replace('\n', ""))
    }

    /// Waits until it has applied `position`.
    pub(in crate::rig) async fn wait_for(&self, position: &str) -> Result<(), RigError> {
        // A little less than what `exec` waits, so that the better error wins.
        let seconds = PATIENCE.as_secs() - 5;
        let sql = replication::wait(self.engine(), position, seconds);
        match self.value(&sql).await?.as_deref() {
            Some("0") => Ok(()),
            _ => {
                let status = self.replication_status().await?;
                Err(self.failed(format!("did not reach {position}: {status}")))
            }
        }
    }

    async fn control(&self, verb: &str, thread: &str) -> Result<(), RigError> {
        self.exec(&replication::control(self.engine(), verb, thread))
            .await
    }

    async fn replication_status(&self) -> Result<Status, RigError> {
        let (sql, columns) = replication::status(self.engine());
        let row = self.first_row(sql).await?;
        let [receiver, applier, receiver_error, applier_error] = columns.map(|column| {
            row.as_ref()
                .and_then(|row| text(row.get::<Value, _>(column).as_ref()))
                .unwrap_or_default()
        });
        Ok(Status {
            receiver: receiver == "Yes",
            applier: applier == "Yes",
            complaint: format!("{receiver_error} {applier_error}")
                .trim()
                .to_owned(),
        })
    }
}
