//! Statements as data: each is run straight at the primary and through the proxy, the answers must
//! be equal, and the proxy must have sent it where the script says.

use std::collections::BTreeMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};

use super::Setup;
use super::stage::stage;

/// What one statement was answered, as far as a client can see it.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    pub sets: Vec<Set>,
    /// The error that ended it.
    pub error: Option<u16>,
}

/// One of the results of a statement.
#[derive(Debug, PartialEq)]
pub struct Set {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
    affected: u64,
    last_insert_id: Option<u64>,
    warnings: u16,
}

/// Where a statement went, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Went {
    pub access: String,
    pub target: String,
    pub reason: String,
}

/// Runs a script in a schema of its own. Each line is a place and a statement: `p` primary, `r`
/// replica, `o` Highwater itself, `-` wherever; optionally with a reason (`p:table_locks`). A line
/// `new` goes on with a new session.
pub async fn check(name: &str, script: &str) {
    let stage = stage().await;
    let steps: Vec<(&str, &str)> = script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .collect();
    let reference = format!("{name}_d");
    let schema = format!("{name}_p");
    stage.schema(&reference).await;
    stage.schema(&schema).await;

    let mut direct = stage.direct(&reference).await;
    let mut expected = Vec::new();
    for (place, sql) in &steps {
        if *place == "new" {
            direct.disconnect().await.unwrap();
            direct = stage.direct(&reference).await;
        }
        // As `observed` does: what a ping leaves behind is part of the session, too.
        direct.ping().await.unwrap();
        expected.push(answer(&mut direct, sql).await);
    }
    direct.disconnect().await.unwrap();

    let mut client = stage.client(&schema).await;
    let mut wrong = Vec::new();
    for ((place, sql), expected) in steps.iter().zip(&expected) {
        if *place == "new" {
            client.disconnect().await.unwrap();
            // At `session` a new one need not see what the one before it wrote.
            stage.setup.cluster.wait_all_caught_up().await.unwrap();
            client = stage.client(&schema).await;
            continue;
        }
        let (got, went) = observed(stage.setup, &mut client, sql).await;
        let told = format!("{got:?}").replace(&schema, &reference);
        if told != format!("{expected:?}") {
            wrong.push(format!(
                "{sql}\n  expected {expected:?}\n  got      {got:?}"
            ));
        }
        if !is_at(&went, place) {
            wrong.push(format!("{sql}\n  expected at {place}, went {went:?}"));
        }
    }
    client.disconnect().await.unwrap();
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

fn is_at(went: &[Went], place: &str) -> bool {
    if place == "-" {
        return true;
    }
    let (target, reason) = place.split_once(':').unwrap_or((place, ""));
    let [went] = went else { return false };
    let target = match target {
        "p" => "primary",
        "r" => "replica",
        "o" => "proxy",
        _ => panic!("no such place: {place}"),
    };
    went.target == target && (reason.is_empty() || went.reason == reason)
}

/// Runs one statement to the end of its last result.
pub async fn answer(conn: &mut Conn, sql: &str) -> Answer {
    let mut answer = Answer::default();
    if sql.is_empty() {
        return answer;
    }
    match results(conn, sql, &mut answer.sets).await {
        Ok(()) => {}
        Err(mysql_async::Error::Server(error)) => answer.error = Some(error.code),
        Err(error) => panic!("{sql}: {error}"),
    }
    answer
}

async fn results(conn: &mut Conn, sql: &str, sets: &mut Vec<Set>) -> mysql_async::Result<()> {
    let mut result = conn.query_iter(sql).await?;
    loop {
        let columns = result.columns_ref().iter();
        let columns = columns
            .map(|column| column.name_str().into_owned())
            .collect();
        let rows: Vec<mysql_async::Row> = result.collect().await?;
        let cell = |value: Value| match value {
            Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            other => format!("{other:?}"),
        };
        sets.push(Set {
            columns,
            rows: rows
                .into_iter()
                .map(|row| row.unwrap().into_iter().map(cell).collect())
                .collect(),
            affected: result.affected_rows(),
            last_insert_id: result.last_insert_id(),
            warnings: result.warnings(),
        });
        if result.is_empty() {
            // An error of a later statement still waits here.
            return result.drop_result().await;
        }
    }
}

/// Runs one statement and tells where it went. Nobody else may use the proxy meanwhile.
pub async fn observed(setup: &Setup, conn: &mut Conn, sql: &str) -> (Answer, Vec<Went>) {
    let before = settled(setup, conn).await;
    let answer = answer(conn, sql).await;
    let after = settled(setup, conn).await;
    let more = |(went, count): (Went, u64)| {
        let added = count - before.get(&went).copied().unwrap_or_default();
        std::iter::repeat_n(went, usize::try_from(added).unwrap())
    };
    (answer, after.clone().into_iter().flat_map(more).collect())
}

/// The counters once this session's last statement is in them: a session counts a statement before
/// it reads the next command.
async fn settled(setup: &Setup, conn: &mut Conn) -> BTreeMap<Went, u64> {
    conn.ping().await.unwrap();
    counters(setup)
}

/// Statements answered so far, by where and why.
pub fn counters(setup: &Setup) -> BTreeMap<Went, u64> {
    let text = setup.proxy.metrics().render().unwrap();
    let line = |line: &str| {
        let rest = line.strip_prefix("highwater_statements_total{")?;
        let (labels, count) = rest.split_once("} ")?;
        let label = |name: &str| {
            let start = labels.split_once(&format!("{name}=\""))?.1;
            Some(start.split_once('"')?.0.to_owned())
        };
        let went = Went {
            access: label("access")?,
            target: label("target")?,
            reason: label("reason")?,
        };
        Some((went, count.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}
