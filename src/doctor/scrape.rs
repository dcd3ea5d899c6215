//! Reads what a running proxy counted from its metrics page.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::facts::Traffic;

/// A proxy of this machine answers at once, or does not run.
const PATIENCE: Duration = Duration::from_secs(2);
/// More of the page is not read.
const LONGEST: u64 = 4 << 20;

/// What the proxy that answers at this address counted; `None` if none does.
pub(super) async fn traffic(listen: SocketAddr) -> Option<Traffic> {
    let address = reachable(listen);
    let page = timeout(PATIENCE, page(address)).await.ok()?.ok()?;
    read(&page, format!("http://{address}/metrics"))
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

async fn page(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Sums the reads up; `None` if the page is not Highwater's.
fn read(text: &str, page: String) -> Option<Traffic> {
    let mut traffic = Traffic {
        page,
        ..Traffic::default()
    };
    let mut is_ours = false;
    for line in text.lines() {
        is_ours |= line.starts_with("highwater_build_info");
        let Some((name, rest)) = line.split_once('{') else {
            continue;
        };
        let Some((labels, value)) = rest.split_once("} ") else {
            continue;
        };
        let label = |name: &str| {
            let (_, rest) = labels.split_once(&format!("{name}=\""))?;
            rest.split('"').next()
        };
        let count = value.trim().parse::<u64>().unwrap_or(0);
        match name {
            "highwater_statements_total" if label("access") == Some("read") => {
                match (label("target"), label("reason")) {
                    (Some("replica"), _) => traffic.by_replicas += count,
                    (Some("primary"), Some(reason)) => {
                        *traffic.by_primary.entry(reason.to_owned()).or_insert(0) += count;
                    }
                    _ => {}
                }
            }
            "highwater_transaction_reads_total" if label("wrote") == Some("no") => {
                traffic.before_writes += count;
            }
            _ => {}
        }
    }
    is_ours.then_some(traffic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_summed_up_by_reason() {
        let text = r#"HTTP/1.1 200 OK

highwater_build_info{version="0.1.0"} 1
highwater_statements_total{access="read",reason="fresh",target="replica"} 30
highwater_statements_total{access="read",reason="waited",target="replica"} 2
highwater_statements_total{access="read",reason="in_transaction",target="primary"} 8
highwater_statements_total{access="write",reason="write",target="primary"} 5
highwater_transaction_reads_total{wrote="no"} 6
highwater_transaction_reads_total{wrote="yes"} 2
"#;
        let traffic = read(text, String::new());
        let expected = Traffic {
            by_replicas: 32,
            by_primary: [("in_transaction".to_owned(), 8)].into(),
            before_writes: 6,
            page: String::new(),
        };
        assert_eq!(traffic, Some(expected));
        assert_eq!(read("HTTP/1.1 404 Not Found\r\n\r\n", String::new()), None);
    }
}
