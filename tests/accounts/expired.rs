//! An expired password: a client that says that it can renew it gets a session that takes nothing else.

use highwater::config::PoolMode;
use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::packets::ErrView;
use highwater::rig::Cluster;

use crate::support::raw::{Raw, usual};
use crate::{all, boss, proxy};

/// What is told of a statement: the error's number and text, or nothing.
async fn told(conn: &mut Raw, sql: &str) -> Option<(u16, String)> {
    let reply = conn.query(sql).await;
    let error = ErrView::parse(reply.last().unwrap())?;
    let text = String::from_utf8_lossy(error.message).into_owned();
    Some((error.code, text))
}

#[tokio::test]
async fn who_can_renew_a_password_may() {
    const STATEMENTS: [&str; 6] = [
        "SELECT id FROM t",
        "INSERT INTO t VALUES (2)",
        "SET @x = 1",
        "BEGIN",
        "USE app",
        "GRANT SELECT ON app.t TO CURRENT_USER()",
    ];
    let cluster = Cluster::builder().replicas(1).start().await.unwrap();
    let flags = usual() | CapabilityFlags::CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS;
    for mode in PoolMode::ALL {
        let users = ["here", "there"].map(|it| format!("{it}_{}", mode.name()));
        let proxy = proxy(&cluster, mode, &[&users[1]], |_| {}).await;
        let mut boss = boss(&proxy).await;
        all(
            &mut boss,
            &[
                "CREATE TABLE IF NOT EXISTS app.t (id INT)".to_owned(),
                "INSERT INTO app.t VALUES (1)".to_owned(),
            ],
        )
        .await;
        for user in &users {
            all(
                &mut boss,
                &[
                    format!("CREATE USER {user} IDENTIFIED BY 'pw' PASSWORD EXPIRE"),
                    format!("GRANT ALL ON app.* TO {user}"),
                ],
            )
            .await;
        }
        let addresses = [
            cluster.primary().address(),
            proxy.addresses().mysql.to_string(),
        ];
        let mut stories = Vec::new();
        for (address, user) in addresses.iter().zip(&users) {
            let account = (user.as_str(), "pw");
            let refused = Raw::connect(address, account, Some("app"), usual()).await;
            let mut story = vec![refused.err().map(|error| (0, error.to_string()))];
            let conn = Raw::connect(address, account, Some("app"), flags).await;
            let mut conn = conn.unwrap_or_else(|error| panic!("{address}: {error}"));
            for sql in STATEMENTS {
                story.push(told(&mut conn, sql).await);
            }
            story.push(told(&mut conn, "ALTER USER USER() IDENTIFIED BY 'pw'").await);
            for sql in &STATEMENTS[..4] {
                story.push(told(&mut conn, sql).await);
            }
            story.push(Some((0, conn.cell("SELECT DATABASE()").await)));
            stories.push(format!("{story:?}"));
            Raw::connect(address, account, Some("app"), usual())
                .await
                .unwrap();
        }
        assert_eq!(stories[1], stories[0], "{mode:?}");
        assert!(
            stories[0].contains("1862") && stories[0].contains("1820"),
            "{}",
            stories[0]
        );
    }
}
