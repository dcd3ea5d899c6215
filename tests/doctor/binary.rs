//! The command as a person or a script meets it.

use std::path::PathBuf;
use std::process::{Command, Output};

use highwater::rig::{Cluster, MONITOR};

/// A folder that is gone with the value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn with(config: &str) -> Self {
        let name = format!("highwater-doctor-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("config.toml"), config).unwrap();
        Self(path)
    }

    async fn doctor(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        command
            .arg("doctor")
            .arg("--config")
            .arg(self.0.join("config.toml"))
            .args(arguments)
            .env("MONITOR_PASSWORD", MONITOR.password)
            .env("APP_PASSWORD", highwater::rig::APP.password);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn exit_codes_follow_the_configured_level() {
    let cluster = Cluster::builder().replicas(1).start().await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
    let folder = Folder::with(&format!(
        "[cluster]\nprimary = {:?}\nreplicas = [{:?}]\n\
         [monitor]\nuser = \"highwater\"\npassword_env = \"MONITOR_PASSWORD\"\n\
         [[user]]\nname = \"app\"\npassword_env = \"APP_PASSWORD\"\n\
         [http]\nlisten = \"127.0.0.1:1\"\n",
        cluster.primary().address(),
        cluster.replica(0).address(),
    ));
    let output = folder.doctor(&[]).await;
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}");
    assert!(
        out.contains("ok       gtid_mode: gtid_mode is ON\n"),
        "{out}"
    );
    assert!(out.contains(": session can hold\n"), "{out}");
    let progress = text(&output.stderr);
    let looks = format!("looking at primary {} ...", cluster.primary().address());
    assert!(progress.contains(&looks), "{progress}");

    let sql = "SET GLOBAL binlog_order_commits = OFF";
    cluster.primary().exec(sql).await.unwrap();
    let output = folder.doctor(&["--json"]).await;
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(out.starts_with("{\"holds\":false,"), "{out}");
    let mend = "\"sql\":[\"SET PERSIST binlog_order_commits = ON\"]";
    assert!(out.contains(mend), "{out}");
    assert!(text(&output.stderr).contains("cannot hold"));

    let output = folder.doctor(&["--consistency", "eventual"]).await;
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}");
    assert!(out.contains("warning  binlog_order_commits on "), "{out}");

    for wrong in [&["--primary", "db1:x"][..], &["--consistency", "strong"]] {
        assert_eq!(folder.doctor(wrong).await.status.code(), Some(1));
    }
    assert_eq!(folder.doctor(&["--bananas"]).await.status.code(), Some(2));
}
