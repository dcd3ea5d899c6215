//! `highwater run`: the daemon.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::failure::Failure;
use crate::config::{Config, Flags, LogConfig, LogFormat};
use crate::daemon::Origin;
use crate::telemetry::log;

/// The flags of `run`, unparsed.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    /// Configuration file; config/reference.toml shows every key
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// split, or shadow: everything goes to the primary, and what the split would have done is counted [default: split]
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// Address that applications connect to [default: 127.0.0.1:6033]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The server that takes the writes
    #[arg(long, value_name = "HOST:PORT")]
    primary: Option<String>,
    /// A server that takes reads; repeat it for each
    #[arg(long = "replica", value_name = "HOST:PORT")]
    replicas: Vec<String>,
    /// Account that watches the servers
    #[arg(long, value_name = "USER")]
    monitor_user: Option<String>,
    /// File that holds the account's password (or set HIGHWATER_MONITOR_PASSWORD)
    #[arg(long, value_name = "FILE")]
    monitor_password_file: Option<String>,
    /// What a session's reads are promised at its start: eventual, bounded, session, group, proxy or global [default: session]
    #[arg(long, value_name = "LEVEL")]
    consistency: Option<String>,
    /// Address of the SQL admin port [default: 127.0.0.1:6032]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
    /// Address of the live page, /metrics, /healthz and /readyz [default: 127.0.0.1:6034]
    #[arg(long, value_name = "ADDR")]
    http_listen: Option<String>,
}

impl Options {
    fn flags(self) -> Flags {
        Flags {
            mode: self.mode,
            listen: self.listen,
            primary: self.primary,
            replicas: self.replicas,
            monitor_user: self.monitor_user,
            monitor_password_file: self.monitor_password_file,
            consistency: self.consistency,
            admin_listen: self.admin_listen,
            http_listen: self.http_listen,
        }
    }
}

/// Runs the daemon until it is told to stop.
pub(super) fn run(options: Options) -> Result<(), Failure> {
    let failure = |(what, advice)| Failure::configuration(what, advice);
    let config = load(options.clone()).map_err(failure)?;
    let log = start_log(&config.log)?;
    let source = move || load(options.clone()).map_err(|(what, _)| what);
    let origin = Origin {
        source: Some(Arc::new(source)),
        log: Some(log),
    };
    crate::daemon::run(config, origin).map_err(|error| {
        Failure::no(
            error.to_string(),
            "the log lines above say more; highwater run --help shows the settings",
        )
    })
}

/// The configuration that these flags, the environment and the file make together; what is wrong and
/// what to do if it cannot be had.
pub(super) fn load(options: Options) -> Result<Config, (String, String)> {
    let path = options.config.clone();
    Config::load(
        path.as_deref(),
        &options.flags(),
        &Config::process_environment,
    )
    .map_err(|error| {
        let advice = match &path {
            Some(path) => format!(
                "mend that, then see what it resolves to: highwater check --config {}",
                path.display()
            ),
            None => "name a configuration file with --config FILE".to_owned(),
        };
        (error.to_string(), advice)
    })
}

fn start_log(config: &LogConfig) -> Result<log::Control, Failure> {
    let format = match config.format {
        LogFormat::Auto => log::Format::Auto,
        LogFormat::Text => log::Format::Text,
        LogFormat::Json => log::Format::Json,
    };
    log::init(format, &config.level)
        .map_err(|error| Failure::configuration(error.to_string(), "mend [log] level"))
}
