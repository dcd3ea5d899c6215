//! Every metric, as one documented struct. To add one: a field with its meaning, its registration
//! in [`Metrics::new`], and its line in the README when operators should know it.

mod make;
mod reading;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry, TextEncoder,
};

use make::Maker;
pub use reading::Offloading;

use super::fault::{ErrorKind, Side};
use super::grid::Grid;
use super::label::{
    AccessLabel, ConnectionState, Foreseen, Handover, Label, Outcome, PreparedEvent, ReloadOutcome,
    SessionState, SpanEvent, Target, Wrote,
};
use crate::domain::consistency::Level;
use crate::domain::routing::Reason;
use crate::domain::session::PinReason;
use crate::domain::topology::Role;

/// All metrics of one proxy, in a registry of their own. Names begin with `highwater_`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// `statements_total{access,target,reason}`: statements answered, by what they are, who
    /// answered and why there.
    pub statements: Grid<AccessLabel, Target, Reason>,
    /// `statement_seconds{target}`: from the last byte of the command to the last byte of the
    /// reply, waiting included.
    statement_seconds: Box<[Histogram]>,
    /// `consistency_wait_seconds{level}`: how long reads waited for a server to catch up; reads
    /// that did not wait are not counted.
    consistency_wait: Box<[Histogram]>,
    /// `consistency_outcome_total{level,outcome}`: how reads got what their level promises.
    pub consistency_outcome: Grid<Level, Outcome>,
    /// `served_staleness_seconds{level}`: how far the replica that answered a read was known to be
    /// behind the primary at most, by its last probe. The answer may be fresher.
    served_staleness: Box<[Histogram]>,
    /// `probe_coalesced_total`: reads that shared a position probe another read had asked for.
    pub probe_coalesced: IntCounter,
    /// `transaction_reads_total{wrote}`: reads that were the primary's only for their transaction or for
    /// autocommit being off, by whether that transaction had written before.
    transaction_reads: Grid<Wrote>,
    /// `pins_total{reason}`: how often a session was bound to one connection.
    pub pins: Grid<PinReason>,
    /// `pins{reason}`: sessions that are bound to one connection now.
    pins_in_force: Box<[IntGauge]>,
    /// `prepared_statements_total{event}`: what happened to prepared statements on server connections.
    pub prepared: Grid<PreparedEvent>,
    /// `shadow_statements_total{access,target,reason}`: in shadow mode, statements by where the split
    /// would have sent them and why; `waited` also where it would have had to ask first.
    pub shadow_statements: Grid<AccessLabel, Target, Reason>,
    /// `shadow_eventual_total{answer}`: in shadow mode, reads by whether a replica would have answered
    /// them with all that their session had to see, if it had been asked at `eventual`.
    pub shadow_eventual: Grid<Foreseen>,
    /// `shadow_outcome_total{level,outcome}`: in shadow mode, how reads would have got what each level
    /// promises.
    pub shadow_outcome: Grid<Level, Outcome>,
    /// `shadow_wait_seconds{level}`: in shadow mode, how long reads would have waited at each level,
    /// those that would not have waited included.
    shadow_wait: Box<[Histogram]>,
    /// `shadow_unmeasured_total`: in shadow mode, reads that a replica would have answered and whose
    /// waits were not measured, since enough others were being measured.
    pub shadow_unmeasured: IntCounter,
    /// `config_reloads_total{outcome}`: how often the configuration was read again.
    config_reloads: Grid<ReloadOutcome>,
    /// `config_reload_timestamp_seconds`: when the configuration in force was read.
    config_read: Gauge,
    /// `trace_spans_total{event}`: statements with a trace parent, by what became of their spans.
    pub spans: Grid<SpanEvent>,
    /// `errors_total{kind,side}`: errors by what went wrong and whose fault it is.
    pub errors: Grid<ErrorKind, Side>,
    /// `offload_ratio`: share of the offloadable reads that replicas answered, since the start.
    offload_ratio: Gauge,
    /// `offload_limit_ratio`: the part of the sessions whose reads may go to replicas (OFFLOAD).
    offload_limit: Gauge,
    /// `sessions{state}`: client sessions by what they are doing.
    sessions: Box<[IntGauge]>,
    /// `backend_up{backend,role}`: 1 while statements may be sent to the server.
    backend_up: IntGaugeVec,
    /// `backend_lag_seconds{backend}`: how far a server is behind the primary; NaN while unknown.
    backend_lag: GaugeVec,
    /// `backend_connections{backend,state}`: pooled connections by what they are doing. What is
    /// `lent` is counted once a second.
    backend_connections: IntGaugeVec,
    /// `handovers_total{backend,how}`: connections that sessions gave back to their pool.
    handovers: IntCounterVec,
    /// `restores_total{backend}`: connections that were given a session's state by commands, since
    /// they had another one.
    restores: IntCounterVec,
    /// `recalls_total{backend}`: connections that sessions were asked to give back between two
    /// statements, because others waited.
    recalls: IntCounterVec,
    /// `rule_hits_total{rule}`: statements that a rule of the configuration matched, also one that
    /// only counts.
    rule_hits: IntCounterVec,
    /// `pool_wait_seconds{backend}`: how long sessions waited in line for a connection; those that
    /// found one at once are not counted.
    pool_wait: HistogramVec,
}

