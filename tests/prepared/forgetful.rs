//! A server that does not know a statement any more, though it never said so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use highwater::config::Address;
use highwater::protocol::frame::{FrameHeader, HEADER, append_packet};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::measure::count;
use crate::support::raw::{Param, error_of, execute, long_data, number};
use crate::support::stage::stage;
use crate::{EXECUTE, client, lone};

/// Stands before a server and, so often as it is told to, has it forget a statement just before it is
/// to execute it.
#[derive(Clone, Default)]
struct Forgetful(Arc<AtomicUsize>);

impl Forgetful {
    /// Gives the port where it listens.
    async fn before(server: String) -> (Self, u16) {
        let this = Self::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let forgetful = this.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&server).await.unwrap();
                let ((mut from, mut to), (near_in, near_out)) =
                    (far.into_split(), near.into_split());
                let forgetful = forgetful.clone();
                tokio::spawn(async move {
                    let mut near_out = near_out;
                    let _ = copy(&mut from, &mut near_out).await;
                });
                tokio::spawn(async move {
                    let _ = forgetful.pass(near_in, &mut to).await;
                });
            }
        });
        (this, port)
    }

    fn next(&self, executions: usize) {
        self.0.store(executions, Ordering::SeqCst);
    }

    async fn pass(&self, mut from: OwnedReadHalf, to: &mut OwnedWriteHalf) -> std::io::Result<()> {
        loop {
            let mut frame = vec![0; HEADER];
            from.read_exact(&mut frame).await?;
            frame.resize(FrameHeader::parse(&frame).unwrap().frame_len(), 0);
            from.read_exact(&mut frame[HEADER..]).await?;
            let less = |left: usize| left.checked_sub(1);
            if frame.get(HEADER) == Some(&0x17)
                && self
                    .0
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
                    .is_ok()
            {
                let mut close = Vec::new();
                let payload = [&[0x19], &frame[HEADER + 1..HEADER + 5]].concat();
                append_packet(&mut close, &mut 0, &payload);
                to.write_all(&close).await?;
            }
            to.write_all(&frame).await?;
        }
    }
}

#[tokio::test]
async fn a_forgotten_statement_is_prepared_again_and_runs_once() {
    let stage = stage().await;
    stage.schema("forgotten").await;
    let primary = stage.setup.cluster.primary();
    let (forgetful, port) = Forgetful::before(primary.address()).await;
    let proxy = lone(&stage, |config| {
        config.cluster.primary = Address::new("127.0.0.1", port);
    })
    .await;
    let lost = || count(&proxy, "prepared_statements_total", &["event=\"lost\""]);
    let mut raw = client(&proxy, "forgotten").await;
    raw.query("CREATE TABLE t (id BIGINT)").await;
    raw.query("CREATE PROCEDURE p() BEGIN INSERT INTO t VALUES (100); EXECUTE nobody_knows; END")
        .await;
    let write = raw.prepare("INSERT INTO t VALUES (?)").await;
    let rows = raw.prepare("SELECT COUNT(*) FROM t").await;
    let call = raw.prepare("CALL p()").await;
    let sum = async |raw: &mut _| {
        let raw: &mut crate::support::raw::Raw = raw;
        number(&raw.ask(&execute(rows, 0, &[], true, false), EXECUTE).await)
    };
    // Types come with the first only.
    for (turn, bind) in [(1, true), (2, false), (3, false)] {
        forgetful.next(1);
        let payload = execute(write, 0, &[Param::Int(turn)], bind, false);
        assert_eq!(error_of(&raw.ask(&payload, EXECUTE).await), None);
        assert_eq!(lost(), u64::try_from(turn).unwrap());
        assert_eq!(sum(&mut raw).await, turn);
    }
    raw.query("BEGIN").await;
    forgetful.next(1);
    let payload = execute(write, 0, &[Param::Int(4)], false, false);
    assert_eq!(error_of(&raw.ask(&payload, EXECUTE).await), None);
    raw.query("COMMIT").await;
    assert_eq!(sum(&mut raw).await, 4);

    // The same error out of a procedure is about something else, and part of it has run.
    let failed = raw.ask(&execute(call, 0, &[], true, false), EXECUTE).await;
    assert_eq!(error_of(&failed), Some(1243));
    assert_eq!(sum(&mut raw).await, 5);
    assert_eq!(lost(), 4);

    // A server that forgets at once is not asked for ever.
    forgetful.next(2);
    let payload = execute(write, 0, &[Param::Int(6)], false, false);
    assert_eq!(error_of(&raw.ask(&payload, EXECUTE).await), Some(1243));
    // What was sent ahead is gone with it.
    raw.send(&long_data(write, 0, b"7")).await;
    forgetful.next(1);
    let payload = execute(write, 0, &[Param::Sent], true, false);
    assert_eq!(error_of(&raw.ask(&payload, EXECUTE).await), Some(1243));
    let payload = execute(write, 0, &[Param::Int(8)], true, false);
    assert_eq!(error_of(&raw.ask(&payload, EXECUTE).await), None);
    assert_eq!(sum(&mut raw).await, 6);
}
