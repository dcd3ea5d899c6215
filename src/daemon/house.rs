//! The proxy as its operators see it: what the admin port asks, answered from what all parts share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use super::reload::Asker;
use crate::admin::house::{House, Later};
use crate::admin::tables::{
    AdviceRow, BackendRow, ConfigRow, DigestRow, PinRow, PoolRow, PositionRow, RouteRow, RuleRow,
    SessionRow, SwitchRow,
};
use crate::domain::ids::{BackendId, SessionId};
use crate::domain::position::Position;
use crate::domain::topology::{BackendView, Role};
use crate::relay::{RouteView, RuleView, ShapeView, Shared};
use crate::telemetry::{AccessLabel, ConnectionState, Handover, Label, Target};

/// What nothing would change, in a sentence.
const NOTHING: &str = "nothing: it belongs to the primary";

/// The proxy.
#[derive(Debug)]
pub(super) struct Proxied {
    pub(super) shared: Arc<Shared>,
    /// Says that the process shall end.
    pub(super) end: watch::Sender<bool>,
    /// Whether that was said already.
    pub(super) ending: AtomicBool,
    /// Asks for reloads.
    pub(super) reloads: Asker,
}

impl Proxied {
    fn views(&self) -> Vec<BackendView> {
        self.shared.watch.topology().backends.clone()
    }

    fn backend(&self, view: BackendView) -> BackendRow {
        let Shared {
            watch, switches, ..
        } = &*self.shared;
        let pool = self.shared.pool(view.id);
        let flaws: Vec<_> = view.flaws.iter().map(|flaw| flaw.name()).collect();
        BackendRow {
            id: u64::from(view.id.0),
            role: view.role.name(),
            state: match (switches.is_leaving(view.id), switches.is_drained(view.id)) {
                (true, _) => "leaving",
                (false, true) => "draining",
                (false, false) => "online",
            },
            health: view.health.name(),
            lag_ms: millis(view.lag),
            engine: view.engine.map(|engine| engine.name()),
            version: watch.facts(view.id).map(|facts| facts.version.clone()),
            connections: pool.map_or(0, |pool| pool.leased() as u64),
            waiting: pool.map_or(0, |pool| pool.waiting() as u64),
            flaws: flaws.join(", "),
            address: view.address,
        }
    }

    fn position(&self, view: BackendView, primary: &Position) -> PositionRow {
        let watch = &self.shared.watch;
        let applied = watch.lower_bound(view.id);
        let behind = applied
            .as_ref()
            .filter(|_| view.role == Role::Replica)
            .and_then(|applied| primary.lacked_by(applied));
        PositionRow {
            role: view.role.name(),
            server_uuid: view.incarnation.map(|it| it.server_uuid),
            generation: view.generation.map(|generation| generation.0),
            kind: view.positions.name(),
            behind,
            applied: applied.map(|applied| applied.to_string()),
            lag_ms: millis(view.lag),
            errant: watch.counters(view.id).errant_transactions,
            backend: view.address,
        }
    }

    fn address(&self, id: BackendId) -> String {
        self.shared.address(id).unwrap_or_default()
    }

    fn route(&self, view: RouteView) -> RouteRow {
        let entry = view.entry;
        RouteRow {
            session: u64::from(view.session.0),
            ago_ms: u64::try_from(view.ago.as_millis()).unwrap_or(u64::MAX),
            digest: digest(entry.fingerprint),
            statement: view.text,
            class: entry.access.name(),
            level: entry.level.name(),
            target: entry.target.name(),
            backend: entry.backend.map(|id| self.address(id)),
            reason: entry.reason.name(),
            why: entry.reason.text(),
            outcome: match entry.failed {
                true => "failed",
                false => "done",
            },
            waited_us: u64::try_from(entry.waited.as_micros()).unwrap_or(u64::MAX),
            took_us: u64::try_from(entry.took.as_micros()).unwrap_or(u64::MAX),
            needed: (!entry.needed.is_nothing()).then(|| entry.needed.to_string()),
        }
    }
}

impl House for Proxied {
    fn backends(&self) -> Vec<BackendRow> {
        let views = self.views().into_iter();
        views.map(|view| self.backend(view)).collect()
    }

