//! What the primary's stored programs may leave on a connection untold, as the clients' accounts see them: the
//! monitor's own need not have the rights for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::Looks;
use super::looks::TRIES;
use crate::domain::ids::BackendId;
use crate::domain::topology::Leavings;
use crate::domain::topology::leavings::LEAVES;
use crate::monitor::ProbeError;
use crate::monitor::link::{Link, Table};
use crate::monitor::settings::Settings;
use crate::monitor::shared::{Backend, Shared};

/// A look at one account's programs takes no longer: catalogs may be large.
const LONGEST: Duration = Duration::from_secs(5);
/// The servers' own schemas.
const OWN_SCHEMAS: &str = "'mysql', 'information_schema', 'performance_schema', 'sys'";
/// Beyond so many routines that leave something, everything may.
const MOST: usize = 200;

const BY_TRIGGERS: u8 = 1;
const BY_VIEWS: u8 = 2;
const TABLES: u8 = 4;
/// They were changed after the last look began.
const CHANGED: u8 = 8;

/// What is known of the programs of one server.
#[derive(Debug, Default)]
pub(in crate::monitor) struct Programs {
    looks: Looks,
    bits: AtomicU8,
}

impl Programs {
    /// The definitions are others now: what they may leave is not known until a look is over.
    pub(in crate::monitor) fn changed(&self) {
        self.looks.changed();
        self.bits.fetch_or(CHANGED, Ordering::SeqCst);
    }

    /// The definitions may be others, or others see them.
    pub(in crate::monitor) fn look_again(&self) {
        self.looks.changed();
    }

    /// What they may leave; `None` while that is being found out.
    pub(in crate::monitor) fn leavings(&self) -> Option<Leavings> {
        let bits = self.bits.load(Ordering::SeqCst);
        (bits & CHANGED == 0).then_some(Leavings {
            by_triggers: bits & BY_TRIGGERS != 0,
            by_views: bits & BY_VIEWS != 0,
            tables: bits & TABLES != 0,
        })
    }

    /// Returns once it is known what they may leave, or will not be known soon.
    pub(in crate::monitor) async fn settled(&self) {
        self.looks.settled().await;
    }

    /// A look is over that began with this, after so many in a row. Nothing was found out where it failed. Says
    /// whether another one is due at once.
    fn looked(&self, wanted: u64, found: Option<Leavings>, tries: u32) -> bool {
        let bits = match found {
            Some(found) => Some(bits(found)),
            None if tries >= TRIES => Some(self.bits.load(Ordering::SeqCst) & !CHANGED),
            None => None,
        };
        if let Some(bits) = bits {
            // Before those who wait are woken.
            self.bits.store(bits, Ordering::SeqCst);
            if self.looks.wanted() > wanted {
                self.bits.fetch_or(CHANGED, Ordering::SeqCst);
            }
            self.looks.looked(wanted);
        }
        self.looks.is_due(tries)
    }
}

fn bits(leavings: Leavings) -> u8 {
    let flags = [
        (leavings.by_triggers, BY_TRIGGERS),
        (leavings.by_views, BY_VIEWS),
        (leavings.tables, TABLES),
    ];
    let set = flags.iter().filter(|(is_set, _)| *is_set);
    set.fold(0, |bits, (_, flag)| bits | flag)
}

/// What one look found.
#[derive(Clone, Copy)]
struct Found {
    leavings: Leavings,
    /// MariaDB passes over tables that somebody alters just then, with a warning.
    whole: bool,
}

impl Found {
    const NOTHING: Self = Self {
        leavings: Leavings::NOTHING,
        whole: true,
    };
}

/// Keeps what is known of the primary's programs true, for ever.
pub(in crate::monitor) async fn run(shared: Arc<Shared>) {
    let Some(primary) = shared.backend(BackendId::PRIMARY) else {
        return;
    };
    let programs = &primary.programs;
    let mut whole = true;
    loop {
        match whole {
            true => programs.looks.woken().await,
            false => programs.looks.pause().await,
        }
        for tries in 1.. {
            let wanted = programs.looks.wanted();
            let found = look(&shared.settings.load_full(), primary).await;
            whole = found.is_some_and(|found| found.whole);
            let leavings = found.map(|found| found.leavings);
            if !programs.looked(wanted, leavings, tries) {
                break;
            }
        }
    }
}

/// What any account's programs may leave; `None` where nobody could ask the server. An account that it refuses sees
/// none, and is not tried again: an account may be locked after some logins that fail.
async fn look(settings: &Settings, primary: &Backend) -> Option<Found> {
    let mut all: Option<Leavings> = None;
    let mut whole = true;
    for account in &settings.accounts {
        let login = Settings {
            user: account.name.clone(),
            password: account.password.expose().to_owned(),
            timeout: LONGEST,
            ..settings.clone()
        };
        let mut link = Link::new(Arc::new(ArcSwap::from_pointee(login)), &primary.address);
        let found = match seen_by(&mut link).await {
            Ok(found) => Some(found),
            Err(error) => {
                tracing::debug!(user = account.name, %error, "cannot read the definitions of programs");
                matches!(error, ProbeError::Server { .. }).then_some(Found::NOTHING)
            }
        };
        link.close().await;
        whole &= found.is_some_and(|found| found.whole);
        if let Some(found) = found {
            let others = all.unwrap_or_default();
            all = Some(others.or(found.leavings));
        }
    }
    all.map(|leavings| Found { leavings, whole })
}

