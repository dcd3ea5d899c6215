//! The commands: read from their words, carried out on the house.

use super::AdminError;
use super::answer::{Answer, Head, head};
use super::filter::Filter;
use super::token::{LONGEST, Token, Tokens};
use super::usual::{self, SCHEMA};
use crate::admin::house::{self, House};
use crate::admin::table::{Cell, Kind, Row, Table};
use crate::admin::tables::{RouteRow, TABLES};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    /// Its connection id.
    pub(super) number: u32,
    /// Its address.
    pub(super) peer: &'a str,
    /// The schema that it named.
    pub(super) database: Option<&'a [u8]>,
}

/// Commands besides SHOW of each table, and what they do.
pub(in crate::admin) const COMMANDS: [(&str, &str); 14] = [
    (
        "SHOW table [LIKE 'pattern'] [WHERE …] [ORDER BY …] [LIMIT n]",
        "one of the tables; LIKE looks into every column of text",
    ),
    (
        "SELECT columns | * | COUNT(*) FROM table [WHERE …] [ORDER BY …] [LIMIT n]",
        "the same for some columns; conditions know AND, OR, NOT, comparisons, LIKE, IN, BETWEEN, IS NULL",
    ),
    (
        "SHOW TABLES; DESCRIBE table",
        "the tables; the columns of one and what they tell",
    ),
    (
        "SHOW ROUTE LAST n FOR SESSION id",
        "where the last n statements of a session went, and why",
    ),
    (
        "EXPLAIN ROUTE statement",
        "where a statement would go now, sent by a client that has just logged in, and why; hints in it count",
    ),
    (
        "OFFLOAD OFF | ON | n%",
        "sends all reads to the primary, or lets the reads of all or of n percent of the sessions go to replicas again",
    ),
    (
        "DRAIN BACKEND address",
        "gives a replica no new reads; transactions that are open there end first",
    ),
    ("ONLINE BACKEND address", "gives it reads again"),
    (
        "RELOAD",
        "reads the configuration again and puts it in force without ending a session; says what changed, \
         and what needs a restart",
    ),
    (
        "SHUTDOWN",
        "takes no new clients, lets open transactions end, and ends the process",
    ),
    ("SHOW HELP", "this"),
    (
        "SHOW HIGHWATER ROUTE (on the application port)",
        "where the asker's own last statements went, and why",
    ),
    (
        "SET @@highwater_trace = 1 (on the application port)",
        "adds the same to each statement of that session as a note, for SHOW WARNINGS",
    ),
    (
        "SHOW VARIABLES, DATABASES, COLLATION …; SET, USE, BEGIN, COMMIT …",
        "what drivers send when they connect is answered, and means nothing here",
    ),
];

/// Carries out a command.
pub(super) async fn run(
    house: &dyn House,
    asker: Asker<'_>,
    text: &str,
) -> Result<Answer, AdminError> {
    if text.len() > LONGEST {
        let most = format!("a command may have {LONGEST} bytes");
        return Err(AdminError::Syntax(most));
    }
    if let Some(sql) = explained(text) {
        return lines(house.explain(sql.as_bytes()).await);
    }
    let mut tokens = Tokens::read(text)?;
    let verb = match tokens.next() {
        None => return Ok(Answer::ok()),
        Some(Token::Word(verb, false)) => verb.to_ascii_lowercase(),
        Some(_) => return Err(AdminError::near(text.trim_start())),
    };
    match verb.as_str() {
        "show" => show(house, &mut tokens),
        "select" => select(house, asker, &mut tokens),
        "help" => help(&mut tokens),
        "describe" | "desc" | "explain" => describe(&mut tokens),
        "offload" => offload(house, &mut tokens),
        "drain" | "online" => drain(house, &mut tokens, verb == "drain"),
        "reload" => {
            tokens.end()?;
            let changes = house.reload().await.map_err(AdminError::Refused)?;
            let rows = changes.into_iter().map(|(key, change)| [key, change]);
            Ok(Answer::texts(["key", "change"], rows))
        }
        "shutdown" => {
            tokens.end()?;
            house.shut_down();
            Ok(Answer::Done("shutting down".to_owned()))
        }
        "set" | "use" | "begin" | "start" | "commit" | "rollback" => Ok(Answer::ok()),
        _ => Err(AdminError::UnknownCommand(shorten(&verb.to_uppercase()))),
    }
}

