//! EXPLAIN ROUTE: what would become of a statement now, found out by the very functions that route
//! statements. Nothing of it is run.

use std::time::Instant;

use super::classify::Lexer;
use super::fallback::reason_of;
use super::freshness::{Terms, ask, refusal, requirement};
use super::groups::settings_of;
use super::login::start_from_globals;
use super::shared::Shared;
use crate::config::Mode;
use crate::domain::consistency::search::{Search, Situation};
use crate::domain::consistency::{
    Fallback, GiveUp, GroupKey, Level, OnTimeout, Requirement, Server, Servers, Step,
};
use crate::domain::ids::{BackendId, SessionId};
use crate::domain::position::Position;
use crate::domain::routing::rules::Ruling;
use crate::domain::routing::{Reason, Route, routed};
use crate::domain::session::{ClientTraits, Session};
use crate::domain::sql::{Access, Doubt, Hints, StatementProfile};
use crate::domain::topology::BackendView;
use crate::telemetry::{AccessLabel, Label};

/// Steps of a search that are performed at most: each asks a server once.
const MOST_STEPS: usize = 16;

/// The servers as they are for a read, looked at without taking a turn among them.
struct Looked<'a>(&'a Shared);

impl Servers for Looked<'_> {
    fn usable(&self) -> Vec<Server> {
        self.0.usable()
    }

    fn primary(&self) -> Option<Server> {
        self.0.primary()
    }

    fn covers(&self, server: Server, position: &Position) -> bool {
        self.0.covers(server, position)
    }

    fn load(&self, backend: BackendId) -> usize {
        Servers::load(self.0, backend)
    }

    fn turn(&self) -> usize {
        self.0.turn.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn compact(&self, position: &mut Position) {
        self.0.compact(position);
    }

    fn is_drained(&self, backend: BackendId) -> bool {
        self.0.is_drained(backend)
    }

    fn may_keep(&self, backend: BackendId, level: Level) -> bool {
        self.0.may_keep(backend, level)
    }
}

/// The answer, line by line.
#[derive(Default)]
struct Story(Vec<(String, String)>);

impl Story {
    fn tell(&mut self, what: &str, found: impl Into<String>) {
        self.0.push((what.to_owned(), found.into()));
    }
}

impl Shared {
    /// Where a statement would go that a client sent now which has just logged in, and why. Hints in
    /// its text count.
    ///
    /// # Errors
    /// A sentence for people: the statement cannot be explained.
    pub async fn explain(&self, sql: &[u8]) -> Result<Vec<(String, String)>, String> {
        if sql.is_empty() {
            return Err("EXPLAIN ROUTE needs a statement".to_owned());
        }
        let (mut session, mut lexer) = self.newcomer();
        session.hints = Hints::of_text(sql)
            .map_err(|error| format!("hint: '{}': {}", error.word, error.expected))?;
        let mut profile = self.classifier.profile(sql, &session, &mut lexer).await;
        let mut story = Story::default();
        tell_statement(&mut story, &lexer, &profile);
        let ruling = self.ruling(&mut session, lexer.shape.as_ref(), &profile, sql);
        tell_rules(&mut story, &ruling);
        if let Some(message) = ruling.denial() {
            story.tell("error", message);
            tell_decision(&mut story, ("nowhere: an error".to_owned(), Reason::Denied));
            return Ok(story.0);
        }
        if let Some(text) = ruling.rewritten {
            profile = self.classifier.profile(&text, &session, &mut lexer).await;
            tell_statement(&mut story, &lexer, &profile);
        }
        let level = session.read_level();
        story.tell("level", level.name());
        // No session has this id; it takes part if any does.
        let outside = self.outside(&profile, SessionId(0));
        let route = routed(&session, &profile, outside);
        let percent = self.switches.offload();
        if percent < 100 {
            let share = format!("OFFLOAD is at {percent}% of the sessions");
            story.tell("offload", share);
        }
        let decided = match route {
            Route::Replica { transaction } => {
                self.explain_replica(&mut story, &mut session, level, transaction)
                    .await?
            }
            Route::Primary(reason)
            | Route::EndReplicaTransaction(reason)
            | Route::MoveTransaction(reason) => ("primary".to_owned(), reason),
            Route::HeldReplica(reason) => ("the replica of the session".to_owned(), reason),
            Route::Defer(_) | Route::EndDeferred => ("proxy".to_owned(), Reason::Deferred),
            Route::Own => ("proxy".to_owned(), Reason::Own),
        };
        tell_decision(&mut story, decided);
        Ok(story.0)
    }

