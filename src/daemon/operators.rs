//! The thread of the admin port. What an operator asks may take a while to put together, and neither
//! sessions nor the monitor's probes wait for that.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use super::{DaemonError, listen_tcp, stop_of};
use crate::admin::house::House;
use crate::admin::sql;
use crate::config::Account;

/// The admin port, which listens; clients wait until [`Operators::serve`].
pub(super) struct Operators {
    /// Where it listens.
    pub(super) address: SocketAddr,
    work: oneshot::Sender<Work>,
    thread: JoinHandle<()>,
}

/// What the port works with.
struct Work {
    account: Arc<ArcSwap<Account>>,
    house: Arc<dyn House>,
    stopped: watch::Receiver<bool>,
}

impl Operators {
    /// Starts the thread, and listens.
    pub(super) fn listen(address: SocketAddr) -> Result<Self, DaemonError> {
        let (work, given) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let body = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error.into()))),
            };
            runtime.block_on(async {
                let listener = match listen_tcp(address) {
                    Ok(listener) => listener,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                // Whoever started this waits for it.
                let _ = tell.send(Ok(listener.local_addr().unwrap_or(address)));
                if let Ok(work) = given.await {
                    let Work {
                        account,
                        house,
                        stopped,
                    } = work;
                    sql::serve(listener, account, house, stop_of(stopped)).await;
                }
            });
        };
        let thread = std::thread::Builder::new().name("admin".to_owned());
        let thread = thread.spawn(body)?;
        let gone = |_| std::io::Error::other("the admin port's thread ended").into();
        let address = told.recv().map_err(gone).flatten()?;
        Ok(Self {
            address,
            work,
            thread,
        })
    }

    /// Serves clients until the proxy stops; join the thread then.
    pub(super) fn serve(
        self,
        account: Arc<ArcSwap<Account>>,
        house: Arc<dyn House>,
        stopped: watch::Receiver<bool>,
    ) -> JoinHandle<()> {
        // The thread ends only with this.
        let _ = self.work.send(Work {
            account,
            house,
            stopped,
        });
        self.thread
    }
}