/// The statement behind EXPLAIN ROUTE, which is no command and is not read as one.
fn explained(text: &str) -> Option<&str> {
    let behind = |text: &'_ str, word: &str| -> Option<usize> {
        let start = text.len() - text.trim_start().len();
        let end = start + word.len();
        let same = text.get(start..end)?.eq_ignore_ascii_case(word);
        let next = text.get(end..)?.chars().next().unwrap_or(' ');
        (same && !next.is_alphanumeric() && next != '_').then_some(end)
    };
    let text = text.get(behind(text, "explain")?..)?;
    let sql = text.get(behind(text, "route")?..)?;
    Some(sql.trim().trim_end_matches(';'))
}

/// An answer of pairs, or a sentence that says why there is none.
fn lines(found: Result<Vec<(String, String)>, String>) -> Result<Answer, AdminError> {
    let rows = found.map_err(AdminError::Refused)?;
    let rows = rows.into_iter().map(|(what, found)| [what, found]);
    Ok(Answer::texts(["what", "found"], rows))
}

fn show(house: &dyn House, tokens: &mut Tokens<'_>) -> Result<Answer, AdminError> {
    if tokens.eat("help") {
        return help(tokens);
    }
    if tokens.eat_all(&["route", "last"]) {
        return routes(house, tokens);
    }
    let full = tokens.clone();
    tokens.eat("full");
    if tokens.eat("tables") {
        let rows = TABLES
            .iter()
            .map(|table| [table.name.to_owned(), table.about.to_owned()]);
        let name = format!("Tables_in_{SCHEMA}");
        return Ok(Answer::texts([name.as_str(), "About"], rows));
    }
    if tokens.eat("columns") || tokens.eat("fields") {
        if !(tokens.eat("from") || tokens.eat("in")) {
            return Err(tokens.expected("FROM"));
        }
        return describe(tokens);
    }
    *tokens = full;
    // First, since SHOW SESSION VARIABLES is not about sessions.
    if let Some(answer) = usual::show(&mut tokens.clone()) {
        return answer;
    }
    if let Some(Token::Word(name, _)) = tokens.peek()
        && let Some(table) = house::table(name)
    {
        tokens.next();
        let filter = Filter::read(tokens, table)?;
        let rows = filter.limit(filter.select(house::rows(house, table)));
        return Ok(Answer::Rows(heads(table), rows));
    }
    let words = format!("SHOW {}", tokens.rest().to_uppercase());
    Err(AdminError::UnknownCommand(shorten(words.trim())))
}

