//! Where a replica's defaults differ from the primary's, and the literals that make them equal.

use std::collections::BTreeMap;

use crate::monitor::ProbeError;
use crate::monitor::link::Link;

/// Highwater sets these itself, or they follow from the default schema or another variable.
const NOT_A_DEFAULT: &[&str] = &[
    "character_set_connection",
    "character_set_database",
    "collation_database",
    "transaction_read_only",
    "tx_read_only",
];

/// Session variables that must be set, and those that cannot be.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Name and literal.
    pub(super) settings: Vec<(String, String)>,
    /// Names of variables for which the server took no literal.
    pub(super) refused: Vec<String>,
}

/// Names and the primary's values, where they differ. A variable that only one of them has cannot
/// be made equal, nor can a statement that works on one fail to mean the same on the other.
pub(super) fn differing(
    own: &BTreeMap<String, String>,
    primary: &BTreeMap<String, String>,
) -> Vec<(String, String)> {
    let settable =
        |name: &str| !NOT_A_DEFAULT.contains(&name) && !name.starts_with("session_track_");
    own.iter()
        .filter_map(|(name, own)| Some((name, own, primary.get(name)?)))
        .filter(|(name, own, primary)| own != primary && settable(name))
        .map(|(name, _, primary)| (name.clone(), primary.clone()))
        .collect()
}

/// Finds the literal of each that the server accepts, by trying.
pub(super) async fn literals(
    link: &mut Link,
    differing: Vec<(String, String)>,
) -> Result<Found, ProbeError> {
    let mut found = Found::default();
    for (name, value) in differing {
        let mut accepted = None;
        for literal in candidates(&value) {
            match link.ask(&format!("SET SESSION {name} = {literal}")).await {
                Ok(_) => {
                    accepted = Some(literal);
                    break;
                }
                Err(ProbeError::Server { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match accepted {
            Some(literal) => found.settings.push((name, literal)),
            None => found.refused.push(name),
        }
    }
    Ok(found)
}

/// Ways to write a value as SHOW VARIABLES prints it: a number, a string, NULL. A string that
/// means another thing in some sql_mode is not written at all.
fn candidates(value: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let digits = value.strip_prefix('-').unwrap_or(value);
    let mut parts = digits.splitn(2, '.');
    if parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())) {
        literals.push(value.to_owned());
    }
    if !value.contains(['\\', '\0']) {
        literals.push(format!("'{}'", value.replace('\'', "''")));
    }
    if value.is_empty() {
        literals.push("NULL".to_owned());
    }
    literals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_literals() {
        let cases: [(&str, &[&str]); 8] = [
            ("5", &["5", "'5'"]),
            ("-1", &["-1", "'-1'"]),
            ("10.000000", &["10.000000", "'10.000000'"]),
            ("ON", &["'ON'"]),
            ("", &["''", "NULL"]),
            ("1.2.3", &["'1.2.3'"]),
            ("it's", &["'it''s'"]),
            ("a\\b", &[]),
        ];
        for (value, expected) in cases {
            assert_eq!(candidates(value), expected, "{value}");
        }
    }

    #[test]
    fn only_what_both_have_and_sessions_inherit_is_compared() {
        let map = |pairs: &[(&str, &str)]| {
            let owned = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
            owned.collect::<BTreeMap<String, String>>()
        };
        let own = map(&[
            ("sql_mode", "ANSI"),
            ("time_zone", "SYSTEM"),
            ("only_here", "1"),
            ("session_track_gtids", "OFF"),
            ("character_set_connection", "latin1"),
            ("character_set_results", "latin1"),
        ]);
        let primary = map(&[
            ("sql_mode", ""),
            ("time_zone", "SYSTEM"),
            ("only_there", "1"),
            ("session_track_gtids", "ALL_GTIDS"),
            ("character_set_connection", "utf8mb4"),
            ("character_set_results", "utf8mb4"),
        ]);
        let expected = [
            ("character_set_results".to_owned(), "utf8mb4".to_owned()),
            ("sql_mode".to_owned(), String::new()),
        ];
        assert_eq!(differing(&own, &primary), expected);
    }
}
