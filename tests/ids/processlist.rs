//! SHOW PROCESSLIST as one server would give it.

use highwater::protocol::command::com_query;
use highwater::protocol::reply::ReplyKind;
use highwater::protocol::resultset::TextResult;
use highwater::rig::APP;

use crate::support::raw::{Raw, error_of, usual};
use crate::support::stage::{Stage, stage, until};

/// The rows of an answer as texts; NULL is `-`.
fn rows(raw: &Raw, frames: &[Vec<u8>]) -> Vec<Vec<String>> {
    let (mut reply, mut seq) = (Vec::new(), 1);
    for frame in frames {
        highwater::protocol::frame::append_packet(&mut reply, &mut seq, frame);
    }
    let result = TextResult::parse(&reply, raw.profile.deprecate_eof()).expect("rows");
    let cell =
        |cell: &Option<&[u8]>| cell.map_or("-".into(), |c| String::from_utf8_lossy(c).into_owned());
    result
        .rows
        .iter()
        .map(|row| row.iter().map(cell).collect())
        .collect()
}

async fn list(raw: &mut Raw, sql: &str) -> Vec<Vec<String>> {
    let frames = raw.query(sql).await;
    rows(raw, &frames)
}

fn row_of(list: &[Vec<String>], id: u32) -> Option<&Vec<String>> {
    list.iter().find(|row| row[0] == id.to_string())
}

fn id(raw: &Raw) -> u32 {
    raw.logged_in.server.connection_id
}

/// The threads that the primary itself has for the proxy's accounts.
async fn threads(stage: &Stage) -> Vec<String> {
    let sql = "SELECT COALESCE(GROUP_CONCAT(id), '') FROM performance_schema.processlist \
               WHERE user IN ('app', 'second')";
    let ids = stage.setup.cluster.primary().value(sql).await.unwrap();
    ids.unwrap_or_default()
        .split(',')
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn sessions_are_shown_and_the_pool_is_not() {
    let stage = stage().await;
    let mut asker = stage.raw("app", usual()).await;
    let mut sleeper = stage.raw("app", usual()).await;
    let mut reader = stage.raw("mysql", usual()).await;
    let direct = stage.raw_direct("app", usual()).await;
    reader.query("START TRANSACTION READ ONLY").await;
    reader.send(&com_query(b"SELECT SLEEP(303)", false)).await;
    sleeper
        .send(&com_query(b"SELECT SLEEP(304) FROM DUAL FOR UPDATE", false))
        .await;
    let mut shown = Vec::new();
    until("both run", async || {
        shown = list(&mut asker, "SHOW FULL PROCESSLIST").await;
        [&sleeper, &reader]
            .iter()
            .all(|raw| row_of(&shown, id(raw)).is_some_and(|row| row[4] == "Query"))
    })
    .await;
    let address = |raw: &Raw| raw.stream.local_addr().unwrap().to_string();
    let row = row_of(&shown, id(&asker)).unwrap();
    assert_eq!(
        row[1..5],
        [
            APP.user.into(),
            address(&asker),
            "app".into(),
            "Query".into()
        ]
    );
    assert_eq!(row[7], "SHOW FULL PROCESSLIST");
    let row = row_of(&shown, id(&sleeper)).unwrap();
    assert_eq!(row[2], address(&sleeper));
    assert_eq!(row[7], "SELECT SLEEP(304) FROM DUAL FOR UPDATE");
    let row = row_of(&shown, id(&reader)).unwrap();
    assert_eq!(
        row[1..4],
        [APP.user.into(), address(&reader), "mysql".into()]
    );
    let row = row_of(&shown, id(&direct)).expect("a client that came to the primary itself");
    assert_eq!(row[2], address(&direct));
    assert!(
        shown.iter().any(|row| row[4] == "Binlog Dump GTID"),
        "replicas show"
    );
    let ids: Vec<u64> = shown.iter().map(|row| row[0].parse().unwrap()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    // The pool's threads do not: whoever uses the account and is below our ids came directly.
    let ours = threads(&stage).await;
    let below = |row: &&Vec<String>| row[1] == APP.user && ours.contains(&row[0]);
    let direct_id = id(&direct).to_string();
    let strangers: Vec<_> = shown
        .iter()
        .filter(below)
        .filter(|row| row[0] != direct_id)
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");

    let frames = asker.ask(&[0x0A], ReplyKind::Query).await;
    // A 9.7 does not speak COM_PROCESS_INFO any more.
    assert_eq!(error_of(&frames), Some(1047));
    for victim in [&sleeper, &reader] {
        asker.query(&format!("KILL {}", id(victim))).await;
    }
    let shown = list(&mut asker, "SHOW PROCESSLIST").await;
    assert!(row_of(&shown, id(&sleeper)).is_none());
}

#[tokio::test]
async fn without_the_right_to_see_others_one_sees_none() {
    let stage = stage().await;
    let other = stage.raw("app", usual()).await;
    let address = stage.setup.proxy.addresses().mysql.to_string();
    let login = async || {
        Raw::connect(&address, ("second", "second-pw"), None, usual())
            .await
            .unwrap()
    };
    let (mut asker, idle) = (login().await, login().await);
    let shown = list(&mut asker, "SHOW PROCESSLIST").await;
    assert!(shown.iter().all(|row| row[1] == "second"), "{shown:?}");
    assert_eq!(row_of(&shown, id(&idle)).unwrap()[4..6], ["Sleep", "0"]);
    assert!(row_of(&shown, id(&asker)).is_some());
    assert!(row_of(&shown, id(&other)).is_none());
}

/// Reads of the primary's threads that must find the session with the number `#`, and no other.
const LOOKS: [&str; 4] = [
    "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = #",
    "SELECT COUNT(*) FROM performance_schema.threads WHERE PROCESSLIST_ID IN (#, 0)",
    "SELECT COUNT(*) FROM performance_schema.processlist WHERE # = id",
    "SELECT (SELECT COUNT(*) FROM sys.processlist WHERE conn_id = #) AS found",
];

#[tokio::test]
async fn a_session_is_found_by_its_number_among_the_servers_threads() {
    let stage = stage().await;
    let mut one = stage.raw("app", usual()).await;
    let mut other = stage.raw("app", usual()).await;
    one.query("SELECT GET_LOCK('of one', 0)").await;
    let found = async |asker: &mut Raw, look: &str, id: u32| {
        let sql = look.replace('#', &id.to_string());
        let rows = list(asker, &sql).await;
        assert_eq!(rows.len(), 1, "{sql}");
        rows[0][0].clone()
    };
    let (holder, asker) = (id(&one), id(&other));
    let stranger = (1 << 30..).find(|number| ![holder, asker].contains(number));
    for look in LOOKS {
        assert_eq!(found(&mut other, look, holder).await, "1", "{look}");
        assert_eq!(found(&mut one, look, holder).await, "1", "{look}");
        let nobody = found(&mut one, look, stranger.unwrap()).await;
        assert_eq!(nobody, "0", "{look}");
    }
    // A column that is named by its text keeps its name.
    let sql = format!("SELECT COUNT(*) = {} FROM sys.processlist", id(&one));
    let frames = other.query(&sql).await;
    let name = format!("COUNT(*) = {}", id(&one));
    let column = String::from_utf8_lossy(&frames[1]).into_owned();
    assert!(column.contains(&name), "{column}");
}