impl Metrics {
    /// Registers every metric in a new registry.
    ///
    /// # Errors
    /// When two metrics have one name: a mistake in this file, which its test finds.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("highwater".to_owned()), None)?;
        let make = Maker(&registry);
        make.int_gauges("build_info", "1, with the version as label.", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        Ok(Self {
            statements: make.grid(
                "statements_total",
                "Statements answered, by what they are, who answered, and why there.",
                &["access", "target", "reason"],
            )?,
            statement_seconds: make.histograms::<Target>(
                "statement_seconds",
                "Seconds from the last byte of a command to the last byte of its reply.",
                "target",
            )?,
            consistency_wait: make.histograms::<Level>(
                "consistency_wait_seconds",
                "Seconds that reads waited for a server to catch up, if they waited.",
                "level",
            )?,
            consistency_outcome: make.grid(
                "consistency_outcome_total",
                "How reads got what their consistency level promises.",
                &["level", "outcome"],
            )?,
            served_staleness: make.histograms::<Level>(
                "served_staleness_seconds",
                "Seconds that the replica which answered a read was behind the primary at most.",
                "level",
            )?,
            probe_coalesced: make.counter(
                "probe_coalesced_total",
                "Reads that shared a position probe which another read had asked for.",
            )?,
            transaction_reads: make.grid(
                "transaction_reads_total",
                "Reads kept on the primary by their transaction, by whether it had written before.",
                &["wrote"],
            )?,
            pins: make.grid(
                "pins_total",
                "How often a session was bound to one server connection.",
                &["reason"],
            )?,
            pins_in_force: make.gauges_of::<PinReason>(
                "pins",
                "Sessions that are bound to one server connection now.",
                "reason",
            )?,
            prepared: make.grid(
                "prepared_statements_total",
                "What happened to prepared statements on server connections.",
                &["event"],
            )?,
            shadow_statements: make.grid(
                "shadow_statements_total",
                "Statements in shadow mode, by what they are, who would have answered, and why there.",
                &["access", "target", "reason"],
            )?,
            shadow_eventual: make.grid(
                "shadow_eventual_total",
                "Reads in shadow mode, by whether an answer at eventual would have missed something.",
                &["answer"],
            )?,
            shadow_outcome: make.grid(
                "shadow_outcome_total",
                "How reads in shadow mode would have got what each level promises.",
                &["level", "outcome"],
            )?,
            shadow_wait: make.histograms::<Level>(
                "shadow_wait_seconds",
                "Seconds that reads in shadow mode would have waited at each level, if at all.",
                "level",
            )?,
            shadow_unmeasured: make.counter(
                "shadow_unmeasured_total",
                "Reads in shadow mode whose waits were not measured.",
            )?,
            config_reloads: make.grid(
                "config_reloads_total",
                "How often the configuration was read again, by what came of it.",
                &["outcome"],
            )?,
            config_read: {
                let read = make.gauge(
                    "config_reload_timestamp_seconds",
                    "When the configuration in force was read, in seconds since 1970.",
                )?;
                read.set(now());
                read
            },
            spans: make.grid(
                "trace_spans_total",
                "Statements with a trace parent, by what became of their spans.",
                &["event"],
            )?,
            errors: make.grid(
                "errors_total",
                "Errors, by what went wrong and whose fault it is.",
                &["kind", "side"],
            )?,
            offload_ratio: make.gauge(
                "offload_ratio",
                "Share of the offloadable reads that replicas answered, since the start.",
            )?,
            offload_limit: {
                let limit = make.gauge(
                    "offload_limit_ratio",
                    "Part of the sessions whose reads may go to replicas, as OFFLOAD set it.",
                )?;
                limit.set(1.0);
                limit
            },
            sessions: make.gauges_of::<SessionState>(
                "sessions",
                "Client sessions by what they are doing.",
                "state",
            )?,
            backend_up: make.int_gauges(
                "backend_up",
                "1 while statements may be sent to the server.",
                &["backend", "role"],
            )?,
            backend_lag: make.gauges(
                "backend_lag_seconds",
                "How far a server is behind the primary; NaN while unknown.",
                &["backend"],
            )?,
            backend_connections: make.int_gauges(
                "backend_connections",
                "Pooled server connections by what they are doing.",
                &["backend", "state"],
            )?,
            handovers: make.counters(
                "handovers_total",
                "Server connections that sessions gave back to their pool, by how.",
                &["backend", "how"],
            )?,
            restores: make.counters(
                "restores_total",
                "Server connections that were given a session's state by commands.",
                &["backend"],
            )?,
            recalls: make.counters(
                "recalls_total",
                "Server connections that sessions were asked to give back between statements.",
                &["backend"],
            )?,
            rule_hits: make.counters(
                "rule_hits_total",
                "Statements that a rule of the configuration matched, also one that only counts.",
                &["rule"],
            )?,
            pool_wait: make.histogram_family(
                "pool_wait_seconds",
                "Seconds that sessions waited in line for a server connection, if they waited.",
                "backend",
            )?,
            registry,
        })
    }

