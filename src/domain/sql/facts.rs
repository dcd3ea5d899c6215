//! What stands in a normalised text, wherever it stands: the lexer's veto.
//!
//! One walk over the tokens. It errs towards seeing too much: a fact that is not really there
//! sends a read to the primary, a fact that is missed could send a write to a replica.

mod words;

use super::functions::{self, Function};
use super::known::Known;
use super::mode::Dialect;
use super::profile::{Doubt, Effects};
use super::schemas;
use super::token::{Token, Tokens};
use super::variables::{self, Kind, OwnVariable};

/// How far a common table expression's column list is looked through for its end, in tokens.
const MAX_COLUMN_LIST: usize = 256;

/// What a walk over the tokens found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// Effects that follow from single tokens.
    pub(super) effects: Effects,
    /// FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE.
    pub(super) locks: bool,
    /// The word INTO.
    pub(super) into: bool,
    /// `:=`.
    pub(super) assigns: bool,
    /// INSERT, UPDATE, DELETE, REPLACE as a word of its own, or a sequence's next value.
    pub(super) writes: bool,
    /// The word RETURNING.
    pub(super) returning: bool,
    /// A call of a function that is no built-in.
    pub(super) unknown_function: bool,
    /// A call of a built-in that takes a lock or answers for one server or connection.
    pub(super) local_function: bool,
    /// ROW_COUNT(), FOUND_ROWS(), @@warning_count, @@error_count.
    pub(super) diagnostics: bool,
    /// A variable or a table whose content differs from server to server.
    pub(super) server_local: bool,
    /// A variable of Highwater's own, as `@@name`.
    pub(super) own: bool,
    /// The bare name of one in a statement that begins with SET.
    pub(super) own_in_set: bool,
    /// The word FROM or TABLE, so a table may be read.
    pub(super) tables: bool,
    /// The word SELECT, at least once.
    pub(super) selects: bool,
    /// A `;` with more text behind it.
    pub(super) multi: bool,
    /// A statement of the text begins with KILL.
    pub(super) kill: bool,
    /// A versioned comment.
    pub(super) versioned: bool,
    /// A versioned comment that one server may run and another skip.
    pub(super) versioned_uncertain: bool,
    /// Operators, parentheses and operator words: a bound of how deep a parse can get.
    pub(super) operators: usize,
}

impl Facts {
    /// The first thing that speaks against a replica, for a statement that only reads.
    pub(super) fn doubt(&self) -> Doubt {
        if self.locks {
            Doubt::Locks
        } else if self.into {
            Doubt::Into
        } else if self.unknown_function {
            Doubt::UnknownFunction
        } else if self.assigns {
            Doubt::UserVariable
        } else if self.local_function || self.diagnostics {
            Doubt::Function
        } else if self.server_local || self.effects.contains(Effects::MENTIONS_MANAGED_VARIABLE) {
            Doubt::ServerLocal
        } else if self.versioned {
            Doubt::VersionedComment
        } else {
            Doubt::None
        }
    }
}

/// Which names before a parenthesis are no calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// Every name is a call.
    All,
    /// All but the first: the table and its columns in INSERT.
    AfterTable,
    /// None is looked at: the columns, types and keys of DDL.
    None,
}

/// Walks over the tokens.
pub(super) fn collect(tokens: Tokens<'_>, calls: Calls, dialect: Dialect) -> Facts {
    let mut walk = Walk {
        facts: Facts::default(),
        dialect,
        tokens,
        calls,
        before: [None; 2],
        statement_start: true,
        outside_start: false,
        in_set: false,
        with: tokens.peek().is_some_and(|t| t.is("with")),
    };
    while walk.step() {}
    walk.facts
}

struct Walk<'t> {
    facts: Facts,
    dialect: Dialect,
    /// What comes after the token at hand.
    tokens: Tokens<'t>,
    calls: Calls,
    /// The token before the one at hand, and the one before that.
    before: [Option<Token<'t>>; 2],
    /// Whether a statement may begin here.
    statement_start: bool,
    /// The same before the versioned comment that is open or was last.
    outside_start: bool,
    /// Whether the statement at hand begins with SET.
    in_set: bool,
    with: bool,
}

