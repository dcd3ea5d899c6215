//! `highwater demo`: real servers and the proxy in a private folder, with the split at work.

mod board;
mod phase;
mod screen;
mod stage;
mod summary;
mod workload;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;
use phase::Phase;
use screen::Screen;
use stage::Stage;
use workload::Tallies;

/// How long what still runs after the end, such as a download, may take to stop.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// The flags of `demo`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which server to start
    #[arg(long, value_enum, default_value_t = Engine::Mysql)]
    engine: Engine,
    /// How many replicas, 1 to 8
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    replicas: u8,
    /// Exit after the workload instead of staying up
    #[arg(long)]
    once: bool,
    /// Address that applications connect to
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6033")]
    listen: SocketAddr,
    /// Address of the SQL admin port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6032")]
    admin_listen: SocketAddr,
    /// Address of the live page, /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6034")]
    http_listen: SocketAddr,
}

/// The servers a demo can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// MySQL
    Mysql,
    /// MariaDB
    Mariadb,
}

impl Engine {
    /// The name for people.
    const fn name(self) -> &'static str {
        match self {
            Self::Mysql => "MySQL",
            Self::Mariadb => "MariaDB",
        }
    }
}

/// Runs the demo until its end, Ctrl-C or SIGTERM. Servers, proxy and folder are gone afterwards.
pub(super) fn run(options: Options) -> Result<(), Failure> {
    for address in [options.listen, options.admin_listen, options.http_listen] {
        free(address)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| no_start(&error))?;
    let result = runtime.block_on(until_told(&options));
    runtime.shutdown_timeout(LAST_WAIT);
    result
}

/// The demo, or as much of it as fits before a signal.
async fn until_told(options: &Options) -> Result<(), Failure> {
    let mut told = Told::listen().map_err(|error| no_start(&error))?;
    let started = tokio::select! {
        stage = Stage::start(options) => stage,
        () = told.wait() => return interrupted(options),
    };
    let stage = started?;
    let mut screen = Screen::of_stdout();
    let played = tokio::select! {
        played = play(&stage, &mut screen) => Some(played),
        () = told.wait() => None,
    };
    let result = match played {
        None => interrupted(options),
        Some(Ok(())) if !options.once => {
            screen.keep(&summary::by_hand(&stage));
            tokio::select! {
                never = stay(&stage, &mut screen) => match never {},
                () = told.wait() => interrupted(options),
                () = stage.proxy().asked_to_end() => interrupted(options),
            }
        }
        Some(result) => result,
    };
    stage.end().await;
    result
}

/// Plays every phase and sums up.
async fn play(stage: &Stage, screen: &mut Screen) -> Result<(), Failure> {
    let tallies = Tallies::default();
    workload::prepare(stage).await?;
    let mut results = Vec::new();
    for phase in Phase::ALL {
        results.push(phase.play(stage, &tallies, screen).await?);
    }
    let servers = board::servers(stage).await;
    screen.keep(&summary::summary(stage, &servers, &results));
    summary::verdict(&tallies.seen())
}

/// Shows the servers for as long as the demo stays up.
async fn stay(stage: &Stage, screen: &mut Screen) -> Infallible {
    loop {
        screen.redraw(&board::render_servers(&board::servers(stage).await));
        tokio::time::sleep(screen::PACE).await;
    }
}

/// What a signal means: the end of a demo that stays up, or a check that was broken off.
fn interrupted(options: &Options) -> Result<(), Failure> {
    if options.once {
        return Err(Failure::no(
            "interrupted before the workload was over",
            "run it again to see the end",
        ));
    }
    super::print("\nthe servers and their folder are removed\n");
    Ok(())
}

/// Looks whether an address can be had, before the servers are started for nothing.
fn free(address: SocketAddr) -> Result<(), Failure> {
    let taken = |error| cannot_listen(&format!("cannot listen on {address}: {error}"));
    TcpListener::bind(address).map(drop).map_err(taken)
}

fn cannot_listen(what: &str) -> Failure {
    Failure::no(
        what,
        "take free ports: highwater demo --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --http-listen 127.0.0.1:0",
    )
}

fn no_start(error: &std::io::Error) -> Failure {
    Failure::no(format!("cannot start: {error}"), "free some memory")
}

/// The signals that end a demo.
struct Told {
    interrupt: Signal,
    terminate: Signal,
}

impl Told {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
