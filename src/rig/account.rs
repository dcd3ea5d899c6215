//! The accounts every server of the rig has, created with its template data folder.

/// A name and its password. The servers listen on loopback only and hold no data of anybody's, so
/// the passwords are constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user name; the host part is `%`.
    pub user: &'static str,
    /// The password in clear text.
    pub password: &'static str,
    /// The schema its connections start in.
    pub database: Option<&'static str>,
}

/// What an application has: all rights on data and schemas, none on the server. It cannot write to
/// a read-only replica.
pub const APP: Account = Account {
    user: "app",
    password: "app-pw",
    database: Some("app"),
};

/// What the proxy's monitor needs and no more: replication status, process list and the
/// performance schema.
pub const MONITOR: Account = Account {
    user: "highwater",
    password: "highwater-pw",
    database: None,
};

/// What a replica logs in to its source with.
pub const REPLICATION: Account = Account {
    user: "repl",
    password: "repl-pw",
    database: None,
};

/// All rights, over TCP. (The rig itself uses `root` on the server's Unix socket, without a
/// password, so that its knobs work whatever a test does to TCP.)
pub const ROOT: Account = Account {
    user: "admin",
    password: "admin-pw",
    database: None,
};

/// The rights of [`APP`]. Every one of them exists in both engines.
const APP_RIGHTS: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, \
     CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, \
     ALTER ROUTINE, EVENT, TRIGGER, PROCESS, RELOAD";

/// The statements, one on each line, that create the `app` schema and the accounts.
pub(super) fn bootstrap_sql(engine: super::Engine) -> String {
    let mut sql = String::from("CREATE DATABASE app;\n");
    if engine == super::Engine::MariaDb {
        // Bootstrap mode runs without grant tables until told otherwise.
        sql.push_str("FLUSH PRIVILEGES;\n");
    }
    for account in [&APP, &MONITOR, &REPLICATION, &ROOT] {
        sql.push_str(&format!(
            "CREATE USER '{}'@'%' IDENTIFIED BY '{}';\n",
            account.user, account.password
        ));
    }
    let monitor_rights = match engine {
        super::Engine::MySql => "REPLICATION CLIENT, PROCESS",
        // SHOW SLAVE STATUS needs a right of its own since 10.5.
        super::Engine::MariaDb => "REPLICATION CLIENT, PROCESS, SLAVE MONITOR",
    };
    sql.push_str(&format!(
        "GRANT {APP_RIGHTS} ON *.* TO '{app}'@'%';\n\
         GRANT {monitor_rights} ON *.* TO '{monitor}'@'%';\n\
         GRANT SELECT ON performance_schema.* TO '{monitor}'@'%';\n\
         GRANT REPLICATION SLAVE ON *.* TO '{repl}'@'%';\n\
         GRANT ALL ON *.* TO '{root}'@'%' WITH GRANT OPTION;\n",
        app = APP.user,
        monitor = MONITOR.user,
        repl = REPLICATION.user,
        root = ROOT.user,
    ));
    sql
}
