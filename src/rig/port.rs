//! A free TCP port for a server.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

/// Lowest port tried: above what services commonly use.
const LOWEST: u16 = 15_000;

/// A port on loopback that nobody has now. It is taken below the range from which the system gives
/// ports to outgoing connections: a killed server must get its port back on restart, and a proxy
/// that keeps knocking at a dead port of that range may one day be given it itself.
pub(super) fn free() -> std::io::Result<u16> {
    let highest = ephemeral_start().unwrap_or(32_768);
    if highest > LOWEST + 1000 {
        let span = u64::from(highest - LOWEST);
        for _ in 0..100 {
            let random = RandomState::new().hash_one(std::process::id());
            let port = LOWEST + u16::try_from(random % span).unwrap_or(0);
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
    }
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn ephemeral_start() -> Option<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    range.split_whitespace().next()?.parse().ok()
}
