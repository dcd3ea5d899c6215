//! The rig: real MySQL and MariaDB servers with replication, for `highwater demo` and the tests.
//!
//! [`Cluster::builder`] is the way in. It finds or fetches the server program ([`install`]),
//! initialises a data folder once and keeps it as a template, copies that for every server, starts
//! one primary and N replicas on loopback, and waits until each of them replicates. The handles it
//! gives ([`Server`]) are also the knobs by which a test makes a server lag, freeze or die.
//!
//! Nothing survives the [`Cluster`]: its drop kills the servers and removes the folder, a watchdog
//! does the same if this process is killed, and the next start sweeps what even that missed.
//!
//! The rig does not know the proxy: it must stay usable for testing any endpoint.
//!
//! ```no_run
//! # async fn example() -> Result<(), highwater::rig::RigError> {
//! use highwater::rig::{APP, Cluster};
//!
//! let cluster = Cluster::builder().replicas(2).start().await?;
//! println!("the application logs in with {}", cluster.primary().url(&APP));
//! cluster.replica(0).stop_applier().await?;
//! # Ok(())
//! # }
//! ```

mod account;
mod apt;
mod cache;
mod cluster;
mod error;
mod folder;
mod install;
mod port;
mod program;
mod replication;
mod server;
mod suite;
mod template;

pub use account::{APP, Account, MONITOR, REPLICATION, ROOT};
pub use cluster::{Cluster, ClusterBuilder};
pub use error::RigError;
pub use install::install;
pub use program::{Engine, Program, Version};
pub use server::Server;
pub use suite::TestSuite;
