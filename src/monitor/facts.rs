//! What a data connection must know of a server, read once in its life and kept fresh.

mod baseline;
mod history;
mod looks;
pub(super) mod programs;
mod survey;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

pub(super) use looks::Looks;
pub(super) use programs::Programs;

use super::ProbeError;
use super::link::{Link, Table};
use super::shared::{Backend, Shared};
use crate::domain::ids::BackendId;
use crate::domain::topology::{Clean, Engine, Generation, Role};
use survey::Survey;

/// What a data connection, and the greeting of our own clients, must know of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// What kind of server it is.
    pub engine: Engine,
    /// `@@version`.
    pub version: String,
    /// `@@version_comment`.
    pub version_comment: String,
    /// The id of `@@global.collation_server`. A greeting's character set byte holds its low 8 bits.
    pub collation: u16,
    /// Whether it is a server of an Aurora cluster.
    pub aurora: bool,
    /// SQL for who it is: the `server_uuid` of its incarnation.
    pub identity: &'static str,
    /// Names for `session_track_system_variables`, comma separated: every variable that a session
    /// can set and whose change matters to the next statement.
    pub tracked_variables: String,
    /// For a replica: session variables whose default differs from the primary's, as the name and
    /// the primary's value as an SQL literal, to be SET on each data connection there. Empty for
    /// the primary; `None` until both were compared.
    pub baseline: Option<Vec<(String, String)>>,
    /// The primary's global values of the session variables, which sessions start with. A replica's
    /// connections have them once the baseline is set there, which was made from these very ones.
    pub globals: Arc<BTreeMap<String, String>>,
    /// A hash of all the values that sessions start with on this server: also of those that they cannot
    /// change, or not without a privilege.
    pub start: u64,
    /// What it runs for each client that logs in; empty for nothing.
    pub init_connect: String,
    /// How its connections get what sessions begin with.
    pub clean: Clean,
    /// How many statements about accounts it has run, wherever they came from: also those inside of
    /// stored programs, and what it replicates.
    pub account_statements: u64,
    /// `max_connections`: how many clients it takes; `None` if it does not say.
    pub max_connections: Option<usize>,
}

/// Counters of statements that change accounts. A replica counts what its applier runs; one that ran
/// in vain counts, too, and so does every FLUSH.
const ACCOUNT_STATEMENTS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN \
    ('Com_alter_user', 'Com_alter_user_default_role', 'Com_create_role', 'Com_create_user', \
    'Com_drop_role', 'Com_drop_user', 'Com_flush', 'Com_grant', 'Com_grant_role', 'Com_grant_roles', \
    'Com_rename_user', 'Com_revoke', 'Com_revoke_all', 'Com_revoke_role', 'Com_revoke_roles', \
    'Com_set_password')";

/// Counters of statements about routines, triggers and views.
const PROGRAM_STATEMENTS: &str = "SHOW GLOBAL STATUS WHERE Variable_name REGEXP \
    '^com_(create|alter|drop)_(procedure|function|trigger|view|package)'";

/// The global values of a server's session variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Globals {
    generation: Generation,
    values: Arc<BTreeMap<String, String>>,
    /// What `time_zone = SYSTEM` stands for on this machine.
    system_zone: String,
}

impl Globals {
    /// Whether sessions whose time zone is SYSTEM see other local times here than there.
    fn differs_in_zone(&self, primary: &Self) -> bool {
        let system = primary.values.get("time_zone").map(String::as_str) == Some("SYSTEM");
        system && self.system_zone != primary.system_zone
    }
}

/// Keeps the facts of one server fresh, for ever.
pub(super) async fn run(shared: Arc<Shared>, id: BackendId) {
    let Some(backend) = shared.backend(id) else {
        return;
    };
    let mut keeper = Keeper {
        link: Link::new(Arc::clone(&shared.settings), &backend.address),
        survey: None,
        compared: None,
        programs: None,
    };
    loop {
        for tries in 1.. {
            let wanted = backend.looks.wanted();
            let looked = match backend.life.load().is_some() {
                true => keeper.refresh(&shared, backend).await,
                false => Ok(()),
            };
            match looked {
                Ok(()) => backend.looks.looked(wanted),
                Err(error) => {
                    tracing::debug!(backend = %backend.address, %error, "cannot read the server's facts");
                }
            }
            if !backend.looks.is_due(tries) {
                break;
            }
        }
        // Trying out settings spoils a connection, and the next use is far away.
        keeper.link.close().await;
        backend.looks.pause().await;
    }
}

struct Keeper {
    link: Link,
    /// Of the life with this number.
    survey: Option<(Generation, Survey)>,
    /// What was compared last, and what came of it.
    compared: Option<Comparison>,
    /// In which life how many statements about accounts, and how many about programs, had been run when the
    /// programs were last asked to be looked at.
    programs: Option<(Generation, u64, u64)>,
}

struct Comparison {
    own: Globals,
    primary: Arc<Globals>,
    baseline: Vec<(String, String)>,
}

