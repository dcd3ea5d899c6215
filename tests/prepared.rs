//! Prepared statements: what a connection keeps of them for whoever comes next, and that no client
//! can tell.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "prepared/copies.rs"]
mod copies;
#[path = "prepared/forgetful.rs"]
mod forgetful;
#[path = "prepared/kept.rs"]
mod kept;
#[path = "prepared/lent.rs"]
mod lent;
#[path = "support/measure.rs"]
mod measure;
mod support;
#[path = "prepared/tied.rs"]
mod tied;
#[path = "prepared/tracked.rs"]
mod tracked;

use highwater::config::{Address, Config, PoolMode};
use highwater::daemon::Proxy;
use highwater::protocol::reply::ReplyKind;
use highwater::rig::APP;

use support::raw::{Raw, usual};
use support::stage::Stage;

const EXECUTE: ReplyKind = ReplyKind::Execute { cursor: false };
const CURSOR: ReplyKind = ReplyKind::Execute { cursor: true };

/// A proxy of one's own in front of the stage's primary alone, whose sessions share no connections: what they
/// prepared is gone with them.
async fn lone(stage: &Stage, change: impl FnOnce(&mut Config)) -> Proxy {
    let mut config = support::config(&stage.setup.cluster);
    config.cluster.replicas = Vec::<Address>::new();
    config.pool.min_idle = 0;
    config.pool.mode = PoolMode::Session;
    change(&mut config);
    Proxy::start(config).await.unwrap()
}

async fn client(proxy: &Proxy, schema: &str) -> Raw {
    let address = proxy.addresses().mysql.to_string();
    Raw::connect(&address, (APP.user, APP.password), Some(schema), usual())
        .await
        .unwrap()
}

/// Statements that are prepared on the primary, of everybody.
async fn prepared(stage: &Stage) -> u64 {
    let row = stage.setup.cluster.primary().value(
        "SELECT VARIABLE_VALUE FROM performance_schema.global_status \
         WHERE VARIABLE_NAME = 'Prepared_stmt_count'",
    );
    row.await.unwrap().unwrap().parse().unwrap()
}
