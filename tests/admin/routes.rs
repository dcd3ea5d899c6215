//! What is said of routes is what happens.

use super::support::{Setup, cell, run};
use super::{admin, error, explained, rows, until_rows};

const READ: &str = "SELECT v FROM routed WHERE id = 1";

#[tokio::test]
async fn an_explained_route_is_the_one_that_is_taken() {
    let setup = Setup::start().await;
    let mut app = setup.connect().await;
    run(&mut app, "CREATE TABLE routed (id INT PRIMARY KEY, v INT)").await;
    run(&mut app, "INSERT INTO routed VALUES (1, 7)").await;
    let mut conn = admin(&setup.proxy).await;

    for sql in [
        READ,
        "INSERT INTO routed VALUES (2, 8)",
        "SELECT v FROM routed FOR UPDATE",
        "SELECT @@hostname",
        "SELECT nobody_knows(1)",
        "/* highwater: primary */ SELECT v FROM routed",
        "/* highwater: consistency=global */ SELECT v FROM routed",
        "/* highwater: consistency=eventual */ SELECT v FROM routed",
        "SET @a = 1",
        "START TRANSACTION READ ONLY",
    ] {
        // Of a newcomer, as the explained one is.
        let mut newcomer = setup.connect().await;
        let said = explained(&mut conn, sql).await;
        let line = |what: &str| -> String {
            let start = format!("{what}: ");
            let found = said.iter().find_map(|line| line.strip_prefix(&start));
            found
                .unwrap_or_else(|| panic!("{sql}: {said:?}"))
                .to_owned()
        };
        // It need not succeed: where it was sent is what counts.
        let _ = mysql_async::prelude::Queryable::query_drop(&mut newcomer, sql).await;
        let route = format!("SHOW ROUTE LAST 1 FOR SESSION {}", newcomer.id());
        let digest = line("digest");
        let is_it = |rows: &[Vec<String>]| rows.first().is_some_and(|row| row[2] == digest);
        let taken = until_rows(&mut conn, &route, is_it).await.remove(0);
        let (class, level, target, reason) = (&taken[4], &taken[5], &*taken[6], &*taken[8]);
        assert_eq!(line("level"), *level, "{sql}");
        assert!(
            line("class").starts_with(class),
            "{sql}: {said:?} {taken:?}"
        );
        // The replica may get there in between the two.
        let settled = |reason: &str| reason.replace("waited", "fresh");
        assert_eq!(settled(&line("reason")), settled(reason), "{sql}: {said:?}");
        let decision = line("decision");
        match target {
            // Of two that are equally busy it is the one whose turn it is.
            "replica" => assert!(decision.contains("replica "), "{sql}: {said:?}"),
            target => assert_eq!(decision, target, "{sql}: {said:?}"),
        }
    }
    let said = explained(&mut conn, READ).await;
    let candidates = said.iter().filter(|line| line.starts_with("candidate "));
    assert_eq!(candidates.clone().count(), 2, "{said:?}");
    assert_eq!(
        candidates.filter(|line| line.contains(": taken")).count(),
        1
    );
    assert!(said.iter().all(|line| !line.contains("= 1")), "{said:?}");
}

#[tokio::test]
async fn a_session_sees_its_own_routes_and_its_trace() {
    let setup = Setup::start().await;
    let mut app = setup.connect().await;
    run(&mut app, "CREATE TABLE routed (id INT PRIMARY KEY, v INT)").await;
    run(&mut app, "INSERT INTO routed VALUES (1, 7)").await;
    cell(&mut app, READ).await;
    let own = rows(&mut app, "SHOW HIGHWATER ROUTE LAST 3").await;
    let texts: Vec<_> = own
        .iter()
        .map(|row| (&*row[1], &*row[2], &*row[4]))
        .collect();
    assert_eq!(
        texts,
        [
            ("select v from routed where id=?", "read", "replica"),
            ("insert into routed values(?)", "write", "primary"),
            (
                "create table routed(id int primary key,v int)",
                "write",
                "primary"
            ),
        ]
    );
    assert!(own[0][10].contains(':'), "a write's position: {own:?}");
    let all = rows(&mut app, "SHOW HIGHWATER ROUTE").await;
    assert_eq!(all[0][1], "show highwater route last ?");
    assert!(all.len() > 3, "{all:?}");
    assert_eq!(error(&mut app, "SHOW HIGHWATER ROAD").await.0, 1064);

    cell(&mut app, READ).await;
    assert_eq!(rows(&mut app, "SHOW WARNINGS").await.len(), 0);
    run(&mut app, "SET @@highwater_trace = 1").await;
    assert_eq!(
        cell(&mut app, "SELECT @@highwater_trace").await.unwrap(),
        "1"
    );
    cell(&mut app, READ).await;
    assert_eq!(app.get_warnings(), 1);
    let told = rows(&mut app, "SHOW WARNINGS").await;
    assert_eq!(
        (&*told[0][0], &*told[0][1], told.len()),
        ("Note", "51002", 1)
    );
    assert!(
        told[0][2].contains("read at session answered by replica"),
        "{told:?}"
    );
    assert_eq!(
        rows(&mut app, "SHOW WARNINGS").await,
        told,
        "asking changes nothing"
    );
    run(&mut app, "UPDATE routed SET v = 8").await;
    assert_eq!(app.get_warnings(), 1);
    let told = rows(&mut app, "SHOW WARNINGS").await;
    assert!(
        told[0][2].contains("write at session answered by primary"),
        "{told:?}"
    );
    assert_eq!(cell(&mut app, "SELECT @@warning_count").await.unwrap(), "1");
    run(&mut app, "SET highwater_trace = OFF").await;
    cell(&mut app, READ).await;
    assert_eq!(app.get_warnings(), 0);
    assert_eq!(rows(&mut app, "SHOW WARNINGS").await.len(), 0);
    assert_eq!(
        error(&mut app, "SET highwater_trace = 'loud'").await.0,
        1231
    );
}