fn heads(table: &Table) -> Vec<Head> {
    table.columns.iter().map(head).collect()
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Behind SHOW ROUTE LAST.
fn routes(house: &dyn House, tokens: &mut Tokens<'_>) -> Result<Answer, AdminError> {
    let last = tokens.number("how many statements")?;
    if !tokens.eat_all(&["for", "session"]) {
        return Err(tokens.expected("FOR SESSION id"));
    }
    let session = tokens.number("the id of a session")?;
    tokens.end()?;
    if !house.has_session(session) {
        let text = format!("no session has the id {session}; SHOW SESSIONS lists them");
        return Err(AdminError::Refused(text));
    }
    let table = RouteRow::TABLE;
    let rows = house.routes(Some(session)).into_iter();
    let rows = rows.take(usize::try_from(last).unwrap_or(usize::MAX));
    let rows = rows.map(Row::cells).collect();
    Ok(Answer::Rows(heads(&table), rows))
}

fn help(tokens: &mut Tokens<'_>) -> Result<Answer, AdminError> {
    let pattern = match tokens.eat("like") {
        true => tokens.string("a pattern in quotes")?,
        false => "%".to_owned(),
    };
    tokens.end()?;
    let owned = |command: &str, does: &str| [command.to_owned(), does.to_owned()];
    let tables = TABLES
        .iter()
        .map(|table| owned(&format!("SHOW {}", table.name.to_uppercase()), table.about));
    let commands = COMMANDS.iter().map(|(command, does)| owned(command, does));
    let found = |row: &[String; 2]| {
        let like = |text: &String| crate::domain::sql::like(pattern.as_bytes(), text.as_bytes());
        row.iter().any(like)
    };
    let rows = tables.chain(commands).filter(found);
    Ok(Answer::texts(["command", "does"], rows))
}

/// A table's columns. MySQL's own columns come first, as tools expect them.
fn describe(tokens: &mut Tokens<'_>) -> Result<Answer, AdminError> {
    let table = table(tokens)?;
    let rows = table.columns.iter().map(|column| {
        let texts = [
            column.name,
            column.kind.name(),
            "YES",
            "",
            "",
            "",
            column.help,
        ];
        texts.map(str::to_owned)
    });
    let names = [
        "Field", "Type", "Null", "Key", "Default", "Extra", "Comment",
    ];
    Ok(Answer::texts(names, rows))
}

/// A table by its name, with or without that of the schema.
fn table(tokens: &mut Tokens<'_>) -> Result<&'static Table, AdminError> {
    let mut name = tokens.name("the name of a table")?;
    if tokens.sign(".") {
        let table = tokens.name("the name of a table")?;
        name = match name.eq_ignore_ascii_case(SCHEMA) {
            true => table,
            false => format!("{name}.{table}"),
        };
    }
    house::table(&name).ok_or(AdminError::UnknownTable(name))
}

/// What a SELECT asks for.
enum Item {
    All,
    Count,
    /// A column or a variable.
    Name(String),
    Call(String),
    Value(Cell),
}

fn select(
    house: &dyn House,
    asker: Asker<'_>,
    tokens: &mut Tokens<'_>,
) -> Result<Answer, AdminError> {
    let mut items = Vec::new();
    loop {
        items.push(item(tokens)?);
        if !tokens.sign(",") {
            break;
        }
    }
    if !tokens.eat("from") || tokens.eat("dual") {
        let values = items.iter().map(|(item, _)| value(item, asker));
        let row = values.collect::<Result<Vec<_>, _>>()?;
        let heads = items.iter().zip(&row).map(|((_, label), cell)| Head {
            name: label.clone(),
            kind: match cell {
                Cell::Number(_) => Kind::Number,
                Cell::Decimal(_) => Kind::Decimal,
                Cell::Null | Cell::Text(_) => Kind::Text,
            },
        });
        let heads = heads.collect();
        // LIMIT 1, as some clients say to be sure.
        tokens.eat("limit");
        if !tokens.at_end() {
            tokens.number("the end of the command")?;
        }
        tokens.end()?;
        return Ok(Answer::Rows(heads, vec![row]));
    }
    let table = table(tokens)?;
    tokens.eat("as");
    if !["like", "where", "order", "limit"]
        .iter()
        .any(|word| tokens.is(word))
        && !tokens.at_end()
    {
        tokens.name("the end of the command")?;
    }
    let filter = Filter::read(tokens, table)?;
    let rows = filter.select(house::rows(house, table));
    if let [(Item::Count, label)] = items.as_slice() {
        let head = Head {
            name: label.clone(),
            kind: Kind::Number,
        };
        let count = Cell::Number(rows.len() as u64);
        return Ok(Answer::Rows(vec![head], filter.limit(vec![vec![count]])));
    }
    let (heads, places) = columns(&items, table)?;
    let rows = filter.limit(rows).into_iter().map(|row| {
        let cell = |place: &usize| row.get(*place).cloned().unwrap_or(Cell::Null);
        places.iter().map(cell).collect()
    });
    Ok(Answer::Rows(heads, rows.collect()))
}

fn item(tokens: &mut Tokens<'_>) -> Result<(Item, String), AdminError> {
    if tokens.sign("*") {
        return Ok((Item::All, "*".to_owned()));
    }
    let (item, label) = match tokens.next() {
        Some(Token::Word(name, _)) if tokens.sign("(") => {
            let count = name.eq_ignore_ascii_case("count") && tokens.sign("*");
            if !tokens.sign(")") {
                return Err(tokens.expected("')'"));
            }
            match count {
                true => (Item::Count, format!("{name}(*)")),
                false => (Item::Call(name.clone()), format!("{name}()")),
            }
        }
        Some(Token::Word(mut name, _)) => {
            if tokens.sign(".") {
                if tokens.sign("*") {
                    return Ok((Item::All, "*".to_owned()));
                }
                name = tokens.name("a column")?;
            }
            (Item::Name(name.clone()), name)
        }
        Some(Token::Text(text)) => (Item::Value(Cell::Text(text.clone())), text),
        Some(Token::Number(digits)) => {
            let number = digits.parse().map(Cell::Number);
            let value = number.or_else(|_| digits.parse().map(Cell::Decimal));
            let value = value.map_err(|_| AdminError::near(&digits))?;
            (Item::Value(value), digits)
        }
        _ => {
            return Err(AdminError::Syntax(
                "expected columns behind SELECT".to_owned(),
            ));
        }
    };
    if tokens.eat("as") {
        return Ok((item, alias(tokens)?));
    }
    let named = matches!(tokens.peek(), Some(Token::Word(..) | Token::Text(_)));
    match named && !tokens.is("from") && !tokens.is("limit") {
        true => Ok((item, alias(tokens)?)),
        false => Ok((item, label)),
    }
}

fn alias(tokens: &mut Tokens<'_>) -> Result<String, AdminError> {
    match tokens.peek() {
        Some(Token::Text(_)) => tokens.string("a name"),
        _ => tokens.name("a name"),
    }
}

/// A value that belongs to no table.
fn value(item: &Item, asker: Asker<'_>) -> Result<Cell, AdminError> {
    match item {
        Item::Value(value) => Ok(value.clone()),
        Item::Call(name) => usual::call(name, asker),
        Item::Name(name) if name.starts_with("@@") => usual::variable(name),
        Item::Name(name) if name.eq_ignore_ascii_case("null") || name.starts_with('@') => {
            Ok(Cell::Null)
        }
        Item::Name(name) => match usual::call(name, asker) {
            Ok(value) => Ok(value),
            Err(_) => Err(AdminError::Syntax(format!("'{name}' needs FROM table"))),
        },
        Item::All | Item::Count => Err(AdminError::Syntax("expected FROM table".to_owned())),
    }
}

fn columns(items: &[(Item, String)], table: &Table) -> Result<(Vec<Head>, Vec<usize>), AdminError> {
    let (mut heads_chosen, mut places) = (Vec::new(), Vec::new());
    for (item, label) in items {
        match item {
            Item::All => {
                heads_chosen.extend(heads(table));
                places.extend(0..table.columns.len());
            }
            Item::Name(name) => {
                let place = table
                    .column(name)
                    .ok_or_else(|| AdminError::unknown_column(name, table))?;
                let kind = table.columns.get(place).map_or(Kind::Text, |it| it.kind);
                heads_chosen.push(Head {
                    name: label.clone(),
                    kind,
                });
                places.push(place);
            }
            Item::Count | Item::Call(_) | Item::Value(_) => {
                return Err(AdminError::Syntax(format!(
                    "'{label}' is no column; COUNT(*) stands alone"
                )));
            }
        }
    }
    Ok((heads_chosen, places))
}

fn offload(house: &dyn House, tokens: &mut Tokens<'_>) -> Result<Answer, AdminError> {
    let percent = if tokens.eat("off") {
        0
    } else if tokens.eat("on") {
        100
    } else {
        let percent = tokens.number("OFF, ON or a number of percent")?;
        let percent = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
        tokens.sign("%");
        percent.ok_or_else(|| AdminError::Syntax("expected 0% to 100%".to_owned()))?
    };
    tokens.end()?;
    house.offload(percent);
    Ok(Answer::Done(match percent {
        0 => "all reads go to the primary".to_owned(),
        100 => "reads may go to replicas".to_owned(),
        _ => format!("the reads of {percent} percent of the sessions may go to replicas"),
    }))
}

fn drain(house: &dyn House, tokens: &mut Tokens<'_>, drain: bool) -> Result<Answer, AdminError> {
    if !tokens.eat("backend") {
        return Err(tokens.expected("BACKEND and its address"));
    }
    let backend = match tokens.peek() {
        Some(Token::Text(_)) => {
            let backend = tokens.string("an address")?;
            tokens.end()?;
            backend
        }
        Some(_) => tokens.rest().trim_end_matches(';').trim().replace('`', ""),
        None => return Err(tokens.expected("the address of a server")),
    };
    house.drain(&backend, drain).map_err(AdminError::Refused)?;
    Ok(Answer::Done(match drain {
        true => format!("{backend} gets no new reads"),
        false => format!("{backend} gets reads"),
    }))
}
