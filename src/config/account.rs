//! Reads accounts: a name, and where its password is. A password itself is never in the file.

use std::time::Duration;

use super::levels;
use super::reader::Section;
use super::secret::{Account, Secret, SecretSource, UserConsistency, read_file};

const PLAIN: &str = "a password must not stand in the configuration: name a file that holds it with \
                     password_file, or an environment variable with password_env";

const PLAIN_FILE: &str =
    "a password must not stand in the configuration: name a file that holds it with password_file";

/// Reads the account whose name is under `name_key`.
pub(super) fn account(section: &mut Section<'_, '_>, name_key: &'static str) -> Option<Account> {
    let name = section.required(name_key, "a user name", |text| match text {
        "" => Err("expected a user name; found nothing".to_owned()),
        _ => Ok(text.to_owned()),
    });
    let (password, source) = password(section)?;
    Some(Account {
        name: name?,
        password,
        source,
        consistency: UserConsistency::default(),
    })
}

/// Reads a `[[user]]`: an account that may log in, and what its sessions start with.
pub(super) fn user(section: &mut Section<'_, '_>) -> Option<Account> {
    let account = account(section, "name");
    let consistency = UserConsistency {
        level: section.text("consistency", levels::level),
        catch_up_timeout: section.optional_duration("catch_up_timeout", Duration::ZERO),
        max_staleness: section.optional_duration("max_staleness", Duration::ZERO),
        on_timeout: section.text("on_timeout", levels::on_timeout),
        transaction_reads: section.text("transaction_reads", levels::transaction_reads),
        group: section.text("group", |name| match name {
            "" => Err("expected a name; found nothing".to_owned()),
            _ => Ok(name.to_owned()),
        }),
    };
    Some(Account {
        consistency,
        ..account?
    })
}

/// Reads the password of an account whose name is given, from a file, if one is named.
pub(super) fn password_of(section: &mut Section<'_, '_>, name: &str) -> Option<Account> {
    section.refuse("password", PLAIN_FILE);
    let (password, source) = section.path("password_file", |path| {
        let password = read_file(&path)?;
        match password.is_empty() {
            true => Err(format!("{} holds no password", path.display())),
            false => Ok((password, SecretSource::File(path))),
        }
    })?;
    Some(Account {
        password,
        source,
        ..Account::new(name, "")
    })
}

fn password(section: &mut Section<'_, '_>) -> Option<(Secret, SecretSource)> {
    let plain = section.has("password");
    section.refuse("password", PLAIN);
    match (section.has("password_file"), section.has("password_env")) {
        (true, true) => section.conflict(
            "password_env",
            "expected one of password_file and password_env; found both",
        ),
        (false, false) if !plain => section.missing(
            "password_file",
            "a file that holds the password (or, as password_env, an environment variable)",
        ),
        _ => {}
    }
    let file = section.path("password_file", |path| {
        Ok((read_file(&path)?, SecretSource::File(path)))
    });
    let variable = section.variable("password_env", |name, password| {
        (Secret::new(password), SecretSource::Environment(name))
    });
    file.or(variable)
}
