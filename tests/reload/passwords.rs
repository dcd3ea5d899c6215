//! Accounts that change: of the monitor, of users, of the admin port.

use highwater::config::Account;
use highwater::rig::{APP, Cluster, MONITOR};

use super::stage::until;
use super::{admin, cell, fill, refused, run, staged};

#[tokio::test]
async fn the_monitor_logs_in_with_its_new_password() {
    let staged = staged(Cluster::builder().replicas(1), |_| {}).await;
    let cluster = &staged.setup.cluster;
    let alter = format!("ALTER USER '{}'@'%' IDENTIFIED BY 'other-pw'", MONITOR.user);
    cluster.primary().exec(&alter).await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
    let said = staged
        .reload(|config| config.monitor.account = Account::new(MONITOR.user, "other-pw"))
        .await;
    let expected = "monitor.password: changed: for connections that are opened from now on";
    assert_eq!(said, [expected]);
    // Every connection of the monitor's is a new one then.
    let watch = staged.setup.proxy.watch();
    for server in std::iter::once(cluster.primary()).chain(cluster.replicas()) {
        let threads = format!(
            "SELECT CONCAT(GROUP_CONCAT(CONCAT('KILL ', ID) SEPARATOR ';'), '') \
             FROM information_schema.PROCESSLIST WHERE USER = '{}'",
            MONITOR.user
        );
        let kills = server.value(&threads).await.unwrap().unwrap();
        for kill in kills.split(';') {
            // It may have left by itself.
            let _ = server.exec(kill).await;
        }
    }
    let topology = watch.topology();
    let seen: Vec<_> = topology
        .backends
        .iter()
        .map(|it| (it.id, watch.counters(it.id).probes))
        .collect();
    until("each was looked at some times, and is well", async || {
        let topology = watch.topology();
        let probed = seen
            .iter()
            .all(|(id, before)| watch.counters(*id).probes > before + 5);
        probed && topology.backends.iter().all(|view| view.usable())
    })
    .await;
    fill(&staged.setup).await;
    cell(&mut staged.setup.connect().await, "SELECT v FROM kept").await;
}

#[tokio::test]
async fn users_come_go_and_change_their_passwords() {
    let [second, third] = [
        Account::new("second", "second-pw"),
        Account::new("third", "third-pw"),
    ];
    let staged = staged(Cluster::builder().replicas(1), |config| {
        config.users.push(Account::new("second", "second-pw"));
    })
    .await;
    fill(&staged.setup).await;
    let cluster = &staged.setup.cluster;
    for sql in [
        "CREATE USER 'second'@'%' IDENTIFIED BY 'second-pw'",
        "GRANT SELECT, INSERT ON *.* TO 'second'@'%'",
        "CREATE USER 'third'@'%' IDENTIFIED BY 'third-pw'",
        "GRANT SELECT ON *.* TO 'third'@'%'",
    ] {
        cluster.primary().exec(sql).await.unwrap();
    }
    cluster.wait_all_caught_up().await.unwrap();
    let mut of_second = staged.login(&second).await.unwrap();
    run(&mut of_second, "SET @own = 1").await;
    let mut of_app = staged.setup.connect().await;
    assert_eq!(refused(staged.login(&third).await), 1045);

    let alter = format!("ALTER USER '{}'@'%' IDENTIFIED BY 'changed-pw'", APP.user);
    cluster.primary().exec(&alter).await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
    let changed = Account::new(APP.user, "changed-pw");
    let users = vec![changed.clone(), third.clone()];
    let said = staged.reload(|config| config.users = users).await;
    let expected = [
        "user.third: added: for new sessions",
        "user.second: removed: for new sessions",
        "user.app.password: changed: for new sessions",
    ];
    assert_eq!(said, expected);
    // Who is there stays, also where it needs a connection that it does not have yet.
    for conn in [&mut of_second, &mut of_app] {
        assert_eq!(cell(conn, "SELECT v FROM kept").await.as_deref(), Some("7"));
        run(conn, "INSERT INTO kept SELECT 7 FROM kept LIMIT 0").await;
        cell(conn, "SELECT v FROM kept").await;
    }
    assert_eq!(
        cell(&mut of_second, "SELECT @own").await.as_deref(),
        Some("1")
    );
    assert_eq!(refused(staged.login(&second).await), 1045);
    assert_eq!(
        refused(staged.login(&Account::new(APP.user, APP.password)).await),
        1045
    );
    for account in [&changed, &third] {
        let mut conn = staged.login(account).await.unwrap();
        assert_eq!(
            cell(&mut conn, "SELECT v FROM kept").await.as_deref(),
            Some("7")
        );
    }
}

#[tokio::test]
async fn the_admin_port_asks_for_its_new_password() {
    let staged = staged(Cluster::builder().replicas(0), |_| {}).await;
    let mut open = staged.admin().await;
    let said = staged
        .reload(|config| config.admin.account = Account::new("admin", "a-pw"))
        .await;
    let expected = "admin.password: changed: for connections that are opened from now on";
    assert_eq!(said, [expected]);
    let address = staged.setup.proxy.addresses().admin.to_string();
    assert_eq!(refused(admin(&address, "").await), 1045);
    admin(&address, "a-pw").await.unwrap();
    // Who is there stays.
    assert_eq!(
        cell(&mut open, "SELECT COUNT(*) FROM backends")
            .await
            .as_deref(),
        Some("1")
    );
}
