//! System variables that matter to classification: Highwater's own, those it manages on its
//! connections, and those whose session value is the same on every server of a session.

/// A session variable that Highwater itself answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnVariable {
    /// `aurora_replica_read_consistency`: the level, in Aurora's names.
    AuroraReplicaReadConsistency,
    /// `highwater_read_consistency`: the level.
    ReadConsistency,
    /// `highwater_catch_up_timeout`, milliseconds.
    CatchUpTimeout,
    /// `highwater_max_staleness`, milliseconds.
    MaxStaleness,
    /// `highwater_on_timeout`.
    OnTimeout,
    /// `highwater_read_after`: a position that later reads must cover.
    ReadAfter,
    /// `highwater_position`: read only.
    Position,
    /// `highwater_group`: the causal group that the session belongs to.
    Group,
}

impl OwnVariable {
    /// Every variable of Highwater's own.
    pub const ALL: [Self; 8] = [
        Self::AuroraReplicaReadConsistency,
        Self::ReadConsistency,
        Self::CatchUpTimeout,
        Self::MaxStaleness,
        Self::OnTimeout,
        Self::ReadAfter,
        Self::Position,
        Self::Group,
    ];

    /// The variable's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuroraReplicaReadConsistency => "aurora_replica_read_consistency",
            Self::ReadConsistency => "highwater_read_consistency",
            Self::CatchUpTimeout => "highwater_catch_up_timeout",
            Self::MaxStaleness => "highwater_max_staleness",
            Self::OnTimeout => "highwater_on_timeout",
            Self::ReadAfter => "highwater_read_after",
            Self::Position => "highwater_position",
            Self::Group => "highwater_group",
        }
    }

    /// The variable of this name, in any case.
    pub fn of_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|own| name.eq_ignore_ascii_case(own.name().as_bytes()))
    }
}

/// The own variable that a LIKE pattern names literally (`_` or `\_` for each underscore, no `%`).
pub(super) fn own_of_pattern(pattern: &[u8]) -> Option<OwnVariable> {
    let spelled = || {
        pattern
            .iter()
            .filter(|&&b| b != b'\\')
            .map(u8::to_ascii_lowercase)
    };
    OwnVariable::ALL
        .into_iter()
        .find(|own| spelled().eq(own.name().bytes()))
}

/// How a system variable without a global scope word is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Highwater's own.
    Own,
    /// One that Highwater sets for itself on its connections.
    Managed,
    /// About the statement before.
    Diagnostics,
    /// The same on every server of the session.
    Mirrored,
    /// Anything else: the primary's.
    ServerLocal,
}

/// Session variables that are made equal on every connection of a session, and constants of a
/// cluster whose servers run one version. JDBC drivers ask for these when they connect.
static MIRRORED: [&str; 53] = [
    "auto_increment_increment",
    "auto_increment_offset",
    "autocommit",
    "big_tables",
    "character_set_client",
    "character_set_connection",
    "character_set_database",
    "character_set_results",
    "character_set_server",
    "collation_connection",
    "collation_database",
    "collation_server",
    "default_storage_engine",
    "default_week_format",
    "div_precision_increment",
    "eq_range_index_dive_limit",
    "explicit_defaults_for_timestamp",
    "foreign_key_checks",
    "group_concat_max_len",
    "init_connect",
    "innodb_lock_wait_timeout",
    "interactive_timeout",
    "lc_messages",
    "lc_time_names",
    "license",
    "lock_wait_timeout",
    "lower_case_table_names",
    "max_allowed_packet",
    "max_execution_time",
    "max_join_size",
    "max_sort_length",
    "net_buffer_length",
    "net_read_timeout",
    "net_write_timeout",
    "old_alter_table",
    "optimizer_switch",
    "performance_schema",
    "query_cache_size",
    "query_cache_type",
    "sort_buffer_size",
    "sql_auto_is_null",
    "sql_big_selects",
    "sql_mode",
    "sql_quote_show_create",
    "sql_safe_updates",
    "sql_select_limit",
    "system_time_zone",
    "time_zone",
    "transaction_isolation",
    "tx_isolation",
    "unique_checks",
    "version_comment",
    "wait_timeout",
];

/// The kind of the variable of this name (lower case).
pub(super) fn kind_of(name: &[u8]) -> Kind {
    if OwnVariable::of_name(name).is_some() {
        return Kind::Own;
    }
    let Ok(name) = std::str::from_utf8(name) else {
        return Kind::ServerLocal;
    };
    if is_managed(name) {
        return Kind::Managed;
    }
    match name {
        "warning_count" | "error_count" => Kind::Diagnostics,
        "version" => Kind::Mirrored,
        _ if MIRRORED.binary_search(&name).is_ok() => Kind::Mirrored,
        _ => Kind::ServerLocal,
    }
}

/// Whether Highwater sets this variable for itself on its connections.
fn is_managed(name: &str) -> bool {
    matches!(name, "transaction_read_only" | "tx_read_only") || name.starts_with("session_track_")
}

/// Whether setting this variable changes more than the session's own values can restore: such a
/// connection is not understood any more.
pub(super) fn is_unrestorable(name: &[u8]) -> bool {
    matches!(
        name,
        b"gtid_next"
            | b"gtid_seq_no"
            | b"pseudo_thread_id"
            | b"pseudo_replica_mode"
            | b"pseudo_slave_mode"
            | b"proxy_user"
            | b"external_user"
            | b"timestamp"
            | b"rand_seed1"
            | b"rand_seed2"
            | b"debug"
            | b"debug_sync"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrored_list_is_sorted() {
        assert!(MIRRORED.is_sorted());
    }

    #[test]
    fn own_patterns() {
        let own = Some(OwnVariable::ReadConsistency);
        assert_eq!(own_of_pattern(b"highwater_read_consistency"), own);
        assert_eq!(own_of_pattern(b"HIGHWATER\\_read\\_consistency"), own);
        assert_eq!(own_of_pattern(b"highwater%"), None);
        assert_eq!(own_of_pattern(b"wait_timeout"), None);
    }
}
