//! node's mysql2 and MariaDB's JDBC driver, each by a script of its own: what the script sees through
//! Highwater is what it sees straight at the primary, word for word.
//!
//! A machine without node, Java or the driver skips its test and says so; with `HIGHWATER_TEST_ALL` set,
//! as .ci/run has it, that is a failure.

use std::process::{Command, Stdio};

use highwater::rig::APP;

use super::{finish, text};
use crate::java::{self, java};
use crate::programs::{runs, skipped};
use crate::support::stage::{Stage, stage};

/// A node that finds mysql2: as it is, or with the package put beside the build.
fn node() -> Option<Command> {
    let folder = format!("{}/node", env!("CARGO_TARGET_TMPDIR"));
    let modules = format!("{folder}/node_modules");
    let with = |modules: Option<&str>| {
        let mut node = Command::new("node");
        if let Some(modules) = modules {
            node.env("NODE_PATH", modules);
        }
        node
    };
    let has_driver = |mut node: Command| runs(node.args(["-e", "require('mysql2')"]));
    if has_driver(with(None)) {
        return Some(with(None));
    }
    if !has_driver(with(Some(&modules))) {
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            &folder,
        ]);
        if !runs(npm.arg("mysql2")) {
            return None;
        }
    }
    Some(with(Some(&modules)))
}

/// What the script prints in a schema of its own, once straight at the primary and once through
/// Highwater. `command` gives the program and all before the address.
async fn compare(stage: &Stage, name: &str, command: impl Fn() -> Command) {
    let through = stage.setup.proxy.addresses().mysql;
    let primary = stage.setup.cluster.primary();
    let straight = (primary.host().to_owned(), primary.port());
    let mut transcripts = Vec::new();
    for (way, (host, port)) in [
        ("straight", straight),
        ("through", (through.ip().to_string(), through.port())),
    ] {
        let schema = format!("{name}_{way}");
        stage.schema(&schema).await;
        let mut script = command();
        script
            .args([&host, &port.to_string(), APP.user, APP.password, &schema])
            .stdin(Stdio::null());
        let output = finish(script).await;
        let said = text(&output.stdout).replace(&schema, "schema");
        assert!(
            output.status.success() && said.ends_with("all is well\n"),
            "{name} {way}: {said}\n{}",
            text(&output.stderr)
        );
        transcripts.push(said);
    }
    let [straight, through] = &transcripts[..] else {
        unreachable!("two ways");
    };
    for (expected, got) in straight.lines().zip(through.lines()) {
        assert_eq!(got, expected, "{name}");
    }
    assert_eq!(straight.lines().count(), through.lines().count());
}

#[tokio::test]
async fn node_mysql2_sees_what_it_sees_at_the_primary() {
    let Some(_) = node() else {
        return skipped("node with mysql2 (packages nodejs, npm)");
    };
    let stage = stage().await;
    compare(&stage, "node", || {
        let mut node = node().unwrap();
        node.arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/clients/mysql2.js"
        ));
        node
    })
    .await;
}

#[tokio::test]
async fn jdbc_sees_what_it_sees_at_the_primary() {
    let Some(_) = java() else {
        return skipped(java::WHAT);
    };
    let stage = stage().await;
    compare(&stage, "jdbc", || {
        let mut java = java().unwrap();
        java.arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/clients/Jdbc.java"
        ));
        java
    })
    .await;
}
