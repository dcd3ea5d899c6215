//! The doctor: looks at the real servers and says what would break a promise, why, and what mends it.
//!
//! [`examine`] gathers [`Facts`] over connections of its own, none of which waits for ever, and hands
//! them to the rules, which are pure: facts in, findings out. Nothing on a server is changed.
//!
//! The doctor does not know the running proxy; it only reads its public metrics page, where there is
//! one. What takes a level away is decided in [`crate::domain::topology::guarantee`], by which the
//! daemon judges as well.

pub mod facts;
pub mod finding;
mod look;
pub mod rules;
mod scrape;
mod show;

use crate::config::Config;
use facts::{Asked, Facts};
use finding::Diagnosis;

/// Looks at the servers of a configuration, and judges. `progress` gets a line for each step.
///
/// A server that does not answer is a finding like any other: this never fails and never hangs.
pub async fn examine(config: &Config, progress: &dyn Fn(&str)) -> Diagnosis {
    let servers = look::servers(config, progress).await;
    let traffic = scrape::traffic(config.http.listen).await;
    let facts = Facts {
        asked: Asked::of(config),
        servers,
        traffic,
    };
    rules::judge(&facts)
}
