//! Two thousand sessions on forty connections, each with a state of its own.

use highwater::rig::{Cluster, ROOT};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use tokio::task::JoinSet;

use crate::lends;
use crate::measure::count;
use crate::support::{Setup, run};

const SESSIONS: usize = 2_000;
const CONNECTIONS: usize = 20;
const ROUNDS: usize = 1;

const MODES: [&str; 3] = ["", "ANSI_QUOTES", "PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES"];
const LEVELS: [&str; 3] = ["REPEATABLE-READ", "READ-COMMITTED", "READ-UNCOMMITTED"];
const ZONES: [&str; 3] = ["+00:00", "+05:30", "-08:00"];

/// What one session has set, by its number.
struct Wish {
    length: usize,
    mode: &'static str,
    level: &'static str,
    zone: &'static str,
    autocommit: bool,
    schema: String,
}

type Seen = (usize, String, String, String, bool, String, usize);

impl Wish {
    fn of(number: usize) -> Self {
        Self {
            length: 10_000 + number,
            mode: MODES[number % 3],
            level: LEVELS[number / 3 % 3],
            zone: ZONES[number / 9 % 3],
            autocommit: number % 4 != 1,
            schema: format!("app{}", number % 2),
        }
    }

    async fn set(&self, conn: &mut Conn) {
        run(conn, &format!("USE {}", self.schema)).await;
        let Self {
            length,
            mode,
            level,
            zone,
            ..
        } = self;
        run(
            conn,
            &format!(
                "SET group_concat_max_len = {length}, sql_mode = '{mode}', \
                 transaction_isolation = '{level}', time_zone = '{zone}'"
            ),
        )
        .await;
        if !self.autocommit {
            run(conn, "SET autocommit = 0").await;
        }
    }

    /// Asks a server, which has rows of `number`, for what is set there.
    async fn check(&self, conn: &mut Conn, number: usize, rows: usize, where_: &str) {
        let sql = format!(
            "SELECT @@group_concat_max_len, @@sql_mode, @@transaction_isolation, @@time_zone, \
             @@autocommit, DATABASE(), COUNT(*) FROM t WHERE session = {number}{where_}"
        );
        let seen: Option<Seen> = conn.query_first(sql).await.unwrap();
        let (length, mode, level, zone, autocommit, schema, count) = seen.unwrap();
        assert_eq!(length, self.length, "session {number}{where_}");
        assert_eq!(mode, self.mode, "session {number}{where_}");
        assert_eq!(level, self.level, "session {number}{where_}");
        assert_eq!(zone, self.zone, "session {number}{where_}");
        assert_eq!(schema, self.schema, "session {number}{where_}");
        assert_eq!(count, rows, "session {number}{where_}: its own writes");
        if where_ == WRITES {
            // On a replica each read commits by itself whatever the session asks for.
            assert_eq!(autocommit, self.autocommit, "session {number}");
        }
    }
}

/// Sends a read to the primary.
const WRITES: &str = " FOR UPDATE";

async fn session(opts: Opts, number: usize) -> Conn {
    let wish = Wish::of(number);
    let mut conn = Conn::new(opts).await.unwrap();
    wish.set(&mut conn).await;
    let insert = format!("INSERT INTO t (session) VALUES ({number})");
    for round in 0..ROUNDS {
        if wish.autocommit {
            run(&mut conn, &insert).await;
            wish.check(&mut conn, number, 2 * round + 1, "").await;
            run(&mut conn, "BEGIN").await;
        }
        run(&mut conn, &insert).await;
        if !wish.autocommit {
            run(&mut conn, &insert).await;
        }
        wish.check(&mut conn, number, 2 * round + 2, WRITES).await;
        run(&mut conn, "COMMIT").await;
        if wish.autocommit {
            wish.check(&mut conn, number, 2 * round + 2, "").await;
        }
    }
    conn
}

#[tokio::test]
async fn two_thousand_sessions_on_forty_connections() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        lends(CONNECTIONS)(config);
        config.proxy.workers = 2;
        config.limits.login_timeout = std::time::Duration::from_secs(100);
        config.consistency.catch_up_timeout = std::time::Duration::from_secs(100);
    })
    .await;
    let primary = setup.cluster.primary();
    for schema in ["app0", "app1"] {
        primary
            .exec(&format!("CREATE DATABASE {schema}"))
            .await
            .unwrap();
        let table = "(id INT AUTO_INCREMENT PRIMARY KEY, session INT, KEY (session))";
        let sql = format!("CREATE TABLE {schema}.t {table}");
        primary.exec(&sql).await.unwrap();
        let sql = format!("GRANT ALL ON {schema}.* TO app");
        primary.exec(&sql).await.unwrap();
    }
    setup.cluster.wait_all_caught_up().await.unwrap();
    let opts = Opts::from(setup.opts());
    let mut sessions = JoinSet::new();
    for number in 0..SESSIONS {
        sessions.spawn(session(opts.clone(), number));
    }
    let conns = sessions.join_all().await;
    assert_eq!(conns.len(), SESSIONS);

    // All of them are still connected.
    for server in [primary, setup.cluster.replica(0)] {
        let mut root = server.connect(&ROOT).await.unwrap();
        let sql = "SELECT CURRENT_CONNECTIONS FROM performance_schema.users WHERE USER = 'app'";
        let now: Option<usize> = root.query_first(sql).await.unwrap();
        let now = now.unwrap_or_default();
        assert!((1..=CONNECTIONS).contains(&now), "{now} connections");
        root.disconnect().await.unwrap();
    }
    for how in ["recalls_total", "handovers_total", "restores_total"] {
        let times = count(&setup.proxy, how, &[]);
        println!("{how}: {times}");
        assert!(times > 0, "{how}");
    }
    for (number, mut conn) in conns.into_iter().enumerate().step_by(97) {
        run(&mut conn, "SELECT 1").await;
        conn.disconnect().await.unwrap();
        assert!(number < SESSIONS);
    }
}
