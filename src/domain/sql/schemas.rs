//! The servers' own schemas: which of their tables hold the same on every server.

/// Schemas whose every table describes one server. A session whose default schema is one of these
/// must read from the primary whatever its statements look like.
pub fn is_server_local_schema(schema: &[u8]) -> bool {
    is_name(schema, "performance_schema") || is_name(schema, "sys")
}

/// Whether the table's content differs from server to server.
pub(super) fn is_server_local_table(schema: &[u8], table: &[u8]) -> bool {
    if is_server_local_schema(schema) {
        true
    } else if is_name(schema, "information_schema") {
        !INFORMATION_SCHEMA.iter().any(|known| is_name(table, known))
    } else if is_name(schema, "mysql") {
        !MYSQL.iter().any(|known| is_name(table, known))
    } else {
        false
    }
}

fn is_name(name: &[u8], known: &str) -> bool {
    name.eq_ignore_ascii_case(known.as_bytes())
}

/// Tables of information_schema that describe replicated metadata. TABLES, STATISTICS, PARTITIONS and
/// COLUMN_STATISTICS have estimates and counters of the server's own, events are disabled on a
/// replica, resource groups are not replicated.
static INFORMATION_SCHEMA: [&str; 35] = [
    "*",
    "administrable_role_authorizations",
    "applicable_roles",
    "character_sets",
    "check_constraints",
    "collation_character_set_applicability",
    "collations",
    "column_privileges",
    "columns",
    "columns_extensions",
    "key_column_usage",
    "keywords",
    "parameters",
    "referential_constraints",
    "role_column_grants",
    "role_routine_grants",
    "role_table_grants",
    "routines",
    "schema_privileges",
    "schemata",
    "schemata_extensions",
    "st_geometry_columns",
    "st_spatial_reference_systems",
    "st_units_of_measure",
    "table_constraints",
    "table_constraints_extensions",
    "table_privileges",
    "tables_extensions",
    "triggers",
    "user_attributes",
    "user_privileges",
    "view_routine_usage",
    "view_table_usage",
    "views",
    "libraries",
];

/// Tables of the mysql schema that are replicated. What password_history keeps goes by a global variable of
/// each server.
static MYSQL: [&str; 18] = [
    "*",
    "columns_priv",
    "db",
    "default_roles",
    "func",
    "global_grants",
    "help_category",
    "help_keyword",
    "help_relation",
    "help_topic",
    "procs_priv",
    "proxies_priv",
    "role_edges",
    "tables_priv",
    "time_zone",
    "time_zone_name",
    "time_zone_transition",
    "user",
];
