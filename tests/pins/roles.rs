//! SET ROLE and SET RESOURCE GROUP: no reset of a connection undoes them, so nobody else may get it.

use highwater::rig::APP;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};

use crate::script::{STATEMENTS, leave, reasons, second_in};
use crate::support::script::{answer, observed};
use crate::support::stage::{Stage, stage};
use crate::support::{cell, run};

const SHOW: &str = "SHOW CREATE VIEW pin_roles.v";

/// The account without rights of its own on views' definitions.
async fn second(stage: &Stage) -> Conn {
    second_in(stage, "pin_roles").await
}

#[tokio::test]
async fn a_role_is_taken_on_replicas_and_stays_with_its_session() {
    let stage = stage().await;
    stage.schema("pin_roles").await;
    let root = stage.setup.cluster.primary();
    for sql in [
        "CREATE VIEW pin_roles.v AS SELECT 1",
        "CREATE ROLE hw_viewer",
        "GRANT SHOW VIEW ON pin_roles.* TO hw_viewer",
        "GRANT hw_viewer TO second",
    ] {
        root.exec(sql).await.unwrap();
    }
    stage.setup.cluster.wait_all_caught_up().await.unwrap();
    for round in 0..3 {
        let mut client = second(&stage).await;
        let role = cell(&mut client, "SELECT CURRENT_ROLE()").await;
        assert_eq!(role.as_deref(), Some("NONE"), "round {round}");
        let (refused, went) = observed(stage.setup, &mut client, SHOW).await;
        assert_eq!((refused.error, &*went[0].target), (Some(1142), "replica"));
        run(&mut client, "SET ROLE hw_viewer").await;
        let (shown, went) = observed(stage.setup, &mut client, SHOW).await;
        assert_eq!((shown.error, &*went[0].target), (None, "replica"));
        assert_eq!(reasons(stage.setup), "role");
        // As on one server, a reset leaves the role.
        client.reset().await.unwrap();
        let role = cell(&mut client, "SELECT CURRENT_ROLE()").await;
        assert_eq!(role.as_deref(), Some("`hw_viewer`@`%`"));
        assert_eq!(answer(&mut client, SHOW).await.error, None);
        if round == 0 {
            run(&mut client, "SET ROLE NONE").await;
            let (refused, _) = observed(stage.setup, &mut client, SHOW).await;
            assert_eq!(refused.error, Some(1142));
        }
        leave(stage.setup, client).await;
    }
    root.exec("DROP ROLE hw_viewer").await.unwrap();
}

#[tokio::test]
async fn a_role_that_is_taken_again_has_its_rights_of_then_everywhere() {
    let stage = stage().await;
    let root = stage.setup.cluster.primary();
    for sql in [
        "CREATE SCHEMA hw_lent",
        "CREATE VIEW hw_lent.v AS SELECT 1",
        "CREATE ROLE hw_lent",
        "GRANT SHOW VIEW, SELECT ON *.* TO hw_lent",
        "GRANT hw_lent TO second",
    ] {
        root.exec(sql).await.unwrap();
    }
    stage.setup.cluster.wait_all_caught_up().await.unwrap();
    let mut client = second_in(&stage, APP.database.unwrap()).await;
    let show = "SHOW CREATE VIEW hw_lent.v";
    run(&mut client, "SET ROLE hw_lent").await;
    let (shown, went) = observed(stage.setup, &mut client, show).await;
    assert_eq!((shown.error, &*went[0].target), (None, "replica"));
    root.exec("REVOKE SHOW VIEW ON *.* FROM hw_lent")
        .await
        .unwrap();
    stage.setup.cluster.wait_all_caught_up().await.unwrap();
    run(&mut client, "SET ROLE hw_lent").await;
    let (refused, went) = observed(stage.setup, &mut client, show).await;
    assert_eq!((refused.error, &*went[0].target), (Some(1142), "replica"));
    leave(stage.setup, client).await;
    root.exec("DROP ROLE hw_lent").await.unwrap();
    root.exec("DROP SCHEMA hw_lent").await.unwrap();
}

#[tokio::test]
async fn a_resource_group_binds() {
    let stage = stage().await;
    let root = stage.setup.cluster.primary();
    if root
        .exec("CREATE RESOURCE GROUP hw_group TYPE = USER")
        .await
        .is_err()
    {
        // Not every platform has them.
        return;
    }
    root.exec("GRANT RESOURCE_GROUP_USER ON *.* TO second")
        .await
        .unwrap();
    stage.setup.cluster.wait_all_caught_up().await.unwrap();
    let group = |mark: String| {
        format!(
            "SELECT RESOURCE_GROUP FROM performance_schema.threads \
             JOIN {STATEMENTS} USING (THREAD_ID) \
             WHERE PROCESSLIST_USER = 'second' AND SQL_TEXT = '{mark}'"
        )
    };
    for round in 0..5 {
        let mut client = second_anywhere(&stage).await;
        let mark = format!("DO {}", 777_000 + round);
        run(&mut client, &mark).await;
        let found = root.value(&group(mark)).await.unwrap();
        assert_eq!(found.as_deref(), Some("USR_default"), "round {round}");
        run(&mut client, "SET RESOURCE GROUP hw_group").await;
        client.ping().await.unwrap();
        assert_eq!(reasons(stage.setup), "resource_group");
        leave(stage.setup, client).await;
    }
    let members = "SELECT COUNT(*) FROM performance_schema.threads \
                   WHERE RESOURCE_GROUP = 'hw_group'";
    while root.value(members).await.unwrap().as_deref() != Some("0") {
        tokio::task::yield_now().await;
    }
    root.exec("DROP RESOURCE GROUP hw_group").await.unwrap();
}

async fn second_anywhere(stage: &Stage) -> Conn {
    let opts = stage
        .setup
        .opts()
        .user(Some("second"))
        .pass(Some("second-pw"));
    Conn::new(Opts::from(opts.db_name(None::<String>)))
        .await
        .unwrap()
}
