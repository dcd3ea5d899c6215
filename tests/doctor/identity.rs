//! Addresses behind which there is not one server.

use highwater::config::Address;
use highwater::doctor::finding::{Finding, Severity};
use highwater::rig::Cluster;
use tokio::net::{TcpListener, TcpStream};

use crate::clinic::Clinic;

/// Forwards each connection to the next of these ports.
async fn in_turn(ports: Vec<u16>) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for port in ports.iter().cycle() {
            let Ok((mut client, _)) = listener.accept().await else {
                return;
            };
            let port = *port;
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address.into()
}

#[tokio::test]
async fn two_servers_behind_one_address_and_one_behind_two() {
    let mut clinic = Clinic::open(Cluster::builder()).await;
    let ports: Vec<_> = clinic
        .cluster
        .replicas()
        .iter()
        .map(|it| it.port())
        .collect();
    clinic.config.cluster.replicas = vec![in_turn(ports.clone()).await];
    let diagnosis = clinic.examine().await;
    let is_rule = |it: &&Finding| it.rule == "one_server_behind_address";
    let found = diagnosis.findings.iter().find(is_rule).unwrap();
    assert_eq!(found.severity, Severity::Failure);
    assert!(
        found.seen.starts_with("several servers answer"),
        "{}",
        found.seen
    );

    let same = Address::new("127.0.0.1", ports[0]);
    clinic.config.cluster.replicas = vec![same, in_turn(vec![ports[0]]).await];
    let diagnosis = clinic.examine().await;
    let found = diagnosis.findings.iter().find(is_rule).unwrap();
    assert_eq!(found.severity, Severity::Failure);
    assert!(
        found.seen.starts_with("this is the same server"),
        "{}",
        found.seen
    );
}
