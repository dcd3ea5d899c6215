//! The manual of the admin port, made from its tables and commands: `docs/admin.md` is this text.

use std::fmt::Write as _;

use super::sql::COMMANDS;
use super::tables::TABLES;

const START: &str = "# The admin port

Any MySQL client reaches it, by default at 127.0.0.1:6032, as the user `admin`:

`mysql -h 127.0.0.1 -P 6032 -u admin`

On a loopback address it needs no password unless `[admin] password_file` names one; on any other address
`password_file` is required. `SHOW HELP` lists what follows, and `DESCRIBE table` its columns. This file is made from
the tables themselves; a test holds it true.

## Commands

| command | what it does |
|---|---|
";

const SWITCHES: &str = "
`OFFLOAD` and `DRAIN BACKEND` hold until they are undone or the process ends. Which sessions
are among the n percent follows from their ids, so a session keeps to its side for as long as n stays; whoever is among
10 percent is among 50. A READ ONLY transaction that is open on a replica goes on there to its end.

## Tables
";

/// The manual, as Markdown.
pub fn manual() -> String {
    let mut text = START.to_owned();
    for (command, does) in COMMANDS {
        let command = command.replace('|', "\\|");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{command}` | {does} |");
    }
    text.push_str(SWITCHES);
    for table in TABLES {
        let (name, about) = (table.name, table.about);
        let _ = write!(
            text,
            "\n### {name}\n\n{about}\n\n| column | type | what it tells |\n|---|---|---|\n"
        );
        for column in table.columns {
            let (name, kind, help) = (column.name, column.kind.name(), column.help);
            let _ = writeln!(text, "| `{name}` | {kind} | {help} |");
        }
    }
    text
}