impl<'t> Walk<'t> {
    fn step(&mut self) -> bool {
        let spaced = self.tokens.rest().first() == Some(&b' ');
        let Some(token) = self.tokens.next() else {
            return false;
        };
        let start = std::mem::take(&mut self.statement_start);
        match token {
            Token::Word(word) => {
                self.facts.kill |= start && word == b"kill";
                if start {
                    self.in_set = word == b"set";
                    self.begins(word);
                }
                self.set_name(word);
                self.statement_start = words::begins_statement(word);
                if self.behind_dot() {
                    self.member(word);
                }
                if !self.behind_dot() || spaced {
                    self.servers_own(word);
                    self.keyword(word);
                    self.call(word, false);
                }
            }
            Token::Quoted(name) => {
                self.set_name(name);
                if self.behind_dot() {
                    self.member(name);
                } else {
                    self.call(name, true);
                }
            }
            Token::UserVariable => self.user_variable(),
            Token::SystemVariable(name) => self.system_variable(name),
            Token::VersionedOpen { digits, mariadb } => {
                self.facts.versioned = true;
                self.facts.versioned_uncertain |= !words::always_run(digits, mariadb, self.dialect);
                self.statement_start = start;
                self.outside_start = start;
            }
            Token::VersionedClose => self.statement_start = start || self.outside_start,
            Token::Op(byte) => self.operator(byte, start),
            Token::Str(_) | Token::Value | Token::Hint => {}
        }
        self.before = [Some(token), self.before[0]];
        true
    }

    /// A name that a SET may give a value to.
    fn set_name(&mut self, name: &[u8]) {
        if self.in_set {
            self.facts.own_in_set |= OwnVariable::of_name(name).is_some();
            self.last_insert_id(name);
            self.known(Known::of_variable(name));
            self.roles(name);
            self.characteristic(name, self.is_sessions());
            let first = self.before[0].is_some_and(|t| t.is("set") || t.is_op(b','));
            if first && is_global_scope(name) && !self.next_is_op(b'=') {
                self.sets_global();
            }
        }
    }

