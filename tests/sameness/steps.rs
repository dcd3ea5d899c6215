//! What a session does, step by step, made from a seed.

use std::fmt;

use super::chance::Chance;
use super::words::{CHARSETS, CONSTANTS, KINDS, MODES, PREPARED, VARIABLES};

/// Statements that a session has prepared at a time, by the binary protocol.
const SLOTS: usize = 3;

/// What stands between statements that must follow each other.
const BETWEEN: &str = ";; ";

/// A parameter's value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Int(i64),
    Text(&'static str),
    Null,
}

/// One command.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Query(String),
    /// Several of them, one after the other.
    Script(Vec<String>),
    /// Several of them in one packet.
    Packet(Vec<String>),
    Prepare(usize, String),
    /// With the types sent along or not, and with a cursor or not.
    Execute {
        slot: usize,
        values: Vec<Value>,
        cursor: bool,
    },
    Fetch(usize),
    StatementReset(usize),
    Close(usize),
    LongData(usize, &'static str),
    InitDb(&'static str),
    SetOption(bool),
    Ping,
    Reset,
    ChangeUser(&'static str),
    /// The client leaves, and comes again.
    Again,
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(sql) => out.write_str(sql),
            Self::Script(all) => out.write_str(&all.join(BETWEEN)),
            Self::Packet(all) => out.write_str(&all.join("; ")),
            other => write!(out, "{other:?}"),
        }
    }
}

impl Step {
    /// A packet without one of its statements, for each of them.
    pub(crate) fn shorter(&self) -> Vec<Self> {
        let Self::Packet(all) = self else {
            return Vec::new();
        };
        let without = |at: usize| {
            let mut fewer = all.clone();
            fewer.remove(at);
            Self::Packet(fewer)
        };
        let some = if all.len() > 1 { all.len() } else { 0 };
        (0..some).map(without).collect()
    }
}

/// A step of one of the sessions.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) session: usize,
    pub(crate) step: Step,
}

/// The steps of so many sessions, in their order. `stays` says that a session has one connection for all of them.
pub(crate) fn moves(seed: u64, sessions: usize, count: usize, stays: bool) -> Vec<Move> {
    let mut chance = Chance::new(seed);
    let one = |_| {
        let session = chance.below(sessions);
        let mut step = step(&mut chance);
        if let (Step::Prepare(_, sql), false) = (&mut step, stays) {
            *sql = typed(sql);
        }
        Move { session, step }
    };
    let all = (0..count).map(one).collect();
    without_known_limits(all, sessions)
}

/// A server keeps the types that user variables had at the PREPARE.
fn typed(sql: &str) -> String {
    match sql {
        "SELECT @a, @b, @c, @d" => ["@a", "@b", "@c", "@d"]
            .map(|name| format!("CAST({name} AS CHAR(9))"))
            .join(", ")
            .replacen("CAST", "SELECT CAST", 1),
        sql => sql.to_owned(),
    }
}

/// A READ ONLY transaction runs on a replica, and what it leaves behind is gone with it: README says so, hence
/// none of them leaves anything. And statements that are prepared keep clear of what docs/compatibility.md says of
/// MySQL's own.
fn without_known_limits(all: Vec<Move>, sessions: usize) -> Vec<Move> {
    let mut read_only = vec![ReadOnly::default(); sessions];
    let mut prepared = vec![Prepared::default(); sessions];
    let stays = |it: &Move| {
        let text = it.step.to_string();
        let read_only = &mut read_only[it.session];
        read_only.take(&it.step, &text);
        let leaves = read_only.may_be() && leaves_something(&it.step, &text);
        !leaves && prepared[it.session].stays(&it.step)
    };
    all.into_iter().filter(stays).collect()
}

/// What has a server prepare statements about tables again.
const REDEFINES: [&str; 6] = [
    "ALTER TABLE",
    "RENAME TABLE",
    "TRUNCATE",
    "CREATE INDEX",
    "FLUSH TABLES",
    "TEMPORARY",
];

