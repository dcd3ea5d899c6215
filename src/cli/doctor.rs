//! `highwater doctor`: what on the real servers would break a promise, and what mends it.

use clap::Args;

use super::failure::Failure;
use super::run;

/// The flags of `doctor`: those of `run`, and how to print.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    #[command(flatten)]
    run: run::Options,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Examines the servers.
pub(super) fn run(options: Options) -> Result<(), Failure> {
    let config = run::load(options.run).map_err(|(what, advice)| Failure::no(what, advice))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::no(format!("cannot start: {error}"), "try again"))?;
    let progress = |line: &str| super::say(line);
    let diagnosis = runtime.block_on(crate::doctor::examine(&config, &progress));
    super::print(&match options.json {
        true => diagnosis.to_json(),
        false => diagnosis.to_text(),
    });
    match diagnosis.holds() {
        true => Ok(()),
        false => Err(Failure::no(
            "a configured level cannot hold on these servers",
            "each failure above says what mends it; then run highwater doctor again",
        )),
    }
}
