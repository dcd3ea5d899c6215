//! Single conditions of rules: names with wildcards, networks, regular expressions, tags.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use crate::domain::sql::TableName;

/// The most memory that one compiled regular expression may take, in bytes.
const REGEX_SIZE: usize = 1 << 20;
/// The most memory that one may use to remember what it found, in bytes.
const REGEX_CACHE: usize = 1 << 20;

/// A name in which `*` stands for any text. Letters match in any case: whether servers tell cases apart
/// depends on the machine that they run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard(Box<str>);

impl Wildcard {
    /// From its text; `None` for an empty one.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// Whether it stands for every name.
    pub fn is_any(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }

    /// Whether the name is meant.
    pub fn matches(&self, name: &[u8]) -> bool {
        let pattern = self.0.as_bytes();
        let (mut at, mut here) = (0, 0);
        // Where to go on when what follows the last star does not fit.
        let mut star: Option<(usize, usize)> = None;
        while let Some(byte) = name.get(here) {
            match pattern.get(at) {
                Some(b'*') => {
                    at += 1;
                    star = Some((at, here));
                }
                Some(letter) if letter.eq_ignore_ascii_case(byte) => {
                    at += 1;
                    here += 1;
                }
                _ => {
                    let Some((behind, from)) = star else {
                        return false;
                    };
                    at = behind;
                    here = from + 1;
                    star = Some((behind, here));
                }
            }
        }
        pattern
            .get(at..)
            .unwrap_or_default()
            .iter()
            .all(|it| *it == b'*')
    }
}

impl fmt::Display for Wildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `schema.table`, both with wildcards; a table alone means in every schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePattern {
    schema: Option<Wildcard>,
    table: Wildcard,
}

/// Whether a name is meant, as far as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    No,
    Yes,
    /// If the session's schema is meant.
    InSchema,
}

impl TablePattern {
    /// From its text; `None` for one with empty parts or more than two.
    pub fn new(text: &str) -> Option<Self> {
        let (schema, table) = match text.split_once('.') {
            Some((schema, table)) => (Some(Wildcard::new(schema)?), table),
            None => (None, text),
        };
        (!table.contains('.')).then_some(())?;
        Some(Self {
            schema,
            table: Wildcard::new(table)?,
        })
    }

    pub(super) fn names(&self, name: &TableName) -> Named {
        if !self.table.matches(&name.table) {
            return Named::No;
        }
        match (&self.schema, &name.schema) {
            (None, _) => Named::Yes,
            (Some(pattern), _) if pattern.is_any() => Named::Yes,
            (Some(pattern), Some(schema)) if pattern.matches(schema) => Named::Yes,
            (Some(_), Some(_)) => Named::No,
            (Some(_), None) => Named::InSchema,
        }
    }

    /// Whether the name is meant in a session with this default schema.
    pub(super) fn names_in(&self, name: &TableName, schema: Option<&[u8]>) -> bool {
        match self.names(name) {
            Named::No => false,
            Named::Yes => true,
            Named::InSchema => match (&self.schema, schema) {
                (Some(pattern), Some(schema)) => pattern.matches(schema),
                _ => false,
            },
        }
    }
}

impl fmt::Display for TablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => self.table.fmt(f),
        }
    }
}

/// Addresses that begin with the same bits: `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// From its text.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected an address or a network, such as 10.0.0.0/8 or fd00::/8";
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| EXPECTED)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| EXPECTED)?,
            None => most,
        };
        if bits > most {
            return Err(EXPECTED);
        }
        let network = Self { address, bits };
        match network.first() == address {
            true => Ok(network),
            false => Err("bits behind the network's own are set: 10.1.0.0/8 is 10.0.0.0/8"),
        }
    }

    /// Whether the address belongs to it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = self.bits;
        let of = |address| Self { address, bits }.first();
        address.is_ipv4() == self.address.is_ipv4() && of(address) == self.address
    }

    fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits));
                Ipv4Addr::from_bits(address.to_bits() & mask.unwrap_or(0)).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits));
                Ipv6Addr::from_bits(address.to_bits() & mask.unwrap_or(0)).into()
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// A regular expression over the text of a statement.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected a regular expression; found nothing".to_owned());
        }
        let built = RegexBuilder::new(text)
            .size_limit(REGEX_SIZE)
            .dfa_size_limit(REGEX_CACHE)
            .build();
        built.map(Self).map_err(|error| {
            let error = error.to_string();
            let what = error.lines().last().unwrap_or_default();
            let what = what.trim_start_matches("error: ");
            format!("expected a regular expression: {what}; found {text:?}")
        })
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it matches somewhere in the text.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }

    /// The text with `template` in the place of each match; `$1` and `${name}` stand for its groups.
    pub fn rewrite(&self, text: &[u8], template: &str) -> Vec<u8> {
        self.0.replace_all(text, template.as_bytes()).into_owned()
    }
}

/// `key=value`, or `key` with any value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    key: Box<str>,
    value: Option<Wildcard>,
}

impl Tag {
    /// From its text; `None` for one without a key.
    pub fn new(text: &str) -> Option<Self> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(Wildcard::new(value.trim())?)),
            None => (text, None),
        };
        let key = key.trim();
        (!key.is_empty()).then(|| Self {
            key: key.into(),
            value,
        })
    }

    /// Whether this tag of a statement is meant.
    pub fn matches(&self, key: &[u8], value: &[u8]) -> bool {
        key == self.key.as_bytes() && self.value.as_ref().is_none_or(|it| it.matches(value))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.key),
            None => f.write_str(&self.key),
        }
    }
}
