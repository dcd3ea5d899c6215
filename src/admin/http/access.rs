//! Who may see the live page: whoever knows the password; without one, whoever asks this machine by the name
//! of its loopback address, so that no site which a browser visits can read it (DNS rebinding).

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue, header};
use zeroize::Zeroizing;

use crate::config::Account;

/// What the page asks of those who want to see it.
#[derive(Clone)]
pub enum Access {
    /// The value that the Authorization header has to have.
    Password(Zeroizing<Vec<u8>>),
    /// A Host header that names a loopback address.
    Loopback,
    /// Nobody sees it.
    Closed,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(hidden)",
            Self::Loopback => "Loopback",
            Self::Closed => "Closed",
        })
    }
}

/// Why somebody does not see the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No password, or a wrong one.
    #[error("the page needs the password of the user admin ([http] password_file)")]
    Unauthorized,
    /// Asked for under a name that is not this machine's loopback address.
    #[error(
        "without [http] password_file the page answers to localhost, 127.0.0.1 and [::1] only, and the \
         request's Host header names something else"
    )]
    ForeignHost,
    /// The listener can be reached from other machines, and there is no password.
    #[error(
        "the page can be reached from other machines here, so it needs a password: set [http] \
         password_file, or listen on a loopback address"
    )]
    NoPassword,
}

impl Access {
    /// What a listener on this address asks for, if the page has this account.
    pub fn new(listen: SocketAddr, account: &Account) -> Self {
        match (account.password.is_empty(), listen.ip().is_loopback()) {
            (false, _) => Self::Password(credentials(&account.name, account.password.expose())),
            (true, true) => Self::Loopback,
            (true, false) => Self::Closed,
        }
    }

    /// Whether a request with these headers may see the page.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let value = |name| headers.get(name).map(HeaderValue::as_bytes);
        match self {
            Self::Password(expected) => match value(header::AUTHORIZATION) {
                Some(given) if same(given, expected) => Ok(()),
                _ => Err(Refusal::Unauthorized),
            },
            Self::Loopback => match value(header::HOST) {
                Some(host) if is_loopback(host) => Ok(()),
                _ => Err(Refusal::ForeignHost),
            },
            Self::Closed => Err(Refusal::NoPassword),
        }
    }
}

/// Whether a Host header names a loopback address, whatever the port.
fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) => (name, port),
            None => return false,
        },
        None => match host.find(':') {
            Some(at) => host.split_at(at),
            None => (host, ""),
        },
    };
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|it| it.is_ascii_digit());
    let port_is_one = port.is_empty() || port.strip_prefix(':').is_some_and(digits);
    let address = name.parse::<IpAddr>();
    port_is_one
        && (name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|it| it.is_loopback()))
}

/// The Authorization header of this user, by RFC 7617.
fn credentials(user: &str, password: &str) -> Zeroizing<Vec<u8>> {
    let plain = Zeroizing::new(format!("{user}:{password}"));
    // As long as it will be, so that it never moves and leaves a copy behind.
    let mut header = Zeroizing::new(Vec::with_capacity(plain.len() / 3 * 4 + 16));
    header.extend_from_slice(b"Basic ");
    base64(plain.as_bytes(), &mut header);
    header
}

fn base64(plain: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in plain.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 63;
            let digit = DIGITS.get(digit as usize).copied().unwrap_or(b'=');
            out.push(if place > chunk.len() { b'=' } else { digit });
        }
    }
}

/// Equality in a time that tells nothing but the length.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differ = one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differ) == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn only_loopback_hosts_are_taken() {
        for (host, expected) in [
            ("localhost", true),
            ("LocalHost:6034", true),
            ("127.0.0.1:6034", true),
            ("127.1.2.3", true),
            ("[::1]", true),
            ("[::1]:99", true),
            ("", false),
            ("x", false),
            ("::1", false),
            ("[::1", false),
            ("[::2]:6034", false),
            ("10.0.0.1:6034", false),
            ("127.0.0.1:6034:1", false),
            ("127.0.0.1:", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:6034", false),
            ("evil.example", false),
        ] {
            assert_eq!(is_loopback(host.as_bytes()), expected, "{host}");
        }
        assert!(!is_loopback(b"\xff"));
    }

    #[test]
    fn each_listener_asks_for_what_it_needs() {
        let (inside, outside): (SocketAddr, SocketAddr) =
            ("127.0.0.1:1".parse().unwrap(), "0.0.0.0:1".parse().unwrap());
        let (open, secret) = (
            Account::new("admin", ""),
            Account::new("admin", "open sesamé"),
        );
        // As curl -u would send it.
        let right = "Basic YWRtaW46b3BlbiBzZXNhbcOp";
        let wrong = "Basic YWRtaW46b3BlbiBzZXNhbQ==";
        for (listen, account, host, password, expected) in [
            (inside, &open, "localhost", None, Ok(())),
            (inside, &open, "localhost", Some(wrong), Ok(())),
            (
                inside,
                &open,
                "evil.example",
                None,
                Err(Refusal::ForeignHost),
            ),
            (outside, &open, "localhost", None, Err(Refusal::NoPassword)),
            (inside, &secret, "any.example", Some(right), Ok(())),
            (outside, &secret, "any.example", Some(right), Ok(())),
            (
                outside,
                &secret,
                "localhost",
                None,
                Err(Refusal::Unauthorized),
            ),
            (
                outside,
                &secret,
                "localhost",
                Some(wrong),
                Err(Refusal::Unauthorized),
            ),
            (
                outside,
                &secret,
                "localhost",
                Some(""),
                Err(Refusal::Unauthorized),
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if let Some(password) = password {
                headers.insert(header::AUTHORIZATION, HeaderValue::from_static(password));
            }
            let access = Access::new(listen, account);
            assert_eq!(access.check(&headers), expected, "{host} {password:?}");
            assert!(!format!("{access:?}").contains("sesam"));
        }
        let none = Access::new(inside, &open).check(&HeaderMap::new());
        assert_eq!(none, Err(Refusal::ForeignHost));
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut found = Vec::new();
            base64(plain.as_bytes(), &mut found);
            assert_eq!(found, expected.as_bytes());
        }
    }
}