    /// Whether the name at hand is spelled as the session's own, in any of two ways.
    fn is_sessions(&self) -> bool {
        let scope = |token: Option<Token<'_>>| match token {
            Some(Token::SystemVariable(name)) => is_session_scope(name),
            token => token.and_then(Token::name).is_some_and(is_session_scope),
        };
        match self.behind_dot() {
            true => scope(self.before[1]),
            false => scope(self.before[0]),
        }
    }

    /// A variable that a SET may give a value to. Without a word on its scope it may be that of the next transaction
    /// only.
    fn characteristic(&mut self, name: &[u8], sessions: bool) {
        let effects = &mut self.facts.effects;
        if !sessions && variables::is_characteristic(name) {
            *effects = effects.with(Effects::CHARACTERISTIC);
        }
    }

    /// A word of a SET that stands for what the server at hand has.
    fn servers_own(&mut self, word: &[u8]) {
        let own: [&[u8]; 4] = [b"default", b"global", b"persist", b"persist_only"];
        if self.in_set && own.contains(&word) {
            let effects = &mut self.facts.effects;
            *effects = effects.with(Effects::SERVERS_OWN);
        }
    }

    /// An assignment to a global variable.
    fn sets_global(&mut self) {
        self.facts.effects = self.facts.effects.with(Effects::GLOBALS);
    }

    /// The first word of a statement, which may be one about accounts or the server's history. Who writes to
    /// the tables in `mysql` changes nothing before FLUSH PRIVILEGES.
    fn begins(&mut self, verb: &[u8]) {
        let mut ahead = self.tokens;
        if verb == b"reset" {
            let mut objects = ahead.take_while(|token| !token.is_op(b';'));
            if objects.any(|token| token.is("binary") || token.is("master")) {
                self.facts.effects = self.facts.effects.with(Effects::HISTORY);
            }
            return;
        }
        let about = match verb {
            b"grant" | b"revoke" => true,
            b"create" | b"alter" | b"drop" | b"rename" => {
                ahead.eat_all(&["or", "replace"]);
                ahead.eat_any(&["user", "role"]).is_some()
            }
            b"set" => ahead.eat("password") || ahead.eat_all(&["default", "role"]),
            b"flush" => ahead
                .take_while(|token| !token.is_op(b';'))
                .any(|token| token.is("privileges") || token.is("optimizer_costs")),
            _ => false,
        };
        if about {
            self.facts.effects = self.facts.effects.with(Effects::ACCOUNTS);
        }
        if makes_program(verb, self.tokens) {
            self.facts.effects = self.facts.effects.with(Effects::PROGRAMS);
        }
    }

    /// Variables that say which roles a login has.
    fn roles(&mut self, name: &[u8]) {
        let roles = ["mandatory_roles", "activate_all_roles_on_login"];
        if roles
            .iter()
            .any(|role| name.eq_ignore_ascii_case(role.as_bytes()))
        {
            self.facts.effects = self.facts.effects.with(Effects::ACCOUNTS);
        }
    }

    /// A name that may be one of LAST_INSERT_ID()'s.
    fn last_insert_id(&mut self, name: &[u8]) {
        if variables::is_last_insert_id(name) {
            self.facts.effects = self.facts.effects.with(Effects::LAST_INSERT_ID);
        }
    }

    fn asks_previous(&mut self) {
        self.facts.diagnostics = true;
        self.facts.effects = self.facts.effects.with(Effects::ASKS_PREVIOUS);
    }

    /// Takes note of something whose value the session knows.
    fn known(&mut self, known: Option<Known>) {
        if known.is_some() {
            self.facts.effects = self.facts.effects.with(Effects::MENTIONS_KNOWN);
        }
    }

    fn behind_dot(&self) -> bool {
        self.before[0].is_some_and(|t| t.is_op(b'.'))
    }

    fn next_is_op(&self, byte: u8) -> bool {
        self.tokens.peek().is_some_and(|t| t.is_op(byte))
    }

    fn operator(&mut self, byte: u8, start: bool) {
        match byte {
            b';' => {
                self.facts.multi = true;
                self.statement_start = true;
            }
            b':' if self.next_is_op(b'=') => self.facts.assigns = true,
            b'(' => self.statement_start = start,
            _ => {}
        }
        if !matches!(byte, b',' | b'.' | b')') {
            self.facts.operators += 1;
        }
    }

    /// An unquoted word that is not part of a qualified name.
    fn keyword(&mut self, word: &[u8]) {
        let (next, mut ahead) = (self.tokens.peek(), self.tokens);
        let after_for = self.before[0].is_some_and(|t| t.is("for"));
        let facts = &mut self.facts;
        match word {
            b"select" => facts.selects = true,
            b"from" | b"table" | b"join" => facts.tables = true,
            b"into" => {
                facts.into = true;
                if next == Some(Token::UserVariable) {
                    facts.effects = facts.effects.with(Effects::ASSIGNS_USER_VARIABLE);
                }
            }
            b"for" => facts.locks |= next.is_some_and(|t| t.is("update") || t.is("share")),
            b"lock" => facts.locks |= ahead.eat_all(&["in", "share", "mode"]),
            b"update" => facts.writes |= !after_for,
            b"delete" => facts.writes = true,
            b"insert" | b"replace" => facts.writes |= !next.is_some_and(|t| t.is_op(b'(')),
            b"next" => facts.writes |= ahead.eat_all(&["value", "for"]),
            b"previous" => facts.local_function |= ahead.eat_all(&["value", "for"]),
            b"returning" => facts.returning = true,
            _ => {}
        }
        if words::is_operator(word) {
            self.facts.operators += 1;
        }
    }

    /// A name right behind a dot: never a keyword.
    fn member(&mut self, name: &[u8]) {
        if self.next_is_op(b'(') && self.is_call() {
            self.unknown_call();
        }
        if self.dialect.oracle {
            self.facts.writes |= name.eq_ignore_ascii_case(b"nextval");
            self.facts.local_function |= name.eq_ignore_ascii_case(b"currval");
        }
        if let Some(schema) = self.before[1].and_then(Token::name)
            && schemas::is_server_local_table(schema, name)
        {
            self.facts.server_local = true;
        }
    }

    /// A name that may be a function's: is a parenthesis next?
    fn call(&mut self, name: &[u8], quoted: bool) {
        if !self.next_is_op(b'(') || (!quoted && words::is_keyword_before_parenthesis(name)) {
            if matches!(name, b"values" | b"value" | b"select" | b"set" | b"table") {
                self.table_is_past();
            }
            return;
        }
        if !self.is_call() {
            return;
        }
        self.known(Known::of_function(name));
        match functions::classify(name, self.dialect) {
            Function::Pure => {}
            Function::Writes => self.facts.writes = true,
            Function::Diagnostics => self.asks_previous(),
            Function::Local => {
                self.facts.local_function = true;
                self.last_insert_id(name);
            }
            Function::NamedLock => {
                self.facts.local_function = true;
                self.facts.effects = self.facts.effects.with(Effects::NAMED_LOCK);
            }
            Function::Unknown if self.is_column_list() => {}
            Function::Unknown => self.unknown_call(),
        }
    }

    fn unknown_call(&mut self) {
        self.facts.unknown_function = true;
        self.facts.effects = self.facts.effects.with(Effects::OPAQUE);
    }

    fn table_is_past(&mut self) {
        if self.calls == Calls::AfterTable {
            self.calls = Calls::All;
        }
    }

    /// Whether names before parentheses are calls here; takes note of the table of an INSERT.
    fn is_call(&mut self) -> bool {
        match self.calls {
            Calls::All => true,
            Calls::None => false,
            Calls::AfterTable => {
                self.calls = Calls::All;
                false
            }
        }
    }

    /// Whether the name at hand is an alias with a list of columns, as in `) AS d (a, b)` and
    /// `WITH c (a, b) AS (`.
    fn is_column_list(&self) -> bool {
        let Some(before) = self.before[0] else {
            return false;
        };
        if before.is("as") || before.is_op(b')') {
            return true;
        }
        if !self.with || !(before.is("with") || before.is("recursive") || before.is_op(b',')) {
            return false;
        }
        let mut ahead = self.tokens;
        let close = ahead.by_ref().take(MAX_COLUMN_LIST).find(|t| t.is_op(b')'));
        close.is_some() && ahead.eat("as") && ahead.eat_op(b'(')
    }

    fn user_variable(&mut self) {
        // 'user'@'host' is an account.
        if matches!(self.before[0], Some(Token::Str(_) | Token::Quoted(_))) {
            return;
        }
        self.facts.effects = self.facts.effects.with(Effects::USER_VARIABLE);
    }

    fn system_variable(&mut self, name: &[u8]) {
        let mut ahead = self.tokens;
        let mut name = name;
        if name.is_empty() {
            name = ahead.next().and_then(Token::name).unwrap_or_default();
        }
        let (mut global, mut sessions) = (false, false);
        if ahead.eat_op(b'.') {
            sessions = is_session_scope(name);
            global = !sessions;
            name = ahead.next().and_then(Token::name).unwrap_or_default();
        }
        if self.in_set {
            self.roles(name);
            self.characteristic(name, sessions);
            if global {
                self.servers_own(b"global");
            }
            // `@@global.hot_cache.key_buffer_size` has a part more.
            while ahead.eat_op(b'.') {
                ahead.next();
            }
            let assigned = ahead.eat_op(b':') || ahead.eat_op(b'=');
            if assigned && global {
                self.sets_global();
            }
        }
        if !global {
            self.known(Known::of_variable(name));
            self.last_insert_id(name);
        }
        let kind = match global {
            true => Kind::ServerLocal,
            false => variables::kind_of(name),
        };
        match kind {
            Kind::Own => self.facts.own = true,
            Kind::Mirrored => {}
            Kind::Diagnostics => self.asks_previous(),
            Kind::ServerLocal => self.facts.server_local = true,
            Kind::Managed => {
                let managed = Effects::MENTIONS_MANAGED_VARIABLE;
                self.facts.effects = self.facts.effects.with(managed);
            }
        }
    }
}

