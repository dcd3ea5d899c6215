//! What the monitor knows, in the form in which the server side needs it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::{Knowledge, Setup};
use crate::domain::ids::BackendId;
use crate::domain::position::Position;
use crate::domain::topology::{Engine, Generation};
use crate::monitor::{ServerFacts, Watch};

/// The knowledge of one proxy. Set-ups are made once per set of facts.
#[derive(Debug)]
pub(super) struct Known {
    watch: Watch,
    delegate: bool,
    made: Mutex<Vec<Option<Made>>>,
}

#[derive(Clone, Debug)]
struct Made {
    from: Arc<ServerFacts>,
    setup: Arc<Setup>,
}

impl Known {
    /// `delegate` says whether Aurora's readers see to consistency themselves.
    pub(super) fn new(watch: Watch, delegate: bool) -> Self {
        Self {
            watch,
            delegate,
            made: Mutex::default(),
        }
    }
}

impl Knowledge for Known {
    fn setup(&self, backend: BackendId) -> Option<Arc<Setup>> {
        if backend.is_primary() && !self.watch.are_defaults_settled() {
            return None;
        }
        let facts = self.watch.facts(backend)?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() <= backend.index() {
            made.resize(backend.index() + 1, None);
        }
        let place = made.get_mut(backend.index())?;
        if let Some(known) = place
            && Arc::ptr_eq(&known.from, &facts)
        {
            return Some(Arc::clone(&known.setup));
        }
        let setup = Arc::new(make(backend, &facts, self.delegate)?);
        *place = Some(Made {
            from: facts,
            setup: Arc::clone(&setup),
        });
        Some(setup)
    }

    fn covers(&self, backend: BackendId, position: &Position) -> bool {
        let topology = self.watch.topology();
        let life = topology.get(backend).and_then(|view| view.generation);
        life.is_some_and(|life| self.watch.bound_covers(backend, life, position))
    }

    fn identify(&self, backend: BackendId, uuid: &str, started: u64) -> Option<Generation> {
        self.watch.identify(backend, uuid, started)
    }
}

/// `None` while the server's defaults were not yet compared with the primary's.
fn make(backend: BackendId, facts: &ServerFacts, delegate: bool) -> Option<Setup> {
    let baseline = facts.baseline.as_ref()?;
    let baseline = (!baseline.is_empty()).then(|| {
        let settings: Vec<_> = baseline
            .iter()
            .map(|(name, value)| format!("@@session.{name} = {value}"))
            .collect();
        format!("SET {}", settings.join(", "))
    });
    Some(Setup {
        globals: Arc::clone(&facts.globals),
        baseline: baseline.into_iter().collect(),
        identity: facts.identity,
        clean: facts.clean,
        guard: guard(backend, facts, delegate, false).into(),
        guard_in_transaction: guard(backend, facts, delegate, true).into(),
    })
}

/// Trackers on every connection; on a replica also the read-only guard, so that a write hidden in a
/// function fails even where super_read_only is off.
fn guard(
    backend: BackendId,
    facts: &ServerFacts,
    delegate: bool,
    in_transaction: bool,
) -> Vec<String> {
    let mut guard = Vec::new();
    if !backend.is_primary() {
        guard.push("SET SESSION TRANSACTION READ ONLY".to_owned());
        if delegate && facts.aurora {
            // Writes go to the writer itself, of which the reader's own sessions know nothing.
            guard.push("SET @@session.aurora_replica_read_consistency = 'global'".to_owned());
        }
    }
    let gtids = match (facts.engine, backend.is_primary()) {
        (Engine::MariaDb, _) => "",
        // Cannot be set in a transaction (error 1766), neither by us nor by the client.
        (Engine::MySql, _) if in_transaction => "",
        // A write's own GTIDs; and on a replica, how far it is.
        (Engine::MySql, true) => "@@session.session_track_gtids = OWN_GTID, ",
        (Engine::MySql, false) => "@@session.session_track_gtids = ALL_GTIDS, ",
    };
    guard.push(format!(
        "SET {gtids}@@session.session_track_transaction_info = 'CHARACTERISTICS', \
         @@session.session_track_state_change = 1, @@session.session_track_schema = 1, \
         @@session.session_track_system_variables = '{}'",
        facts.tracked_variables
    ));
    guard
}
