//! What takes each rule out of order, and what it then says.

use std::time::Duration;

use Engine::{MariaDb, MySql};
use Severity::{Failure, Note, Warning};

use super::*;

fn count(facts: &mut Facts, reason: &str, reads: u64) {
    let traffic = facts.traffic.as_mut().unwrap();
    traffic.by_primary.insert(reason.to_owned(), reads);
    traffic.before_writes = reads;
}

fn definitions(facts: &mut Facts) -> &mut Definitions {
    login(facts, 0).definitions.as_mut().unwrap()
}

/// The rule, what breaks it, how heavy that is, and words of what mends it.
pub(super) type Case = (&'static str, Engine, fn(&mut Facts), Severity, &'static str);

pub(super) const CASES: &[Case] = &[
    (
        "reachable",
        MySql,
        |it| it.servers[0].seen = Err(Silence::Unreachable("gone".into())),
        Failure,
        "firewall",
    ),
    (
        "reachable",
        MySql,
        |it| it.servers[1].seen = Err(Silence::Unreachable("gone".into())),
        Warning,
        "firewall",
    ),
    (
        "reachable",
        MySql,
        |it| it.servers[1].seen = Err(Silence::Refused(refusal(1045))),
        Warning,
        "CREATE USER 'watch'@'%'",
    ),
    (
        "one_server_behind_address",
        MySql,
        |it| at(it, 1).identities.extend(["other".into()]),
        Failure,
        "address of its own",
    ),
    (
        "one_server_behind_address",
        MySql,
        |it| at(it, 1).identities = [PRIMARY.to_owned()].into(),
        Failure,
        "once",
    ),
    (
        "engines",
        MySql,
        |it| at(it, 1).engine = MariaDb,
        Failure,
        "kind",
    ),
    (
        "versions",
        MySql,
        |it| set(it, 1, "version", "8.4.3"),
        Warning,
        "upgrade",
    ),
    (
        "versions",
        MySql,
        |it| set(it, 0, "version", "5.7.44-log"),
        Warning,
        "upgrade",
    ),
    (
        "versions",
        MariaDb,
        |it| set(it, 1, "version", "10.5.2-MariaDB"),
        Warning,
        "upgrade",
    ),
    (
        "clocks",
        MySql,
        |it| {
            at(it, 1).clock = Some(Clock {
                ahead: -1_900_000,
                error: 300,
            })
        },
        Warning,
        "NTP",
    ),
    (
        "clocks",
        MySql,
        |it| {
            for index in 0..2 {
                at(it, index).clock = Some(Clock {
                    ahead: 9_000_000,
                    error: 300,
                })
            }
        },
        Note,
        "NTP",
    ),
    (
        "monitor_grants",
        MySql,
        |it| at(it, 1).channels = Err(refusal(1227)),
        Failure,
        "GRANT REPLICATION CLIENT ON *.* TO 'watch'@'%'",
    ),
    (
        "monitor_grants",
        MariaDb,
        |it| at(it, 0).binlog_filter = Err(refusal(1227)),
        Failure,
        "GRANT BINLOG MONITOR ON *.* TO 'watch'@'%'",
    ),
    (
        "monitor_grants",
        MySql,
        |it| at(it, 0).grants = vec!["GRANT ALL PRIVILEGES ON *.* TO `watch`@`%`".into()],
        Note,
        "account of its own",
    ),
    (
        "position_kind",
        MySql,
        |it| set(it, 0, "gtid_mode", "OFF"),
        Warning,
        "GTIDs",
    ),
    (
        "position_kind",
        MariaDb,
        |it| set(it, 0, "log_bin", "OFF"),
        Warning,
        "log_bin = binlog",
    ),
    (
        "gtid_mode",
        MySql,
        |it| {
            for index in 0..2 {
                set(it, index, "gtid_mode", "OFF")
            }
        },
        Warning,
        "SET PERSIST enforce_gtid_consistency = ON;SET PERSIST gtid_mode = OFF_PERMISSIVE;SET PERSIST gtid_mode = ON_PERMISSIVE;SET PERSIST gtid_mode = ON",
    ),
    (
        "gtid_mode",
        MySql,
        |it| set(it, 1, "gtid_mode", "ON_PERMISSIVE"),
        Failure,
        "SET PERSIST gtid_mode = ON",
    ),
    (
        "enforce_gtid_consistency",
        MySql,
        |it| set(it, 0, "enforce_gtid_consistency", "WARN"),
        Warning,
        "SET PERSIST enforce_gtid_consistency = ON",
    ),
    (
        "gtid_strict_mode",
        MariaDb,
        |it| set(it, 1, "gtid_strict_mode", "OFF"),
        Warning,
        "SET GLOBAL gtid_strict_mode = ON;gtid_strict_mode = ON",
    ),
    (
        "session_trackers",
        MySql,
        |it| at(it, 0).no_trackers = Some(refusal(1193)),
        Failure,
        "has them",
    ),
    (
        "binlog_order_commits",
        MySql,
        |it| set(it, 0, "binlog_order_commits", "OFF"),
        Failure,
        "SET PERSIST binlog_order_commits = ON",
    ),
    (
        "binlog_filters",
        MySql,
        |it| at(it, 0).binlog_filter = Ok("Binlog_Do_DB = app".into()),
        Failure,
        "rebuild",
    ),
    (
        "replication_filters",
        MySql,
        |it| replica_channel(it).filters = vec![("Replicate_Do_DB".into(), "app".into())],
        Failure,
        "STOP REPLICA;CHANGE REPLICATION FILTER REPLICATE_DO_DB = ();START REPLICA",
    ),
    (
        "replication_filters",
        MariaDb,
        |it| {
            replica_channel(it).filters = vec![
                ("Replicate_Ignore_DB".into(), "app".into()),
                ("Replicate_Do_Domain_Ids".into(), "3".into()),
            ]
        },
        Failure,
        "STOP ALL SLAVES;SET GLOBAL replicate_ignore_db = '';CHANGE MASTER TO DO_DOMAIN_IDS = ();START ALL SLAVES",
    ),
    (
        "preserve_commit_order",
        MySql,
        |it| set(it, 1, "replica_preserve_commit_order", "OFF"),
        Failure,
        "SET PERSIST replica_preserve_commit_order = ON",
    ),
    (
        "preserve_commit_order",
        MySql,
        |it| {
            let seen = at(it, 1);
            for name in ["replica_preserve_commit_order", "replica_parallel_workers"] {
                let value = seen.variables.remove(name).unwrap();
                seen.variables
                    .insert(name.replace("replica", "slave"), value);
            }
            set(it, 1, "slave_preserve_commit_order", "OFF");
        },
        Failure,
        "STOP SLAVE SQL_THREAD;SET PERSIST slave_preserve_commit_order = ON;START SLAVE SQL_THREAD",
    ),
    (
        "multi_source",
        MySql,
        |it| {
            at(it, 1).channels.as_mut().unwrap().push(Channel {
                name: "b".into(),
                source_uuid: Some("x".into()),
                ..channel()
            })
        },
        Failure,
        "STOP REPLICA FOR CHANNEL 'b';RESET REPLICA ALL FOR CHANNEL 'b'",
    ),
    (
        "multi_source",
        MariaDb,
        |it| {
            at(it, 1).channels.as_mut().unwrap().push(Channel {
                name: "b".into(),
                source_uuid: None,
                source_id: 7,
                ..channel()
            })
        },
        Failure,
        "STOP SLAVE 'b';RESET SLAVE 'b' ALL",
    ),
    (
        "replicates_from_primary",
        MySql,
        |it| replica_channel(it).source_uuid = Some(REPLICA.into()),
        Failure,
        "SOURCE_HOST = 'db1', SOURCE_PORT = 3306",
    ),
    (
        "replicates_from_primary",
        MariaDb,
        |it| {
            replica_channel(it).source_uuid = None;
            replica_channel(it).source_id = 3
        },
        Failure,
        "MASTER_HOST = 'db1', MASTER_PORT = 3306",
    ),
    (
        "replicates_from_primary",
        MySql,
        |it| at(it, 1).channels = Ok(Vec::new()),
        Failure,
        "START REPLICA",
    ),
    (
        "replication_runs",
        MySql,
        |it| replica_channel(it).applier = false,
        Warning,
        "START REPLICA",
    ),
    (
        "replication_runs",
        MariaDb,
        |it| replica_channel(it).receiver = Some(Receiver::Stopped),
        Warning,
        "START ALL SLAVES",
    ),
    (
        "read_only",
        MySql,
        |it| {
            set(it, 1, "read_only", "OFF");
            set(it, 1, "super_read_only", "OFF")
        },
        Failure,
        "SET PERSIST super_read_only = ON",
    ),
    (
        "read_only",
        MySql,
        |it| set(it, 1, "super_read_only", "OFF"),
        Warning,
        "SET PERSIST super_read_only = ON",
    ),
    (
        "read_only",
        MariaDb,
        |it| set(it, 1, "read_only", "OFF"),
        Failure,
        "SET GLOBAL read_only = ON",
    ),
    (
        "read_only",
        MySql,
        |it| set(it, 0, "read_only", "ON"),
        Failure,
        "SET PERSIST read_only = OFF",
    ),
    (
        "lag",
        MySql,
        |it| at(it, 1).arrival = Some(Arrival::NotWithin(Duration::from_secs(2))),
        Warning,
        "long transaction",
    ),
    (
        "lag",
        MySql,
        |it| replica_channel(it).delay = 5,
        Note,
        "SOURCE_DELAY = 0",
    ),
    (
        "lag",
        MariaDb,
        |it| replica_channel(it).delay = 3600,
        Warning,
        "MASTER_DELAY = 0",
    ),
    (
        "errant_transactions",
        MySql,
        |it| at(it, 1).executed = format!("{PRIMARY}:1-90,{REPLICA}:4:t:1-2"),
        Warning,
        "SET SESSION gtid_next = '3e11fa47-71ca-11e1-9e33-c80aa9429563:t:2';BEGIN;COMMIT;SET SESSION gtid_next = 'AUTOMATIC'",
    ),
    (
        "errant_transactions",
        MySql,
        |it| at(it, 1).executed = format!("{PRIMARY}:1-90,{REPLICA}:1-11"),
        Warning,
        "rebuild",
    ),
    (
        "errant_transactions",
        MariaDb,
        |it| at(it, 1).executed = "0-1-90,0-2-91".into(),
        Warning,
        "rebuild",
    ),
    (
        "purged_transactions",
        MySql,
        |it| {
            set(
                it,
                0,
                "gtid_purged",
                "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-95",
            )
        },
        Warning,
        "rebuild",
    ),
    (
        "log_replica_updates",
        MySql,
        |it| set(it, 1, "log_replica_updates", "OFF"),
        Warning,
        "log_replica_updates = ON",
    ),
    (
        "log_replica_updates",
        MariaDb,
        |it| set(it, 1, "log_bin", "OFF"),
        Warning,
        "log_slave_updates = ON",
    ),
    (
        "parallel_appliers",
        MySql,
        |it| set(it, 1, "replica_parallel_workers", "1"),
        Note,
        "SET PERSIST replica_parallel_workers = 4",
    ),
    (
        "parallel_appliers",
        MariaDb,
        |it| set(it, 1, "slave_parallel_threads", "0"),
        Note,
        "SET GLOBAL slave_parallel_threads = 4",
    ),
    (
        "binlog_format",
        MySql,
        |it| set(it, 0, "binlog_format", "STATEMENT"),
        Warning,
        "SET PERSIST binlog_format = 'ROW'",
    ),
    (
        "binlog_format",
        MariaDb,
        |it| set(it, 0, "binlog_format", "MIXED"),
        Note,
        "SET GLOBAL binlog_format = 'ROW';binlog_format = ROW",
    ),
    (
        "durability",
        MySql,
        |it| set(it, 0, "sync_binlog", "0"),
        Note,
        "SET PERSIST sync_binlog = 1",
    ),
    (
        "init_connect",
        MySql,
        |it| set(it, 1, "init_connect", "SET @a = 1"),
        Warning,
        "SET PERSIST init_connect = ''",
    ),
    (
        "init_connect",
        MySql,
        |it| set(it, 0, "init_connect", "SET @a = 1"),
        Note,
        "SET PERSIST init_connect = ''",
    ),
    (
        "settings_that_differ",
        MySql,
        |it| set(it, 1, "sql_mode", "ANSI"),
        Note,
        "SET PERSIST sql_mode = 'STRICT_TRANS_TABLES'",
    ),
    (
        "settings_that_differ",
        MySql,
        |it| set(it, 1, "lower_case_table_names", "1"),
        Warning,
        "lower_case_table_names = 0",
    ),
    (
        "max_allowed_packet",
        MySql,
        |it| set(it, 1, "max_allowed_packet", "1048576"),
        Warning,
        "SET PERSIST max_allowed_packet = 67108864",
    ),
    (
        "time_zones",
        MySql,
        |it| set(it, 1, "system_time_zone", "CET"),
        Warning,
        "SET GLOBAL time_zone",
    ),
    (
        "time_zones",
        MySql,
        |it| at(it, 1).named_zones = false,
        Warning,
        "mysql_tzinfo_to_sql",
    ),
    (
        "max_connections",
        MySql,
        |it| set(it, 1, "max_connections", "151"),
        Warning,
        "SET PERSIST max_connections = 215;[pool] max_connections = 136",
    ),
    (
        "max_connections",
        MySql,
        |it| set(it, 1, "max_user_connections", "20"),
        Warning,
        "SET PERSIST max_user_connections = 0",
    ),
    (
        "max_prepared_stmt_count",
        MySql,
        |it| set(it, 1, "max_prepared_stmt_count", "10000"),
        Warning,
        "SET PERSIST max_prepared_stmt_count = 16000;[pool] prepared_per_connection = 50",
    ),
    (
        "wait_timeout",
        MySql,
        |it| set(it, 0, "wait_timeout", "60"),
        Warning,
        "SET PERSIST wait_timeout = 28800;[pool] idle_timeout = \"30s\"",
    ),
    (
        "logins",
        MySql,
        |it| at(it, 0).logins[0].seen = Err(refusal(1045)),
        Failure,
        "ALTER USER 'app'@'%' IDENTIFIED BY '<the configured password>'",
    ),
    (
        "logins",
        MySql,
        |it| at(it, 1).logins[0].seen = Err(refusal(1045)),
        Warning,
        "ALTER USER 'app'@'%'",
    ),
    (
        "authentication_plugins",
        MariaDb,
        |it| login(it, 0).plugin = Some("ed25519".into()),
        Warning,
        "ALTER USER 'app'@'%' IDENTIFIED WITH",
    ),
    (
        "authentication_plugins",
        MySql,
        |it| login(it, 0).connections = Some(9),
        Warning,
        "[pool] max_connections = 9",
    ),
    (
        "default_roles",
        MySql,
        |it| {
            login(it, 0)
                .grants
                .push("GRANT `r`@`%` TO `app`@`%`".into())
        },
        Warning,
        "SET DEFAULT ROLE ALL TO 'app'@'%'",
    ),
    (
        "same_account_everywhere",
        MySql,
        |it| login(it, 1).account = "'app'@'10.%'".into(),
        Warning,
        "on the primary only",
    ),
    (
        "primary_keys",
        MySql,
        |it| definitions(it).keyless = (1..8).map(|it| format!("app.t{it}")).collect(),
        Warning,
        "sql_require_primary_key",
    ),
    (
        "binding_programs",
        MariaDb,
        |it| definitions(it).binding.push("trigger app.t_insert".into()),
        Note,
        "DECLARE",
    ),
    (
        "reads_lost_to_transactions",
        MySql,
        |it| count(it, "autocommit_off", 60),
        Warning,
        "transaction_reads = \"replica_until_write\"",
    ),
    (
        "reads_lost_to_transactions",
        MySql,
        |it| count(it, "in_transaction", 2),
        Note,
        "transaction_reads",
    ),
];
