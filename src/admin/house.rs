//! What the admin port asks of the proxy, which it does not know otherwise.

use std::future::Future;
use std::pin::Pin;

use super::table::{Cell, Row, Table};
use super::tables::{
    AdviceRow, BackendRow, ConfigRow, DigestRow, PinRow, PoolRow, PositionRow, RouteRow, RuleRow,
    SessionRow, SwitchRow, TABLES,
};

/// An answer that takes a while.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The proxy, as its operators see it. Snapshots are made at once and hold no lock on a statement's way.
pub trait House: Send + Sync {
    /// The servers.
    fn backends(&self) -> Vec<BackendRow>;
    /// The clients.
    fn sessions(&self) -> Vec<SessionRow>;
    /// The connections to each server.
    fn pools(&self) -> Vec<PoolRow>;
    /// How far each server is.
    fn positions(&self) -> Vec<PositionRow>;
    /// What binds sessions to connections.
    fn pins(&self) -> Vec<PinRow>;
    /// Statement shapes.
    fn digests(&self) -> Vec<DigestRow>;
    /// What keeps reads on the primary.
    fn advice(&self) -> Vec<AdviceRow>;
    /// The last statements of one session (`None` stands for all of them), the newest first.
    fn routes(&self, session: Option<u64>) -> Vec<RouteRow>;
    /// The rules.
    fn rules(&self) -> Vec<RuleRow>;
    /// The configuration.
    fn config(&self) -> Vec<ConfigRow>;
    /// The switches.
    fn switches(&self) -> Vec<SwitchRow>;
    /// Whether a client with this id is connected.
    fn has_session(&self, session: u64) -> bool;
    /// Where a statement would go that a client sent now which has just logged in: what is asked, and
    /// what was found, line by line. Errors are sentences for people.
    fn explain<'a>(&'a self, sql: &'a [u8]) -> Later<'a, Result<Vec<(String, String)>, String>>;
    /// Lets so many percent of the sessions read from replicas.
    fn offload(&self, percent: u8);
    /// Gives a replica no new reads, or gives it reads again.
    ///
    /// # Errors
    /// A sentence that says why not.
    fn drain(&self, backend: &str, drain: bool) -> Result<(), String>;
    /// Reads the configuration again and puts it in force; gives what changed, key by key. Errors say what is
    /// wrong with it where, one line a problem.
    fn reload(&self) -> Later<'_, Result<Vec<(String, String)>, String>>;
    /// Begins to shut the proxy down.
    fn shut_down(&self);
}

/// The table of this name, in any case, as one or as many.
pub fn table(name: &str) -> Option<&'static Table> {
    let one = |name: &str| name.to_ascii_lowercase().trim_end_matches('s').to_owned();
    let wanted = one(name);
    TABLES.iter().find(|table| one(table.name) == wanted)
}

/// The rows of a table now.
pub fn rows(house: &dyn House, table: &Table) -> Vec<Vec<Cell>> {
    fn cells<R: Row>(rows: Vec<R>) -> Vec<Vec<Cell>> {
        rows.into_iter().map(Row::cells).collect()
    }
    match table.name {
        "backends" => cells(house.backends()),
        "sessions" => cells(house.sessions()),
        "pools" => cells(house.pools()),
        "positions" => cells(house.positions()),
        "pins" => cells(house.pins()),
        "digests" => cells(house.digests()),
        "advice" => cells(house.advice()),
        "route" => cells(house.routes(None)),
        "rules" => cells(house.rules()),
        "config" => cells(house.config()),
        "switches" => cells(house.switches()),
        _ => Vec::new(),
    }
}
