//! What single words mean to the walk over the tokens.

use super::super::mode::Dialect;

/// Versions up to this one are in every server that Highwater speaks to, so a comment for them is
/// always run. MariaDB skips those from 50700 to 99999, which are of MySQL 5.7 and later.
const EVERY_VERSION: u32 = 50_699;

/// The oldest MariaDB that Highwater speaks to, as its own comments spell it.
const EVERY_MARIADB: u32 = 100_600;

/// Whether a versioned comment with these digits is run by every server of the dialect; `mariadb`:
/// it begins with `/*M!`, which MySQL takes for a plain comment.
pub(super) fn always_run(digits: &[u8], mariadb: bool, dialect: Dialect) -> bool {
    if mariadb && !dialect.is_mariadb() {
        return false;
    }
    if digits.is_empty() {
        return true;
    }
    let number = std::str::from_utf8(digits)
        .ok()
        .and_then(|d| d.parse::<u32>().ok());
    // Other numbers of digits are no version: the digits are run too.
    matches!(digits.len(), 5 | 6)
        && number.is_some_and(|n| {
            n <= EVERY_VERSION
                || dialect.is_mariadb() && n <= EVERY_MARIADB && (mariadb || n >= 100_000)
        })
}

/// Words of compound statements behind which another statement begins. None may stand before a
/// column or an alias called `kill`, which is a reserved word.
pub(super) fn begins_statement(word: &[u8]) -> bool {
    matches!(
        word,
        b"atomic" | b"then" | b"else" | b"do" | b"loop" | b"repeat" | b"begin" | b"for"
    )
}

/// Words that make a parse deeper.
pub(super) fn is_operator(word: &[u8]) -> bool {
    matches!(
        word,
        b"and"
            | b"or"
            | b"xor"
            | b"not"
            | b"div"
            | b"mod"
            | b"like"
            | b"rlike"
            | b"regexp"
            | b"in"
            | b"is"
            | b"between"
            | b"collate"
            | b"binary"
            | b"interval"
            | b"case"
            | b"when"
            | b"join"
            | b"union"
            | b"intersect"
            | b"except"
            | b"select"
            | b"with"
    )
}

/// Words that stand before a parenthesis without calling anything. All but the type names of
/// JSON_TABLE and a few soft words are reserved, so no stored function is called by them; the
/// parser's witness covers the rest.
pub(super) fn is_keyword_before_parenthesis(word: &[u8]) -> bool {
    matches!(
        word,
        b"all"
            | b"and"
            | b"any"
            | b"as"
            | b"asc"
            | b"by"
            | b"case"
            | b"collate"
            | b"columns"
            | b"cross"
            | b"cube"
            | b"desc"
            | b"distinct"
            | b"distinctrow"
            | b"div"
            | b"else"
            | b"except"
            | b"exists"
            | b"for"
            | b"from"
            | b"group"
            | b"having"
            | b"in"
            | b"index"
            | b"inner"
            | b"intersect"
            | b"is"
            | b"join"
            | b"key"
            | b"lateral"
            | b"like"
            | b"limit"
            | b"mod"
            | b"not"
            | b"of"
            | b"on"
            | b"or"
            | b"over"
            | b"partition"
            | b"range"
            | b"recursive"
            | b"regexp"
            | b"return"
            | b"rlike"
            | b"row"
            | b"rows"
            | b"select"
            | b"separator"
            | b"set"
            | b"sets"
            | b"some"
            | b"straight_join"
            | b"table"
            | b"then"
            | b"to"
            | b"union"
            | b"unique"
            | b"using"
            | b"values"
            | b"value"
            | b"when"
            | b"where"
            | b"window"
            | b"with"
            | b"xor"
            | b"against"
            | b"between"
            | b"escape"
            | b"unsigned"
            | b"signed"
            | b"decimal"
            | b"numeric"
            | b"float"
            | b"double"
            | b"int"
            | b"bigint"
            | b"smallint"
            | b"tinyint"
            | b"mediumint"
            | b"varchar"
            | b"varbinary"
            | b"nchar"
            | b"nvarchar"
            | b"blob"
            | b"text"
            | b"datetime"
            | b"into"
            | b"explain"
            | b"describe"
            | b"json"
            | b"offset"
            | b"order"
            | b"outer"
            | b"natural"
            | b"ignore"
            | b"force"
            | b"use"
    )
}
