//! MariaDB's global transaction ids: `domain-server-sequence`, one for each domain.
//!
//! Within a domain there is one order of transactions, and a server that has one has all before it.
//! So a position is the last sequence number of each domain. The server id says who wrote the
//! last one and takes no part in comparing: the next transaction of a domain gets the next number
//! whichever server writes it. (Without `gtid_strict_mode` a server also takes numbers that go
//! back, which `doctor` warns of: they come from two servers that write into one domain.)

use std::fmt;

/// A position is not read from more text than this.
const MAX_TEXT: usize = 1 << 20;

/// The last transaction of each domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainGtids {
    /// Sorted by domain, one each.
    last: Vec<Last>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    domain: u32,
    server: u32,
    sequence: u64,
}

impl DomainGtids {
    /// Reads `0-1-7,2-1-9`, white space anywhere between; of two ids of one domain the later one.
    /// `None` when the text is something else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim();
        if text.is_empty() {
            return Some(Self::default());
        }
        if text.len() > MAX_TEXT {
            return None;
        }
        let mut last = Vec::new();
        for gtid in text.split(',') {
            last.push(one(gtid)?);
        }
        // The highest of each domain comes first.
        last.sort_by_key(|it| (it.domain, std::cmp::Reverse(it.sequence)));
        last.dedup_by_key(|it| it.domain);
        Some(Self { last })
    }

    /// How many domains it has.
    pub fn domains(&self) -> usize {
        self.last.len()
    }

    /// Whether it is at least as far as `other` in each of the other's domains.
    pub fn covers(&self, other: &Self) -> bool {
        let there = |wanted: &Last| self.sequence(wanted.domain) >= Some(wanted.sequence);
        other.last.iter().all(there)
    }

    /// Goes as far as `other` in each domain.
    pub fn join(&mut self, other: &Self) {
        for more in &other.last {
            match self.place(more.domain) {
                Ok(at) => {
                    if let Some(mine) = self.last.get_mut(at)
                        && mine.sequence < more.sequence
                    {
                        *mine = *more;
                    }
                }
                Err(at) => self.last.insert(at, *more),
            }
        }
    }

    /// The domains in which it is further than `bound`.
    #[must_use]
    pub fn missing_from(&self, bound: &Self) -> Self {
        let missing = |wanted: &&Last| bound.sequence(wanted.domain) < Some(wanted.sequence);
        Self {
            last: self.last.iter().filter(missing).copied().collect(),
        }
    }

    /// By how many transactions of one domain it is further than `base`; `None` when it names a
    /// domain that `base` does not know.
    pub fn ahead_of(&self, base: &Self) -> Option<u64> {
        self.last.iter().try_fold(0, |farthest: u64, wanted| {
            let there = base.sequence(wanted.domain)?;
            Some(farthest.max(wanted.sequence.saturating_sub(there)))
        })
    }

    /// The last ids that this server wrote itself.
    #[must_use]
    pub fn of_server(&self, server: u32) -> Self {
        let own = |it: &&Last| it.server == server;
        Self {
            last: self.last.iter().filter(own).copied().collect(),
        }
    }

    /// The transaction with the highest number: domain and server in one, the number, and whether
    /// other domains have some.
    pub(super) fn highest(&self) -> Option<(u128, u64, bool)> {
        let highest = self.last.iter().max_by_key(|it| it.sequence)?;
        let source = u128::from(highest.domain) << 32 | u128::from(highest.server);
        Some((source, highest.sequence, self.last.len() > 1))
    }

    fn sequence(&self, domain: u32) -> Option<u64> {
        let at = self.place(domain).ok()?;
        self.last.get(at).map(|it| it.sequence)
    }

    fn place(&self, domain: u32) -> Result<usize, usize> {
        self.last.binary_search_by_key(&domain, |it| it.domain)
    }
}

/// As MariaDB prints it.
impl fmt::Display for DomainGtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, it) in self.last.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{}-{}-{}", it.domain, it.server, it.sequence)?;
        }
        Ok(())
    }
}

/// Whether a text begins as these do: digits, a dash, digits, a dash, a digit. A MySQL GTID begins
/// with eight hexadecimal digits and three groups of four.
pub(super) fn looks_like(text: &[u8]) -> bool {
    let first = text.split(|byte| *byte == b',').next().unwrap_or_default();
    let parts = first.split(|byte| *byte == b'-');
    parts.clone().count() == 3 && !first.contains(&b':')
}

fn one(text: &str) -> Option<Last> {
    let mut parts = text.trim().split('-');
    let mut number = || parts.next().filter(|it| super::is_digits(it));
    let found = Last {
        domain: number()?.parse().ok()?,
        server: number()?.parse().ok()?,
        sequence: number()?.parse().ok()?,
    };
    parts.next().is_none().then_some(found)
}
