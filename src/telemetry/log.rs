//! Log output: text for people, JSON for machines.
//!
//! Nothing may log a password, a literal of a statement or a row; statements appear as their
//! fingerprint.

use std::fs::File;
use std::io::IsTerminal;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text when standard error is a terminal, else JSON.
    #[default]
    Auto,
    /// One line of text each.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error("not a log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Another part of the process has already set logs up.
    #[error("logs are already set up: {0}")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends logs of this process to standard error. `filter` is a level or a list such as
/// `info,highwater::monitor=debug`.
///
/// # Errors
/// [`LogError`] for a bad filter or a second call in one process.
pub fn init(format: Format, filter: &str) -> Result<(), LogError> {
    use tracing_subscriber::util::SubscriberInitExt;

    // The parser logs the statements it is given.
    let filter = format!("{filter},sqlparser=off");
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter)?)
        .with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    if json {
        builder.json().flatten_event(true).finish().try_init()?;
    } else {
        builder.with_ansi(terminal).finish().try_init()?;
    }
    Ok(())
}

/// Sends logs of this process to a file, as text. `filter` as for [`init`].
///
/// # Errors
/// [`LogError`] for a bad filter or a second call in one process.
pub fn init_file(file: File, filter: &str) -> Result<(), LogError> {
    use tracing_subscriber::util::SubscriberInitExt;

    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter)?)
        .with_writer(Arc::new(file))
        .with_ansi(false)
        .finish()
        .try_init()?;
    Ok(())
}
