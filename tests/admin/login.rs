//! Who may log in.

use highwater::config::{Account, AdminConfig};
use highwater::rig::Cluster;
use mysql_async::{Conn, Opts};

use super::support::Setup;
use super::{admin, admin_opts, rows};

async fn refused(opts: mysql_async::OptsBuilder) -> u16 {
    match Conn::new(Opts::from(opts)).await {
        Err(mysql_async::Error::Server(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn only_the_admin_with_its_password_comes_in() {
    let setup = Setup::with(Cluster::builder().replicas(0), |config| {
        config.admin.account = Account::new(AdminConfig::USER, "s3same");
    })
    .await;
    let proxy = &setup.proxy;
    let right = || admin_opts(proxy).pass(Some("s3same"));
    let mut conn = Conn::new(Opts::from(right())).await.unwrap();
    assert_eq!(
        rows(&mut conn, "SELECT COUNT(*) FROM backends").await,
        [["1"]]
    );
    assert_eq!(refused(admin_opts(proxy)).await, 1045);
    assert_eq!(refused(right().pass(Some("sesame"))).await, 1045);
    assert_eq!(refused(right().user(Some("app"))).await, 1045);
    assert_eq!(refused(right().user(Some("root"))).await, 1045);
}

#[tokio::test]
async fn without_a_password_any_is_wrong() {
    let setup = Setup::with(Cluster::builder().replicas(0), |_| {}).await;
    let mut conn = admin(&setup.proxy).await;
    assert_eq!(rows(&mut conn, "SELECT 1").await, [["1"]]);
    let opts = admin_opts(&setup.proxy).pass(Some("any"));
    assert_eq!(refused(opts).await, 1045);
}
