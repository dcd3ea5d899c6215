//! `highwater demo`: real servers and the proxy in a private folder, with the split at work.

use clap::{Args, ValueEnum};

use super::failure::Failure;

/// The flags of `demo`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which server to start
    #[arg(long, value_enum, default_value_t = Engine::Mysql)]
    engine: Engine,
    /// How many replicas
    #[arg(long, value_name = "N", default_value_t = 2)]
    replicas: usize,
    /// Exit after the workload instead of staying up
    #[arg(long)]
    once: bool,
    /// Address that applications connect to
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6033")]
    listen: std::net::SocketAddr,
    /// Address of the SQL admin port; nothing listens there in this version
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6032")]
    admin_listen: std::net::SocketAddr,
    /// Address of /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6034")]
    http_listen: std::net::SocketAddr,
}

/// The servers a demo can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// MySQL
    Mysql,
    /// MariaDB
    Mariadb,
}

/// Runs the demo.
pub(super) fn run(options: Options) -> Result<(), Failure> {
    Err(Failure::no(
        format!("this build has no demo: {options:?}"),
        "run against your own servers: highwater run --help",
    ))
}
