//! A span for each statement whose client says which trace it belongs to. Without a collector nobody looks
//! for that.

use std::time::{Duration, Instant, SystemTime};

use super::hints;
use super::history::{Tally, Went};
use super::session::Relay;
use super::shared::Shared;
use super::slow::Lapse;
use crate::domain::ids::{BackendId, ClientStmtId};
use crate::domain::trace::TraceParent;
use crate::telemetry::otlp::{Attribute, Part, Span, Spans};
use crate::telemetry::{AccessLabel, Label};

/// The trace that a COM_QUERY belongs to; its attribute says it before its text does.
pub(super) fn of_query(
    shared: &Shared,
    payload: &[u8],
    text: &[u8],
    attributes: bool,
) -> Option<TraceParent> {
    shared.spans.as_ref()?;
    let of_attributes = hints::trace_of_query(payload, attributes);
    let parent = of_attributes.or_else(|| TraceParent::of_text(text))?;
    parent.sampled.then_some(parent)
}

impl Relay {
    /// The same of a COM_STMT_EXECUTE, of which only an attribute says it: a comment in its text is as old
    /// as its PREPARE.
    pub(super) fn trace_of_execute(&mut self, id: ClientStmtId, total: usize) {
        if self.shared.spans.is_some() {
            let parent = hints::trace_of_execute(self, id, total);
            self.traced_by(parent.filter(|parent| parent.sampled));
        }
    }

    /// The statement at hand belongs to this trace.
    pub(super) fn traced_by(&mut self, parent: Option<TraceParent>) {
        self.tally.parent = parent;
        self.links.laps.on |= parent.is_some();
    }

    /// A statement ended; its span is handed in if it belongs to a trace.
    pub(super) fn note_span(
        &self,
        went: &Went,
        backend: Option<BackendId>,
        started: Instant,
        took: Duration,
    ) {
        if let (Some(spans), Some(parent)) = (&self.shared.spans, self.tally.parent) {
            self.hand_in(spans, parent, went, backend, (started, took));
        }
    }

    #[cold]
    fn hand_in(
        &self,
        spans: &Spans,
        parent: TraceParent,
        went: &Went,
        backend: Option<BackendId>,
        (started, took): (Instant, Duration),
    ) {
        let Tally {
            rows,
            bytes,
            waited,
            ..
        } = self.tally;
        let millis = |it: Duration| Attribute::Float(it.as_micros() as f64 / 1000.0);
        let mut attributes = vec![
            ("db.system.name", Attribute::Word("mysql")),
            ("highwater.session", Attribute::Int(self.diary.id.0.into())),
            ("highwater.target", Attribute::Word(went.target.name())),
            ("highwater.reason", Attribute::Word(went.reason.name())),
            (
                "highwater.level",
                Attribute::Word(self.state.read_level().name()),
            ),
            ("highwater.wait_ms", millis(waited)),
            ("highwater.rows", Attribute::Int(rows)),
            ("highwater.bytes", Attribute::Int(bytes)),
        ];
        if went.fingerprint != 0 {
            let digest = format!("{:016x}", went.fingerprint);
            attributes.push(("highwater.digest", Attribute::Text(digest)));
        }
        if let Some(address) = backend.and_then(|id| self.shared.address(id)) {
            attributes.push(("highwater.backend", Attribute::Text(address)));
        }
        let laps = &self.links.laps;
        let wait = Lapse {
            first: Some(started),
            took: waited,
        };
        let parts = [
            ("wait", wait),
            ("queue", laps.queue),
            ("restore", laps.restore),
            ("server", laps.server),
        ];
        let part = |(name, lapse): (&'static str, Lapse)| {
            let first = lapse.first.filter(|_| !lapse.took.is_zero())?;
            Some(Part {
                name,
                after: first.saturating_duration_since(started),
                took: lapse.took,
            })
        };
        spans.hand_in(Span {
            trace: parent.trace,
            parent: parent.span,
            name: AccessLabel::from(went.access).name(),
            ended: SystemTime::now(),
            took,
            failed: went.failed,
            attributes,
            parts: parts.into_iter().filter_map(part).collect(),
        });
    }
}
