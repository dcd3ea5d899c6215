//! Reads `[[rule]]`: what it matches, and what it does.

use std::time::Duration;

use super::address::Address;
use super::levels;
use super::reader::Section;
use crate::domain::routing::rules::{
    Act, Class, Limit, Mirror, Network, Pattern, Rule, TablePattern, Tag, When, Wildcard, is_name,
};
use crate::domain::sql::HintTarget;

/// Shortest time that a statement may be given.
const SHORTEST: Duration = Duration::from_millis(1);
/// Most of what `limit_rate` and `limit_concurrency` may allow.
const MOST: usize = 1_000_000;
/// The longest message of `deny`, in bytes: a server cuts its own off there as well.
const LONGEST_MESSAGE: usize = 500;

/// Reads one rule.
pub(super) fn rule(section: &mut Section<'_, '_>) -> Option<Rule> {
    let name =
        section.required(
            "name",
            "a name for SHOW RULES and the metrics",
            |text| match is_name(text) {
                true => Ok(text.to_owned()),
                false => Err(format!(
                    "expected at most 64 letters, digits, _, - and .; found {text:?}"
                )),
            },
        );
    let rule = Rule {
        name: name.clone().unwrap_or_default(),
        count_only: section.flag("count_only"),
        when: when(section),
        act: act(section),
    };
    for (key, why) in rule.contradictions() {
        // Where a value could not be read, what is missing follows from that.
        if section.is_whole() || !matches!(key, "name" | "rewrite") {
            section.conflict(key, why);
        }
    }
    name.map(|_| rule)
}

fn when(section: &mut Section<'_, '_>) -> When {
    When {
        users: section.texts("user", |text| match text {
            "" => Err("expected a user name; found nothing".to_owned()),
            _ => Ok(text.to_owned()),
        }),
        schemas: section.texts("schema", |text| {
            Wildcard::new(text).ok_or_else(|| "expected a schema; found nothing".to_owned())
        }),
        clients: section.texts("client", |text| {
            Network::new(text).map_err(|why| format!("{why}; found {text:?}"))
        }),
        fingerprints: section.texts("fingerprint", fingerprint),
        regex: section.text("regex", Pattern::new),
        tables: section.texts("table", table),
        only_tables: section.texts("only_table", table),
        tags: section.texts("tag", |text| {
            Tag::new(text).ok_or_else(|| format!("expected key or key=value; found {text:?}"))
        }),
        classes: section.texts("class", |text| {
            let class = Class::ALL.into_iter().find(|it| it.name() == text);
            class.ok_or_else(|| levels::one_of(Class::ALL.map(Class::name), text))
        }),
    }
}

fn act(section: &mut Section<'_, '_>) -> Act {
    Act {
        allow: section.flag("allow"),
        target: section.text("target", |text| match text {
            "primary" => Ok(HintTarget::Primary),
            "replica" => Ok(HintTarget::Replica),
            _ => Err(levels::one_of(["primary", "replica"], text)),
        }),
        level: section.text("consistency", levels::level),
        max_staleness: section.optional_duration("max_staleness", Duration::ZERO),
        group: section.text("group", |text| match text {
            "" => Err("expected a name; found nothing".to_owned()),
            _ => Ok(text.to_owned()),
        }),
        timeout: section.optional_duration("timeout", SHORTEST),
        deny: section.text("deny", |text| match text.len() {
            1..=LONGEST_MESSAGE => Ok(text.to_owned()),
            _ => Err(format!(
                "expected a message of 1 to {LONGEST_MESSAGE} bytes"
            )),
        }),
        rewrite: section.text("rewrite", |text| Ok(text.to_owned())),
        mirror: mirror(section),
        limit: limit(section),
    }
}

fn mirror(section: &mut Section<'_, '_>) -> Option<Mirror> {
    let address = section.text("mirror", |text| match text.parse::<Address>() {
        Ok(address) => Ok(address.to_string()),
        Err(error) => Err(format!("{error}; found {text:?}")),
    });
    if section.has("mirror_share") && address.is_none() {
        section.conflict("mirror_share", "it is a share of mirror, which is not set");
    }
    let share = section.text("mirror_share", levels::share);
    let percent = share.map_or(100, |share| share.as_percent());
    Some(Mirror {
        address: address?,
        percent,
    })
}

fn limit(section: &mut Section<'_, '_>) -> Option<Limit> {
    let most = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let rate = section.optional_number("limit_rate", 1..=MOST).map(most);
    let concurrency = section.optional_number("limit_concurrency", 1..=MOST);
    let wait = section.optional_duration("limit_wait", Duration::ZERO);
    if wait.is_some() && rate.is_none() && concurrency.is_none() {
        section.conflict(
            "limit_wait",
            "it is about limit_rate and limit_concurrency, and neither is set",
        );
    }
    (rate.is_some() || concurrency.is_some()).then(|| Limit {
        rate,
        concurrency: concurrency.map(most),
        wait: wait.unwrap_or_default(),
    })
}

fn fingerprint(text: &str) -> Result<u64, String> {
    let digits = (1..=16).contains(&text.len()) && text.chars().all(|it| it.is_ascii_hexdigit());
    u64::from_str_radix(text, 16)
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| {
            format!("expected up to 16 hexadecimal digits, as SHOW DIGESTS shows; found {text:?}")
        })
}

fn table(text: &str) -> Result<TablePattern, String> {
    TablePattern::new(text)
        .ok_or_else(|| format!("expected table or schema.table, * for any text; found {text:?}"))
}