/// What a session has prepared, by slot.
#[derive(Clone, Default)]
struct Prepared([Bound; SLOTS]);

/// The parameters of one statement.
#[derive(Clone, Copy, Default)]
struct Bound {
    /// How many there are.
    params: usize,
    /// Which were numbers once.
    numbers: [bool; 2],
    /// Whether it shows rows, and may have done so by a cursor.
    rows: bool,
    by_cursor: bool,
    /// Whether it names tables that were defined anew since, and whether anything may have been set since.
    redefined: bool,
    set: bool,
    /// Whether it sets something itself.
    sets: bool,
}

impl Prepared {
    /// Takes a step in; `false` for one that MySQL itself answers by what ran before on its connection.
    fn stays(&mut self, step: &Step) -> bool {
        let text = step.to_string();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let sets = matches!(step, Step::Execute { slot, .. } if self.0[*slot].sets);
        for bound in &mut self.0 {
            bound.redefined |= has(&REDEFINES);
            bound.set |= sets || has(&["SET", "CALL", "EXECUTE"]);
        }
        match step {
            Step::Prepare(slot, sql) => {
                self.0[*slot] = Bound {
                    params: sql.matches('?').count(),
                    rows: sql.starts_with("SELECT"),
                    sets: sql.starts_with("SET") || sql.starts_with("CALL"),
                    ..Bound::default()
                };
            }
            // Parts of a parameter that is not there.
            Step::LongData(slot, _) => return self.0[*slot].params > 0,
            Step::Execute {
                slot,
                values,
                cursor,
            } => {
                let Bound {
                    params,
                    numbers,
                    rows,
                    by_cursor,
                    redefined,
                    set,
                    ..
                } = &mut self.0[*slot];
                let texts = values.iter().take(*params);
                let texts = texts.filter(|value| matches!(value, Value::Text(_)));
                if *redefined && (*set || texts.count() > 0) {
                    // It is prepared again, under what is set and by the types that are bound now.
                    return false;
                }
                *by_cursor |= *rows && *cursor;
                if *by_cursor && !*cursor {
                    // It sends columns, and nothing ever after.
                    return false;
                }
                for (value, number) in values.iter().take(*params).zip(numbers) {
                    match value {
                        Value::Int(_) => *number = true,
                        // It is taken for a number then.
                        Value::Text(_) | Value::Null if *number => return false,
                        Value::Text(_) | Value::Null => {}
                    }
                }
            }
            _ => {}
        }
        true
    }
}

/// Whether a session may be in a READ ONLY transaction.
#[derive(Clone, Default)]
struct ReadOnly {
    session: bool,
    transaction: bool,
}

impl ReadOnly {
    fn may_be(&self) -> bool {
        self.session || self.transaction
    }

    fn take(&mut self, step: &Step, text: &str) {
        match step {
            Step::Reset | Step::ChangeUser(_) | Step::Again => *self = Self::default(),
            // For one transaction, on the primary.
            Step::Query(sql) if sql == "SET TRANSACTION READ ONLY" => {}
            _ if text.contains("START TRANSACTION READ ONLY") => self.transaction = true,
            _ if text.contains("READ ONLY") || text.contains("read_only =") => self.session = true,
            Step::Query(sql) if sql == "SET SESSION TRANSACTION READ WRITE" => self.session = false,
            Step::Query(sql) if sql == "COMMIT" || sql == "ROLLBACK" => self.transaction = false,
            _ => {}
        }
    }
}

fn leaves_something(step: &Step, text: &str) -> bool {
    let packet = matches!(step, Step::Packet(_));
    let leaves = [
        ":=",
        "INTO @",
        "DIAGNOSTICS",
        "CALL",
        "g()",
        "PREPARE",
        "EXECUTE",
        "SET @",
        "HANDLER",
        "TEMPORARY",
        "LOCK",
    ];
    let settings = [
        "timestamp =",
        "rand_seed",
        "insert_id =",
        "sql_auto_is_null =",
    ];
    let sets = text.starts_with("SET") && settings.iter().any(|name| text.contains(name));
    sets || packet || leaves.iter().any(|word| text.contains(word))
}

