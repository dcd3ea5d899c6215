//! What the monitor's account and those of `[[user]]` may do on each server.

use super::or_ok;
use super::reach::primary_address;
use crate::doctor::facts::{Facts, Login, LoginSeen, Seen, Server};
use crate::doctor::finding::{Finding, Severity};
use crate::domain::topology::{Engine, Role};

/// Authentication plugins that Highwater can log in with.
const PLUGINS: [&str; 2] = ["caching_sha2_password", "mysql_native_password"];

/// May the monitor see what it must?
pub(super) fn monitor(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (server, seen) in facts.seen() {
        let missing = missing(seen);
        if !missing.is_empty() {
            let grant = format!("GRANT {} ON *.* TO {}", missing.join(", "), seen.account);
            findings.push(
                Finding::failure(format!(
                    "the monitor's account {} lacks {}",
                    seen.account,
                    missing.join(", ")
                ))
                .on(&server.address)
                .why("replication cannot be watched, so the server takes no reads")
                .sql_on(primary_address(facts), grant)
                .advice("run it on the primary, from where it replicates"),
            );
        }
        if seen.grants.iter().any(|grant| is_all(grant)) {
            findings.push(
                Finding::note(format!("the monitor's account {} has all rights", seen.account))
                    .on(&server.address)
                    .why("it needs few; who steals its password has the server")
                    .advice("make it an account of its own with REPLICATION CLIENT (on MariaDB BINLOG MONITOR and SLAVE MONITOR)"),
            );
        }
    }
    match facts.seen().next() {
        Some(_) => or_ok(findings, "the monitor's account may see what it must"),
        None => Vec::new(),
    }
}

/// What the monitor's account cannot do: both were tried.
fn missing(seen: &Seen) -> Vec<&'static str> {
    let mut missing = Vec::new();
    let (status, binlog) = match seen.engine {
        Engine::MySql => ("REPLICATION CLIENT", "REPLICATION CLIENT"),
        Engine::MariaDb => ("SLAVE MONITOR", "BINLOG MONITOR"),
    };
    let denied = |code: u16| matches!(code, 1227 | 1142 | 1045);
    if seen.channels.as_ref().is_err_and(|it| denied(it.code)) {
        missing.push(status);
    }
    if seen.binlog_filter.as_ref().is_err_and(|it| denied(it.code)) && !missing.contains(&binlog) {
        missing.push(binlog);
    }
    missing
}

fn is_all(grant: &str) -> bool {
    grant.starts_with("GRANT ALL PRIVILEGES ON *.*")
        || (grant.starts_with("GRANT ") && grant.contains("SUPER") && grant.contains(" ON *.*"))
}

/// Can every account log in everywhere?
pub(super) fn logins(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut count = 0;
    for (server, _, login) in all_logins(facts) {
        count += 1;
        let Err(refusal) = &login.seen else {
            continue;
        };
        let severity = match server.role {
            Role::Primary => Severity::Failure,
            Role::Replica => Severity::Warning,
        };
        let user = &login.user;
        findings.push(
            Finding::new(
                severity,
                format!(
                    "account {user:?} cannot log in: {} (error {})",
                    refusal.message, refusal.code
                ),
            )
            .on(&server.address)
            .why(match server.role {
                Role::Primary => "its sessions cannot do anything",
                Role::Replica => "its reads cannot be sent there",
            })
            .sql_on(
                primary_address(facts),
                format!("ALTER USER '{user}'@'%' IDENTIFIED BY '<the configured password>'"),
            )
            .advice("or mend its password_file; an account that requires TLS cannot be used in this version"),
        );
    }
    match count {
        0 => Vec::new(),
        _ => or_ok(
            findings,
            "every configured account can log in on every server",
        ),
    }
}

fn all_logins(facts: &Facts) -> impl Iterator<Item = (&Server, &Seen, &Login)> {
    facts
        .seen()
        .flat_map(|(server, seen)| seen.logins.iter().map(move |login| (server, seen, login)))
}

/// The accounts that could log in.
fn logged_in(facts: &Facts) -> impl Iterator<Item = (&Server, &Login, &LoginSeen)> {
    all_logins(facts)
        .filter_map(|(server, _, login)| Some((server, login, login.seen.as_ref().ok()?)))
}

