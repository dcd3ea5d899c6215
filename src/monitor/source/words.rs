//! How versions spell the same question.
//!
//! MySQL says REPLICA and SOURCE since 8.0.22, `SHOW BINARY LOG STATUS` since 8.2 and
//! `SOURCE_POS_WAIT` since 8.0.26, and dropped the older words in 8.4. MariaDB says REPLICA since
//! 10.5 and keeps the older words.

use crate::domain::topology::Engine;

/// The spellings of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::monitor) struct Words {
    /// All channels of a replica.
    pub(in crate::monitor) replica_status: &'static str,
    /// The end of the binary log.
    pub(in crate::monitor) log_status: &'static str,
    /// The function that waits for a place in the source's log.
    pub(in crate::monitor) place_wait: &'static str,
}

impl Words {
    /// The spellings of the server with this `@@version`.
    pub(in crate::monitor) fn of(engine: Engine, version: &str) -> Self {
        if engine == Engine::MariaDb {
            return Self {
                replica_status: "SHOW ALL SLAVES STATUS",
                log_status: "SHOW MASTER STATUS",
                place_wait: "MASTER_POS_WAIT",
            };
        }
        let version = numbers(version);
        let since = |first: [u32; 3], new: &'static str, old: &'static str| {
            if version >= first { new } else { old }
        };
        Self {
            replica_status: since([8, 0, 22], "SHOW REPLICA STATUS", "SHOW SLAVE STATUS"),
            log_status: since([8, 2, 0], "SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"),
            place_wait: since([8, 0, 26], "SOURCE_POS_WAIT", "MASTER_POS_WAIT"),
        }
    }
}

/// The first three numbers of a version.
fn numbers(version: &str) -> [u32; 3] {
    let mut numbers = [0; 3];
    for (place, part) in numbers.iter_mut().zip(version.split(['.', '-', '+'])) {
        *place = part.parse().unwrap_or(0);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_asked_in_its_own_words() {
        let new = "SHOW REPLICA STATUS";
        let old = "SHOW SLAVE STATUS";
        for (version, replica, log, wait) in [
            ("9.7.4", new, "SHOW BINARY LOG STATUS", "SOURCE_POS_WAIT"),
            (
                "8.4.0-0ubuntu",
                new,
                "SHOW BINARY LOG STATUS",
                "SOURCE_POS_WAIT",
            ),
            ("8.2.0", new, "SHOW BINARY LOG STATUS", "SOURCE_POS_WAIT"),
            ("8.1.0", new, "SHOW MASTER STATUS", "SOURCE_POS_WAIT"),
            ("8.0.36-28.1", new, "SHOW MASTER STATUS", "SOURCE_POS_WAIT"),
            ("8.0.26", new, "SHOW MASTER STATUS", "SOURCE_POS_WAIT"),
            ("8.0.25", new, "SHOW MASTER STATUS", "MASTER_POS_WAIT"),
            ("8.0.21", old, "SHOW MASTER STATUS", "MASTER_POS_WAIT"),
            ("8.0", old, "SHOW MASTER STATUS", "MASTER_POS_WAIT"),
            ("5.7.44-log", old, "SHOW MASTER STATUS", "MASTER_POS_WAIT"),
        ] {
            let words = Words::of(Engine::MySql, version);
            let expected = (replica, log, wait);
            let found = (words.replica_status, words.log_status, words.place_wait);
            assert_eq!(found, expected, "{version}");
        }
        let words = Words::of(Engine::MariaDb, "10.11.19-MariaDB");
        assert_eq!(words.replica_status, "SHOW ALL SLAVES STATUS");
        assert_eq!(words.log_status, "SHOW MASTER STATUS");
    }
}
