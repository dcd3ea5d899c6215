//! How a server reads a statement's text: the part of sql_mode and charset that moves the
//! boundaries of strings and words, and whose grammar it is.

use super::super::topology::Engine;

/// What the client's character set means for finding the ends of strings and words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Charset {
    /// utf8mb3, utf8mb4, ascii: no byte of a multibyte character looks like ASCII.
    #[default]
    Utf8,
    /// latin1 and its like, and the multibyte charsets whose trailing bytes are all above 0xA0.
    SingleByte,
    /// gbk, sjis, cp932, big5, gb18030 and anything unknown: a trailing byte may be a backslash or
    /// a quote's neighbour, so the text is not read.
    Unsafe,
}

impl Charset {
    /// The class of a character set by its name, as `character_set_client` spells it.
    pub fn of_name(name: &str) -> Self {
        const UTF8: [&str; 4] = ["utf8mb4", "utf8mb3", "utf8", "ascii"];
        const SINGLE: [&str; 29] = [
            "latin1", "latin2", "latin5", "latin7", "binary", "cp1250", "cp1251", "cp1256",
            "cp1257", "cp850", "cp852", "cp866", "dec8", "greek", "hebrew", "hp8", "keybcs2",
            "koi8r", "koi8u", "macce", "macroman", "armscii8", "geostd8", "tis620", "ujis",
            "eucjpms", "euckr", "gb2312", "swe7",
        ];
        let is = |known: &&str| name.eq_ignore_ascii_case(known);
        if UTF8.iter().any(is) {
            Self::Utf8
        } else if SINGLE.iter().any(is) {
            Self::SingleByte
        } else {
            Self::Unsafe
        }
    }

    /// The class of a collation by the number a handshake carries; numbers are those of
    /// `information_schema.collations`.
    pub fn of_collation(id: u16) -> Self {
        match id {
            11 | 33 | 45 | 46 | 65 | 76 | 83 | 192..=247 | 255..=323 => Self::Utf8,
            3..=10
            | 12
            | 14..=16
            | 18..=27
            | 29..=32
            | 34
            | 36..=44
            | 47..=53
            | 57..=59
            | 63
            | 64
            | 66..=75
            | 77..=82
            | 85
            | 86
            | 89..=94
            | 97..=99 => Self::SingleByte,
            _ => Self::Unsafe,
        }
    }
}

/// Whose grammar and built-in functions a text is read by.
///
/// Part of what a profile depends on, next to the normalised text. What the engines read
/// differently is, for an unknown one, what the stricter of them makes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The servers' engine, once it is known.
    pub engine: Option<Engine>,
    /// MariaDB's sql_mode ORACLE: `BEGIN` opens a block, `s.nextval` takes a sequence's next value.
    pub oracle: bool,
}

impl Dialect {
    /// MySQL's.
    pub const MYSQL: Self = Self {
        engine: Some(Engine::MySql),
        oracle: false,
    };

    /// MariaDB's, in any sql_mode but ORACLE.
    pub const MARIADB: Self = Self {
        engine: Some(Engine::MariaDb),
        oracle: false,
    };

    /// Whether the servers are known to be MariaDB.
    pub fn is_mariadb(self) -> bool {
        self.engine == Some(Engine::MariaDb)
    }

    /// A number for each dialect, so that one text has a fingerprint in each.
    pub(super) const fn number(self) -> u64 {
        let engine = match self.engine {
            None => 0,
            Some(Engine::MySql) => 1,
            Some(Engine::MariaDb) => 2,
        };
        engine << 1 | self.oracle as u64
    }
}

/// The mode in which a session's text is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LexMode {
    /// sql_mode NO_BACKSLASH_ESCAPES: a backslash in a string is a plain byte. The server tells in
    /// status flag 0x0200 of every OK and EOF packet.
    pub no_backslash_escapes: bool,
    /// sql_mode ANSI_QUOTES: `"x"` is an identifier.
    pub ansi_quotes: bool,
    /// The class of `character_set_client`.
    pub charset: Charset,
    /// Whose grammar it is.
    pub dialect: Dialect,
}

impl LexMode {
    /// The mode that a value of `sql_mode` asks for on servers of this engine; `None` for MariaDB's
    /// MSSQL mode, where a name may stand in brackets with a quote inside, and which is not read.
    pub fn of_sql_mode(sql_mode: &str, charset: Charset, engine: Option<Engine>) -> Option<Self> {
        let mut mode = Self {
            charset,
            dialect: Dialect {
                engine,
                oracle: false,
            },
            ..Self::default()
        };
        for word in sql_mode.split(',') {
            let word = word.trim();
            if word.eq_ignore_ascii_case("MSSQL") {
                return None;
            }
            mode.dialect.oracle |= word.eq_ignore_ascii_case("ORACLE");
            mode.no_backslash_escapes |= word.eq_ignore_ascii_case("NO_BACKSLASH_ESCAPES");
            // The combination modes of MySQL 5.7 and MariaDB contain ANSI_QUOTES.
            mode.ansi_quotes |= [
                "ANSI_QUOTES",
                "ANSI",
                "DB2",
                "MAXDB",
                "ORACLE",
                "POSTGRESQL",
            ]
            .iter()
            .any(|m| word.eq_ignore_ascii_case(m));
        }
        Some(mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charset_names() {
        assert_eq!(Charset::of_name("UTF8MB4"), Charset::Utf8);
        assert_eq!(Charset::of_name("latin1"), Charset::SingleByte);
        for name in ["gbk", "sjis", "cp932", "big5", "gb18030", "klingon"] {
            assert_eq!(Charset::of_name(name), Charset::Unsafe, "{name}");
        }
    }

    #[test]
    fn collation_numbers() {
        for (id, class) in [
            (255, Charset::Utf8),
            (45, Charset::Utf8),
            (33, Charset::Utf8),
            (8, Charset::SingleByte),
            (63, Charset::SingleByte),
            (28, Charset::Unsafe),
            (1, Charset::Unsafe),
            (13, Charset::Unsafe),
            (95, Charset::Unsafe),
            (248, Charset::Unsafe),
            (2304, Charset::Unsafe),
        ] {
            assert_eq!(Charset::of_collation(id), class, "{id}");
        }
    }

    #[test]
    fn sql_modes() {
        let read = |text| LexMode::of_sql_mode(text, Charset::Utf8, None);
        assert_eq!(read(""), Some(LexMode::default()));
        assert!(read("STRICT_TRANS_TABLES,ANSI_QUOTES").is_some_and(|m| m.ansi_quotes));
        assert!(read("ansi").is_some_and(|m| m.ansi_quotes));
        assert!(read("NO_BACKSLASH_ESCAPES").is_some_and(|m| m.no_backslash_escapes));
        assert!(read("PIPES_AS_CONCAT,ORACLE").is_some_and(|m| m.dialect.oracle && m.ansi_quotes));
        assert_eq!(read("PIPES_AS_CONCAT,MSSQL"), None);
    }
}
