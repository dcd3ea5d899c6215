//! What is remembered of statements, for people: where those of a session went, and what was counted
//! of each shape.

use std::time::{Duration, Instant};

use super::history::Entry;
use super::session::{End, Relay};
use super::shared::Shared;
use crate::domain::ids::{BackendId, SessionId};
use crate::frontend::ClientError;
use crate::telemetry::{AccessLabel, DigestCounts, Label};

/// Characters of a statement's text that are shown.
const SHOWN: usize = 1024;

/// Routes that are shown at once.
const MOST: usize = 10_000;

/// One statement of one session.
#[derive(Clone, Debug)]
pub struct RouteView {
    /// The session.
    pub session: SessionId,
    /// How long ago it ended.
    pub ago: Duration,
    /// Where it went and why.
    pub entry: Entry,
    /// Its text without literals, if that is remembered.
    pub text: Option<String>,
}

/// What was counted of statements of one shape.
#[derive(Clone, Debug)]
pub struct ShapeView {
    /// The fingerprint; `None` for all that is not remembered one by one.
    pub fingerprint: Option<u64>,
    /// Its text without literals.
    pub text: String,
    /// What it is; `None` for all that is not remembered one by one.
    pub access: Option<AccessLabel>,
    /// The counters.
    pub counts: DigestCounts,
}

impl Shared {
    /// Where the last statements of one session, or of all, went: the newest first, and not more of them
    /// than anybody reads.
    pub fn routes(&self, session: Option<SessionId>) -> Vec<RouteView> {
        let sessions = match session {
            Some(session) => vec![session],
            None => self.registry.ids(),
        };
        let of = |session| {
            let entries = self.registry.routes(session).unwrap_or_default();
            entries.into_iter().map(move |entry| (session, entry))
        };
        let mut routes: Vec<_> = sessions.into_iter().flat_map(of).collect();
        // Stable, so that of one session the order stays.
        routes.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.ended));
        routes.truncate(MOST);
        let routes = routes.into_iter();
        routes
            .map(|(session, entry)| self.route_view(session, entry))
            .collect()
    }

    fn route_view(&self, session: SessionId, entry: Entry) -> RouteView {
        let now = self.registry.at(Instant::now());
        RouteView {
            session,
            ago: Duration::from_millis(now.saturating_sub(entry.ended)),
            entry,
            text: self.statement_text(entry.fingerprint),
        }
    }

    /// The text of a statement without its literals, if it is remembered.
    pub fn statement_text(&self, fingerprint: u64) -> Option<String> {
        let shape = self.classifier.shape(fingerprint)?;
        Some(shown(&shape.text))
    }

    /// What was counted of each shape that ran; the last one is all others together.
    pub fn shapes(&self) -> Vec<ShapeView> {
        let shapes = self.classifier.shapes();
        let each = shapes.iter().map(|shape| ShapeView {
            fingerprint: Some(shape.profile.fingerprint),
            text: shown(&shape.text),
            access: Some(shape.profile.access.into()),
            counts: shape.digest.read(),
        });
        let rest = ShapeView {
            fingerprint: None,
            text: "(all others, and what was not read)".to_owned(),
            access: None,
            counts: self.classifier.rest().read(),
        };
        let ran = |view: &ShapeView| view.counts.count() > 0;
        each.chain([rest]).filter(ran).collect()
    }

    /// `host:port` of a server.
    pub fn address(&self, backend: BackendId) -> Option<String> {
        let topology = self.watch.topology();
        topology.get(backend).map(|view| view.address.clone())
    }
}

fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}

impl Relay {
    /// SHOW HIGHWATER ROUTE: where the asker's own last statements went.
    pub(super) async fn show_routes(
        &mut self,
        most: Option<usize>,
    ) -> Result<Result<(), ClientError>, End> {
        const LABELS: [&str; 11] = [
            "ago_ms",
            "statement",
            "class",
            "level",
            "target",
            "backend",
            "reason",
            "why",
            "waited_us",
            "took_us",
            "needed",
        ];
        let entries = self.registered.routes();
        let rows = entries.into_iter().take(most.unwrap_or(usize::MAX));
        let rows = rows.map(|entry| {
            let view = self.shared.route_view(self.diary.id, entry);
            let backend = entry.backend.and_then(|id| self.shared.address(id));
            vec![
                view.ago.as_millis().to_string(),
                view.text.unwrap_or_default(),
                entry.access.name().to_owned(),
                entry.level.name().to_owned(),
                entry.target.name().to_owned(),
                backend.unwrap_or_default(),
                entry.reason.name().to_owned(),
                entry.reason.text().to_owned(),
                entry.waited.as_micros().to_string(),
                entry.took.as_micros().to_string(),
                entry.needed.to_string(),
            ]
        });
        let rows: Vec<_> = rows.collect();
        self.answer_rows(&LABELS, &rows).await.map(Ok)
    }
}
