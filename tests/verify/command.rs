//! The command as a person meets it.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use highwater::rig::{APP, Cluster, Server};
use serde_json::Value;

use super::support::Setup;
use super::support::stage::until;

fn command(server: &Server, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    let schema = APP.database.unwrap();
    let url = format!("mysql://{}@{}/{schema}", APP.user, server.address());
    command.args(["verify", "--url", &url]).args(flags);
    command.env("HIGHWATER_VERIFY_PASSWORD", APP.password);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn finish(mut command: Command) -> (i32, String, String) {
    let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The checker's tables that are there.
async fn tables(server: &Server) -> String {
    let sql = "SELECT COUNT(*) FROM information_schema.tables WHERE table_name LIKE 'highwater%'";
    server.value(sql).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_exit_status_is_the_answer_and_nothing_is_left_behind() {
    let cluster = Cluster::builder().replicas(1).start().await.unwrap();
    let (primary, replica) = (cluster.primary(), cluster.replica(0));
    let usual = ["--reads", "800", "--sessions", "4", "--seconds", "120"];

    let flags = [&usual[..], &["--level", "global", "--json"]].concat();
    let (code, out, err) = finish(command(primary, &flags)).await;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["passed"], true);
    assert_eq!(json["level_set_by"], "unknown");
    assert!(json["reads"].as_u64().unwrap() >= 800, "{out}");
    assert_eq!(json["violations"]["global"]["found"], 0);
    let claims = json["consistent_with"].as_array().unwrap();
    assert!(claims.contains(&"global".into()), "{out}");

    // A replica that is a second late, with the application's own split.
    replica.delay(1).await.unwrap();
    let writes = primary.url(&APP);
    let usual = [
        &usual[..],
        &["--max-staleness", "50", "--write-url", &writes],
    ]
    .concat();
    let flags = [&usual[..], &["--level", "session"]].concat();
    let (code, out, err) = finish(command(replica, &flags)).await;
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    for part in [
        "  consistent with   eventual\n",
        "  contradicts       bounded, session, group, proxy, global\n",
        "for example, a read that misses the session's own acknowledged writes:",
        "is told that it is done",
    ] {
        assert!(out.contains(part), "no {part:?} in\n{out}");
    }
    assert!(out.contains("  level session does not hold\n"), "{out}");
    assert!(!out.contains(APP.password));
    // Without a level it only tells.
    let (code, out, _) = finish(command(replica, &usual)).await;
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("no level asked for"), "{out}");
    assert_eq!(tables(primary).await, "0");
}

#[tokio::test]
async fn highwater_is_told_the_level_and_tells_how_long_reads_waited() {
    let setup = Setup::start().await;
    let addresses = setup.proxy.addresses();
    let schema = APP.database.unwrap();
    let url = format!(
        "mysql://{}:{}@{}/{schema}",
        APP.user, APP.password, addresses.mysql
    );
    let metrics = format!("http://{}/metrics", addresses.http);
    for (level, group) in [("group", Some("cart")), ("proxy", None)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        command.args(["verify", "--url", &url, "--level", level, "--reads", "1000"]);
        command.args(["--seconds", "120", "--json", "--metrics-url", &metrics]);
        command.args(group.iter().flat_map(|key| ["--group-key", key]));
        let (code, out, err) = finish(command).await;
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        let json: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["level_set_by"], "highwater_read_consistency");
        assert_eq!(json["violations"][level]["found"], 0);
        assert!(json["violations"][level]["checked"].as_u64().unwrap() > 0);
        assert!(json["waits"]["count"].as_u64().unwrap() > 0, "{out}");
    }
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn ctrl_c_ends_it_in_order() {
    let cluster = Cluster::builder().replicas(0).start().await.unwrap();
    let server = cluster.primary();
    let child = command(server, &["--seconds", "600"]).spawn().unwrap();
    until("the table is there", async || tables(server).await == "1").await;
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let waited = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let output = tokio::time::timeout(Duration::from_secs(60), waited)
        .await
        .unwrap()
        .unwrap();
    assert!(output.status.code().is_some(), "{output:?}");
    assert_eq!(tables(server).await, "0");
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let cluster = Cluster::builder().replicas(1).start().await.unwrap();
    let (server, replica) = (cluster.primary(), cluster.replica(0));
    let schema = APP.database.unwrap();
    let address = server.address();
    let run = async |url: &str, flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        command.args(["verify", "--url", url]).args(flags);
        command.env_remove("HIGHWATER_VERIFY_PASSWORD");
        finish(command).await
    };
    let wrong = format!("mysql://{}:wr0ng-pw@{address}/{schema}", APP.user);
    let none = format!("mysql://{}:{}@{address}", APP.user, APP.password);
    let read_only = replica.url(&APP);
    for (url, code, said) in [
        (&wrong, 1, "cannot connect to"),
        (&none, 1, "names no schema"),
        (&read_only, 1, "--write-url"),
        (
            &"mysql://nowhere.example:1x/t".to_owned(),
            2,
            "the url cannot be used",
        ),
    ] {
        let (status, out, err) = run(url, &[]).await;
        assert_eq!((status, out.as_str()), (code, ""), "{url}: {err}");
        assert!(err.contains(said), "{url}: {err}");
        assert!(!err.contains("wr0ng-pw"), "{err}");
    }
    let good = server.url(&APP);
    for flags in [&["--level", "strong"][..], &["--group-key", "it's"]] {
        assert_eq!(run(&good, flags).await.0, 2, "{flags:?}");
    }
    assert_eq!(tables(server).await, "0");
}
