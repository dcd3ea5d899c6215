//! The rules by which a server may be used.

use std::time::{Duration, Instant};

use super::{Health, Lag, Receiver, Report};

/// When a replica's receiver was first heard to have lost the primary it was connected to.
///
/// A replica can tell that its primary is gone before the primary itself was asked again: until then
/// nobody knows whose fault it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contact {
    connected: bool,
    lost: Option<Instant>,
}

impl Contact {
    /// Takes in a report of the replica that arrived at `now`.
    pub fn on_report(&mut self, report: &Report, now: Instant) {
        match report.replication.as_ref().map(|it| it.receiver) {
            Some(Receiver::Running) => (self.connected, self.lost) = (true, None),
            Some(Receiver::Connecting) if self.connected => {
                (self.connected, self.lost) = (false, Some(now));
            }
            Some(Receiver::Connecting) => {}
            Some(Receiver::Stopped) | None => *self = Self::default(),
        }
    }

    /// Whether the primary's last answer, to a question sent at `asked`, counts against this replica:
    /// not one that says nothing of the time since the contact was lost. Where no positions are told
    /// (`tells`), nothing else would say how old the replica's data gets, and every answer counts.
    pub fn primary_answers(&self, asked: Instant, tells: bool) -> bool {
        !tells || self.lost.is_none_or(|lost| lost <= asked)
    }
}

/// What is known of the primary while a replica is judged.
#[derive(Clone, Copy, Debug)]
pub struct PrimaryState<'a> {
    /// Whether it answers now; not if the replica lost it after it was asked ([`Contact`]).
    pub answers: bool,
    /// Its last report, also of a primary that is down.
    pub report: Option<&'a Report>,
}

/// Judges a primary that answers.
pub fn judge_primary(report: &Report) -> Health {
    match report.read_only {
        true => Health::ReadOnlyPrimary,
        false => Health::Up,
    }
}

