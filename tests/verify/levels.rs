//! Each level holds through Highwater, and the checks of the stronger ones fail there.

use highwater::rig::Cluster;
use highwater::verify::{Claim, Kind, Told};

use super::lag::{assert_found, assert_holds, direct, history, plan};
use super::support::Setup;

async fn setup() -> Setup {
    Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = std::time::Duration::from_secs(30);
    })
    .await
}

#[tokio::test]
async fn session_holds_and_less_than_session_is_found() {
    let setup = setup().await;
    let cluster = &setup.cluster;
    let (made, findings) = history(cluster, &plan(setup.opts(), Some(Claim::Session))).await;
    assert_eq!(made.told, Told::Highwater);
    assert_holds(Claim::Session, &made, &findings);
    // What a session is not promised: the other connection of its pair.
    for kind in [Kind::Group, Kind::Proxy, Kind::Global] {
        assert_found(kind, &findings);
    }

    let (made, findings) = history(cluster, &plan(setup.opts(), Some(Claim::Eventual))).await;
    assert_holds(Claim::Eventual, &made, &findings);
    for kind in [Kind::OwnWrites, Kind::Bounded, Kind::Group] {
        assert_found(kind, &findings);
    }
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn a_naive_split_and_a_single_server_are_told_apart() {
    let cluster = Cluster::builder().start().await.unwrap();
    // The application writes to the primary and reads from one replica.
    let mut split = plan(direct(cluster.replica(0)), Some(Claim::Session));
    split.writes = Some(direct(cluster.primary()));
    let (made, findings) = history(&cluster, &split).await;
    assert_eq!(made.told, Told::Unknown);
    for kind in [Kind::OwnWrites, Kind::Bounded, Kind::Group, Kind::Global] {
        assert_found(kind, &findings);
    }
    // It is one server: nobody goes back in time.
    assert_eq!(findings.tally(Kind::Monotonic).violations, 0);
    assert_holds(Claim::Eventual, &made, &findings);

    let mut single = plan(direct(cluster.primary()), None);
    single.past = Some(direct(cluster.primary()));
    let (made, findings) = history(&cluster, &single).await;
    assert_eq!(made.told, Told::Nothing);
    for claim in Claim::ALL {
        assert_holds(claim, &made, &findings);
    }
    let mut past = made.history.actors.iter().filter(|actor| actor.past);
    assert!(past.next().is_some());
}
