//! Built-in functions of MySQL 8.0 to 9.7, by what calling one means for routing.
//!
//! A name that is not here is taken for a stored function or a loadable one, so a function that
//! only a newer server knows is a write until it is added. Names resolve to the built-in before any
//! stored function of the same name (Reference Manual, "Function Name Parsing and Resolution").

/// What a call of a function means for routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    /// The same on every server that has the data and the session's variables.
    Pure,
    /// Answers for the statement before.
    Diagnostics,
    /// Takes or frees a named lock.
    NamedLock,
    /// Its answer belongs to one server or one connection.
    Local,
    /// Not a built-in function.
    Unknown,
}

/// What the function of this name is; the name is in lower case unless it was quoted.
pub(super) fn classify(name: &[u8]) -> Function {
    let mut lower = [0u8; 40];
    let Some(lower) = lower.get_mut(..name.len()) else {
        return Function::Unknown;
    };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let lower = &*lower;
    let known = |list: &[&str]| list.binary_search_by(|n| n.as_bytes().cmp(lower)).is_ok();
    match lower {
        b"row_count" | b"found_rows" => Function::Diagnostics,
        b"get_lock" | b"release_lock" | b"release_all_locks" => Function::NamedLock,
        _ if known(&PURE) => Function::Pure,
        _ if known(&LOCAL) => Function::Local,
        _ => Function::Unknown,
    }
}

/// Functions whose answer belongs to one server or one connection.
static LOCAL: [&str; 18] = [
    "benchmark",
    "binlog_gtid_pos",
    "connection_id",
    "current_role",
    "is_free_lock",
    "is_used_lock",
    "last_insert_id",
    "lastval",
    "load_file",
    "master_gtid_wait",
    "master_pos_wait",
    "ps_current_thread_id",
    "ps_thread_id",
    "roles_graphml",
    "source_pos_wait",
    "uuid_short",
    "wait_for_executed_gtid_set",
    "wait_until_sql_thread_after_gtids",
];