/// Judges a replica that answers.
///
/// A primary that is down must not take the replicas with it: a receiver that cannot connect to it
/// is then no fault, and what the replica has stays readable until its lag passes `max_lag`.
pub fn judge_replica(
    report: &Report,
    primary: PrimaryState<'_>,
    lag: Lag,
    max_lag: Duration,
) -> Health {
    if !report.read_only {
        return Health::NotReadOnly;
    }
    let Some(replication) = &report.replication else {
        return Health::NotReplicating;
    };
    if primary.report.is_some_and(|it| !replication.is_from(it)) {
        return match replication.source_uuid.as_deref() {
            // It has never been connected, so it cannot say whose replica it is.
            Some("") => Health::NotReplicating,
            _ => Health::WrongSource,
        };
    }
    let receives = match replication.receiver {
        Receiver::Running => true,
        Receiver::Connecting => !primary.answers,
        Receiver::Stopped => false,
    };
    if !receives || !replication.applier_running {
        return Health::NotReplicating;
    }
    // Until the samples reach back far enough to tell, the replica's own estimate has to do.
    let hint = Duration::from_secs(replication.seconds_behind.unwrap_or(0));
    let late = match lag {
        Lag::AtMost(lag) => lag > max_lag,
        Lag::MoreThan(lag) => lag > max_lag || hint > max_lag,
        Lag::Unknown => hint > max_lag,
    };
    match late {
        true => Health::Lagging,
        false => Health::Up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::PositionKind;
    use crate::domain::topology::{Engine, Incarnation, Replication};

    const MAX_LAG: Duration = Duration::from_secs(30);
    const NEAR: Lag = Lag::AtMost(Duration::from_millis(20));

    fn report(uuid: &str, read_only: bool) -> Report {
        Report {
            incarnation: Incarnation {
                server_uuid: uuid.into(),
                started: 1,
            },
            engine: Engine::MySql,
            server_id: 1,
            read_only,
            replication: None,
            positions: PositionKind::Nothing,
            executed: None,
            acknowledged: None,
        }
    }

    fn replica(change: impl FnOnce(&mut Report, &mut Replication)) -> Report {
        let mut replication = Replication {
            receiver: Receiver::Running,
            applier_running: true,
            source_uuid: Some("P".into()),
            source_id: 1,
            seconds_behind: Some(0),
        };
        let mut report = report("r", true);
        change(&mut report, &mut replication);
        report.replication = Some(replication);
        report
    }

    #[test]
    fn a_primary_is_up_unless_it_refuses_writes() {
        assert_eq!(judge_primary(&report("p", false)), Health::Up);
        assert_eq!(judge_primary(&report("p", true)), Health::ReadOnlyPrimary);
    }

    #[test]
    fn a_replica_is_judged_by_what_it_reports() {
        let secs = Duration::from_secs;
        let same = || replica(|_, _| {});
        let connecting = || replica(|_, channel| channel.receiver = Receiver::Connecting);
        let behind = |secs| replica(move |_, channel| channel.seconds_behind = Some(secs));
        let from = |uuid: Option<&str>, id| {
            let uuid = uuid.map(str::to_owned);
            replica(move |_, channel| (channel.source_uuid, channel.source_id) = (uuid, id))
        };
        // (report, whether the primary answers, lag, expected)
        let cases = [
            (same(), true, NEAR, Health::Up),
            (same(), false, NEAR, Health::Up),
            (
                replica(|it, _| it.read_only = false),
                true,
                NEAR,
                Health::NotReadOnly,
            ),
            (report("r", true), true, NEAR, Health::NotReplicating),
            (
                replica(|_, channel| channel.applier_running = false),
                true,
                NEAR,
                Health::NotReplicating,
            ),
            (
                replica(|_, channel| channel.receiver = Receiver::Stopped),
                false,
                NEAR,
                Health::NotReplicating,
            ),
            (connecting(), true, NEAR, Health::NotReplicating),
            (connecting(), false, NEAR, Health::Up),
            (connecting(), false, Lag::AtMost(secs(31)), Health::Lagging),
            (from(Some("x"), 1), true, NEAR, Health::WrongSource),
            (from(Some("x"), 1), false, NEAR, Health::WrongSource),
            (from(Some(""), 0), true, NEAR, Health::NotReplicating),
            (from(None, 1), true, NEAR, Health::Up),
            (from(None, 2), true, NEAR, Health::WrongSource),
            (same(), true, Lag::AtMost(secs(30)), Health::Up),
            (same(), true, Lag::AtMost(secs(31)), Health::Lagging),
            (same(), true, Lag::MoreThan(secs(31)), Health::Lagging),
            (same(), true, Lag::MoreThan(secs(1)), Health::Up),
            (behind(31), true, Lag::MoreThan(secs(1)), Health::Lagging),
            (behind(31), true, Lag::Unknown, Health::Lagging),
            (behind(31), true, NEAR, Health::Up),
        ];
        let primary = report("p", false);
        for (number, (report, answers, lag, expected)) in cases.into_iter().enumerate() {
            let state = PrimaryState {
                answers,
                report: Some(&primary),
            };
            let health = judge_replica(&report, state, lag, MAX_LAG);
            assert_eq!(health, expected, "case {number}: {report:?}");
        }
    }

    #[test]
    fn a_contact_is_lost_from_the_first_report_of_it_until_the_next_connection() {
        let with = |receiver| replica(|_, channel| channel.receiver = receiver);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        // (report, when it arrives, when the primary was asked, whether that was before the loss);
        // without positions it never is.
        let story = [
            (with(Receiver::Connecting), 10, 0, false),
            (with(Receiver::Running), 20, 15, false),
            (with(Receiver::Connecting), 30, 25, true),
            (with(Receiver::Connecting), 40, 29, true),
            (with(Receiver::Connecting), 50, 35, false),
            (with(Receiver::Running), 60, 55, false),
            (with(Receiver::Connecting), 70, 65, true),
            (with(Receiver::Stopped), 80, 65, false),
            (with(Receiver::Connecting), 90, 65, false),
            (report("r", true), 100, 65, false),
        ];
        let mut contact = Contact::default();
        for (report, arrives, asked, lost) in story {
            contact.on_report(&report, at(arrives));
            let answers = |tells| contact.primary_answers(at(asked), tells);
            assert_eq!(answers(true), !lost, "at {arrives} ms");
            assert!(answers(false), "at {arrives} ms");
        }
    }

    #[test]
    fn a_replica_of_an_unknown_primary_is_usable() {
        let state = PrimaryState {
            answers: false,
            report: None,
        };
        let health = judge_replica(&replica(|_, _| {}), state, Lag::Unknown, MAX_LAG);
        assert_eq!(health, Health::Up);
    }
}