impl Keeper {
    async fn refresh(&mut self, shared: &Shared, backend: &Backend) -> Result<(), ProbeError> {
        let greeting = self.link.greeting().await?;
        let generation = backend.identify(&greeting.incarnation)?.generation;
        if self.survey.as_ref().map(|(of, _)| *of) != Some(generation) {
            let survey = survey::take(&mut self.link).await?;
            self.survey = Some((generation, survey));
        }
        let answer = self
            .link
            .ask(&format!(
                "SELECT @@version_comment, @@system_time_zone; SELECT ID FROM information_schema.COLLATIONS \
                 WHERE COLLATION_NAME = @@global.collation_server; SHOW GLOBAL VARIABLES; {ACCOUNT_STATEMENTS}; {PROGRAM_STATEMENTS}",
            ))
            .await?;
        let Some((_, survey)) = &self.survey else {
            return Ok(());
        };
        let all: Vec<_> = answer.get(2).into_iter().flat_map(Table::pairs).collect();
        let mut named = all.iter().filter(|(name, _)| name == "max_connections");
        let max_connections = named.find_map(|(_, value)| value.parse().ok());
        let role = match backend.id.is_primary() {
            true => Role::Primary,
            false => Role::Replica,
        };
        let flaws = history::flaws(&mut self.link, greeting.engine, role, &all).await?;
        shared.note_flaws(backend, flaws);
        let is_default = |(name, _): &(String, String)| survey.is_default(name);
        let value = |wanted: &str| {
            all.iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.as_str())
        };
        let clean = Clean::of(value);
        let init_connect = value("init_connect").unwrap_or_default().to_owned();
        let start = hash(all.iter().filter(|(name, _)| survey.is_in_sessions(name)));
        let own = Globals {
            generation,
            values: same_values(backend, all.into_iter().filter(is_default).collect()),
            system_zone: Table::first(&answer).text(1).unwrap_or_default(),
        };
        let mut facts = ServerFacts {
            engine: greeting.engine,
            aurora: greeting.is_aurora(),
            identity: greeting.identity,
            version: greeting.version,
            version_comment: Table::first(&answer).text(0).unwrap_or_default(),
            collation: collation(&answer),
            tracked_variables: survey.tracked(greeting.engine),
            baseline: backend.id.is_primary().then(Vec::new),
            globals: Arc::clone(&own.values),
            start,
            init_connect,
            clean,
            account_statements: sum(answer.get(3)),
            max_connections,
        };
        // Rights decide which definitions an account sees.
        let programs = (generation, facts.account_statements, sum(answer.get(4)));
        if backend.id.is_primary() {
            match self.programs.replace(programs) {
                None => backend.programs.changed(),
                Some(before) if before != programs => backend.programs.look_again(),
                Some(_) => {}
            }
        }
        self.offer(shared, backend, &own);
        if !backend.id.is_primary() {
            let compared = self.compare(shared, backend, own).await?;
            facts.baseline = compared.map(|it| it.baseline.clone());
            facts.globals = compared.map_or_else(Arc::default, |it| Arc::clone(&it.primary.values));
        }
        let known = backend.facts.load();
        if known.as_deref() != Some(&facts) && backend.life(generation).is_some() {
            backend.facts.store(Some(Arc::new(facts)));
        }
        Ok(())
    }

    /// Publishes a server's own defaults. The primary's are news to every replica.
    fn offer(&self, shared: &Shared, backend: &Backend, own: &Globals) {
        if backend.globals.load().as_deref() == Some(own) {
            return;
        }
        backend.globals.store(Some(Arc::new(own.clone())));
        if backend.id.is_primary() {
            let replicas = shared.backends.iter().filter(|it| !it.id.is_primary());
            for replica in replicas {
                replica.looks.wake();
            }
        }
    }

    /// What differs from the primary, as literals that this server accepts.
    async fn compare(
        &mut self,
        shared: &Shared,
        backend: &Backend,
        own: Globals,
    ) -> Result<Option<&Comparison>, ProbeError> {
        let primary = shared.backend(BackendId::PRIMARY);
        let Some(primary) = primary.and_then(|primary| primary.globals.load_full()) else {
            // The last known defaults of a primary that is gone are still what clients expect.
            return Ok(self.compared.as_ref());
        };
        let is_known = |last: &Comparison| last.own == own && last.primary == primary;
        if self.compared.as_ref().is_some_and(is_known) {
            return Ok(self.compared.as_ref());
        }
        let differing = baseline::differing(&own.values, &primary.values);
        let found = baseline::literals(&mut self.link, differing).await?;
        if own.differs_in_zone(&primary) {
            tracing::warn!(
                backend = %backend.address,
                zone = own.system_zone,
                primary_zone = primary.system_zone,
                "the machines' time zones differ: set default_time_zone on the primary"
            );
        }
        for name in &found.refused {
            tracing::warn!(
                backend = %backend.address,
                name,
                "a default differs from the primary's and cannot be set for a session"
            );
        }
        Ok(Some(self.compared.insert(Comparison {
            own,
            primary,
            baseline: found.settings,
        })))
    }
}

/// The published values if they are still these, so that they stay one thing.
fn same_values(
    backend: &Backend,
    values: BTreeMap<String, String>,
) -> Arc<BTreeMap<String, String>> {
    match backend.globals.load().as_deref() {
        Some(known) if *known.values == values => Arc::clone(&known.values),
        _ => Arc::new(values),
    }
}

/// The sum of counters.
fn sum(table: Option<&Table>) -> u64 {
    let counts = table.into_iter().flat_map(Table::pairs);
    counts
        .filter_map(|(_, count)| count.parse::<u64>().ok())
        .sum()
}

fn hash<'a>(values: impl Iterator<Item = &'a (String, String)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.for_each(|value| value.hash(&mut hasher));
    hasher.finish()
}

/// utf8mb4_0900_ai_ci where the server does not say.
const USUAL_COLLATION: u16 = 255;

fn collation(answer: &[Table]) -> u16 {
    let id = answer.get(1).and_then(|table| table.number(0));
    id.and_then(|id| u16::try_from(id).ok())
        .unwrap_or(USUAL_COLLATION)
}
