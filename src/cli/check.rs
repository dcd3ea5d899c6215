//! `highwater check`: is a configuration file good, and what does it resolve to?

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use crate::config::{Config, Flags};

/// The flags of `check`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The file to check
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Checks the file.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let config = Config::load(
        Some(&options.config),
        &Flags::default(),
        &Config::process_environment,
    )
    .map_err(|error| {
        let advice = "mend that and check again; config/reference.toml explains every key";
        Failure::no(error.to_string(), advice)
    })?;
    super::print(&config.to_toml());
    Ok(())
}
