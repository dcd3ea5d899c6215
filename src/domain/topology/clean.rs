//! How a connection is made clean for who gets it.

/// How a connection gets the server's global values for its variables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clean {
    /// By COM_RESET_CONNECTION, also a new one: its login's charset is not the global one, and the server's
    /// `init_connect` may have set others.
    #[default]
    Reset,
    /// A new one by its charsets, a used one by a reset: that takes something away.
    Sparing,
    /// A used one by a login in its stead: a reset would take away what sessions need.
    Login,
}

impl Clean {
    /// What a server's global variables ask for.
    ///
    /// Servers that do foreign keys in the SQL layer (MySQL 9.7) have InnoDB do the cascades of a session that was
    /// reset: triggers of the child tables do not fire there, whatever `enable_cascade_triggers` says, and no SET
    /// brings it back (tried on 9.7.4).
    pub fn of<'v>(global: impl Fn(&str) -> Option<&'v str>) -> Self {
        let spares = global("innodb_native_foreign_keys") == Some("OFF")
            && global("init_connect").is_none_or(str::is_empty);
        match spares {
            false => Self::Reset,
            true if global("enable_cascade_triggers") == Some("ON") => Self::Login,
            true => Self::Sparing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reset_would_take_away_decides() {
        let cases: [(&[(&str, &str)], Clean); 5] = [
            (&[("init_connect", "")], Clean::Reset),
            (&[("innodb_native_foreign_keys", "ON")], Clean::Reset),
            (&[("innodb_native_foreign_keys", "OFF")], Clean::Sparing),
            (
                &[
                    ("innodb_native_foreign_keys", "OFF"),
                    ("enable_cascade_triggers", "ON"),
                ],
                Clean::Login,
            ),
            (
                &[
                    ("innodb_native_foreign_keys", "OFF"),
                    ("init_connect", "SET @a = 1"),
                ],
                Clean::Reset,
            ),
        ];
        for (variables, expected) in cases {
            let global = |wanted: &str| {
                let found = variables.iter().find(|(name, _)| *name == wanted);
                found.map(|(_, value)| *value)
            };
            assert_eq!(Clean::of(global), expected, "{variables:?}");
        }
    }
}