/// The words with which a SET names the values that sessions begin with. PERSIST_ONLY is for a server's next
/// start.
fn is_global_scope(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"global") || word.eq_ignore_ascii_case(b"persist")
}

/// The words with which a SET names the session's own values.
fn is_session_scope(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"session") || word.eq_ignore_ascii_case(b"local")
}

/// Whether a statement with this verb makes, changes or drops a routine, a trigger or a view.
fn makes_program(verb: &[u8], mut behind: Tokens<'_>) -> bool {
    const KINDS: [&str; 5] = ["procedure", "function", "trigger", "view", "package"];
    if !matches!(verb, b"create" | b"alter" | b"drop") || behind.eat("table") {
        return false;
    }
    behind
        .take_while(|token| !token.is_op(b'(') && !token.is_op(b';'))
        .any(|token| KINDS.iter().any(|kind| token.is(kind)))
}

#[cfg(test)]
mod tests {
    use crate::domain::sql::{Effects, LexMode, Seed, explain};

    fn has(sql: &str, effect: Effects) -> bool {
        let profile = explain(sql.as_bytes(), LexMode::default(), &Seed::new(0));
        profile.effects.contains(effect)
    }

    #[test]
    fn statements_that_set_global_variables() {
        let cases: [(&str, bool); 19] = [
            ("SET GLOBAL sql_mode = ''", true),
            ("set persist sql_mode = ''", true),
            ("SET @@global.sql_mode = ''", true),
            ("SET @@GLOBAL.sql_mode := ''", true),
            ("SET @@`global`.sql_mode = ''", true),
            ("SET @@persist.sql_mode = ''", true),
            ("SET @x = 1, GLOBAL sql_mode = ''", true),
            ("SET @@global.hot_cache.key_buffer_size = 1", true),
            ("SET GLOBAL TRANSACTION READ ONLY", true),
            ("DO 1; SET GLOBAL sql_mode = ''", true),
            ("/*!80000 SET GLOBAL sql_mode = '' */", true),
            ("SET sql_mode = @@global.sql_mode", false),
            ("SET sql_mode = @@global.sql_mode, @x = 1", false),
            ("SET global = 1", false),
            ("SET SESSION sql_mode = ''", false),
            ("SET @@session.sql_mode = ''", false),
            ("SELECT @@global.sql_mode = ''", false),
            ("SELECT 1 AS a, global FROM t", false),
            ("SET @x = 'GLOBAL sql_mode = 1'", false),
        ];
        for (sql, expected) in cases {
            assert_eq!(has(sql, Effects::GLOBALS), expected, "{sql}");
        }
    }

