//! Built-in functions of MySQL and MariaDB, by what calling one means for routing.
//!
//! A name that the engine does not have is taken for a stored function or a loadable one, so a
//! function that only a newer server knows is a write until it is added. Names resolve to the
//! built-in before any stored function of the same name (MySQL Reference Manual, "Function Name
//! Parsing and Resolution"; MariaDB does the same). As long as the engine is unknown, only what both
//! have is a built-in.

mod lists;

use super::super::topology::Engine;
use super::mode::Dialect;

/// What a call of a function means for routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    /// The same on every server that has the data and the session's variables.
    Pure,
    /// Answers for the statement before.
    Diagnostics,
    /// Takes or frees a named lock.
    NamedLock,
    /// Its answer belongs to one server or one connection.
    Local,
    /// Changes data: the next value of a sequence.
    Writes,
    /// Not a built-in function.
    Unknown,
}

/// What the function of this name is; the name is in lower case unless it was quoted.
pub(super) fn classify(name: &[u8], dialect: Dialect) -> Function {
    let mut lower = [0u8; 40];
    let Some(lower) = lower.get_mut(..name.len()) else {
        return Function::Unknown;
    };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let lower = &*lower;
    let known = |list: &[&str]| list.binary_search_by(|n| n.as_bytes().cmp(lower)).is_ok();
    let (pure, local): (&[&str], &[&str]) = match dialect.engine {
        Some(Engine::MySql) => (&lists::PURE_MYSQL, &lists::LOCAL_MYSQL),
        Some(Engine::MariaDb) => (&lists::PURE_MARIADB, &lists::LOCAL_MARIADB),
        None => (&[], &[]),
    };
    match lower {
        b"row_count" | b"found_rows" => Function::Diagnostics,
        b"get_lock" | b"release_lock" | b"release_all_locks" => Function::NamedLock,
        b"nextval" | b"setval" if dialect.is_mariadb() => Function::Writes,
        _ if known(&lists::PURE) || known(pure) => Function::Pure,
        _ if known(&lists::LOCAL) || known(local) => Function::Local,
        _ => Function::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_apart() {
        use lists::{LOCAL, LOCAL_MARIADB, LOCAL_MYSQL, PURE, PURE_MARIADB, PURE_MYSQL};
        let lists: [&[&str]; 6] = [
            &PURE,
            &PURE_MYSQL,
            &PURE_MARIADB,
            &LOCAL,
            &LOCAL_MYSQL,
            &LOCAL_MARIADB,
        ];
        for list in lists {
            assert!(list.is_sorted(), "{list:?}");
        }
        let mut all: Vec<&str> = lists.concat();
        all.sort_unstable();
        assert!(all.windows(2).all(|two| two[0] != two[1]));
    }

    #[test]
    fn classes() {
        use Function::{Diagnostics, Local, NamedLock, Pure, Unknown, Writes};
        // In MySQL, in MariaDB, and where the engine is unknown.
        for (name, mysql, mariadb, unknown) in [
            ("count", Pure, Pure, Pure),
            ("JSON_Extract", Pure, Pure, Pure),
            ("row_count", Diagnostics, Diagnostics, Diagnostics),
            ("get_lock", NamedLock, NamedLock, NamedLock),
            ("last_insert_id", Local, Local, Local),
            ("any_value", Pure, Unknown, Unknown),
            ("sformat", Unknown, Pure, Unknown),
            ("source_pos_wait", Local, Unknown, Unknown),
            ("master_gtid_wait", Unknown, Local, Unknown),
            ("NextVal", Unknown, Writes, Unknown),
            ("my_function", Unknown, Unknown, Unknown),
            ("", Unknown, Unknown, Unknown),
            (
                "a_name_that_is_far_too_long_to_be_any_built_in",
                Unknown,
                Unknown,
                Unknown,
            ),
        ] {
            let of = |dialect| classify(name.as_bytes(), dialect);
            assert_eq!(of(Dialect::MYSQL), mysql, "{name}");
            assert_eq!(of(Dialect::MARIADB), mariadb, "{name}");
            assert_eq!(of(Dialect::default()), unknown, "{name}");
        }
    }
}
