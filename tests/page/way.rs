//! A way to a proxy that can be cut, and lead to another one: to the browser it is one address.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    to: watch::Sender<Option<SocketAddr>>,
    task: JoinHandle<()>,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Way {
    pub(crate) async fn to(proxy: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (to, now) = watch::channel(Some(proxy));
        let task = tokio::spawn(async move {
            loop {
                let (mut browser, _) = listener.accept().await.unwrap();
                let mut now = now.clone();
                tokio::spawn(async move {
                    let Some(proxy) = *now.borrow_and_update() else {
                        return;
                    };
                    let Ok(mut proxy) = TcpStream::connect(proxy).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut browser, &mut proxy) => {}
                        _ = now.changed() => {}
                    }
                });
            }
        });
        Self { address, to, task }
    }

    /// Cuts every connection, and leads the next ones there.
    pub(crate) fn lead(&self, proxy: Option<SocketAddr>) {
        self.to.send(proxy).unwrap();
    }
}
