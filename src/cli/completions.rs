//! `highwater completions`: what completes the command line, for each shell.

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::Shell;

use super::failure::Failure;

/// The flags of `completions`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// For which shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Known,
}

/// The shells whose scripts are tried out.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Known {
    /// GNU bash
    Bash,
    /// The Z shell
    Zsh,
    /// fish
    Fish,
}

/// Prints the script.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let shell = match options.shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    let mut command = super::Arguments::command();
    clap_complete::generate(shell, &mut command, "highwater", &mut script);
    super::print(&String::from_utf8_lossy(&script));
    Ok(())
}
