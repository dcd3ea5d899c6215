//! The turn of a statement whose rule has a limit.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Active, bump};
use crate::domain::routing::rules::{Limit, Rule};
use crate::frontend::ClientError;
use crate::relay::reply::{ahead_of, left};
use crate::relay::session::{End, Relay};

/// The right to run; it goes to the next one when it is dropped.
#[derive(Debug, Default)]
pub(in crate::relay) struct Turn {
    _seat: Option<OwnedSemaphorePermit>,
}

impl Relay {
    /// Waits for the statement's turn under its rule's limit, for as long as that allows.
    ///
    /// # Errors
    /// When the client left; inside, what it is told when its turn does not come.
    pub(super) async fn take_turn(
        &mut self,
        rule: &Rule,
        active: &Active,
    ) -> Result<Result<Turn, ClientError>, End> {
        let Some(limit) = rule.act.limit else {
            return Ok(Ok(Turn::default()));
        };
        let Self {
            in_force,
            client,
            registered,
            ..
        } = self;
        let taken = tokio::select! {
            biased;
            taken = active.take(limit) => taken,
            () = registered.interrupted() => return Ok(Err(ClientError::Interrupted)),
            () = left(client, ahead_of(in_force)) => return Err(End::ClientGone),
        };
        Ok(taken.ok_or_else(|| {
            bump(&active.counts.limited);
            ClientError::OverLimit {
                rule: rule.name.clone(),
                what: said(limit),
            }
        }))
    }
}

impl Active {
    /// `None` if the turn does not come in time.
    async fn take(&self, limit: Limit) -> Option<Turn> {
        let by = Instant::now() + limit.wait;
        let mut delayed = false;
        let seat = match &self.seats {
            None => None,
            Some(seats) => Some(match Arc::clone(seats).try_acquire_owned() {
                Ok(seat) => seat,
                Err(_) if limit.wait.is_zero() => return None,
                Err(_) => {
                    delayed = true;
                    seat_by(seats, by).await?
                }
            }),
        };
        let wait = self.wait_for_token(by)?;
        if !wait.is_zero() {
            delayed = true;
            tokio::time::sleep(wait).await;
        }
        if delayed {
            bump(&self.counts.delayed);
        }
        Some(Turn { _seat: seat })
    }

    /// How long the statement has to wait for a token, which is its own from now on; `None` if that
    /// comes too late.
    fn wait_for_token(&self, by: Instant) -> Option<Duration> {
        let Some(bucket) = &self.bucket else {
            return Some(Duration::ZERO);
        };
        let now = Instant::now();
        let patience = by.saturating_duration_since(now);
        // A holder that panicked left a bucket that is whole: each change is one store.
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(now, patience).ok()
    }
}

async fn seat_by(seats: &Arc<Semaphore>, by: Instant) -> Option<OwnedSemaphorePermit> {
    let seat = Arc::clone(seats).acquire_owned();
    tokio::time::timeout_at(by.into(), seat).await.ok()?.ok()
}

fn said(limit: Limit) -> String {
    let rate = limit.rate.map(|rate| format!("{rate} a second"));
    let concurrency = limit.concurrency.map(|most| format!("{most} at a time"));
    let both: Vec<_> = rate.into_iter().chain(concurrency).collect();
    both.join(" and ")
}
