//! Which variables a session can set: found out by trying, because no list a server offers says it
//! for every version and engine.

use crate::domain::topology::Engine;
use crate::monitor::ProbeError;
use crate::monitor::link::{Link, Table};

/// The session variables of one server.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    /// Any session can set these.
    free: Vec<String>,
    /// Only a privileged session can set these.
    restricted: Vec<String>,
    /// No session can set these after it began.
    fixed: Vec<String>,
}

/// Variables of one statement or of the connection rather than of the session's state.
const NOISE: &[&str] = &[
    "error_count",
    "gtid_next",
    "identity",
    "insert_id",
    "last_insert_id",
    "statement_id",
    "timestamp",
    "warning_count",
];

/// Beginnings of names of the same kind.
const NOISE_PREFIXES: &[&str] = &["pseudo_", "rand_seed"];

/// Variables that exist only in a session, so that there is no default to try them with.
const SESSION_ONLY: &[&str] = &[
    "immediate_server_version",
    "original_commit_timestamp",
    "original_server_version",
    "require_row_format",
    "resultset_metadata",
    "show_create_table_skip_secondary_engine",
    "skip_replication",
    "sql_log_bin",
    "transaction_allow_batching",
    "use_secondary_engine",
];

/// Variables that need a privilege, for an account that has it: as MySQL 9.7 and MariaDB 10.11
/// refuse them to a plain account.
const RESTRICTED: &[&str] = &[
    "bulk_insert_buffer_size",
    "character_set_database",
    "character_set_filesystem",
    "enforce_storage_engine",
    "global_connection_memory_tracking",
    "gtid_domain_id",
    "gtid_seq_no",
    "histogram_generation_max_mem_size",
    "innodb_strict_mode",
    "innodb_tmpdir",
    "internal_tmp_mem_storage_engine",
    "log_disabled_statements",
    "low_priority_updates",
    "max_delayed_threads",
    "max_error_count",
    "max_insert_delayed_threads",
    "min_examined_row_limit",
    "preload_buffer_size",
    "select_into_buffer_size",
    "select_into_disk_sync_delay",
    "server_id",
    "sql_generate_invisible_primary_key",
    "sql_log_off",
    "sql_require_primary_key",
    "wsrep_on",
    "xa_detach_on_prepare",
];

/// Beginnings of names of the same kind.
const RESTRICTED_PREFIXES: &[&str] = &["binlog_", "connection_memory_"];

/// Sets each variable to its own default, and closes the connection that has been through it.
pub(super) async fn take(link: &mut Link) -> Result<Survey, ProbeError> {
    let answer = link.ask("SHOW SESSION VARIABLES").await?;
    let mut survey = Survey {
        free: Vec::new(),
        restricted: Vec::new(),
        fixed: Vec::new(),
    };
    let names = Table::first(&answer).pairs().map(|(name, _)| name);
    for name in names.filter(|name| !is_noise(name) && is_plain(name)) {
        match link
            .ask(&format!("SET SESSION {name} = @@global.{name}"))
            .await
        {
            Ok(_) if is_restricted(&name) => survey.restricted.push(name),
            Ok(_) => survey.free.push(name),
            Err(ProbeError::Server { code, .. }) if needs_privilege(code) => {
                survey.restricted.push(name);
            }
            Err(ProbeError::Server { .. }) if SESSION_ONLY.contains(&name.as_str()) => {
                survey.restricted.push(name);
            }
            Err(ProbeError::Server { code, .. }) if is_read_only(code) => survey.fixed.push(name),
            Err(ProbeError::Server { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    link.close().await;
    Ok(survey)
}

impl Survey {
    /// Names for the tracker, comma separated. MySQL 9.7 takes a list of any length (1 MB was tried),
    /// and passes over names it does not know; MariaDB refuses them. MariaDB tells a write's own GTID
    /// as a variable.
    pub(super) fn tracked(&self, engine: Engine) -> String {
        let mut names: Vec<&str> = self
            .free
            .iter()
            .chain(&self.restricted)
            .map(String::as_str)
            .collect();
        if engine == Engine::MariaDb {
            names.push("last_gtid");
        }
        names.sort_unstable();
        names.join(",")
    }

    /// Whether sessions start with this variable's global value and any session may change it.
    pub(super) fn is_default(&self, name: &str) -> bool {
        self.free.iter().any(|free| free == name)
    }

    /// Whether sessions have this variable, which begins with its global value.
    pub(super) fn is_in_sessions(&self, name: &str) -> bool {
        let mut all = self.free.iter().chain(&self.restricted).chain(&self.fixed);
        all.any(|known| known == name)
    }
}

/// ER_SPECIFIC_ACCESS_DENIED_ERROR, ER_DBACCESS_DENIED_ERROR.
fn needs_privilege(code: u16) -> bool {
    matches!(code, 1227 | 1044)
}

/// ER_VARIABLE_IS_READONLY, as of max_allowed_packet.
fn is_read_only(code: u16) -> bool {
    code == 1621
}

fn is_noise(name: &str) -> bool {
    NOISE.contains(&name) || NOISE_PREFIXES.iter().any(|noise| name.starts_with(noise))
}

fn is_restricted(name: &str) -> bool {
    RESTRICTED.contains(&name)
        || RESTRICTED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Whether a name can stand in SQL without quotes; names with a dot belong to components.
fn is_plain(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
