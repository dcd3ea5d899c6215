//! KILL in every form: by the ids that clients were given, and by those of the primary's own threads.

use highwater::protocol::command::com_query;
use highwater::protocol::packets::ErrView;
use highwater::protocol::reply::ReplyKind;
use highwater::rig::APP;

use crate::support::raw::{Raw, error_of, execute, shown, usual};
use crate::support::stage::{Stage, stage, until};

fn id(raw: &Raw) -> u32 {
    raw.logged_in.server.connection_id
}

async fn runs(stage: &Stage, sql: &str) -> bool {
    let count = format!("SELECT COUNT(*) FROM performance_schema.processlist WHERE info = '{sql}'");
    let cluster = &stage.setup.cluster;
    for server in std::iter::once(cluster.primary()).chain(cluster.replicas()) {
        if server.value(&count).await.unwrap().as_deref() != Some("0") {
            return true;
        }
    }
    false
}

/// A session that runs a statement for long.
async fn busy(stage: &Stage, sql: &str) -> Raw {
    let mut raw = stage.raw("app", usual()).await;
    raw.send(&com_query(sql.as_bytes(), false)).await;
    until(sql, async || runs(stage, sql).await).await;
    raw
}

#[tokio::test]
async fn every_form_names_sessions() {
    let stage = stage().await;
    let mut killer = stage.raw("app", usual()).await;
    let forms: [&dyn Fn(u32) -> String; 5] = [
        &|id| format!("KILL QUERY {id}"),
        &|id| format!("KILL QUERY {id} + 0"),
        &|id| format!("KILL QUERY (SELECT {id})"),
        &|id| format!("SELECT 1; KILL QUERY {id}; SELECT 2"),
        &|id| format!("SET @victim = {id}; KILL QUERY {id}"),
    ];
    for (number, form) in forms.iter().enumerate() {
        let sql = format!("SELECT SLEEP({}) FOR UPDATE", 310 + number);
        let mut victim = busy(&stage, &sql).await;
        let order = form(id(&victim));
        let frames = killer.query(&order).await;
        assert_eq!(error_of(&frames), None, "{order}: {}", shown(&frames));
        victim.reply(ReplyKind::Query).await;
        assert!(!runs(&stage, &sql).await, "{order}");
        assert_eq!(
            victim.cell("SELECT 1").await,
            "1",
            "{order}: the session lives"
        );
        killer
            .query(&format!("SET @victim = {}", id(&victim)))
            .await;
        assert_eq!(
            error_of(&killer.query("KILL CONNECTION @victim").await),
            None
        );
        assert!(
            victim.frame().await.is_none(),
            "{order}: the session is ended"
        );
    }
    let victim = busy(&stage, "SELECT SLEEP(320)").await;
    let prepare = [&[0x16], format!("KILL {}", id(&victim)).as_bytes()].concat();
    let frames = killer.ask(&prepare, ReplyKind::Prepare).await;
    assert_eq!(error_of(&frames), None, "{}", shown(&frames));
    let stmt = u32::from_le_bytes(frames[0][1..5].try_into().unwrap());
    for expected in [None, Some(1094)] {
        let payload = execute(stmt, 0, &[], true, killer.profile.query_attributes());
        let frames = killer
            .ask(&payload, ReplyKind::Execute { cursor: false })
            .await;
        assert_eq!(error_of(&frames), expected, "{}", shown(&frames));
        until("it is stopped", async || {
            !runs(&stage, "SELECT SLEEP(320)").await
        })
        .await;
    }
}

#[tokio::test]
async fn a_packet_that_begins_with_kills_ends_sessions_that_hold_nothing() {
    let stage = stage().await;
    let mut killer = stage.raw("app", usual()).await;
    let mut victims = [
        stage.raw("app", usual()).await,
        stage.raw("app", usual()).await,
    ];
    let [first, second] = [id(&victims[0]), id(&victims[1])];
    let order = format!("KILL QUERY {first}; KILL {first}; KILL {second}; SELECT 7 AS seven");
    let frames = killer.query(&order).await;
    assert_eq!(error_of(&frames), None, "{}", shown(&frames));
    assert!(shown(&frames).contains("seven"), "{}", shown(&frames));
    for victim in &mut victims {
        assert!(victim.frame().await.is_none(), "the session is ended");
    }
    let frames = killer.query(&format!("KILL {first}; SELECT 8")).await;
    assert_eq!(error_of(&frames), Some(1094));
    assert_eq!(killer.cell("SELECT 9").await, "9");
}

