//! The threads that run sessions: one runtime each, and a session stays where it was put.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};

use crate::net::{Listener, Stream};
use crate::relay::{self, Shared};

/// How long the acceptor rests after an error such as too many open files.
const REST: Duration = Duration::from_millis(50);

/// The worker threads. Stopped when dropped.
#[derive(Debug)]
pub(super) struct Workers {
    handles: Arc<[Handle]>,
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    turn: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts so many threads.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut handles = Vec::new();
        let mut threads = Vec::new();
        for number in 0..count.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let mut stopped = stopped.clone();
            let body = move || {
                // An error means that the proxy is gone, which is the word to stop as well.
                let _ = runtime.block_on(stopped.wait_for(|stop| *stop));
            };
            let name = format!("worker-{number}");
            threads.push(std::thread::Builder::new().name(name).spawn(body)?);
        }
        Ok(Self {
            handles: handles.into(),
            threads,
            stop,
            turn: Arc::default(),
        })
    }

    /// Stops the threads; sessions that still run end.
    pub(super) fn stop(&mut self) {
        let _ = self.stop.send(true);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }

    /// Accepts clients for ever and hands each to a worker, in turn.
    pub(super) fn acceptor(
        &self,
        shared: Arc<Shared>,
        listener: Listener,
    ) -> impl Future<Output = ()> + Send + 'static {
        let handles = Arc::clone(&self.handles);
        let turn = Arc::clone(&self.turn);
        async move {
            loop {
                match listener.accept().await {
                    Ok(stream) => {
                        let at = turn.fetch_add(1, Ordering::Relaxed) % handles.len();
                        if let Some(worker) = handles.get(at) {
                            hand_over(&shared, worker, stream);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a client");
                        tokio::time::sleep(REST).await;
                    }
                }
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Moves a client to a worker's runtime and runs its session there.
fn hand_over(shared: &Arc<Shared>, worker: &Handle, stream: Stream) {
    let Ok(detached) = stream.detach() else {
        return;
    };
    let shared = Arc::clone(shared);
    let id = shared.registry.next_id();
    // The session must know the handle of its own task, which exists only once it runs.
    let (tell, told) = oneshot::channel();
    let task = worker.spawn(async move {
        let own = told.await.ok();
        match detached.attach() {
            Ok(stream) => relay::serve(shared, stream, id, own).await,
            Err(error) => tracing::debug!(%error, "a client left before it was greeted"),
        }
    });
    // A worker that stopped has no session to tell.
    let _ = tell.send(task.abort_handle());
}
