//! The phases of the demo: what is done to the last replica while the sessions run.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::board;
use super::screen::{self, Screen};
use super::stage::{self, Stage};
use super::workload::{self, Count, Seen, Tallies};
use crate::cli::failure::Failure;

/// Into a phase, before the applier stops.
const BEFORE_PAUSE: Duration = Duration::from_millis(500);
/// How long the applier stands still.
const PAUSE: Duration = Duration::from_secs(1);

/// A time of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// All replicas apply as fast as they can.
    Healthy,
    /// The last replica applies every transaction a second late.
    Delayed,
    /// The last replica's applier stands still for a second.
    Paused,
}

/// What a phase showed.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// What was done, in words.
    pub(super) title: String,
    /// What each way saw.
    pub(super) seen: Seen,
}

impl Phase {
    /// Every phase, in order.
    pub(super) const ALL: [Self; 3] = [Self::Healthy, Self::Delayed, Self::Paused];

    /// Plays it, with the screen kept up to date.
    pub(super) async fn play(
        self,
        stage: &Stage,
        tallies: &Tallies,
        screen: &mut Screen,
    ) -> Result<Outcome, Failure> {
        let title = self.title(stage);
        let before = tallies.seen();
        self.set_up(stage).await?;
        let work = self.work(stage, tallies);
        tokio::pin!(work);
        let started = Instant::now();
        let mut pace = tokio::time::interval(screen::PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = &mut work => break ended?,
                _ = pace.tick() => {
                    let servers = board::servers(stage).await;
                    let live = board::Live { title: &title, elapsed: started.elapsed(), servers: &servers, seen: &tallies.seen() };
                    screen.show(&live);
                }
            }
        }
        self.tear_down(stage).await?;
        Ok(Outcome {
            title,
            seen: difference(&tallies.seen(), &before),
        })
    }

    fn title(self, stage: &Stage) -> String {
        let last = stage.victim().map_or(0, |(_, number)| number);
        match self {
            Self::Healthy => "every replica as fast as it can".to_owned(),
            Self::Delayed => format!("replica {last} one second late"),
            Self::Paused => format!("replica {last}'s applier paused"),
        }
    }

    fn length(self) -> Duration {
        match self {
            Self::Healthy | Self::Paused => Duration::from_secs(2),
            Self::Delayed => Duration::from_secs(3),
        }
    }

    async fn set_up(self, stage: &Stage) -> Result<(), Failure> {
        if let (Self::Delayed, Some((victim, _))) = (self, stage.victim()) {
            victim.delay(1).await.map_err(stage::failure)?;
            stage.all_usable().await?;
        }
        Ok(())
    }

    /// The sessions, and beside them what happens to the replica.
    async fn work(self, stage: &Stage, tallies: &Tallies) -> Result<(), Failure> {
        let sessions = workload::run(stage, tallies, self.length());
        let (sessions, pause) = tokio::join!(sessions, self.pause(stage));
        sessions.and(pause)
    }

    async fn pause(self, stage: &Stage) -> Result<(), Failure> {
        if let (Self::Paused, Some((victim, _))) = (self, stage.victim()) {
            tokio::time::sleep(BEFORE_PAUSE).await;
            victim.stop_applier().await.map_err(stage::failure)?;
            tokio::time::sleep(PAUSE).await;
            victim.start_applier().await.map_err(stage::failure)?;
        }
        Ok(())
    }

    async fn tear_down(self, stage: &Stage) -> Result<(), Failure> {
        if let (Self::Delayed, Some((victim, _))) = (self, stage.victim()) {
            victim.delay(0).await.map_err(stage::failure)?;
        }
        stage.settle().await
    }
}

fn difference(now: &Seen, before: &Seen) -> Seen {
    std::array::from_fn(|way| Count {
        pairs: now[way].pairs - before[way].pairs,
        stale: now[way].stale - before[way].stale,
    })
}
