//! A primary and two replicas for the scripts beside this file, which are not in Rust.
//!
//! `cargo run --example servers -- [mysql|mariadb] [option=value ...]` starts them with these server
//! options, prints one line of JSON that says how to reach them and which client programs there are,
//! and keeps them until its standard input ends. Each line `sync` there is answered with a line
//! `synced` once every replica has all that the primary had when it was read.

use std::io::{BufRead, Write};
use std::process::{Command, ExitCode};

use highwater::rig::{Account, Cluster, Engine, MONITOR, ROOT, RigError, Server};
use serde_json::{Value, json};

/// The client programs that the scripts use.
const TOOLS: [&str; 3] = ["mysql", "mysqldump", "mysqlslap"];

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let kept = match runtime {
        Ok(runtime) => runtime.block_on(keep()).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match kept {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn keep() -> Result<(), RigError> {
    let mut arguments = std::env::args().skip(1).peekable();
    let engine = match arguments.next_if(|argument| !argument.contains('=')) {
        Some(name) if name == "mariadb" => Engine::MariaDb,
        _ => Engine::MySql,
    };
    let start = |builder: highwater::rig::ClusterBuilder, option| builder.option(option);
    let cluster = arguments
        .fold(Cluster::builder().engine(engine), start)
        .start()
        .await?;
    say(&description(&cluster).to_string());
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if line == "sync" {
            cluster.wait_all_caught_up().await?;
            say("synced");
        }
    }
    Ok(())
}

fn say(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}

fn description(cluster: &Cluster) -> Value {
    let address = |server: &Server| json!({ "host": server.host(), "port": server.port() });
    let account = |account: &Account| json!({ "user": account.user, "password": account.password });
    let tools = TOOLS.iter().filter_map(|name| {
        let command = cluster.program().tool(name)?;
        Some(((*name).to_owned(), words(&command)))
    });
    json!({
        "version": cluster.program().version().to_string(),
        "primary": address(cluster.primary()),
        "replicas": cluster.replicas().iter().map(address).collect::<Vec<_>>(),
        "root": account(&ROOT),
        "monitor": account(&MONITOR),
        "tools": tools.collect::<serde_json::Map<_, _>>(),
    })
}

/// A command as the list of its words.
fn words(command: &Command) -> Value {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| Value::from(word.to_string_lossy()))
        .collect()
}
