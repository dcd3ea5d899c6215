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
    /// The log is gone.
    #[error("cannot change the filter: {0}")]
    Gone(#[from] tracing_subscriber::reload::Error),
    /// Another part of the process has already set logs up.
    #[error("logs are already set up: {0}")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
}

/// Changes what is logged while the process runs.
#[derive(Clone)]
pub struct Control(Arc<Replace>);

/// Puts a filter in force.
type Replace = dyn Fn(EnvFilter) -> Result<(), tracing_subscriber::reload::Error> + Send + Sync;

impl Control {
    /// Logs by this filter from now on; see [`init`].
    ///
    /// # Errors
    /// [`LogError`] for a bad filter; the old one stays in force.
    pub fn set_filter(&self, filter: &str) -> Result<(), LogError> {
        Ok((self.0)(parse(filter)?)?)
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Control")
    }
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    // The parser logs the statements it is given.
    Ok(EnvFilter::try_new(format!("{filter},sqlparser=off"))?)
}

/// Sends logs of this process to standard error. `filter` is a level or a list such as
/// `info,highwater::monitor=debug`, which can be changed later.
///
/// # Errors
/// [`LogError`] for a bad filter or a second call in one process.
pub fn init(format: Format, filter: &str) -> Result<Control, LogError> {
    use tracing_subscriber::util::SubscriberInitExt;

    let builder = tracing_subscriber::fmt()
        .with_env_filter(parse(filter)?)
        .with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    let replace: Arc<Replace> = if json {
        let builder = builder.json().flatten_event(true).with_filter_reloading();
        let handle = builder.reload_handle();
        builder.finish().try_init()?;
        Arc::new(move |filter| handle.reload(filter))
    } else {
        let builder = builder.with_ansi(terminal).with_filter_reloading();
        let handle = builder.reload_handle();
        builder.finish().try_init()?;
        Arc::new(move |filter| handle.reload(filter))
    };
    Ok(Control(replace))
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