    #[test]
    fn settings_that_differ_from_server_to_server() {
        const NOTHING: u32 = 0;
        const OWN: u32 = Effects::SERVERS_OWN.0;
        const BOTH: u32 = OWN | Effects::CHARACTERISTIC.0;
        let cases: [(&str, u32); 23] = [
            ("SET sql_mode = DEFAULT", OWN),
            ("SET @@session.sql_mode = default, time_zone = 'UTC'", OWN),
            ("SET time_zone = 'UTC', @x = @@global.sql_mode", OWN),
            ("SET sql_mode = CONCAT(@@GLOBAL.sql_mode, ',ANSI')", OWN),
            ("SET NAMES DEFAULT", OWN),
            ("SET CHARACTER SET DEFAULT", OWN),
            ("SET GLOBAL sql_mode = 'ANSI'", OWN),
            ("SET @@global.sql_mode = 'ANSI'", OWN),
            ("SET PERSIST_ONLY sql_mode = 'ANSI'", OWN),
            ("DO 1; SET sql_mode = DEFAULT", OWN),
            ("SET transaction_isolation = DEFAULT", BOTH),
            ("SET @@tx_read_only = DEFAULT", BOTH),
            ("SET SESSION transaction_isolation = DEFAULT", OWN),
            ("SET LOCAL tx_isolation = DEFAULT", OWN),
            ("SET @@session.transaction_isolation = DEFAULT", OWN),
            ("SET @@Local.`transaction_isolation` = DEFAULT", OWN),
            (
                "SET SESSION sql_mode = '', transaction_isolation = DEFAULT",
                BOTH,
            ),
            ("SET sql_mode = 'DEFAULT'", NOTHING),
            ("SET sql_mode = @@session.sql_mode", NOTHING),
            ("SET @x = 1", NOTHING),
            ("UPDATE t SET a = DEFAULT", NOTHING),
            ("SELECT @@global.sql_mode", NOTHING),
            ("SET @x = 1; INSERT INTO t VALUES (DEFAULT)", NOTHING),
        ];
        for (sql, expected) in cases {
            let profile = explain(sql.as_bytes(), LexMode::default(), &Seed::new(0));
            assert_eq!(profile.effects.0 & BOTH, expected, "{sql}");
        }
    }

