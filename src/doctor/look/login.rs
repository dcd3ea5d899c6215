//! Accounts: whether they can log in, and what they may do. No secret leaves this file.

use super::Task;
use super::line::Line;
use crate::config::Account;
use crate::doctor::facts::{Definitions, Login, LoginSeen, Refusal, Silence};
use crate::domain::topology::Role;
use crate::domain::topology::leavings::LEAVES;

/// The servers' own schemas.
const OWN_SCHEMAS: &str = "'mysql', 'information_schema', 'performance_schema', 'sys'";
/// A user variable is assigned with SET.
const SETS: &str = "(^|[^@[:alnum:]_])@[[:alnum:]_$`]+ *=";
/// So many names are asked for at the most.
const MOST: usize = 50;

/// Logs every configured account in.
pub(super) async fn all(task: &Task) -> Vec<Login> {
    let mut logins = Vec::new();
    for user in &task.users {
        let seen = match one(task, user).await {
            Ok(seen) => Ok(seen),
            Err(Silence::Refused(refusal)) => Err(refusal),
            Err(Silence::Unreachable(message)) => Err(Refusal { code: 0, message }),
        };
        logins.push(Login {
            user: user.name.clone(),
            seen,
        });
    }
    logins
}

async fn one(task: &Task, user: &Account) -> Result<LoginSeen, Silence> {
    let mut line = Line::open(&task.address, user, task.step).await?;
    let created = line.try_ask("SHOW CREATE USER CURRENT_USER()").await?;
    let created = created.unwrap_or_default();
    let created = created.text(0).unwrap_or_default();
    let role = line
        .try_ask("SELECT CURRENT_ROLE()")
        .await?
        .unwrap_or_default();
    let seen = LoginSeen {
        account: account(&mut line).await?,
        plugin: plugin(created),
        connections: limit(created),
        role_active: !matches!(role.text(0), None | Some("NONE" | "")),
        grants: grants(&mut line).await?,
        // Where this takes too long it is not known; the account can log in all the same.
        definitions: match task.role {
            Role::Primary => definitions(&mut line).await.ok(),
            Role::Replica => None,
        },
    };
    line.close().await;
    Ok(seen)
}

/// The account that a login became, quoted as in SQL.
pub(super) async fn account(line: &mut Line) -> Result<String, Silence> {
    let answer = line.ask("SELECT CURRENT_USER()").await?;
    let text = answer.text(0).unwrap_or_default();
    let (user, host) = text.rsplit_once('@').unwrap_or((text, "%"));
    let quoted = |part: &str| format!("'{}'", part.replace('\'', "''"));
    Ok(format!("{}@{}", quoted(user), quoted(host)))
}

/// What the account sees of the definitions that matter.
async fn definitions(line: &mut Line) -> Result<Definitions, Silence> {
    let keyless = format!(
        "SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables \
         WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ({OWN_SCHEMAS}) \
         AND (table_schema, table_name) NOT IN (SELECT table_schema, table_name \
         FROM information_schema.columns WHERE column_key = 'PRI') LIMIT {MOST}"
    );
    let binding = format!(
        "SELECT CONCAT('trigger ', trigger_schema, '.', trigger_name) FROM information_schema.triggers \
         WHERE trigger_schema NOT IN ({OWN_SCHEMAS}) AND LOWER(action_statement) REGEXP '{LEAVES}|{SETS}' \
         UNION ALL SELECT CONCAT('function ', routine_schema, '.', routine_name) \
         FROM information_schema.routines WHERE routine_schema NOT IN ({OWN_SCHEMAS}) \
         AND routine_type = 'FUNCTION' AND LOWER(routine_definition) REGEXP '{LEAVES}|{SETS}' LIMIT {MOST}"
    );
    Ok(Definitions {
        keyless: line.ask(&keyless).await?.firsts().map(Into::into).collect(),
        binding: line.ask(&binding).await?.firsts().map(Into::into).collect(),
    })
}

/// SHOW GRANTS, without the password hashes that MariaDB shows in it.
pub(super) async fn grants(line: &mut Line) -> Result<Vec<String>, Silence> {
    let answer = line.ask("SHOW GRANTS").await?;
    let mut grants: Vec<String> = answer.firsts().map(without_secret).collect();
    grants.sort();
    Ok(grants)
}

fn without_secret(grant: &str) -> String {
    match grant.find(" IDENTIFIED ") {
        Some(at) => grant.get(..at).unwrap_or_default().to_owned(),
        None => grant.to_owned(),
    }
}

/// The plugin that SHOW CREATE USER names. MariaDB leaves its usual one out.
fn plugin(created: &str) -> Option<String> {
    let after = |words: &str| created.split_once(words).map(|(_, rest)| rest);
    if let Some(rest) = after(" IDENTIFIED WITH ").or_else(|| after(" IDENTIFIED VIA ")) {
        let name = rest.trim_start_matches(['\'', '`']);
        let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        return Some(name.get(..end.unwrap_or(name.len()))?.to_owned());
    }
    after(" IDENTIFIED BY PASSWORD ").map(|_| "mysql_native_password".to_owned())
}

/// The account's own limit of connections.
fn limit(created: &str) -> Option<u64> {
    let (_, rest) = created.rsplit_once(" MAX_USER_CONNECTIONS ")?;
    let digits = rest.split(' ').next()?;
    digits.parse().ok().filter(|limit| *limit > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_and_limits_are_read_and_hashes_are_not() {
        let cases = [
            (
                "CREATE USER `a`@`%` IDENTIFIED WITH 'caching_sha2_password' AS '$A$005$x' REQUIRE NONE",
                Some("caching_sha2_password"),
                None,
            ),
            (
                "CREATE USER `a`@`%` IDENTIFIED BY PASSWORD '*6BC9' WITH MAX_USER_CONNECTIONS 5 ",
                Some("mysql_native_password"),
                Some(5),
            ),
            (
                "CREATE USER `a`@`%` IDENTIFIED VIA ed25519 USING 'x' OR unix_socket",
                Some("ed25519"),
                None,
            ),
            ("CREATE USER `a`@`%`", None, None),
        ];
        for (created, name, connections) in cases {
            assert_eq!(plugin(created).as_deref(), name, "{created}");
            assert_eq!(limit(created), connections, "{created}");
        }
        let grant = "GRANT PROCESS ON *.* TO `h`@`%` IDENTIFIED BY PASSWORD '*6BC9'";
        assert_eq!(without_secret(grant), "GRANT PROCESS ON *.* TO `h`@`%`");
    }
}