    /// Counts an answered statement and the time it took.
    pub fn statement(
        &self,
        access: impl Into<AccessLabel>,
        target: Target,
        reason: Reason,
        took: Duration,
    ) {
        self.statements.at3(access.into(), target, reason).inc();
        self.statement_seconds[target.index()].observe(took.as_secs_f64());
    }

    /// Counts a wait for a server to catch up.
    pub fn waited(&self, level: Level, took: Duration) {
        self.consistency_wait[level.index()].observe(took.as_secs_f64());
    }

    /// Counts an answer of a replica that was behind by so much at most.
    pub fn staleness(&self, level: Level, lag: Duration) {
        self.served_staleness[level.index()].observe(lag.as_secs_f64());
    }

    /// Counts a reload.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        self.config_reloads.at(outcome).inc();
        if outcome == ReloadOutcome::Done {
            self.config_read.set(now());
        }
    }

    /// Counts how a read's requirement was met.
    pub fn outcome(&self, level: Level, outcome: Outcome) {
        self.consistency_outcome.at2(level, outcome).inc();
    }

    /// Counts how a read in shadow mode would have fared at a level.
    pub fn foresaw(&self, level: Level, outcome: Outcome, wait: Duration) {
        self.shadow_outcome.at2(level, outcome).inc();
        self.shadow_wait[level.index()].observe(wait.as_secs_f64());
    }

    /// How many reads of shadow mode were measured at a level, and the seconds that they would have
    /// waited together.
    pub fn foreseen_waits(&self, level: Level) -> (u64, f64) {
        let histogram = &self.shadow_wait[level.index()];
        (histogram.get_sample_count(), histogram.get_sample_sum())
    }

    /// Counts a read that its transaction, or autocommit being off, kept on the primary.
    pub fn transaction_read(&self, wrote: Wrote) {
        self.transaction_reads.at(wrote).inc();
    }

    /// Counts an error.
    pub fn error(&self, kind: ErrorKind, side: Side) {
        self.errors.at2(kind, side).inc();
    }

    /// Counts a new session, which is in `state`; it is counted out when the value is dropped.
    pub fn session(&self, state: SessionState) -> SessionGauge {
        let gauges = self.sessions.clone();
        gauges[state.index()].inc();
        SessionGauge { gauges, state }
    }

    /// Counts the pins of a new session, which has none; they are counted out when the value is dropped.
    pub fn pin_gauge(&self) -> PinGauge {
        PinGauge {
            gauges: self.pins_in_force.clone(),
            counted: [false; PinReason::ALL.len()],
        }
    }

    /// So many percent of the sessions may read from replicas.
    pub fn offload_limit(&self, percent: u8) {
        self.offload_limit.set(f64::from(percent) / 100.0);
    }

    /// How many sessions are bound for this reason.
    pub fn pinned(&self, reason: PinReason) -> i64 {
        self.pins_in_force[reason.index()].get()
    }

    /// How many sessions are in `state`.
    pub fn sessions_in(&self, state: SessionState) -> i64 {
        self.sessions[state.index()].get()
    }

    /// The hits of the rule with this name, which is one of the configuration's.
    pub fn rule_hits(&self, name: &str) -> IntCounter {
        self.rule_hits.with_label_values(&[name])
    }

    /// The configuration has no rule of this name any more.
    pub fn forget_rule(&self, name: &str) {
        // An error says that there was none.
        let _ = self.rule_hits.remove_label_values(&[name]);
    }

    /// The metrics of one server. `address` is its `host:port` as configured. Asking twice gives
    /// handles of the same metrics.
    pub fn backend(&self, address: &str, role: Role) -> BackendMetrics {
        let connections = ConnectionState::ALL
            .iter()
            .map(|state| {
                self.backend_connections
                    .with_label_values(&[address, state.name()])
            })
            .collect();
        let handovers = Handover::ALL
            .iter()
            .map(|how| self.handovers.with_label_values(&[address, how.name()]))
            .collect();
        BackendMetrics {
            handovers,
            restores: self.restores.with_label_values(&[address]),
            recalls: self.recalls.with_label_values(&[address]),
            pool_wait: self.pool_wait.with_label_values(&[address]),
            up: self.backend_up.with_label_values(&[address, role.name()]),
            lag: self.backend_lag.with_label_values(&[address]),
            connections,
        }
    }

    /// A server is none of ours any more: its metrics are shown no longer. Handles that are left count
    /// for nobody.
    pub fn forget_backend(&self, address: &str, role: Role) {
        // A metric that never had the label has nothing to forget.
        let _ = self.backend_up.remove_label_values(&[address, role.name()]);
        let _ = self.backend_lag.remove_label_values(&[address]);
        for state in ConnectionState::ALL {
            let labels = [address, state.name()];
            let _ = self.backend_connections.remove_label_values(&labels);
        }
        for how in Handover::ALL {
            let _ = self.handovers.remove_label_values(&[address, how.name()]);
        }
        let _ = self.restores.remove_label_values(&[address]);
        let _ = self.recalls.remove_label_values(&[address]);
        let _ = self.pool_wait.remove_label_values(&[address]);
    }

    /// All metrics in the Prometheus text format.
    ///
    /// # Errors
    /// When the encoder refuses a metric family; it refuses none that this struct can hold.
    pub fn render(&self) -> prometheus::Result<String> {
        self.offload_ratio.set(self.offloaded());
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn offloaded(&self) -> f64 {
        let Offloading {
            reads, on_replicas, ..
        } = self.offloading();
        match reads {
            0 => 0.0,
            reads => on_replicas as f64 / reads as f64,
        }
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::UNIX_EPOCH.elapsed();
    since.unwrap_or_default().as_secs_f64()
}

/// Counts one session under what it is doing.
#[derive(Debug)]
pub struct SessionGauge {
    gauges: Box<[IntGauge]>,
    state: SessionState,
}

impl SessionGauge {
    /// The session is now in `state`.
    pub fn set(&mut self, state: SessionState) {
        if state != self.state {
            self.gauges[self.state.index()].dec();
            self.gauges[state.index()].inc();
            self.state = state;
        }
    }
}

impl Drop for SessionGauge {
    fn drop(&mut self) {
        self.gauges[self.state.index()].dec();
    }
}

/// Counts one session under each reason that binds it.
#[derive(Debug)]
pub struct PinGauge {
    gauges: Box<[IntGauge]>,
    counted: [bool; PinReason::ALL.len()],
}

impl PinGauge {
    /// The session is bound for this reason, or is not; says whether that is news.
    pub fn set(&mut self, reason: PinReason, bound: bool) -> bool {
        let index = reason.index();
        if self.counted[index] == bound {
            return false;
        }
        self.counted[index] = bound;
        self.gauges[index].add(if bound { 1 } else { -1 });
        true
    }
}

impl Drop for PinGauge {
    fn drop(&mut self) {
        for reason in PinReason::ALL {
            self.set(reason, false);
        }
    }
}

/// Handles of one server's metrics.
#[derive(Clone, Debug)]
pub struct BackendMetrics {
    up: IntGauge,
    lag: Gauge,
    connections: Box<[IntGauge]>,
    handovers: Box<[IntCounter]>,
    restores: IntCounter,
    recalls: IntCounter,
    pool_wait: Histogram,
}

impl BackendMetrics {
    /// Whether statements may be sent to the server.
    pub fn set_up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    /// How far the server is behind the primary; `None` while unknown.
    pub fn set_lag(&self, lag: Option<Duration>) {
        self.lag.set(lag.map_or(f64::NAN, |lag| lag.as_secs_f64()));
    }

    /// Counts a connection that a session gave back.
    pub fn handed_over(&self, how: Handover) {
        self.handovers[how.index()].inc();
    }

    /// Counts a connection that was given a session's state by commands.
    pub fn restored(&self) {
        self.restores.inc();
    }

    /// Counts a connection that a session was asked to give back.
    pub fn recalled(&self) {
        self.recalls.inc();
    }

    /// Counts a wait in line.
    pub fn pool_waited(&self, took: Duration) {
        self.pool_wait.observe(took.as_secs_f64());
    }

    /// How often connections were given back in this way.
    pub fn handovers(&self, how: Handover) -> u64 {
        self.handovers[how.index()].get()
    }

    /// How often connections were given a session's state by commands.
    pub fn restores(&self) -> u64 {
        self.restores.get()
    }

    /// How often sessions were asked to give a connection back.
    pub fn recalls(&self) -> u64 {
        self.recalls.get()
    }

    /// The number of connections in `state`.
    pub fn connections(&self, state: ConnectionState) -> &IntGauge {
        &self.connections[state.index()]
    }
}