    /// A session that has just logged in.
    fn newcomer(&self) -> (Session, Lexer) {
        let traits = ClientTraits {
            found_rows: false,
            state_after_rows: true,
        };
        let config = self.config();
        let user = config.users.first();
        let user = user.map_or("", |account| account.name.as_str());
        let mut session = Session::new(settings_of(&config, user), traits);
        let lexer = start_from_globals(self, &mut session);
        (session, lexer)
    }

    /// The way of a read to a replica, as [`Search`] goes it.
    async fn explain_replica(
        &self,
        story: &mut Story,
        session: &mut Session,
        level: Level,
        transaction: bool,
    ) -> Result<(String, Reason), String> {
        if self.mode == Mode::Shadow {
            return Ok(("primary".to_owned(), Reason::Shadow));
        }
        if let Some(error) = refusal(self, level) {
            story.tell("error", error.to_string());
            return Ok(("nowhere: an error".to_owned(), Reason::LevelBroken));
        }
        let terms = self.terms_of(session, level)?;
        let settings = session.settings;
        let arrived = terms.arrived;
        let situation = Situation {
            replicas_configured: self.has_replicas(),
            ..Situation::default()
        };
        let demand = requirement(self, &terms);
        let mixed = demand.is_err();
        let demand = demand.unwrap_or_else(|_| Requirement::new(level, arrived));
        let mut search = Search::new(demand, situation, arrived, settings.catch_up_timeout);
        if mixed {
            search.give_up(GiveUp::NoPositions);
        }
        let servers = Looked(self);
        let mut step = search.poll(&mut session.positions, &servers, Instant::now());
        for _ in 0..MOST_STEPS {
            match step {
                Step::Read(_) | Step::Wait { .. } | Step::GiveUp(_) => break,
                _ => ask(self, &terms, &mut search, &mut session.positions, &step).await,
            }
            step = search.poll(&mut session.positions, &servers, Instant::now());
        }
        let beyond = search.requirement().beyond();
        story.tell(
            "needs",
            if beyond.is_empty() {
                "nothing".to_owned()
            } else {
                beyond.to_string()
            },
        );
        let topology = self.watch.topology();
        let replicas = topology
            .backends
            .iter()
            .filter(|view| !view.id.is_primary());
        for view in replicas {
            let found = self.candidate(&search, session, view, &step);
            story.tell(&format!("candidate {}", view.address), found);
        }
        Ok(self.concluded(&step, settings.on_timeout, transaction))
    }

    fn terms_of(&self, session: &Session, level: Level) -> Result<Terms, String> {
        let after = match &session.hints.after {
            Some(text) => {
                Position::parse(text.as_bytes()).map_err(|error| format!("hint: after: {error}"))?
            }
            None => Position::Nothing,
        };
        let config = self.config();
        let user = config.users.first();
        let group = match (&session.hints.group, user) {
            (Some(name), _) => GroupKey::named(name.as_bytes()),
            (None, Some(account)) => GroupKey::of_user(&account.name),
            (None, None) => GroupKey::of_user(""),
        };
        Ok(Terms {
            level,
            bounded: session.is_bounded(),
            max_staleness: session.max_staleness(),
            group,
            after,
            arrived: Instant::now(),
        })
    }

