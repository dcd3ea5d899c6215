//! The admin port: SQL over the MySQL protocol, for any MySQL client and the user `admin`.
//!
//! It runs on the runtime that it is started on, which is its own: what an operator asks costs no
//! statement anything. It knows the proxy by [`House`] alone.

mod answer;
mod command;
mod filter;
mod session;
mod token;
mod usual;

pub(super) use command::COMMANDS;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::house::House;
use super::table::Table;
use crate::config::Account;
use crate::net::Listener;

/// Clients at once; the port is for people and a few tools.
const MOST: usize = 64;

/// How long the acceptor rests after an error such as too many open files.
const REST: Duration = Duration::from_millis(50);

/// What an admin client is told when its command cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AdminError {
    /// No command begins like that.
    #[error("unknown command '{0}'; try SHOW HELP")]
    UnknownCommand(String),
    /// A command that is not spelled right.
    #[error("{0}; try SHOW HELP")]
    Syntax(String),
    /// There is no such table.
    #[error("unknown table '{0}'; SHOW TABLES lists those there are")]
    UnknownTable(String),
    /// The table has no such column.
    #[error("unknown column '{name}'; {table} has {columns}")]
    UnknownColumn {
        /// What was asked for.
        name: String,
        /// The table.
        table: &'static str,
        /// What it has.
        columns: String,
    },
    /// A system variable that the port does not have.
    #[error("unknown system variable '{0}'")]
    UnknownVariable(String),
    /// Asked rightly, and not possible.
    #[error("{0}")]
    Refused(String),
}

impl AdminError {
    fn near(text: &str) -> Self {
        let near: String = text.chars().take(40).collect();
        Self::Syntax(format!("cannot read '{near}'"))
    }

    fn unknown_column(name: &str, table: &Table) -> Self {
        let columns: Vec<_> = table.columns.iter().map(|column| column.name).collect();
        Self::UnknownColumn {
            name: name.to_owned(),
            table: table.name,
            columns: columns.join(", "),
        }
    }

    /// MySQL's number and SQLSTATE for it.
    fn code(&self) -> (u16, [u8; 5]) {
        match self {
            Self::UnknownCommand(_) | Self::Syntax(_) => (1064, *b"42000"),
            Self::UnknownTable(_) => (1146, *b"42S02"),
            Self::UnknownColumn { .. } => (1054, *b"42S22"),
            Self::UnknownVariable(_) => (1193, *b"HY000"),
            Self::Refused(_) => (1105, *b"HY000"),
        }
    }
}

/// Serves admin clients, who log in as this account as it is then, until `shutdown` is done; those that are connected then are cut off.
pub async fn serve(
    listener: Listener,
    account: Arc<ArcSwap<Account>>,
    house: Arc<dyn House>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let places = Arc::new(Semaphore::new(MOST));
    let mut sessions = JoinSet::new();
    let mut number = 0;
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => return,
        };
        // What has ended is let go of.
        while sessions.try_join_next().is_some() {}
        match accepted {
            Ok(stream) => {
                number += 1;
                let place = Arc::clone(&places).try_acquire_owned().ok();
                let (account, house) = (account.load_full(), Arc::clone(&house));
                sessions.spawn(async move {
                    session::serve(stream, number, place.is_some(), &account, &*house).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an admin client");
                tokio::time::sleep(REST).await;
            }
        }
    }
}
