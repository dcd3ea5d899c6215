//! `highwater health`: asks a running proxy whether it is ready. For images without a shell.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use crate::config::{Config, Flags, HttpConfig};

/// The page must be there after this time.
const PATIENCE: Duration = Duration::from_secs(2);
/// More of an answer is not read.
const LONGEST: u64 = 4096;

/// The flags of `health`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The proxy's HTTP address [default: HIGHWATER_HTTP_LISTEN, or 127.0.0.1:6034]
    #[arg(long, value_name = "ADDR", conflicts_with = "config")]
    http: Option<SocketAddr>,
    /// Or: the configuration file that the proxy was started with
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Asks.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let address = match &options.config {
        Some(file) => of_file(file)?,
        None => options.http.unwrap_or_else(configured),
    };
    let address = reachable(address);
    let answer = ask(address).map_err(|error| {
        Failure::no(
            format!("nobody answers at {address}: {error}"),
            "is highwater running, with this address as [http] listen?",
        )
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let body = body.trim();
    match head.split(' ').nth(1) {
        Some("200") => {
            super::print(&format!("{body}\n"));
            Ok(())
        }
        Some("503") => Err(Failure::no(
            body,
            "its log and /metrics (highwater_backend_up) say what is wrong with which server",
        )),
        _ => Err(Failure::no(
            format!("{address} is not the HTTP port of highwater"),
            "name that port with --http",
        )),
    }
}

fn configured() -> SocketAddr {
    Config::process_environment("HIGHWATER_HTTP_LISTEN")
        .and_then(|text| text.parse().ok())
        .unwrap_or(HttpConfig::default().listen)
}

/// The HTTP address that a proxy with this file and this environment has.
fn of_file(file: &Path) -> Result<SocketAddr, Failure> {
    let config = Config::load(Some(file), &Flags::default(), &Config::process_environment);
    let config = config.map_err(|error| {
        let advice = format!(
            "mend that, then see what it resolves to: highwater check --config {}",
            file.display()
        );
        Failure::no(error.to_string(), advice)
    })?;
    Ok(config.http.listen)
}

/// Where a listener on every address can be reached.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
