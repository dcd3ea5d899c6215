//! Asks the servers. Every step has a time limit, and an answer that does not come is a fact too.

mod line;
mod login;
mod server;

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::facts::{Arrival, Seen, Server, Silence};
use crate::config::{Account, Address, Config};
use crate::domain::topology::{Engine, Role};
use line::Line;

/// How long a connection or an answer may take; longer if the monitor may wait longer.
const STEP: Duration = Duration::from_secs(3);
/// How long the whole look at one server may take.
const WHOLE: Duration = Duration::from_secs(20);
/// How long a replica may take to get to where the primary was.
const CATCH_UP: Duration = Duration::from_secs(2);

/// What one look needs.
#[derive(Clone)]
struct Task {
    address: Address,
    role: Role,
    monitor: Account,
    users: Vec<Account>,
    step: Duration,
}

/// Looks at every server at the same time, then compares replicas with where the primary is.
pub(super) async fn servers(config: &Config, progress: &dyn Fn(&str)) -> Vec<Server> {
    let tasks = tasks(config);
    let mut running = JoinSet::new();
    for (at, task) in tasks.iter().cloned().enumerate() {
        progress(&format!(
            "looking at {} {} ...",
            task.role.name(),
            task.address
        ));
        running.spawn(async move { (at, look(task).await) });
    }
    let mut looked = Vec::new();
    while let Some(result) = running.join_next().await {
        // A task that panicked is a defect of ours; the others' findings still count.
        let Ok((at, seen)) = result else { continue };
        if let Some(task) = tasks.get(at) {
            progress(&match &seen {
                Ok(_) => format!("{} told about itself", task.address),
                Err(_) => format!("{} does not answer", task.address),
            });
        }
        looked.push((at, seen));
    }
    looked.sort_by_key(|(at, _)| *at);
    let mut servers: Vec<Server> = looked
        .into_iter()
        .filter_map(|(at, seen)| {
            let task = tasks.get(at)?;
            Some(Server {
                address: task.address.to_string(),
                role: task.role,
                seen,
            })
        })
        .collect();
    compare(&tasks, &mut servers, progress).await;
    servers
}

fn tasks(config: &Config) -> Vec<Task> {
    let primary = std::iter::once((&config.cluster.primary, Role::Primary));
    let replicas = config.cluster.replicas.iter().map(|it| (it, Role::Replica));
    primary
        .chain(replicas)
        .map(|(address, role)| Task {
            address: address.clone(),
            role,
            monitor: config.monitor.account.clone(),
            users: config.users.clone(),
            step: config.monitor.timeout.max(STEP),
        })
        .collect()
}

async fn look(task: Task) -> Result<Box<Seen>, Silence> {
    match timeout(WHOLE, server::look(&task)).await {
        Ok(seen) => seen.map(Box::new),
        Err(_) => Err(Silence::Unreachable(format!(
            "it did not tell about itself within {} s",
            WHOLE.as_secs()
        ))),
    }
}

/// Asks the primary where it is, after every replica has been asked, and how long replicas take to
/// get there.
async fn compare(tasks: &[Task], servers: &mut [Server], progress: &dyn Fn(&str)) {
    let (Some(task), Some(primary)) = (tasks.first(), servers.first_mut()) else {
        return;
    };
    let Ok(seen) = &mut primary.seen else { return };
    let Ok(target) = server::position_later(task, seen).await else {
        return;
    };
    let Some(target) = target else { return };
    progress("waiting for the replicas to get to where the primary is ...");
    let mut running = JoinSet::new();
    for (at, (task, server)) in tasks.iter().zip(servers.iter()).enumerate().skip(1) {
        let Ok(seen) = &server.seen else { continue };
        let (task, target, engine) = (task.clone(), target.clone(), seen.engine);
        running.spawn(async move { (at, arrival(&task, engine, &target).await) });
    }
    while let Some(result) = running.join_next().await {
        if let Ok((at, arrival)) = result
            && let Some(server) = servers.get_mut(at)
            && let Ok(seen) = &mut server.seen
        {
            seen.arrival = arrival;
        }
    }
}

/// Waits for a position on a replica; `None` when that cannot be asked.
async fn arrival(task: &Task, engine: Engine, target: &str) -> Option<Arrival> {
    let seconds = CATCH_UP.as_secs();
    let sql = match engine {
        Engine::MySql => format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{target}', {seconds})"),
        Engine::MariaDb => format!("SELECT MASTER_GTID_WAIT('{target}', {seconds})"),
    };
    let mut line = Line::open(&task.address, &task.monitor, task.step)
        .await
        .ok()?;
    let began = Instant::now();
    let answer = line.ask(&sql).await;
    let took = began.elapsed();
    line.close().await;
    match answer.ok()?.number(0)? {
        0 => Some(Arrival::After(took)),
        _ => Some(Arrival::NotWithin(CATCH_UP)),
    }
}
