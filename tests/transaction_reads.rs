//! `transaction_reads = "replica_until_write"`: reads before the first write of a transaction are
//! answered by replicas, and a client cannot tell it from a single server at READ COMMITTED.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/measure.rs"]
mod measure;
#[path = "support/python.rs"]
mod python;
mod support;
mod transaction_reads {
    mod clients;
    mod edges;
    mod random;
    mod review;
    mod script;
    pub(crate) mod seen;
}

use highwater::domain::consistency::TransactionReads;
use highwater::protocol::caps::CapabilityFlags;
use highwater::rig::{APP, Cluster, Engine};
use support::Setup;
use support::raw::Raw;

/// Servers whose default is READ COMMITTED, and a proxy that defers transactions.
pub(crate) async fn deferring() -> Setup {
    deferring_on(Engine::MySql).await
}

/// The same on servers of either engine.
pub(crate) async fn deferring_on(engine: Engine) -> Setup {
    let servers = Cluster::builder()
        .engine(engine)
        .option("transaction-isolation=READ-COMMITTED");
    let setup = Setup::with(servers, |config| {
        config.consistency.transaction_reads = TransactionReads::ReplicaUntilWrite;
        config.consistency.catch_up_timeout = std::time::Duration::from_secs(30);
    })
    .await;
    let primary = setup.cluster.primary();
    for schema in ["through", "directly"] {
        let create = format!("CREATE DATABASE {schema}");
        primary.exec(&create).await.unwrap();
    }
    setup.cluster.wait_all_caught_up().await.unwrap();
    setup
}

/// A client of the proxy in the schema `through`.
pub(crate) async fn through(setup: &Setup, flags: CapabilityFlags) -> Raw {
    let address = setup.proxy.addresses().mysql.to_string();
    let account = (APP.user, APP.password);
    Raw::connect(&address, account, Some("through"), flags)
        .await
        .unwrap()
}

/// A client of the primary itself in the schema `directly`.
pub(crate) async fn directly(setup: &Setup, flags: CapabilityFlags) -> Raw {
    let address = setup.cluster.primary().address();
    let account = (APP.user, APP.password);
    Raw::connect(&address, account, Some("directly"), flags)
        .await
        .unwrap()
}