    fn sessions(&self) -> Vec<SessionRow> {
        let pins = self.shared.registry.pins();
        let mut seen = self.shared.registry.seen();
        seen.sort_by_key(|seen| seen.id);
        let mut pins_of: HashMap<SessionId, Vec<&str>> = HashMap::new();
        for pin in &pins {
            let own = pins_of.entry(pin.session).or_default();
            own.push(pin.pin.reason.name());
        }
        let row = |seen: crate::relay::Seen| {
            let [primary, replica] = seen.threads;
            let own = pins_of.get(&seen.id).map(Vec::as_slice);
            SessionRow {
                id: u64::from(seen.id.0),
                user: seen.user.to_string(),
                host: seen.host.into(),
                db: seen
                    .schema
                    .map(|schema| String::from_utf8_lossy(&schema).into_owned()),
                state: match (seen.idle, seen.running) {
                    (true, _) => "idle",
                    (false, Some(_)) => "running",
                    (false, None) => "open",
                },
                seconds: seen.seconds,
                running_on: seen.running.map(|(id, _)| self.address(id)),
                primary_thread: primary.map(|(_, thread)| thread.0),
                replica: replica.map(|(id, _)| self.address(id)),
                replica_thread: replica.map(|(_, thread)| thread.0),
                pins: own.unwrap_or_default().join(", "),
                statements: seen.statements,
                offload: match self.shared.switches.offloads(seen.id) {
                    true => "yes",
                    false => "no",
                },
            }
        };
        seen.into_iter().map(row).collect()
    }

    fn pools(&self) -> Vec<PoolRow> {
        let mode = self.shared.configured(|config| config.pool.mode);
        let pools = self.shared.pools().map(|pool| {
            let metrics = pool.metrics();
            let count = |state| u64::try_from(metrics.connections(state).get()).unwrap_or(0);
            let all = pool.leased() as u64;
            let (idle, lent) = (
                count(ConnectionState::Idle),
                count(ConnectionState::Lent).min(all),
            );
            PoolRow {
                backend: self.address(pool.backend()),
                mode: mode.name(),
                open: idle + all,
                idle,
                lent,
                leased: all - lent,
                waiting: pool.waiting() as u64,
                max: pool.limits().max_connections as u64,
                handed_on: metrics.handovers(Handover::AsIs),
                reset: metrics.handovers(Handover::Reset),
                restored: metrics.restores(),
                recalled: metrics.recalls(),
            }
        });
        pools.collect()
    }

    fn positions(&self) -> Vec<PositionRow> {
        let primary = self.shared.watch.lower_bound(BackendId::PRIMARY);
        let primary = primary.unwrap_or_default();
        let views = self.views().into_iter();
        views.map(|view| self.position(view, &primary)).collect()
    }

    fn pins(&self) -> Vec<PinRow> {
        let row = |pinned: crate::relay::SessionPin| {
            let pin = pinned.pin;
            PinRow {
                session: u64::from(pinned.session.0),
                user: pinned.user,
                reason: pin.reason.name(),
                why: pin.reason.text(),
                digest: digest(pin.fingerprint),
                statement: self.shared.statement_text(pin.fingerprint),
                seconds: pin.since.elapsed().as_secs(),
            }
        };
        self.shared.registry.pins().into_iter().map(row).collect()
    }

    fn digests(&self) -> Vec<DigestRow> {
        let mut shapes = self.shared.shapes();
        shapes.sort_by_key(|shape| std::cmp::Reverse(shape.counts.took));
        shapes.into_iter().map(digest_row).collect()
    }

    fn advice(&self) -> Vec<AdviceRow> {
        let shapes = self.shared.shapes();
        let mut rows: Vec<AdviceRow> = shapes.iter().flat_map(advice_of).collect();
        let all: u64 = rows.iter().map(|row| row.count).sum();
        for row in &mut rows {
            row.share = row.count as f64 * 100.0 / all.max(1) as f64;
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.count));
        rows
    }

    fn routes(&self, session: Option<u64>) -> Vec<RouteRow> {
        let session = match session.map(SessionId::of_number) {
            Some(None) => return Vec::new(),
            session => session.flatten(),
        };
        let routes = self.shared.routes(session).into_iter();
        routes.map(|route| self.route(route)).collect()
    }

    fn rules(&self) -> Vec<RuleRow> {
        (1..).zip(self.shared.rules()).map(rule_row).collect()
    }

    fn config(&self) -> Vec<ConfigRow> {
        config_rows(&self.shared.config().to_toml())
    }

    fn switches(&self) -> Vec<SwitchRow> {
        let switches = &self.shared.switches;
        let offload = SwitchRow {
            name: "offload",
            value: match switches.offload() {
                0 => "OFF".to_owned(),
                100 => "ON".to_owned(),
                percent => format!("{percent}%"),
            },
            command: "OFFLOAD OFF | ON | n%",
        };
        let drained = self.views().into_iter();
        let drained =
            drained.filter(|view| switches.is_drained(view.id) && !switches.is_leaving(view.id));
        let drained = drained.map(|view| SwitchRow {
            name: "drained",
            value: view.address,
            command: "ONLINE BACKEND address",
        });
        std::iter::once(offload).chain(drained).collect()
    }

    fn has_session(&self, session: u64) -> bool {
        let id = SessionId::of_number(session);
        id.is_some_and(|id| self.shared.registry.has(id))
    }

    fn explain<'a>(&'a self, sql: &'a [u8]) -> Later<'a, Result<Vec<(String, String)>, String>> {
        Box::pin(self.shared.explain(sql))
    }

    fn offload(&self, percent: u8) {
        self.shared.switches.set_offload(percent);
        self.shared.metrics.offload_limit(percent);
        tracing::warn!(percent, "OFFLOAD: sessions whose reads may go to replicas");
    }

    fn drain(&self, backend: &str, drain: bool) -> Result<(), String> {
        let views = self.views();
        let found = views.iter().find(|view| view.address == backend);
        let Some(view) = found else {
            let known: Vec<_> = views.iter().map(|view| view.address.as_str()).collect();
            let known = known.join(", ");
            return Err(format!(
                "no server is configured as '{backend}'; there are {known}"
            ));
        };
        if view.id.is_primary() {
            return Err(
                "the primary takes the writes and cannot be drained; OFFLOAD is about reads"
                    .to_owned(),
            );
        }
        self.shared.switches.drain(view.id, drain);
        if let Some(pool) = self.shared.pool(view.id).filter(|_| drain) {
            pool.ebb();
        }
        tracing::warn!(backend, drain, "DRAIN BACKEND or ONLINE BACKEND");
        Ok(())
    }

    fn reload(&self) -> Later<'_, Result<Vec<(String, String)>, String>> {
        Box::pin(self.reloads.reload())
    }

    fn shut_down(&self) {
        if !self.ending.swap(true, Ordering::AcqRel) {
            tracing::warn!("SHUTDOWN by an admin client");
            // Nobody listens where the proxy is part of another program.
            let _ = self.end.send(true);
        }
    }
}