/// Does every account use a plugin that Highwater has?
pub(super) fn plugins(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for (server, _, seen) in logged_in(facts) {
        let Some(plugin) = seen.plugin.as_deref() else {
            continue;
        };
        if !names.contains(&plugin) {
            names.push(plugin);
        }
        if !PLUGINS.contains(&plugin) {
            findings.push(
                Finding::warning(format!("account {} uses {plugin}", seen.account))
                    .on(&server.address)
                    .why(format!("Highwater logs in with {}", PLUGINS.join(" and ")))
                    .sql_on(
                        primary_address(facts),
                        format!(
                            "ALTER USER {} IDENTIFIED WITH {} BY '<the configured password>'",
                            seen.account, PLUGINS[0]
                        ),
                    ),
            );
        }
        if let Some(limit) = seen.connections
            && limit < u64::try_from(facts.asked.pool_connections).unwrap_or(u64::MAX)
        {
            findings.push(
                Finding::warning(format!(
                    "account {} has MAX_USER_CONNECTIONS {limit}",
                    seen.account
                ))
                .on(&server.address)
                .why(format!(
                    "its pool wants up to {} connections",
                    facts.asked.pool_connections
                ))
                .sql_on(
                    primary_address(facts),
                    format!("ALTER USER {} WITH MAX_USER_CONNECTIONS 0", seen.account),
                )
                .configure(format!("[pool] max_connections = {limit}")),
            );
        }
    }
    match names.is_empty() {
        true => findings,
        false => or_ok(findings, format!("accounts use {}", names.join(", "))),
    }
}

/// Are the roles of every account active after its login?
pub(super) fn roles(facts: &Facts) -> Vec<Finding> {
    let is_role = |grant: &String| grant.starts_with("GRANT ") && !grant.contains(" ON ");
    let mut findings = Vec::new();
    for (server, login, seen) in logged_in(facts) {
        if !seen.role_active && seen.grants.iter().any(is_role) {
            findings.push(
                Finding::warning(format!("account {} has roles, and none is active after its login", seen.account))
                    .on(&server.address)
                    .why("pooled connections start without the roles, so statements may be refused that worked after SET ROLE")
                    .sql_on(primary_address(facts), default_role(facts, seen))
                    .advice(format!("or set activate_all_roles_on_login; {:?} is the account in [[user]]", login.user)),
            );
        }
    }
    match logged_in(facts).next() {
        Some(_) => or_ok(
            findings,
            "roles, where there are any, are active after a login",
        ),
        None => Vec::new(),
    }
}

fn default_role(facts: &Facts, seen: &LoginSeen) -> String {
    let mariadb = facts
        .primary()
        .is_some_and(|(_, it)| it.engine == Engine::MariaDb);
    match mariadb {
        true => format!("SET DEFAULT ROLE <role> FOR {}", seen.account),
        false => format!("SET DEFAULT ROLE ALL TO {}", seen.account),
    }
}

/// Is an account the same, with the same rights, on every server?
pub(super) fn same_everywhere(facts: &Facts) -> Vec<Finding> {
    let Some((_, primary)) = facts.primary() else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (server, seen) in facts.replicas() {
        for login in &seen.logins {
            let there = primary.logins.iter().find(|it| it.user == login.user);
            let (Ok(own), Some(Ok(theirs))) = (&login.seen, there.map(|it| it.seen.as_ref()))
            else {
                continue;
            };
            if own.account != theirs.account || own.grants != theirs.grants {
                findings.push(
                    Finding::warning(format!(
                        "{:?} is {} with {} grants, on the primary {} with {}{}",
                        login.user,
                        own.account,
                        own.grants.len(),
                        theirs.account,
                        theirs.grants.len(),
                        first_difference(own, theirs)
                    ))
                    .on(&server.address)
                    .why("a statement may be allowed on one server and refused on another")
                    .advice("create accounts and give rights on the primary only, from where they replicate"),
                );
            }
        }
    }
    match (facts.replicas().next(), logged_in(facts).next()) {
        (Some(_), Some(_)) => or_ok(findings, "accounts have the same rights everywhere"),
        _ => Vec::new(),
    }
}

fn first_difference(own: &LoginSeen, theirs: &LoginSeen) -> String {
    let only_here = own
        .grants
        .iter()
        .find(|grant| !theirs.grants.contains(grant));
    let only_there = theirs
        .grants
        .iter()
        .find(|grant| !own.grants.contains(grant));
    match (only_here, only_there) {
        (_, Some(grant)) => format!("; missing here: {grant}"),
        (Some(grant), None) => format!("; only here: {grant}"),
        (None, None) => String::new(),
    }
}