    /// What is known of a replica, and what speaks for or against it.
    fn candidate(
        &self,
        search: &Search,
        session: &Session,
        view: &BackendView,
        step: &Step,
    ) -> String {
        let servers = Looked(self);
        let server = view.generation.map(|generation| Server {
            backend: view.id,
            generation,
        });
        let against = server.and_then(|server| search.against(&servers, server));
        let fresh = |server| search.is_fresh(&session.positions, &servers, server);
        let verdict = match (server, against) {
            _ if !view.usable() => format!("not taken: it is {}", view.health.name()),
            (None, _) => "not taken: it is not known yet".to_owned(),
            (_, Some(against)) => format!("not taken: {}", against.text()),
            (Some(server), None) => match (*step == Step::Read(server), fresh(server)) {
                (true, _) => "taken: it is fresh enough".to_owned(),
                (false, false) => "not taken: it lacks something that the read must see".to_owned(),
                (false, true) => {
                    "not taken: another one is less busy, or it is its turn".to_owned()
                }
            },
        };
        let lag = match view.lag {
            Some(lag) => format!("lag {:.3} ms", lag.as_secs_f64() * 1000.0),
            None => "lag unknown".to_owned(),
        };
        let load = match Servers::load(self, view.id) {
            usize::MAX => "no connection to be had".to_owned(),
            load => format!("load {load}"),
        };
        let position = self.watch.lower_bound(view.id).unwrap_or_default();
        format!("{verdict}; {lag}, {load}, has {position}")
    }

    /// Where it ends.
    fn concluded(&self, step: &Step, on_timeout: OnTimeout, transaction: bool) -> (String, Reason) {
        let address = |server: &Server| self.address(server.backend).unwrap_or_default();
        match step {
            Step::Read(server) => {
                let reason = match transaction {
                    true => Reason::ReadOnlyTransaction,
                    false => Reason::Fresh,
                };
                (format!("replica {}", address(server)), reason)
            }
            Step::Wait { position, .. } => {
                let otherwise = otherwise(GiveUp::Timeout, on_timeout);
                let text = format!(
                    "the first replica that has {position}; if none has it in time, {otherwise}"
                );
                (text, Reason::Waited)
            }
            Step::GiveUp(why) => (otherwise(*why, on_timeout).to_owned(), reason_of(*why)),
            _ => ("primary".to_owned(), Reason::NoPositions),
        }
    }
}

/// What comes instead of a replica.
fn otherwise(why: GiveUp, on_timeout: OnTimeout) -> &'static str {
    match Fallback::of(why, on_timeout) {
        Fallback::Belongs => "primary",
        Fallback::Budgeted { .. } => "primary, within its budget",
        Fallback::Stale => "a replica with what it has, and a warning",
        Fallback::Refused => "nowhere: an error",
    }
}

fn tell_statement(story: &mut Story, lexer: &Lexer, profile: &StatementProfile) {
    let class = AccessLabel::from(profile.access).name();
    let read_only = matches!(profile.access, Access::Begin(begin) if begin.read_only == Some(true));
    let class = match read_only {
        true => format!("{class} (read only)"),
        false => class.to_owned(),
    };
    story.tell("class", class);
    let digest = match profile.fingerprint {
        0 => "none: it was not read".to_owned(),
        fingerprint => format!("{fingerprint:016x}"),
    };
    story.tell("digest", digest);
    if let Some(shape) = &lexer.shape {
        story.tell("statement", String::from_utf8_lossy(&shape.text));
    }
    if profile.doubt != Doubt::None {
        story.tell("doubt", Reason::from(profile.doubt).text());
    }
}

fn tell_rules(story: &mut Story, ruling: &Ruling) {
    for name in &ruling.counted {
        story.tell("rule that only counts", name.as_str());
    }
    story.tell("rule", ruling.summary());
}

fn tell_decision(story: &mut Story, (place, reason): (String, Reason)) {
    story.tell("decision", place);
    story.tell("reason", reason.name());
    story.tell("why", reason.text());
    if let Some(change) = reason.change() {
        story.tell("advice", change);
    }
}