fn millis(duration: Option<std::time::Duration>) -> Option<f64> {
    duration.map(|it| it.as_secs_f64() * 1000.0)
}

fn digest(fingerprint: u64) -> Option<String> {
    (fingerprint != 0).then(|| format!("{fingerprint:016x}"))
}

fn rule_row((number, view): (u64, RuleView)) -> RuleRow {
    RuleRow {
        number,
        act: view.rule.act.summary(),
        count_only: match view.rule.count_only {
            true => "yes",
            false => "no",
        },
        name: view.rule.name,
        hits: view.matched,
        denied: view.denied,
        limited: view.limited,
        delayed: view.delayed,
        rewritten: view.rewritten,
        timed_out: view.timed_out,
        mirrored: view.mirrored,
        not_mirrored: view.not_mirrored,
    }
}

fn digest_row(shape: ShapeView) -> DigestRow {
    let counts = shape.counts;
    let [primary, replica, proxy] =
        [Target::Primary, Target::Replica, Target::Proxy].map(|target| {
            let count = counts.targets.get(target.index());
            count.copied().unwrap_or_default()
        });
    let millis = |it: std::time::Duration| it.as_secs_f64() * 1000.0;
    DigestRow {
        digest: shape.fingerprint.and_then(digest),
        statement: shape.text,
        class: shape.access.map_or("other", |access| access.name()),
        count: counts.count(),
        errors: counts.errors,
        primary,
        replica,
        proxy,
        reason: counts.main_reason().map_or("", |reason| reason.name()),
        total_ms: millis(counts.took),
        avg_ms: millis(counts.took) / counts.count().max(1) as f64,
        max_ms: millis(counts.longest),
        row_count: counts.rows,
        bytes: counts.bytes,
        waits: counts.waits,
        waited_ms: millis(counts.waited),
        pins: counts.pins,
    }
}

/// The reasons for which a shape stays away from replicas, if something would change that. What begins and
/// ends transactions or sets something reads nothing.
fn advice_of(shape: &ShapeView) -> Vec<AdviceRow> {
    let no_read = matches!(
        shape.access,
        Some(AccessLabel::Begin | AccessLabel::TransactionEnd | AccessLabel::Session)
    );
    let reasons = shape.counts.reasons.iter().filter(|_| !no_read);
    let reasons = reasons.filter(|(reason, _)| reason.change().is_some());
    reasons
        .map(|(reason, count)| AdviceRow {
            digest: shape.fingerprint.and_then(digest),
            statement: shape.text.clone(),
            count: *count,
            share: 0.0,
            reason: reason.name(),
            why: reason.text(),
            change: reason.change().unwrap_or(NOTHING),
        })
        .collect()
}

/// `table.key` and value of each line of a configuration file.
fn config_rows(toml: &str) -> Vec<ConfigRow> {
    let mut table = String::new();
    let mut rows = Vec::new();
    for line in toml.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, value)) = line.split_once(" = ") {
            let text = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
            rows.push(ConfigRow {
                name: format!("{table}.{key}"),
                value: text.unwrap_or(value).to_owned(),
            });
        }
    }
    rows
}