/// What the programs may leave that one account sees.
async fn seen_by(link: &mut Link) -> Result<Found, ProbeError> {
    let Some((routines, mut tables)) = routines(link).await? else {
        return Ok(Found {
            leavings: Leavings::ANYTHING,
            whole: true,
        });
    };
    let called = (!routines.is_empty()).then(|| mention(&routines));
    let pattern = match &called {
        Some(called) => format!("{LEAVES}|{called}"),
        None => LEAVES.to_owned(),
    };
    let answer = link.ask(&triggers_with(&pattern)).await?;
    let triggers = Table::first(&answer);
    tables |= triggers.number(1).unwrap_or(0) > 0;
    let by_triggers = triggers.number(0).unwrap_or(0) > 0;
    let warnings = answer.get(1).and_then(|table| table.number(0));
    let mut by_views = false;
    if let Some(called) = called {
        let answer = link.ask(&views_with(&called)).await?;
        by_views = Table::first(&answer).number(0).unwrap_or(0) > 0;
    }
    Ok(Found {
        leavings: Leavings {
            by_triggers,
            by_views,
            tables: tables && (by_triggers || by_views),
        },
        whole: warnings.unwrap_or(0) == 0,
    })
}

/// The routines that leave something, or call one that does, and whether temporary tables are among it. `None`
/// where there are too many.
async fn routines(link: &mut Link) -> Result<Option<(BTreeSet<String>, bool)>, ProbeError> {
    let (mut all, mut tables) = (BTreeSet::new(), false);
    let mut pattern = LEAVES.to_owned();
    loop {
        let answer = link.ask(&routines_with(&pattern)).await?;
        let mut new = BTreeSet::new();
        for (name, makes_tables) in Table::first(&answer).pairs() {
            tables |= makes_tables == "1";
            if all.insert(name.clone()) {
                new.insert(name);
            }
        }
        if new.is_empty() {
            return Ok(Some((all, tables)));
        }
        if all.len() > MOST {
            return Ok(None);
        }
        pattern = mention(&new);
    }
}

/// A pattern that finds these names in a body in lower case.
fn mention(names: &BTreeSet<String>) -> String {
    let plain = |letter: char| match letter.is_ascii_alphanumeric() || letter == '_' {
        true => letter,
        // Any one letter: what is found too much costs little.
        false => '.',
    };
    let names: Vec<String> = names
        .iter()
        .map(|name| name.chars().map(plain).collect())
        .collect();
    let names = names.join("|");
    format!("(^|[^[:alnum:]_$])({names})([^[:alnum:]_$]|$)")
}

fn routines_with(pattern: &str) -> String {
    format!(
        "SELECT LOWER(routine_name), MAX(LOWER(routine_definition) LIKE '%temporary%') \
         FROM information_schema.routines WHERE routine_schema NOT IN ({OWN_SCHEMAS}) \
         AND LOWER(routine_definition) REGEXP '{pattern}' GROUP BY 1"
    )
}

fn triggers_with(pattern: &str) -> String {
    format!(
        "SELECT COUNT(*), COALESCE(SUM(LOWER(action_statement) LIKE '%temporary%'), 0) \
         FROM information_schema.triggers WHERE trigger_schema NOT IN ({OWN_SCHEMAS}) \
         AND LOWER(action_statement) REGEXP '{pattern}'; SELECT @@warning_count"
    )
}

fn views_with(pattern: &str) -> String {
    format!(
        "SELECT COUNT(*) FROM information_schema.views WHERE table_schema NOT IN ({OWN_SCHEMAS}) \
         AND LOWER(view_definition) REGEXP '{pattern}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_not_known_until_a_look_is_over_that_began_after_it() {
        let programs = Programs::default();
        assert_eq!(programs.leavings(), Some(Leavings::NOTHING));
        let early = programs.looks.wanted();
        programs.changed();
        assert!(programs.looked(early, Some(Leavings::NOTHING), 1));
        assert_eq!(programs.leavings(), None);
        let late = programs.looks.wanted();
        assert!(!programs.looked(late, Some(Leavings::ANYTHING), 2));
        assert_eq!(programs.leavings(), Some(Leavings::ANYTHING));
    }

    #[test]
    fn what_was_known_holds_where_looks_fail_and_where_nobody_was_told() {
        let programs = Programs::default();
        assert!(!programs.looked(0, Some(Leavings::ANYTHING), 1));
        programs.look_again();
        assert_eq!(programs.leavings(), Some(Leavings::ANYTHING));
        programs.changed();
        let wanted = programs.looks.wanted();
        assert!(programs.looked(wanted, None, 1));
        assert_eq!(programs.leavings(), None);
        assert!(!programs.looked(wanted, None, TRIES));
        assert_eq!(programs.leavings(), Some(Leavings::ANYTHING));
    }

    #[test]
    fn names_are_patterns_of_their_letters_only() {
        let names = BTreeSet::from(["f_1".to_owned(), "a'$é".to_owned()]);
        let expected = "(^|[^[:alnum:]_$])(a...|f_1)([^[:alnum:]_$]|$)";
        assert_eq!(mention(&names), expected);
    }
}
