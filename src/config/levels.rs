//! Names of consistency levels and timeout actions in a configuration: those this version has, and
//! those it only knows of.

use super::OnTimeout;
use crate::domain::consistency::Level;

/// Levels of the design that this version cannot hold.
const LATER_LEVELS: [&str; 4] = ["bounded", "group", "proxy", "global"];
/// Timeout actions of the design that this version does not have.
const LATER_ACTIONS: [&str; 2] = ["error", "stale"];

/// Reads a level's name, in any case.
///
/// # Errors
/// A sentence that says what was expected.
pub(super) fn level(text: &str) -> Result<Level, String> {
    Level::from_name(text).ok_or_else(|| {
        if is_one_of(text, &LATER_LEVELS) {
            "not available in this version: use eventual or session".to_owned()
        } else {
            one_of(Level::ALL.map(Level::name), text)
        }
    })
}

/// Reads a timeout action's name, in any case.
///
/// # Errors
/// A sentence that says what was expected.
pub(super) fn on_timeout(text: &str) -> Result<OnTimeout, String> {
    if text.eq_ignore_ascii_case(OnTimeout::Primary.name()) {
        Ok(OnTimeout::Primary)
    } else if is_one_of(text, &LATER_ACTIONS) {
        Err("not available in this version: use primary".to_owned())
    } else {
        Err(format!("expected primary; found {text:?}"))
    }
}

/// The message for a name that is not among `names`.
pub(super) fn one_of<const N: usize>(names: [&str; N], found: &str) -> String {
    format!("expected one of {}; found {found:?}", names.join(", "))
}

fn is_one_of(text: &str, names: &[&str]) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(text))
}
