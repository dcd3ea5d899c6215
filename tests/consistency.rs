//! Every level holds on real servers, and the same checks find stale reads where it is not asked for.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "consistency/bounded.rs"]
mod bounded;
#[path = "consistency/fallback.rs"]
mod fallback;
#[path = "consistency/history.rs"]
mod history;
#[path = "consistency/levels.rs"]
mod levels;
#[path = "support/measure.rs"]
mod measure;
#[path = "consistency/monotonic.rs"]
mod monotonic;
#[path = "consistency/order.rs"]
mod order;
#[path = "consistency/owned.rs"]
mod owned;
#[path = "consistency/pairs.rs"]
mod pairs;
#[path = "consistency/reads.rs"]
mod reads;
#[path = "consistency/scopes.rs"]
mod scopes;
#[path = "consistency/session.rs"]
mod session;
#[path = "consistency/stale.rs"]
mod stale;
#[path = "consistency/tokens.rs"]
mod tokens;
#[path = "consistency/wire.rs"]
mod wire;
#[path = "consistency/writes.rs"]
mod writes;

use highwater::rig::{Cluster, ClusterBuilder};

/// The servers of the tests that run on both engines.
fn cluster() -> ClusterBuilder {
    Cluster::builder()
}

/// Whether these servers know a statement.
fn is_known(_: &&str) -> bool {
    true
}