#[tokio::test]
async fn other_ids_are_the_primarys_threads() {
    let stage = stage().await;
    let mut killer = stage.raw("app", usual()).await;
    let mut direct = stage.raw_direct("app", usual()).await;
    let number = id(&direct);
    direct.send(&com_query(b"SELECT SLEEP(330)", false)).await;
    until("it runs", async || runs(&stage, "SELECT SLEEP(330)").await).await;
    assert_eq!(
        error_of(&killer.query(&format!("KILL QUERY {number}")).await),
        None
    );
    direct.reply(ReplyKind::Query).await;
    let kill = [&[0x0C][..], &number.to_le_bytes()].concat();
    assert_eq!(error_of(&killer.ask(&kill, ReplyKind::Simple).await), None);
    assert!(direct.frame().await.is_none());

    // A thread that works for a session stands for it, an idle one of the pool for nobody.
    let mut victim = stage.raw("app", usual()).await;
    victim.query("BEGIN").await;
    let sql = "SELECT GROUP_CONCAT(id) FROM performance_schema.processlist WHERE user = 'app'";
    let threads = stage
        .setup
        .cluster
        .primary()
        .value(sql)
        .await
        .unwrap()
        .unwrap();
    let mut ended = 0;
    for thread in threads.split(',') {
        if thread.parse::<u32>().is_ok_and(|thread| thread == number) {
            continue;
        }
        let frames = killer.query(&format!("KILL {thread}")).await;
        match error_of(&frames) {
            None => ended += 1,
            // The killer's own connection.
            Some(1317) => killer = stage.raw("app", usual()).await,
            code => assert_eq!(code, Some(1094), "{}", shown(&frames)),
        }
    }
    assert_eq!(ended, 1, "of {threads}");
    assert!(victim.frame().await.is_none());
}

#[tokio::test]
async fn a_kill_may_be_longer_than_what_is_held_of_a_text() {
    let stage = stage().await;
    let mut killer = stage.raw("app", usual()).await;
    // Above max_command_held, and of two frames.
    for (number, length) in [(0, 2_000_000), (1, 17_000_000)] {
        let sql = format!("SELECT SLEEP({}) FOR UPDATE", 350 + number);
        let mut victim = busy(&stage, &sql).await;
        let blanks = " ".repeat(length);
        let orders = [
            (format!("KILL QUERY{blanks}4000000000"), Some(1094)),
            (
                format!("KILL QUERY{blanks}4000000000; SELECT 1"),
                Some(1094),
            ),
            (format!("KILL QUERY{blanks}{}", id(&victim)), None),
        ];
        for (order, expected) in orders {
            let frames = killer.query(&order).await;
            assert_eq!(error_of(&frames), expected, "{}", shown(&frames));
        }
        victim.reply(ReplyKind::Query).await;
        assert_eq!(victim.cell("SELECT 1").await, "1");
    }
}

#[tokio::test]
async fn errors_are_the_servers() {
    let stage = stage().await;
    let mut ours = stage.raw("app", usual()).await;
    let mut theirs = stage.raw_direct("app", usual()).await;
    for sql in [
        "KILL 4000000000",
        "KILL 18446744073709551616",
        "KILL NULL",
        "KILL 'abc'",
        "KILL",
        "KILL USER app",
        "KILL nosuchcolumn",
        "KILL QUERY CONNECTION_ID()",
        "EXPLAIN FOR CONNECTION 4000000000",
        "SELECT 1; KILL 4000000000; SELECT 2",
    ] {
        let (ours, theirs) = (ours.query(sql).await, theirs.query(sql).await);
        assert_eq!(ours, theirs, "{sql}:\n{}\n{}", shown(&ours), shown(&theirs));
    }
    let prepare = [&[0x16], &b"KILL ?"[..]].concat();
    let error = async |raw: &mut Raw| raw.ask(&prepare, ReplyKind::Prepare).await;
    assert_eq!(error(&mut ours).await, error(&mut theirs).await);
    let frames = ours.query("KILL CONNECTION_ID()").await;
    assert_eq!(frames, theirs.query("KILL CONNECTION_ID()").await);
    let error = ErrView::parse(&frames[0]).unwrap();
    assert_eq!(error.message, b"Query execution was interrupted");
    assert!(ours.frame().await.is_none());
}

