//! The thread of the admin port and the HTTP port. What an operator asks may take a while to put together,
//! and neither sessions nor the monitor's probes wait for that.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use super::{DaemonError, listen_tcp, stop_of};
use crate::admin::house::House;
use crate::admin::http::{self, Site};
use crate::admin::sql;
use crate::config::Account;
use crate::net::Listener;

/// The two ports, which listen; clients wait until [`Operators::serve`].
pub(super) struct Operators {
    /// Where the admin port listens.
    pub(super) admin: SocketAddr,
    /// Where the HTTP port listens.
    pub(super) http: SocketAddr,
    work: oneshot::Sender<Work>,
    thread: JoinHandle<()>,
}

/// What the ports work with.
struct Work {
    account: Arc<ArcSwap<Account>>,
    house: Arc<dyn House>,
    site: Site,
    stopped: watch::Receiver<bool>,
}

impl Operators {
    /// Starts the thread, and listens.
    pub(super) fn listen(admin: SocketAddr, http: SocketAddr) -> Result<Self, DaemonError> {
        let (work, given) = oneshot::channel::<Work>();
        let (tell, told) = mpsc::channel();
        let body = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error.into()))),
            };
            runtime.block_on(async {
                let (sql, http) = match both(admin, http).await {
                    Ok(listeners) => listeners,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                let addresses = || Ok((sql.local_addr().unwrap_or(admin), http.local_addr()?));
                // Whoever started this waits for it.
                let _ = tell.send(addresses());
                if let Ok(work) = given.await {
                    work.serve(sql, http).await;
                }
            });
        };
        let thread = std::thread::Builder::new().name("admin".to_owned());
        let thread = thread.spawn(body)?;
        let gone = |_| std::io::Error::other("the thread of the admin port ended").into();
        let (admin, http) = told.recv().map_err(gone).flatten()?;
        Ok(Self {
            admin,
            http,
            work,
            thread,
        })
    }

    /// Serves clients until the proxy stops; join the thread then.
    pub(super) fn serve(
        self,
        account: Arc<ArcSwap<Account>>,
        house: Arc<dyn House>,
        site: Site,
        stopped: watch::Receiver<bool>,
    ) -> JoinHandle<()> {
        // The thread ends only with this.
        let _ = self.work.send(Work {
            account,
            house,
            site,
            stopped,
        });
        self.thread
    }
}

impl Work {
    async fn serve(self, sql: Listener, http: TcpListener) {
        let Self {
            account,
            house,
            site,
            stopped,
        } = self;
        let pages = async {
            let served = http::serve(http, site, stop_of(stopped.clone())).await;
            if let Err(error) = served {
                tracing::error!(%error, "the HTTP port failed");
            }
        };
        let tables = sql::serve(sql, account, house, stop_of(stopped.clone()));
        tokio::join!(pages, tables);
    }
}

async fn both(admin: SocketAddr, http: SocketAddr) -> Result<(Listener, TcpListener), DaemonError> {
    let pages = TcpListener::bind(http).await;
    let pages = pages.map_err(|source| DaemonError::Listen {
        address: http.to_string(),
        source,
    })?;
    Ok((listen_tcp(admin)?, pages))
}
