//! The two engines' words for the same replication.

use std::fmt;

use super::account::REPLICATION;
use super::program::Engine;

/// A replica's replication status, as far as the rig needs it.
pub(super) struct Status {
    pub(super) receiver: bool,
    pub(super) applier: bool,
    /// What the two threads last complained about; may be empty.
    pub(super) complaint: String,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = |running| if running { "runs" } else { "does not run" };
        write!(
            f,
            "its receiver {}, its applier {} {}",
            state(self.receiver),
            state(self.applier),
            self.complaint
        )
    }
}

/// Points a stopped replica at the server on `port`.
pub(super) fn follow(engine: Engine, port: u16) -> String {
    let (user, password) = (REPLICATION.user, REPLICATION.password);
    // One second between attempts: a test that restarts the primary waits for this.
    match engine {
        Engine::MySql => format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, \
             SOURCE_USER='{user}', SOURCE_PASSWORD='{password}', SOURCE_AUTO_POSITION=1, \
             GET_SOURCE_PUBLIC_KEY=1, SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=86400, \
             SOURCE_HEARTBEAT_PERIOD=1"
        ),
        Engine::MariaDb => format!(
            "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, \
             MASTER_USER='{user}', MASTER_PASSWORD='{password}', MASTER_USE_GTID=slave_pos, \
             MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=1"
        ),
    }
}

/// `START REPLICA` or `STOP REPLICA`; `thread` is `""`, `" SQL_THREAD"` or `" IO_THREAD"`.
pub(super) fn control(engine: Engine, verb: &str, thread: &str) -> String {
    match engine {
        Engine::MySql => format!("{verb} REPLICA{thread}"),
        Engine::MariaDb => format!("{verb} SLAVE{thread}"),
    }
}

/// Makes the applier of a running replica hold every transaction for `seconds`.
pub(super) fn delay(engine: Engine, seconds: u32) -> Vec<String> {
    match engine {
        Engine::MySql => vec![
            control(engine, "STOP", " SQL_THREAD"),
            format!("CHANGE REPLICATION SOURCE TO SOURCE_DELAY={seconds}"),
            control(engine, "START", " SQL_THREAD"),
        ],
        // MariaDB wants the receiver stopped too.
        Engine::MariaDb => vec![
            control(engine, "STOP", ""),
            format!("CHANGE MASTER TO MASTER_DELAY={seconds}"),
            control(engine, "START", ""),
        ],
    }
}

/// Makes a replica a server of its own that takes writes.
pub(super) fn promote(engine: Engine) -> Vec<String> {
    match engine {
        Engine::MySql => vec![
            "STOP REPLICA".to_owned(),
            "RESET REPLICA ALL".to_owned(),
            "SET GLOBAL super_read_only=OFF, GLOBAL read_only=OFF".to_owned(),
        ],
        Engine::MariaDb => vec![
            "STOP SLAVE".to_owned(),
            "RESET SLAVE ALL".to_owned(),
            "SET GLOBAL read_only=OFF".to_owned(),
        ],
    }
}

/// The statement, and the columns of receiver, applier and the two errors.
pub(super) fn status(engine: Engine) -> (&'static str, [&'static str; 4]) {
    match engine {
        Engine::MySql => (
            "SHOW REPLICA STATUS",
            [
                "Replica_IO_Running",
                "Replica_SQL_Running",
                "Last_IO_Error",
                "Last_SQL_Error",
            ],
        ),
        Engine::MariaDb => (
            "SHOW SLAVE STATUS",
            [
                "Slave_IO_Running",
                "Slave_SQL_Running",
                "Last_IO_Error",
                "Last_SQL_Error",
            ],
        ),
    }
}

/// Selects what a server has executed.
pub(super) fn position(engine: Engine) -> &'static str {
    match engine {
        Engine::MySql => "SELECT @@GLOBAL.gtid_executed",
        Engine::MariaDb => "SELECT @@GLOBAL.gtid_current_pos",
    }
}

/// Waits on a replica for a position; selects `0` when it is reached.
pub(super) fn wait(engine: Engine, position: &str, seconds: u64) -> String {
    match engine {
        Engine::MySql => format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{position}', {seconds})"),
        Engine::MariaDb => format!("SELECT MASTER_GTID_WAIT('{position}', {seconds})"),
    }
}

/// The options of every server of the engine. The buffers are small because a test machine runs
/// many servers.
pub(super) fn options(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::MySql => &[
            "bind-address=127.0.0.1",
            "skip-name-resolve",
            "mysqlx=OFF",
            "secure-file-priv=",
            "max-connections=2500",
            "log-bin=binlog",
            "log-bin-trust-function-creators=1",
            "gtid-mode=ON",
            "enforce-gtid-consistency=ON",
            "relay-log=relay",
            // A killed server loses nothing by these three, only a killed machine would.
            "innodb-flush-log-at-trx-commit=2",
            "sync-binlog=0",
            "innodb-flush-method=nosync",
            // Kernel AIO slots are a resource of the whole machine.
            "innodb-use-native-aio=OFF",
            "innodb-buffer-pool-size=64M",
            "innodb-log-buffer-size=4M",
            "loose-innodb-redo-log-capacity=32M",
            "performance-schema-digests-size=1000",
            "performance-schema-events-statements-history-long-size=100",
            "performance-schema-events-stages-history-long-size=100",
            "performance-schema-events-waits-history-long-size=100",
            "performance-schema-events-transactions-history-long-size=100",
        ],
        Engine::MariaDb => &[
            "bind-address=127.0.0.1",
            "skip-name-resolve",
            "secure-file-priv=",
            "max-connections=2500",
            "log-bin=binlog",
            "log-slave-updates=ON",
            "log-bin-trust-function-creators=1",
            "gtid-strict-mode=ON",
            "relay-log=relay",
            "innodb-flush-log-at-trx-commit=2",
            "sync-binlog=0",
            "innodb-use-native-aio=OFF",
            "innodb-buffer-pool-size=64M",
            "innodb-log-file-size=32M",
        ],
    }
}

/// The options that make a server refuse its clients' writes.
pub(super) fn read_only(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::MySql => &["read-only=ON", "super-read-only=ON"],
        Engine::MariaDb => &["read-only=ON"],
    }
}
