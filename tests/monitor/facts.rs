//! What data connections are told.

use std::sync::Arc;

use highwater::domain::ids::BackendId;
use highwater::domain::topology::Engine;
use highwater::monitor::ServerFacts;
use highwater::rig::{APP, Cluster};
use mysql_async::prelude::Queryable;

use crate::fixture::{FIRST, PRIMARY, SECOND, Watched, until};

async fn facts(
    it: &Watched,
    id: BackendId,
    done: impl Fn(&ServerFacts) -> bool,
) -> Arc<ServerFacts> {
    let found = || it.watch.facts(id).filter(|facts| done(facts));
    until("the facts are there", || found().is_some()).await;
    found().unwrap()
}

#[tokio::test]
async fn a_replica_with_other_defaults_is_made_equal_to_the_primary() {
    let builder = Cluster::builder()
        .replicas(2)
        .replica_option(1, "--sql-mode=ANSI")
        .replica_option(1, "--max-join-size=1000")
        .replica_option(1, "--default-time-zone=+05:00")
        .replica_option(1, "--long-query-time=3.5")
        .replica_option(1, "--innodb-strict-mode=OFF");
    let it = Watched::start(builder).await;
    let primary = facts(&it, PRIMARY, |_| true).await;
    assert_eq!(primary.baseline, Some(Vec::new()));
    assert_eq!(primary.engine, Engine::MySql);
    assert!(
        primary
            .version
            .starts_with(|first: char| first.is_ascii_digit())
    );
    assert!(!primary.version_comment.is_empty());
    assert_eq!(primary.collation, 255);
    let equal = facts(&it, FIRST, |facts| facts.baseline.is_some()).await;
    assert_eq!(equal.baseline, Some(Vec::new()));

    let other = facts(&it, SECOND, |facts| facts.baseline.is_some()).await;
    let baseline = other.baseline.clone().unwrap();
    let names: Vec<&str> = baseline.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["long_query_time", "max_join_size", "sql_mode", "time_zone"];
    // innodb_strict_mode differs too, but an ordinary account may not set it. Since max_join_size
    // is not the default there, sql_big_selects is off as well.
    for name in expected {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert!(!names.contains(&"innodb_strict_mode"), "{names:?}");

    // An ordinary account may set them all, and then sees what it sees on the primary.
    let mut there = it.cluster.replica(1).connect(&APP).await.unwrap();
    let mut here = it.cluster.primary().connect(&APP).await.unwrap();
    for (name, literal) in &baseline {
        there
            .query_drop(format!("SET SESSION {name} = {literal}"))
            .await
            .unwrap();
    }
    for (name, _) in &baseline {
        let sql = format!("SELECT CAST(@@session.{name} AS CHAR)");
        let mine: Option<Option<String>> = here.query_first(&sql).await.unwrap();
        let theirs: Option<Option<String>> = there.query_first(&sql).await.unwrap();
        assert_eq!(mine, theirs, "{name}");
    }
}

#[tokio::test]
async fn tracked_variables_are_those_that_make_up_a_session() {
    let it = Watched::start(Cluster::builder().replicas(0)).await;
    let facts = facts(&it, PRIMARY, |_| true).await;
    let names: Vec<&str> = facts.tracked_variables.split(',').collect();
    println!(
        "{} variables, {} bytes",
        names.len(),
        facts.tracked_variables.len()
    );
    for name in [
        "sql_mode",
        "autocommit",
        "character_set_client",
        "time_zone",
        "sql_log_off",
    ] {
        assert!(names.contains(&name), "{name} is missing");
    }
    for name in [
        "statement_id",
        "timestamp",
        "last_insert_id",
        "rand_seed1",
        "port",
        "gtid_next",
    ] {
        assert!(!names.contains(&name), "{name} is there");
    }
    let mut conn = it.cluster.primary().connect(&APP).await.unwrap();
    let list = &facts.tracked_variables;
    let set = format!("SET session_track_system_variables = '{list}'");
    conn.query_drop(set).await.unwrap();
}