/// Functions that a replica answers like the primary.
static PURE: [&str; 382] = [
    "abs", "acos", "adddate", "addtime", "aes_decrypt", "aes_encrypt", "any_value", "ascii",
    "asin", "atan", "atan2", "avg", "bin", "bin_to_uuid", "binary", "bit_and", "bit_count",
    "bit_length", "bit_or", "bit_xor", "case", "cast", "ceil", "ceiling", "char", "char_length",
    "character_length", "charset", "coalesce", "coercibility", "collation", "compress", "concat",
    "concat_ws", "conv", "convert", "convert_tz", "cos", "cot", "count", "crc32", "cume_dist",
    "curdate", "current_date", "current_time", "current_timestamp", "current_user", "curtime",
    "database", "date", "date_add", "date_format", "date_sub", "datediff", "day", "dayname",
    "dayofmonth", "dayofweek", "dayofyear", "default", "degrees", "dense_rank", "elt", "exp",
    "export_set", "extract", "extractvalue", "field", "find_in_set", "first_value", "floor",
    "format", "format_bytes", "format_pico_time", "from_base64", "from_days", "from_unixtime",
    "from_vector", "geomcollection", "geometrycollection", "get_format", "greatest",
    "group_concat", "grouping", "gtid_subset", "gtid_subtract", "hex", "hour", "icu_version", "if",
    "ifnull", "inet6_aton", "inet6_ntoa", "inet_aton", "inet_ntoa", "insert", "instr", "interval",
    "is_ipv4", "is_ipv4_compat", "is_ipv4_mapped", "is_ipv6", "is_uuid", "isnull", "json_array",
    "json_array_append", "json_array_insert", "json_arrayagg", "json_contains",
    "json_contains_path", "json_depth", "json_extract", "json_insert", "json_keys", "json_length",
    "json_merge", "json_merge_patch", "json_merge_preserve", "json_object", "json_objectagg",
    "json_overlaps", "json_pretty", "json_quote", "json_remove", "json_replace",
    "json_schema_valid", "json_schema_validation_report", "json_search", "json_set",
    "json_storage_free", "json_storage_size", "json_table", "json_type", "json_unquote",
    "json_valid", "json_value", "lag", "last_day", "last_value", "lcase", "lead", "least", "left",
    "length", "linestring", "ln", "localtime", "localtimestamp", "locate", "log", "log10", "log2",
    "lower", "lpad", "ltrim", "make_set", "makedate", "maketime", "match", "max", "mbrcontains",
    "mbrcoveredby", "mbrcovers", "mbrdisjoint", "mbrequals", "mbrintersects", "mbroverlaps",
    "mbrtouches", "mbrwithin", "md5", "member", "microsecond", "mid", "min", "minute", "mod",
    "month", "monthname", "multilinestring", "multipoint", "multipolygon", "name_const", "now",
    "nth_value", "ntile", "nullif", "oct", "octet_length", "ord", "percent_rank", "period_add",
    "period_diff", "pi", "point", "polygon", "position", "pow", "power", "quarter", "quote",
    "radians", "rand", "random_bytes", "rank", "regexp_instr", "regexp_like", "regexp_replace",
    "regexp_substr", "repeat", "replace", "reverse", "right", "round", "row", "row_number", "rpad",
    "rtrim", "schema", "sec_to_time", "second", "session_user", "sha", "sha1", "sha2", "sign",
    "sin", "sleep", "soundex", "space", "sqrt", "st_area", "st_asbinary", "st_asgeojson",
    "st_astext", "st_aswkb", "st_aswkt", "st_buffer", "st_buffer_strategy", "st_centroid",
    "st_collect", "st_contains", "st_convexhull", "st_crosses", "st_difference", "st_dimension",
    "st_disjoint", "st_distance", "st_distance_sphere", "st_endpoint", "st_envelope", "st_equals",
    "st_exteriorring", "st_frechetdistance", "st_geohash", "st_geomcollfromtext",
    "st_geomcollfromtxt", "st_geomcollfromwkb", "st_geometrycollectionfromtext",
    "st_geometrycollectionfromwkb", "st_geometryfromtext", "st_geometryfromwkb", "st_geometryn",
    "st_geometrytype", "st_geomfromgeojson", "st_geomfromtext", "st_geomfromwkb",
    "st_hausdorffdistance", "st_interiorringn", "st_intersection", "st_intersects", "st_isclosed",
    "st_isempty", "st_issimple", "st_isvalid", "st_latfromgeohash", "st_latitude", "st_length",
    "st_linefromtext", "st_linefromwkb", "st_lineinterpolatepoint", "st_lineinterpolatepoints",
    "st_linestringfromtext", "st_linestringfromwkb", "st_longfromgeohash", "st_longitude",
    "st_makeenvelope", "st_mlinefromtext", "st_mlinefromwkb", "st_mpointfromtext",
    "st_mpointfromwkb", "st_mpolyfromtext", "st_mpolyfromwkb", "st_multilinestringfromtext",
    "st_multilinestringfromwkb", "st_multipointfromtext", "st_multipointfromwkb",
    "st_multipolygonfromtext", "st_multipolygonfromwkb", "st_numgeometries", "st_numinteriorring",
    "st_numinteriorrings", "st_numpoints", "st_overlaps", "st_pointatdistance",
    "st_pointfromgeohash", "st_pointfromtext", "st_pointfromwkb", "st_pointn", "st_polyfromtext",
    "st_polyfromwkb", "st_polygonfromtext", "st_polygonfromwkb", "st_simplify", "st_srid",
    "st_startpoint", "st_swapxy", "st_symdifference", "st_touches", "st_transform", "st_union",
    "st_validate", "st_within", "st_x", "st_y", "statement_digest", "statement_digest_text", "std",
    "stddev", "stddev_pop", "stddev_samp", "str_to_date", "strcmp", "string_to_vector", "subdate",
    "substr", "substring", "substring_index", "subtime", "sum", "sysdate", "system_user", "tan",
    "time", "time_format", "time_to_sec", "timediff", "timestamp", "timestampadd", "timestampdiff",
    "to_base64", "to_days", "to_seconds", "to_vector", "trim", "truncate", "ucase", "uncompress",
    "uncompressed_length", "unhex", "unix_timestamp", "updatexml", "upper", "user", "utc_date",
    "utc_time", "utc_timestamp", "uuid", "uuid_to_bin", "validate_password_strength", "values",
    "var_pop", "var_samp", "variance", "vector_dim", "vector_to_string", "version", "week",
    "weekday", "weekofyear", "weight_string", "year", "yearweek",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_apart() {
        assert!(PURE.is_sorted());
        assert!(LOCAL.is_sorted());
        assert!(LOCAL.iter().all(|name| !PURE.contains(name)));
    }

    #[test]
    fn classes() {
        for (name, class) in [
            ("count", Function::Pure),
            ("JSON_Extract", Function::Pure),
            ("row_count", Function::Diagnostics),
            ("get_lock", Function::NamedLock),
            ("last_insert_id", Function::Local),
            ("my_function", Function::Unknown),
            ("", Function::Unknown),
            (
                "a_name_that_is_far_too_long_to_be_any_built_in",
                Function::Unknown,
            ),
        ] {
            assert_eq!(classify(name.as_bytes()), class, "{name}");
        }
    }
}
