//! Statements as data: where each goes, and what binds its session afterwards.

use std::collections::BTreeSet;

use highwater::domain::session::PinReason;
use mysql_async::{Conn, Opts};

use crate::support::Setup;
use crate::support::script::{answer, observed};
use crate::support::stage::{Stage, stage};

/// What each thread of a MySQL server ran last: what it runs or ran just now, and what it ended before.
pub(crate) const STATEMENTS: &str = "\
    (SELECT THREAD_ID, SQL_TEXT FROM performance_schema.events_statements_current UNION ALL \
     SELECT THREAD_ID, SQL_TEXT FROM performance_schema.events_statements_history) AS statements";

/// One line of a script: a place, what binds the session afterwards, a statement.
type Step<'a> = [&'a str; 3];

/// A client of the account that has few rights.
pub(crate) async fn second_in(stage: &Stage, schema: &str) -> Conn {
    let opts = stage
        .setup
        .opts()
        .user(Some("second"))
        .pass(Some("second-pw"))
        .db_name(Some(schema));
    Conn::new(Opts::from(opts)).await.unwrap()
}

/// Runs a script in a schema of its own, straight at the primary and through the proxy; the answers
/// must be equal. Each line is a place (`p`, `r`, or `-` for any), what binds the session afterwards
/// (reasons with commas, or `-`), and a statement.
pub(crate) async fn check(name: &str, script: &str) {
    let stage = stage().await;
    let (reference, schema) = (format!("{name}_d"), format!("{name}_p"));
    stage.schema(&reference).await;
    stage.schema(&schema).await;
    // One after the other: names of locks and of XA transactions are the server's.
    let expected = reference_answers(stage.direct(&reference).await, &steps(script)).await;
    let mut client = stage.client(&schema).await;
    let wrong = compare(
        stage.setup,
        &mut client,
        &steps(script),
        &expected,
        (&schema, &reference),
    )
    .await;
    leave(stage.setup, client).await;
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

/// The lines of a script.
pub(crate) fn steps(script: &str) -> Vec<Step<'_>> {
    script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| Vec::from_iter(line.splitn(3, ' ')).try_into().unwrap())
        .collect()
}

/// What a server itself answers.
pub(crate) async fn reference_answers(mut direct: Conn, steps: &[Step<'_>]) -> Vec<String> {
    let mut answers = Vec::new();
    for [_, _, sql] in steps {
        answers.push(format!("{:?}", answer(&mut direct, sql).await));
    }
    direct.disconnect().await.unwrap();
    answers
}

/// Runs the steps through the proxy and tells what is wrong. Schemas are told apart by `names`: the
/// client's and that of the answers.
pub(crate) async fn compare(
    setup: &Setup,
    client: &mut Conn,
    steps: &[Step<'_>],
    answers: &[String],
    names: (&str, &str),
) -> Vec<String> {
    let mut wrong = Vec::new();
    for ([place, pins, sql], expected) in steps.iter().zip(answers) {
        let (got, went) = observed(setup, client, sql).await;
        let got = format!("{got:?}").replace(names.0, names.1);
        if got != *expected {
            wrong.push(format!("{sql}\n  expected {expected}\n  got      {got}"));
        }
        let target = went.first().map_or("", |went| went.target.as_str());
        let right = match *place {
            "p" => target == "primary",
            "r" => target == "replica",
            _ => true,
        };
        if !right {
            wrong.push(format!("{sql}\n  expected at {place}, went {went:?}"));
        }
        let found = reasons(setup);
        if found != *pins {
            wrong.push(format!("{sql}\n  expected pins {pins}, found {found}"));
        }
    }
    wrong
}

/// What binds the sessions now, by the registry; the gauges must say the same.
pub(crate) fn reasons(setup: &Setup) -> String {
    let found: BTreeSet<_> = setup
        .proxy
        .pins()
        .iter()
        .map(|it| it.pin.reason.name())
        .collect();
    for reason in PinReason::ALL {
        let bound = setup.proxy.metrics().pinned(reason) > 0;
        assert_eq!(bound, found.contains(reason.name()), "{}", reason.name());
    }
    match found.is_empty() {
        true => "-".to_owned(),
        false => Vec::from_iter(found).join(","),
    }
}

/// Ends a session and waits until the proxy has forgotten it.
pub(crate) async fn leave(setup: &Setup, client: Conn) {
    client.disconnect().await.unwrap();
    while !setup.proxy.pins().is_empty() {
        tokio::task::yield_now().await;
    }
    while PinReason::ALL
        .iter()
        .any(|it| setup.proxy.metrics().pinned(*it) != 0)
    {
        tokio::task::yield_now().await;
    }
}