    #[test]
    fn statements_that_begin_a_history() {
        let cases: [(&str, bool); 8] = [
            ("RESET BINARY LOGS AND GTIDS", true),
            ("reset master", true),
            ("RESET QUERY CACHE, MASTER", true),
            ("DO 1; RESET MASTER; DO 2", true),
            ("RESET REPLICA ALL; SELECT 'master'", false),
            ("RESET PERSIST", false),
            ("PURGE BINARY LOGS TO 'b'", false),
            ("SELECT reset FROM master", false),
        ];
        for (sql, expected) in cases {
            assert_eq!(has(sql, Effects::HISTORY), expected, "{sql}");
        }
    }

    #[test]
    fn statements_about_accounts() {
        let cases: [(&str, bool); 31] = [
            ("GRANT SELECT ON *.* TO u", true),
            ("grant r to 'u'@'%'", true),
            ("REVOKE IF EXISTS SELECT ON a.* FROM u", true),
            ("CREATE USER u", true),
            ("CREATE OR REPLACE USER u", true),
            ("ALTER USER USER() IDENTIFIED BY 'x'", true),
            ("DROP USER IF EXISTS u", true),
            ("RENAME USER a TO b", true),
            ("CREATE ROLE r", true),
            ("DROP ROLE r", true),
            ("SET PASSWORD = 'x'", true),
            ("SET PASSWORD FOR u = 'x'", true),
            ("SET DEFAULT ROLE r TO u", true),
            ("SET PERSIST mandatory_roles = 'r'", true),
            ("SET @@global.activate_all_roles_on_login = ON", true),
            ("FLUSH PRIVILEGES", true),
            ("FLUSH LOCAL STATUS, PRIVILEGES", true),
            ("FLUSH OPTIMIZER_COSTS", true),
            ("DO 1; REVOKE r FROM u; DO 2", true),
            ("/*!80000 DROP USER u */", true),
            ("CREATE PROCEDURE p() BEGIN GRANT r TO u; END", true),
            ("SET ROLE r", false),
            ("SET @x = 1, autocommit = 0", false),
            ("FLUSH TABLES", false),
            ("FLUSH STATUS; SELECT privileges FROM t", false),
            ("CREATE TABLE user (role INT)", false),
            ("DROP TABLE user", false),
            ("SELECT 'GRANT r TO u' FROM t /* DROP USER u */", false),
            ("SELECT `grant` FROM t; DO 1", false),
            ("SELECT @@mandatory_roles", false),
            ("INSERT INTO mysql.user VALUES (1)", false),
        ];
        for (sql, expected) in cases {
            assert_eq!(has(sql, Effects::ACCOUNTS), expected, "{sql}");
        }
    }

    #[test]
    fn statements_about_programs_are_known() {
        let cases = [
            (
                "CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET @a = 1",
                true,
            ),
            (
                "CREATE DEFINER = `a`@`b` SQL SECURITY INVOKER VIEW v AS SELECT 1",
                true,
            ),
            ("CREATE OR REPLACE FUNCTION f() RETURNS INT RETURN 1", true),
            (
                "/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`%`*/ /*!50003 TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET @a = 1 */",
                true,
            ),
            ("DO 1; DROP PROCEDURE IF EXISTS p", true),
            ("ALTER VIEW v AS SELECT 1", true),
            ("CREATE TABLE view (id INT)", false),
            ("CREATE TABLE t (id INT COMMENT 'trigger')", false),
            ("DROP TABLE t; SELECT 1 FROM view", false),
            ("SHOW CREATE TRIGGER t", false),
            ("ALTER TABLE t ADD c INT", false),
        ];
        for (sql, expected) in cases {
            assert_eq!(has(sql, Effects::PROGRAMS), expected, "{sql}");
        }
    }
}
