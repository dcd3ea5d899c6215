//! Where a server is: `HOST:PORT`.

use std::fmt;
use std::str::FromStr;

/// The port of MySQL servers that name none.
const DEFAULT_PORT: u16 = 3306;

/// Host and port of a database server, as configured: the host may be a name, an IPv4 address or an
/// IPv6 address. Shown as `host:port`, with brackets around an IPv6 address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// An address from its parts; `host` without brackets.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl From<std::net::SocketAddr> for Address {
    fn from(address: std::net::SocketAddr) -> Self {
        Self::new(address.ip().to_string(), address.port())
    }
}

/// Where a collector is: http, host and port, perhaps with a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `host:port`.
    pub authority: String,
    /// What paths begin with; empty or `/…`.
    pub path: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

/// The text is no address of a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the http address of a collector, such as http://127.0.0.1:4318")]
pub struct NotAnEndpoint;

impl FromStr for Endpoint {
    type Err = NotAnEndpoint;

    fn from_str(text: &str) -> Result<Self, NotAnEndpoint> {
        let rest = text.strip_prefix("http://").ok_or(NotAnEndpoint)?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (_, port) = authority.rsplit_once(':').ok_or(NotAnEndpoint)?;
        let fit = |byte: u8| byte.is_ascii_graphic() && byte != b'@';
        let known = authority.parse::<Address>().is_ok() && !port.is_empty();
        let plain = rest.bytes().all(fit) && !path.contains(['?', '#']);
        (known && plain)
            .then(|| Self {
                authority: authority.to_owned(),
                path: path.trim_end_matches('/').to_owned(),
            })
            .ok_or(NotAnEndpoint)
    }
}

/// The text is not `HOST:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected HOST:PORT or HOST (port 3306), such as 10.0.0.1:3306")]
pub struct NotAnAddress;

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (host, port) = split(text)?;
        let port = match port {
            None => DEFAULT_PORT,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|&port| port != 0)
                .ok_or(NotAnAddress)?,
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/@,[]".contains(c);
        if host.is_empty() || host.contains(odd) {
            return Err(NotAnAddress);
        }
        Ok(Self::new(host, port))
    }
}

/// Host and port. More than one colon outside brackets is an IPv6 address without a port.
fn split(text: &str) -> Result<(&str, Option<&str>), NotAnAddress> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(NotAnAddress)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(NotAnAddress),
        };
    }
    Ok(match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(shown.as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn reads_hosts_with_and_without_ports() {
        check("db1", "db1:3306");
        check("db1:3307", "db1:3307");
        check("10.0.0.1:3306", "10.0.0.1:3306");
        check("[::1]:3307", "[::1]:3307");
        check("::1", "[::1]:3306");
        check("[fe80::2]", "[fe80::2]:3306");
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            ":3306",
            "db1:",
            "db1:0",
            "db1:x",
            "db1:70000",
            "a b:1",
            "[::1",
            "[::1]3",
            "mysql://db1",
        ] {
            assert_eq!(text.parse::<Address>(), Err(NotAnAddress), "{text}");
        }
    }
}
