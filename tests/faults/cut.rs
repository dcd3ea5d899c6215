//! Connections that break while both of their ends are well.

use std::time::Duration;

use highwater::config::Address;
use highwater::rig::Cluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

use crate::measure::{reason, until};
use crate::support::{Setup, cell};

/// What no statement gets through with.
const MARK: &str = "not on my wire";

/// A way to a server that breaks where it sees the mark.
async fn touchy(server: String) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, server.clone()));
        }
    });
    address.into()
}

async fn pass(client: TcpStream, server: String) {
    let server = TcpStream::connect(server).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut some = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from_client.read(&mut some).await {
            let some = &some[..count];
            let marked = |some: &[u8]| some == MARK.as_bytes();
            if some.windows(MARK.len()).any(marked) || to_server.write_all(some).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        _ = copy(&mut from_server, &mut to_client) => {}
    }
}

/// Two connections that broke are not two servers that a statement ended.
#[tokio::test]
async fn a_way_that_breaks_is_no_toll() {
    goes_another_way(false).await;
}

/// Nor is the replica asked again that a session keeps to without a connection in its hands.
#[tokio::test]
async fn a_way_that_breaks_is_not_gone_again() {
    goes_another_way(true).await;
}

/// `switches` says whether the session gives its connections back after each statement.
async fn goes_another_way(switches: bool) {
    let cluster = Cluster::builder().start().await.unwrap();
    let mut ways = Vec::new();
    for replica in cluster.replicas() {
        ways.push(touchy(replica.address()).await);
    }
    let setup = Setup::over(cluster, |config| {
        config.cluster.replicas = ways;
        config.pool.switch_always |= switches;
    })
    .await;
    let mut conn = setup.connect().await;
    let sql = format!("SELECT '{MARK}'");
    let asked = tokio::time::timeout(Duration::from_secs(60), cell(&mut conn, &sql));
    let seen = asked.await.expect("it goes the same way again and again");
    assert_eq!(seen.as_deref(), Some(MARK));
    // It is counted when its answer is out.
    until("it is counted", || reason(&setup.proxy, "no_replica") == 1).await;
    setup.proxy.shut_down().await;
}