#[tokio::test]
async fn a_session_without_a_connection_is_judged_by_the_server_all_the_same() {
    let stage = stage().await;
    let address = stage.setup.proxy.addresses().mysql.to_string();
    let login = async |account| {
        Raw::connect(&address, account, None, usual())
            .await
            .unwrap()
    };
    let mut second = login(("second", "second-pw")).await;
    let mut app = login((APP.user, APP.password)).await;
    let frames = second.query(&format!("KILL {}", id(&app))).await;
    let error = ErrView::parse(&frames[0]).unwrap();
    assert_eq!((error.code, &error.state), (1095, b"HY000"));
    assert_eq!(
        error.message,
        format!("You are not owner of thread {}", id(&app)).as_bytes()
    );
    let root = stage.setup.cluster.primary();
    root.exec("GRANT CONNECTION_ADMIN ON *.* TO app")
        .await
        .unwrap();
    let frames = app.query(&format!("KILL {}", id(&second))).await;
    root.exec("REVOKE CONNECTION_ADMIN ON *.* FROM app")
        .await
        .unwrap();
    assert_eq!(error_of(&frames), None, "{}", shown(&frames));
    assert!(second.frame().await.is_none());
}

/// The thread that is to be killed in its name is not there to be judged by.
#[tokio::test]
async fn a_session_whose_thread_is_gone_is_nobody_elses() {
    let stage = stage().await;
    let primary = stage.setup.cluster.primary();
    stage.schema("thread_gone").await;
    let mut victim = stage.raw("thread_gone", usual()).await;
    victim.query("BEGIN").await;
    victim.query("SELECT 1 FOR UPDATE").await;
    let thread = "SELECT MIN(id) FROM performance_schema.processlist WHERE db = 'thread_gone'";
    let thread = primary.value(thread).await.unwrap().unwrap();
    primary.exec(&format!("KILL {thread}")).await.unwrap();
    let gone = format!("SELECT COUNT(*) FROM performance_schema.processlist WHERE id = {thread}");
    until("the thread is gone", async || {
        primary.value(&gone).await.unwrap().as_deref() == Some("0")
    })
    .await;
    let address = stage.setup.proxy.addresses().mysql.to_string();
    let second = Raw::connect(&address, ("second", "second-pw"), None, usual());
    let mut second = second.await.unwrap();
    let frames = second.query(&format!("KILL {}", id(&victim))).await;
    assert_eq!(error_of(&frames), Some(1095), "{}", shown(&frames));
    let answer = victim.try_query("ROLLBACK").await;
    assert!(answer.is_some(), "the session was ended");
}

#[tokio::test]
async fn a_sessions_statement_is_explained() {
    let stage = stage().await;
    let mut asker = stage.raw("app", usual()).await;
    let idle = stage.raw("app", usual()).await;
    let frames = asker
        .query(&format!("EXPLAIN FOR CONNECTION {}", id(&idle)))
        .await;
    assert_eq!(error_of(&frames), None, "{}", shown(&frames));
    let busy = busy(&stage, "SELECT SLEEP(340) FOR UPDATE").await;
    let frames = asker
        .query(&format!("EXPLAIN FORMAT=JSON FOR CONNECTION {}", id(&busy)))
        .await;
    let plan = shown(&frames[2..]);
    assert!(plan.contains("query"), "{plan}");
    asker.query(&format!("KILL {}", id(&busy))).await;
}
