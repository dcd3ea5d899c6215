//! The commands: what the arguments mean, what is printed, and the exit code.
//!
//! Exit codes: 0 fine, 1 the answer is no, 2 wrong usage, 64 `run` with a bad configuration. Errors
//! go to standard error: what happened, then what to do.

mod check;
mod completions;
mod demo;
mod doctor;
mod explain;
mod failure;
mod health;
mod man;
mod run;
mod verify;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A read/write-splitting proxy for MySQL and MariaDB. Reads spread over the replicas, writes go to
/// the primary, and no session reads older data than it asked for.
#[derive(Debug, Parser)]
#[command(name = "highwater", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy
    ///
    /// Each flag comes before its HIGHWATER_* environment variable, and both come before the file.
    Run(run::Options),
    /// Check a configuration file and print what it resolves to
    ///
    /// Prints the configuration with every default filled in and HIGHWATER_* environment variables
    /// applied. Passwords are read, to see that they can be, and never printed. Exits with 1 when
    /// something is wrong.
    Check(check::Options),
    /// Look at the real servers: what would break a promise, and what mends it
    ///
    /// Connects to every configured server with the monitor's account and those of [[user]], changes
    /// nothing, and prints what it found, each with what mends it. Reads the metrics of a running proxy
    /// at --http-listen, if there is one. Exits with 1 if a configured level cannot hold.
    Doctor(doctor::Options),
    /// Say where a statement would go, and why; needs no server
    ///
    /// Prints the class of a statement, what it may do to its session, its fingerprint, and where a new
    /// session in autocommit mode would send it. With --config the file's rules count, and the one that
    /// decides is named.
    Explain(explain::Options),
    /// Start real servers and the proxy in a private folder, and show the split at work
    ///
    /// Gets a server program if the machine has none, starts one primary and its replicas and the proxy
    /// in a private folder, runs a short visible workload, then stays up until Ctrl-C. Nothing is left
    /// behind. Port 0 takes a free port and prints it.
    Demo(demo::Options),
    /// Ask a running proxy whether it is ready
    ///
    /// Exits with 0 if /readyz says yes, else with 1 and what it said.
    Health(health::Options),
    /// Check whether any endpoint keeps what a consistency level promises
    ///
    /// Many sessions write and read in a table of their own in the schema of the url, for as long as
    /// --seconds says. Every read is compared with what was acknowledged before it began. Works against
    /// Highwater, another proxy, a replica or a single server. The table, highwater_verify_..., is
    /// dropped at the end, also after Ctrl-C; nothing else is touched. Exits with 1 when what was seen
    /// contradicts --level.
    Verify(verify::Options),
    /// Print what completes this command line in a shell
    ///
    /// Prints a script; where it belongs is the shell's affair: bash reads
    /// /usr/share/bash-completion/completions/highwater, zsh a file _highwater in its fpath, fish
    /// ~/.config/fish/completions/highwater.fish. The Debian package has all three.
    Completions(completions::Options),
    /// Print the manual, as a page for man(1)
    ///
    /// Without a command it is the page highwater(1), with one highwater-COMMAND(1). To read it: highwater man
    /// run | man -l -
    Man(man::Options),
}

/// Runs the command that the arguments of this process name.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(options) => run::run(options),
        Command::Check(options) => check::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Doctor(options) => doctor::run(options),
        Command::Demo(options) => demo::run(options),
        Command::Health(options) => health::run(&options),
        Command::Completions(options) => completions::run(&options),
        Command::Man(options) => man::run(&options),
        Command::Verify(options) => match verify::run(&options) {
            Ok(code) => return code,
            Err(failure) => Err(failure),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Says on standard error what is going on.
fn say(line: &str) {
    let _ = std::io::stderr()
        .lock()
        .write_all(format!("{line}\n").as_bytes());
}

/// Prints to standard output. A reader that has gone away, as in `| head`, is no error.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
