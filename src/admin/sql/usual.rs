//! What clients and GUI tools ask of any server when they connect: variables, functions, lists that are
//! empty here.

use super::answer::{Answer, Head};
use super::command::Asker;
use super::session::VERSION;
use super::token::Tokens;
use super::{AdminError, filter::Filter};
use crate::admin::table::{Cell, Column, Kind, Table};

/// What the port is called where a server has a comment.
const COMMENT: &str = "Highwater admin port: SHOW HELP";

/// The one schema that there is.
pub(super) const SCHEMA: &str = "highwater";

/// Variables that drivers ask for, sorted by name.
const VARIABLES: [(&str, &str); 37] = [
    ("auto_increment_increment", "1"),
    ("autocommit", "1"),
    ("character_set_client", "utf8mb4"),
    ("character_set_connection", "utf8mb4"),
    ("character_set_database", "utf8mb4"),
    ("character_set_results", "utf8mb4"),
    ("character_set_server", "utf8mb4"),
    ("collation_connection", "utf8mb4_general_ci"),
    ("collation_database", "utf8mb4_general_ci"),
    ("collation_server", "utf8mb4_general_ci"),
    ("default_storage_engine", "none"),
    ("have_ssl", "DISABLED"),
    ("hostname", "highwater"),
    ("init_connect", ""),
    ("interactive_timeout", "28800"),
    ("license", "Apache-2.0 OR MIT"),
    ("lower_case_table_names", "1"),
    ("max_allowed_packet", "65536"),
    ("net_buffer_length", "16384"),
    ("net_write_timeout", "60"),
    ("performance_schema", "0"),
    ("port", "6032"),
    ("protocol_version", "10"),
    ("read_only", "1"),
    ("socket", ""),
    ("sql_mode", ""),
    ("sql_safe_updates", "0"),
    ("sql_select_limit", "18446744073709551615"),
    ("system_time_zone", "UTC"),
    ("time_zone", "SYSTEM"),
    ("transaction_isolation", "REPEATABLE-READ"),
    ("transaction_read_only", "0"),
    ("tx_isolation", "REPEATABLE-READ"),
    ("tx_read_only", "0"),
    ("version", VERSION),
    ("version_comment", COMMENT),
    ("wait_timeout", "28800"),
];

/// SHOW VARIABLES and its like as tables that LIKE and WHERE can be put to.
const PAIRS: Table = Table {
    name: "variables",
    about: "",
    columns: &[
        Column {
            name: "Variable_name",
            kind: Kind::Text,
            help: "",
        },
        Column {
            name: "Value",
            kind: Kind::Text,
            help: "",
        },
    ],
};

/// The value of a system variable, with any scope.
pub(super) fn variable(name: &str) -> Result<Cell, AdminError> {
    let bare = name.rsplit(['.', '@']).next().unwrap_or(name);
    let found = VARIABLES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(bare));
    found
        .map(|(_, value)| match value.parse() {
            Ok(number) => Cell::Number(number),
            Err(_) => Cell::Text((*value).to_owned()),
        })
        .ok_or_else(|| AdminError::UnknownVariable(bare.to_owned()))
}

/// The value of a function without arguments.
pub(super) fn call(name: &str, asker: Asker<'_>) -> Result<Cell, AdminError> {
    let user = || Cell::Text(format!("admin@{}", asker.peer));
    Ok(match name.to_ascii_lowercase().as_str() {
        "version" => Cell::Text(VERSION.to_owned()),
        "database" | "schema" => match asker.database {
            Some(name) => Cell::Text(String::from_utf8_lossy(name).into_owned()),
            None => Cell::Null,
        },
        "user" | "current_user" | "session_user" | "system_user" => user(),
        "connection_id" => Cell::Number(u64::from(asker.number)),
        "current_role" => Cell::Text("NONE".to_owned()),
        _ => {
            return Err(AdminError::Syntax(format!("unknown function '{name}'")));
        }
    })
}

/// Forms of SHOW that every server has, behind SHOW. `None` for any other.
pub(super) fn show(tokens: &mut Tokens<'_>) -> Option<Result<Answer, AdminError>> {
    for scope in ["full", "extended", "session", "global", "local"] {
        tokens.eat(scope);
    }
    let none = |names: &[&str]| {
        let heads = names.iter().map(|name| Head::text(name));
        Some(Ok(Answer::Rows(heads.collect(), Vec::new())))
    };
    if tokens.eat("variables") {
        let text = |value: &str| Cell::Text(value.to_owned());
        let rows = VARIABLES.iter().map(|(name, value)| {
            let value = match (*name, *value) {
                ("autocommit" | "read_only", "1") => "ON",
                (_, value) => value,
            };
            vec![text(name), text(value)]
        });
        return Some(pairs(tokens, rows.collect()));
    }
    if tokens.eat("status") {
        return Some(pairs(tokens, Vec::new()));
    }
    if tokens.eat("databases") || tokens.eat("schemas") {
        return Some(Ok(Answer::texts(["Database"], [[SCHEMA.to_owned()]])));
    }
    if tokens.eat("collation") {
        let row = ["utf8mb4_general_ci", "utf8mb4", "45", "Yes", "Yes", "1"];
        let names = [
            "Collation",
            "Charset",
            "Id",
            "Default",
            "Compiled",
            "Sortlen",
        ];
        return Some(Ok(Answer::texts(names, [row.map(str::to_owned)])));
    }
    if tokens.eat_all(&["character", "set"]) || tokens.eat("charset") {
        let row = ["utf8mb4", "UTF-8 Unicode", "utf8mb4_general_ci", "4"];
        let names = ["Charset", "Description", "Default collation", "Maxlen"];
        return Some(Ok(Answer::texts(names, [row.map(str::to_owned)])));
    }
    if tokens.eat("warnings") || tokens.eat("errors") {
        return none(&["Level", "Code", "Message"]);
    }
    if tokens.eat("engines") {
        return none(&[
            "Engine",
            "Support",
            "Comment",
            "Transactions",
            "XA",
            "Savepoints",
        ]);
    }
    if tokens.eat("plugins") {
        return none(&["Name", "Status", "Type", "Library", "License"]);
    }
    if tokens.eat("processlist") {
        return none(&[
            "Id", "User", "Host", "db", "Command", "Time", "State", "Info",
        ]);
    }
    if [
        "index",
        "indexes",
        "keys",
        "triggers",
        "events",
        "grants",
        "procedure",
        "function",
    ]
    .iter()
    .any(|what| tokens.is(what))
    {
        return none(&["Name"]);
    }
    None
}

fn pairs(tokens: &mut Tokens<'_>, rows: Vec<Vec<Cell>>) -> Result<Answer, AdminError> {
    let filter = Filter::read(tokens, &PAIRS)?;
    let rows = filter.limit(filter.select(rows));
    let heads = PAIRS.columns.iter().map(super::answer::head);
    Ok(Answer::Rows(heads.collect(), rows))
}
