//! Values of the consistency keys: names of levels and actions, shares, and what a group is.

use super::{AuroraConsistency, GroupBy};
use crate::domain::consistency::{Level, OnTimeout, Share, TransactionReads};

/// Reads a level's name, in any case.
///
/// # Errors
/// A sentence that says what was expected.
pub(super) fn level(text: &str) -> Result<Level, String> {
    Level::from_name(text).ok_or_else(|| one_of(Level::ALL.map(Level::name), text))
}

/// Reads a timeout action's name, in any case.
///
/// # Errors
/// A sentence that says what was expected.
pub(super) fn on_timeout(text: &str) -> Result<OnTimeout, String> {
    OnTimeout::from_name(text).ok_or_else(|| one_of(OnTimeout::ALL.map(OnTimeout::name), text))
}

/// Reads who sees to consistency on Aurora.
///
/// # Errors
/// A sentence that says what was expected.
pub(super) fn aurora_consistency(text: &str) -> Result<AuroraConsistency, String> {
    AuroraConsistency::ALL
        .into_iter()
        .find(|who| who.name() == text)
        .ok_or_else(|| one_of(AuroraConsistency::ALL.map(AuroraConsistency::name), text))
}

/// Reads where the reads of a transaction go, in any case.
///
/// # Errors
/// A sentence that says what was expected.
pub(super) fn transaction_reads(text: &str) -> Result<TransactionReads, String> {
    TransactionReads::from_name(text)
        .ok_or_else(|| one_of(TransactionReads::ALL.map(TransactionReads::name), text))
}

/// Reads a share such as `20%`.
///
/// # Errors
/// A sentence that says what was expected.
pub(super) fn share(text: &str) -> Result<Share, String> {
    let percent = text
        .strip_suffix('%')
        .and_then(|number| number.parse().ok());
    percent
        .filter(|percent| *percent <= 100)
        .map(Share::percent)
        .ok_or_else(|| format!("expected whole percents from 0% to 100%; found {text:?}"))
}

/// Reads what a group is: `user` or `attribute:NAME`.
///
/// # Errors
/// A sentence that says what was expected.
pub(super) fn group_key(text: &str) -> Result<GroupBy, String> {
    match text.split_once(':') {
        None if text == "user" => Ok(GroupBy::User),
        Some(("attribute", name)) if !name.is_empty() => Ok(GroupBy::Attribute(name.to_owned())),
        _ => Err(format!("expected user or attribute:NAME; found {text:?}")),
    }
}

/// The message for a name that is not among `names`.
pub(super) fn one_of<const N: usize>(names: [&str; N], found: &str) -> String {
    format!("expected one of {}; found {found:?}", names.join(", "))
}
