//! `[pool] mode = "transaction"`: many sessions share few connections, and nobody can tell.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "support/measure.rs"]
mod measure;

#[path = "pool/cascades.rs"]
mod cascades;
#[path = "pool/crowd.rs"]
mod crowd;
#[path = "pool/globals.rs"]
mod globals;
#[path = "pool/idle.rs"]
mod idle;
#[path = "pool/lending.rs"]
mod lending;
#[path = "pool/programs.rs"]
mod programs;
#[path = "pool/switches.rs"]
mod switches;

use highwater::config::{Config, PoolMode};

/// A proxy that lends, with so many connections to each server.
fn lends(max_connections: usize) -> impl FnOnce(&mut Config) {
    move |config| {
        config.pool.mode = PoolMode::Transaction;
        config.pool.max_connections = max_connections;
        config.pool.min_idle = 0;
        config.pool.acquire_timeout = std::time::Duration::from_secs(100);
    }
}
