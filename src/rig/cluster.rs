//! A primary and its replicas.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::error::RigError;
use super::folder::Folder;
use super::install::install;
use super::program::{Engine, Program};
use super::server::{Plan, Server, blocking};
use super::template;

/// One primary and its replicas, all replicating. Dropping it kills them and removes all they
/// wrote.
pub struct Cluster {
    program: Arc<Program>,
    primary: Server,
    replicas: Vec<Server>,
}

/// What to start. By default MySQL with two replicas, and progress on standard error.
pub struct ClusterBuilder {
    engine: Engine,
    replicas: usize,
    options: Vec<String>,
    primary_options: Vec<String>,
    replica_options: BTreeMap<usize, Vec<String>>,
    progress: Progress,
}

type Progress = Arc<dyn Fn(&str) + Send + Sync>;

impl Cluster {
    /// What to start, at its defaults.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder {
            engine: Engine::MySql,
            replicas: 2,
            options: Vec::new(),
            primary_options: Vec::new(),
            replica_options: BTreeMap::new(),
            progress: Arc::new(|line| eprintln!("{line}")),
        }
    }

    /// The program the servers run, with its version and the stock client.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The server that started as the primary.
    pub fn primary(&self) -> &Server {
        &self.primary
    }

    /// A server that started as a replica.
    ///
    /// # Panics
    ///
    /// If there is no replica `index`, counted from 0.
    pub fn replica(&self, index: usize) -> &Server {
        &self.replicas[index]
    }

    /// All that started as replicas.
    pub fn replicas(&self) -> &[Server] {
        &self.replicas
    }

    /// Waits until replica `index` has applied all that the primary had committed when this was
    /// called.
    ///
    /// # Errors
    ///
    /// [`RigError::Server`] with the replica's own words if it does not within a minute,
    /// [`RigError::Sql`] if one of the two is down.
    ///
    /// # Panics
    ///
    /// If there is no replica `index`.
    pub async fn wait_caught_up(&self, index: usize) -> Result<(), RigError> {
        let position = self.primary.position().await?;
        self.replica(index).wait_for(&position).await
    }

    /// [`Cluster::wait_caught_up`] for every replica, one after the other.
    ///
    /// # Errors
    ///
    /// As [`Cluster::wait_caught_up`], for the first that fails.
    pub async fn wait_all_caught_up(&self) -> Result<(), RigError> {
        let position = self.primary.position().await?;
        for replica in &self.replicas {
            replica.wait_for(&position).await?;
        }
        Ok(())
    }

    /// Fails over as an orchestrator does: replica `index` stops replicating and takes writes, the
    /// other replicas follow it. The old primary is left as it is, dead or still taking writes.
    /// Handles keep their names: [`Cluster::primary`] is still the old one.
    ///
    /// # Errors
    ///
    /// [`RigError::Sql`] if a replica is down.
    ///
    /// # Panics
    ///
    /// If there is no replica `index`.
    pub async fn promote(&self, index: usize) -> Result<(), RigError> {
        let promoted = self.replica(index);
        promoted.become_primary().await?;
        for (other, replica) in self.replicas.iter().enumerate() {
            if other != index {
                replica.unfollow().await?;
                replica.follow(promoted.port()).await?;
            }
        }
        Ok(())
    }
}

impl ClusterBuilder {
    /// Which server.
    #[must_use]
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// How many replicas, 0 or more.
    #[must_use]
    pub fn replicas(mut self, count: usize) -> Self {
        self.replicas = count;
        self
    }

    /// A server option for all, written as `name=value` or `--name=value`. It goes before the
    /// options of the primary or of one replica, and after the rig's own: the last one counts.
    #[must_use]
    pub fn option(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }

    /// A server option for the primary.
    #[must_use]
    pub fn primary_option(mut self, option: impl Into<String>) -> Self {
        self.primary_options.push(option.into());
        self
    }

    /// A server option for replica `index`, counted from 0.
    #[must_use]
    pub fn replica_option(mut self, index: usize, option: impl Into<String>) -> Self {
        self.replica_options
            .entry(index)
            .or_default()
            .push(option.into());
        self
    }

    /// Gets one line for each slow step, instead of standard error.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.progress = Arc::new(progress);
        self
    }

    /// Starts the servers and waits until every replica replicates: a few seconds, or a minute and
    /// more where a server must be fetched first (see [`install`]). Dropping the future stops
    /// what was started.
    ///
    /// # Errors
    ///
    /// [`RigError::Install`] without a server program, [`RigError::Server`] with the end of its log
    /// for one that does not start or does not replicate within a minute.
    pub async fn start(self) -> Result<Cluster, RigError> {
        let (engine, progress) = (self.engine, Arc::clone(&self.progress));
        let (program, template, home) = blocking(move || {
            let program = install(engine, &*progress)?;
            let template = template::folder(&program, &*progress)?;
            Ok((program, template, Folder::create()?))
        })
        .await?;
        let (program, home) = (Arc::new(program), Arc::new(home));

        let mut starting = JoinSet::new();
        for index in 0..=self.replicas {
            let replica = index.checked_sub(1);
            let own = match replica {
                None => Some(&self.primary_options),
                Some(replica) => self.replica_options.get(&replica),
            };
            let plan = Plan {
                name: replica.map_or("primary".to_owned(), |replica| format!("replica {replica}")),
                server_id: u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1),
                read_only: replica.is_some(),
                options: self
                    .options
                    .iter()
                    .chain(own.into_iter().flatten())
                    .cloned()
                    .collect(),
                template: template.clone(),
                program: Arc::clone(&program),
                home: Arc::clone(&home),
            };
            starting.spawn(async move { (index, Server::start(plan).await) });
        }
        let mut started = BTreeMap::new();
        while let Some(joined) = starting.join_next().await {
            let (index, server) = joined.map_err(|error| RigError::Io {
                what: "a server's start ended early".to_owned(),
                source: std::io::Error::other(error),
            })?;
            started.insert(index, server?);
        }
        let mut servers = started.into_values();
        let Some(primary) = servers.next() else {
            unreachable!("a primary is always started");
        };
        let replicas: Vec<Server> = servers.collect();
        for replica in &replicas {
            replica.follow(primary.port()).await?;
        }
        for replica in &replicas {
            replica.wait_replicating().await?;
        }
        Ok(Cluster {
            program,
            primary,
            replicas,
        })
    }
}