fn step(chance: &mut Chance) -> Step {
    let slot = chance.below(SLOTS);
    match chance.below(200) {
        0..140 => {
            let text = statement(chance);
            match text.contains(BETWEEN) {
                true => Step::Script(text.split(BETWEEN).map(str::to_owned).collect()),
                false => Step::Query(text),
            }
        }
        140..145 => {
            let some = 2 + chance.below(2);
            let all: Vec<String> = (0..some).map(|_| statement(chance)).collect();
            let each = all.iter().flat_map(|text| text.split(BETWEEN));
            // Behind one that leaves it alone, FOUND_ROWS() is that of a connection: documented.
            let told = |(at, text): &(usize, &str)| *at == 0 || !text.contains("FOUND_ROWS()");
            let each = each.enumerate().filter(told);
            Step::Packet(each.map(|(_, text)| text.to_owned()).collect())
        }
        145..160 => Step::Prepare(slot, {
            let text = chance.of(&PREPARED).0;
            filled(text, chance)
        }),
        160..180 => Step::Execute {
            slot,
            values: (0..2).map(|_| value(chance)).collect(),
            cursor: chance.one_in(8),
        },
        180 | 181 => Step::Fetch(slot),
        182 => Step::StatementReset(slot),
        183..186 => Step::Close(slot),
        186 => Step::LongData(slot, "12"),
        187..190 => Step::InitDb(chance.of(&["{A}", "{B}", "nosuch"])),
        190 => Step::SetOption(chance.one_in(2)),
        191 | 192 => Step::Ping,
        193..195 => Step::Reset,
        195 | 196 => Step::ChangeUser(chance.of(&["{A}", "{B}", ""])),
        197 => Step::Again,
        _ => Step::Query("ROLLBACK".to_owned()),
    }
}

fn value(chance: &mut Chance) -> Value {
    match chance.below(4) {
        0 => Value::Null,
        1 => Value::Text(chance.of(&["x", "2", "ANSI", ""])),
        _ => Value::Int(i64::try_from(chance.below(12)).unwrap()),
    }
}

fn statement(chance: &mut Chance) -> String {
    let total: u32 = KINDS.iter().map(|kind| kind.weight).sum();
    let mut at = u32::try_from(chance.below(total as usize)).unwrap();
    for kind in &KINDS {
        if at < kind.weight {
            return {
                let text = chance.of(kind.texts);
                filled(text, chance)
            };
        }
        at -= kind.weight;
    }
    unreachable!("below the total")
}

/// Puts something in each place of a text but the schemas, which are known only when it runs.
fn filled(text: &str, chance: &mut Chance) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (place, behind) = after.split_once('}').unwrap();
        out.push_str(before);
        out.push_str(&choice(place, chance));
        rest = behind;
    }
    out + rest
}

fn choice(place: &str, chance: &mut Chance) -> String {
    let of = |chance: &mut Chance, choices: &[&str]| chance.of(choices).to_owned();
    match place {
        "int" => chance.below(10).to_string(),
        "var" => of(chance, &["@a", "@b", "@c", "@d"]),
        "const" => of(chance, &CONSTANTS),
        "sys" => {
            let name = chance.of(&VARIABLES).0;
            // The time of day is never the same twice.
            let told = if name == "timestamp" {
                "sql_mode"
            } else {
                name
            };
            told.to_owned()
        }
        "sys=" => {
            let (name, values) = chance.of(&VARIABLES);
            let value = chance.of(values);
            format!("{name} = {}", filled(value, chance))
        }
        "tmp" => of(chance, &["x", "x", "y", "t"]),
        "sp" => of(chance, &["a", "b"]),
        "ps" => of(chance, &["s", "q"]),
        "lock" => of(chance, &["{A}_1", "{A}_2"]),
        "mode" => of(chance, &MODES),
        "charset" => of(chance, &CHARSETS),
        schema => format!("{{{schema}}}"),
    }
}
