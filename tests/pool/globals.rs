//! What was set globally holds for the sessions that begin after it, at once, and for no other: whichever
//! connections they run on.

use highwater::rig::Cluster;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::lends;
use crate::support::{Setup, cell, run};

/// How many digits a division has on the server that answers.
const DIGITS: &str = "SELECT LENGTH(1/3) - 2 FROM t";
/// The same from the primary.
const DIGITS_OF_PRIMARY: &str = "SELECT LENGTH(1/3) - 2 FROM t FOR UPDATE";
/// What servers are started with.
const USUAL: &str = "4";

/// The application may set global variables.
async fn setup(max_connections: usize) -> Setup {
    let cluster = Cluster::builder().start().await.unwrap();
    let grant = "GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO app";
    cluster.primary().exec(grant).await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
    let setup = Setup::over(cluster, lends(max_connections)).await;
    let mut app = setup.connect().await;
    run(&mut app, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    run(&mut app, "INSERT INTO t VALUES (1)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    setup
}

async fn digits(conn: &mut Conn) -> [Option<String>; 3] {
    let own = cell(conn, "SELECT @@div_precision_increment").await;
    let replica = cell(conn, DIGITS).await;
    [own, replica, cell(conn, DIGITS_OF_PRIMARY).await]
}

#[tokio::test]
async fn who_begins_after_it_has_it() {
    let setup = setup(2).await;
    let mut old = setup.connect().await;
    let usual = [(); 3].map(|()| Some(USUAL.to_owned()));
    assert_eq!(digits(&mut old).await, usual);
    for round in 5..15 {
        let set = format!(
            "SET GLOBAL div_precision_increment = {round}, GLOBAL max_allowed_packet = {}",
            round << 20
        );
        run(&mut old, &set).await;
        let mut new = setup.connect().await;
        let expected = [(); 3].map(|()| Some(round.to_string()));
        assert_eq!(digits(&mut new).await, expected);
        // Nobody can set this one for a session.
        let most = "SELECT @@session.max_allowed_packet >> 20 FROM t FOR UPDATE";
        let most = cell(&mut new, most).await;
        assert_eq!(most, Some(round.to_string()));
        assert_eq!(digits(&mut old).await, usual);
        new.disconnect().await.unwrap();
    }
    old.reset().await.unwrap();
    let expected = [(); 3].map(|()| Some("14".to_owned()));
    assert_eq!(digits(&mut old).await, expected);
    setup.proxy.shut_down().await;
}

/// A connection that was set up before a change past Highwater is noticed has other defaults than it is
/// believed to have, until then.
#[tokio::test]
async fn a_connection_with_defaults_that_nobody_told_goes_to_nobody_else() {
    let setup = setup(1).await;
    let primary = setup.cluster.primary();
    let (mut first, mut second) = (setup.connect().await, setup.connect().await);
    for conn in [&mut first, &mut second] {
        let found = cell(conn, DIGITS_OF_PRIMARY).await;
        assert_eq!(found.as_deref(), Some(USUAL));
    }
    let set = "SET GLOBAL div_precision_increment = 9";
    primary.exec(set).await.unwrap();
    let id = "SELECT id FROM performance_schema.processlist WHERE user = 'app'";
    let id = primary.value(id).await.unwrap().unwrap();
    primary.exec(&format!("KILL {id}")).await.unwrap();
    // Another connection, and the change is noticed with this.
    first.query_drop(set).await.unwrap();
    let mut third = setup.connect().await;
    for (conn, expected) in [(&mut second, USUAL), (&mut first, USUAL), (&mut third, "9")] {
        let found = cell(conn, DIGITS_OF_PRIMARY).await;
        assert_eq!(found.as_deref(), Some(expected));
    }
    setup.proxy.shut_down().await;
}
