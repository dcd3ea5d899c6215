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
    /// `highwater_trace`: whether each answer carries a note about its statement's way.
    Trace,
}

impl OwnVariable {
    /// Every variable of Highwater's own.
    pub const ALL: [Self; 9] = [
        Self::AuroraReplicaReadConsistency,
        Self::ReadConsistency,
        Self::CatchUpTimeout,
        Self::MaxStaleness,
        Self::OnTimeout,
        Self::ReadAfter,
        Self::Position,
        Self::Group,
        Self::Trace,
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
            Self::Trace => "highwater_trace",
        }
    }

    /// The variable of this name, in any case.
    pub fn of_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|own| name.eq_ignore_ascii_case(own.name().as_bytes()))
    }
}

/// What the own variables' names begin with, as far as a pattern must spell it out to be answered by
/// Highwater.
const BEGINNINGS: [&[u8]; 2] = [b"highwater", b"aurora_replica"];

/// The own variables that a LIKE pattern matches, if it begins as their names do: of any other pattern
/// the server knows more.
pub(super) fn own_like(pattern: &[u8]) -> Vec<OwnVariable> {
    let begun = BEGINNINGS
        .iter()
        .any(|beginning| begins_literally(pattern, beginning));
    let matches = |own: &OwnVariable| begun && like(pattern, own.name().as_bytes());
    OwnVariable::ALL.into_iter().filter(matches).collect()
}

fn begins_literally(pattern: &[u8], beginning: &[u8]) -> bool {
    let spelled = pattern
        .iter()
        .filter(|&&b| b != b'\\')
        .take(beginning.len());
    spelled
        .map(u8::to_ascii_lowercase)
        .eq(beginning.iter().copied())
}

/// SQL's LIKE without regard to case: `%` any run, `_` any byte, `\` takes the next byte as it is.
pub fn like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when the run that the last `%` stands for has to be longer.
    let mut longer: Option<(usize, usize)> = None;
    loop {
        let escaped = pattern.get(p) == Some(&b'\\') && p + 1 < pattern.len();
        let wanted = pattern.get(p + usize::from(escaped));
        match (wanted, text.get(t)) {
            (Some(b'%'), _) if !escaped => {
                p += 1;
                longer = Some((p, t));
                continue;
            }
            (Some(b'_'), Some(_)) if !escaped => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            (Some(wanted), Some(byte)) if wanted.eq_ignore_ascii_case(byte) => {
                (p, t) = (p + 1 + usize::from(escaped), t + 1);
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        match longer {
            Some((behind, at)) if at < text.len() => {
                (p, t) = (behind, at + 1);
                longer = Some((behind, at + 1));
            }
            _ => return false,
        }
    }
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

/// Whether this variable, or the function of this name, is about LAST_INSERT_ID().
pub(super) fn is_last_insert_id(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"last_insert_id") || name.eq_ignore_ascii_case(b"identity")
}

/// Whether this variable is a characteristic of transactions: without a scope it is that of the next one, and
/// inside of one there is none (1568).
pub(super) fn is_characteristic(name: &[u8]) -> bool {
    let names = [
        "transaction_isolation",
        "transaction_read_only",
        "tx_isolation",
        "tx_read_only",
    ];
    names
        .iter()
        .any(|it| name.eq_ignore_ascii_case(it.as_bytes()))
}

/// Whether Highwater sets this variable for itself on its connections.
fn is_managed(name: &str) -> bool {
    matches!(name, "transaction_read_only" | "tx_read_only") || is_tracker(name.as_bytes())
}

/// Whether this variable says what the server tells of a session's state.
pub(super) fn is_tracker(name: &[u8]) -> bool {
    name.starts_with(b"session_track_")
}

/// Whether this variable makes a connection record what it runs, to be asked for there.
pub(super) fn is_recorder(name: &[u8]) -> bool {
    matches!(name, b"optimizer_trace" | b"profiling")
}

/// Whether setting this variable changes more than the session's own values can restore: such a
/// connection is not understood any more.
pub(super) fn is_unrestorable(name: &[u8]) -> bool {
    matches!(
        name,
        b"gtid_next"
            | b"gtid_seq_no"
            | b"insert_id"
            | b"pseudo_thread_id"
            | b"pseudo_replica_mode"
            | b"pseudo_slave_mode"
            | b"proxy_user"
            | b"external_user"
            | b"timestamp"
            | b"rand_seed1"
            | b"rand_seed2"
            // The next read with `IS NULL` is given the key that the connection made last.
            | b"sql_auto_is_null"
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
        let one = |pattern: &str, own| assert_eq!(own_like(pattern.as_bytes()), [own], "{pattern}");
        one("highwater_read_consistency", OwnVariable::ReadConsistency);
        one(
            "HIGHWATER\\_read\\_consistency",
            OwnVariable::ReadConsistency,
        );
        one("highwater%group", OwnVariable::Group);
        one("highwater_gro_p", OwnVariable::Group);
        one("aurora_replica%", OwnVariable::AuroraReplicaReadConsistency);
        assert_eq!(own_like(b"Highwater%").len(), OwnVariable::ALL.len() - 1);
        assert_eq!(own_like(b"highwater%r%after%").len(), 1);
        for none in [
            "",
            "%",
            "high%",
            "%consistency",
            "aurora%",
            "wait_timeout",
            "highwater",
            "highwater_x%",
        ] {
            assert_eq!(own_like(none.as_bytes()), [], "{none}");
        }
    }
}
