//! Urls and the password that they may leave out.

use std::path::Path;

use mysql_async::{Opts, OptsBuilder};

use crate::cli::failure::Failure;
use crate::config::Config;

/// Where the password is looked for besides urls and the file.
const VARIABLE: &str = "HIGHWATER_VERIFY_PASSWORD";

/// The password of urls that have none.
pub(super) fn password(file: Option<&Path>) -> Result<Option<String>, Failure> {
    let Some(path) = file else {
        return Ok(Config::process_environment(VARIABLE));
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::no(
            format!("cannot read {}: {error}", path.display()),
            "--password-file names a file that holds the password and nothing else",
        )
    })?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

/// What a url means to the driver. The error never repeats the url: it may hold a password.
pub(super) fn opts(url: &str, password: Option<&String>) -> Result<Opts, Failure> {
    let opts = Opts::from_url(url).map_err(|error| {
        Failure::usage(
            format!("the url cannot be used: {error}"),
            "write mysql://user@host:3306/schema, with special characters as %xx",
        )
    })?;
    let password = opts.pass().map(str::to_owned).or(password.cloned());
    Ok(OptsBuilder::from_opts(opts).pass(password).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn the_password_of_the_url_comes_first_and_no_error_shows_it() {
        let other = "other".to_owned();
        for (url, expected) in [
            ("mysql://app:secret@db:3307/shop", Some("secret")),
            ("mysql://app@db:3307/shop", Some("other")),
        ] {
            let opts = opts(url, Some(&other)).unwrap();
            assert_eq!(opts.pass(), expected, "{url}");
            assert_eq!(opts.tcp_port(), 3307);
            assert_eq!(opts.db_name(), Some("shop"));
        }
        for url in [
            "postgres://app:secret@db/x",
            "secret",
            "mysql://app:secret@db/x?nonsense=1",
        ] {
            let error = opts(url, None).unwrap_err();
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
}
