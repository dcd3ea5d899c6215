//! The tables that a statement names, found in its normalised text.
//!
//! Names stand where the grammar has tables: behind FROM, JOIN, INTO, UPDATE, TABLE and their like. The
//! name of a common table expression counts as a table, and a view as the table that its name is: who
//! asks wants to know what a text may be about.

use super::state::TableName;
use super::token::{Token, Tokens};

/// Every table that the normalised text names, each once, in the order in which they are named. Empty
/// for SHOW, whose FROM names schemas as well.
pub fn tables_of(text: &[u8]) -> Vec<TableName> {
    let mut finder = Finder {
        tokens: Tokens::plain(text),
        groups: vec![Group::default()],
        found: Vec::new(),
        verb: None,
        before: b"",
    };
    while let Some(token) = finder.tokens.next() {
        finder.take(token);
    }
    finder.found
}

/// A statement, or what stands in one pair of parentheses.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    /// Whether it is a query, so that its FROM names tables.
    query: bool,
    /// Whether a list of tables is open, in which a comma is followed by one more.
    list: bool,
    /// Whether a table comes next.
    expects: Option<Place>,
}

/// Where a table is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// To be read from: a name before a parenthesis is a function there.
    From,
    /// Anywhere else: a list of columns may follow.
    Name,
}

struct Finder<'t> {
    tokens: Tokens<'t>,
    groups: Vec<Group>,
    found: Vec<TableName>,
    /// The first word of the statement.
    verb: Option<&'t [u8]>,
    /// The word before.
    before: &'t [u8],
}

impl<'t> Finder<'t> {
    fn take(&mut self, token: Token<'t>) {
        match token {
            Token::Op(b'(') => {
                let inside = match self.group().expects.take() {
                    Some(place) => Group {
                        query: false,
                        list: true,
                        expects: Some(place),
                    },
                    None => Group::default(),
                };
                self.groups.push(inside);
            }
            Token::Op(b')') if self.groups.len() > 1 => {
                self.groups.pop();
            }
            Token::Op(b',') if self.group().list => self.group().expects = Some(Place::From),
            Token::Op(b';') => {
                self.groups = vec![Group::default()];
                self.verb = None;
            }
            // `{ oj a LEFT JOIN b … }`
            Token::Op(b'{') if self.group().expects.is_some() => {
                self.tokens.next();
            }
            Token::Op(_) => {}
            Token::Word(word) => self.word(word),
            Token::Quoted(_) if self.group().expects.is_some() => self.name(token),
            _ => self.group().expects = None,
        }
        self.before = token.word().unwrap_or_default();
    }

    fn group(&mut self) -> &mut Group {
        if self.groups.is_empty() {
            self.groups.push(Group::default());
        }
        let last = self.groups.len() - 1;
        &mut self.groups[last]
    }

    fn expect(&mut self, place: Place) {
        self.group().expects = Some(place);
    }

    fn word(&mut self, word: &'t [u8]) {
        let outside = self.groups.len() == 1;
        let first = self.verb.is_none();
        if first && !matches!(word, b"explain" | b"describe" | b"desc" | b"extended") {
            self.verb = Some(word);
        }
        let verb = self.verb.unwrap_or_default();
        if verb == b"show" {
            return;
        }
        match word {
            b"select" => {
                *self.group() = Group {
                    query: true,
                    ..Group::default()
                };
            }
            // USE INDEX FOR JOIN, FOR ORDER BY, FOR UPDATE.
            _ if self.before == b"for" => {}
            b"from" if outside || self.group().query => self.open_list(),
            b"join" | b"straight_join" if self.group().list => self.expect(Place::From),
            b"using" if outside && verb == b"delete" && !self.before_parenthesis() => {
                self.open_list();
            }
            b"into" => {
                self.group().list = false;
                self.expect(Place::Name);
            }
            b"insert" | b"replace" | b"truncate" | b"handler" if first => self.expect(Place::Name),
            b"update" if outside && !matches!(self.before, b"key" | b"on") => self.open_list(),
            b"table" | b"tables" if self.group().expects.is_some() || names_tables(verb) => {
                self.group().list = verb != b"create" && verb != b"alter";
                self.expect(Place::Name);
            }
            b"table" if first || self.group().is_fresh() => self.expect(Place::Name),
            b"references" | b"view" | b"to" | b"like" if outside_of_queries(verb) => {
                self.expect(Place::Name);
            }
            b"on" if outside && matches!(verb, b"create" | b"drop") => self.expect(Place::Name),
            b"where" | b"group" | b"order" | b"having" | b"limit" | b"window" | b"union"
            | b"except" | b"intersect" | b"set" | b"values" | b"value" | b"with" => {
                self.group().list = false;
                self.group().expects = None;
            }
            _ if self.group().expects.is_some() && !is_modifier(word) => {
                self.name(Token::Word(word));
            }
            _ => {}
        }
    }

    fn open_list(&mut self) {
        self.group().list = true;
        self.expect(Place::From);
    }

    fn before_parenthesis(&self) -> bool {
        self.tokens.peek() == Some(Token::Op(b'('))
    }

    /// A name where a table is expected; its schema may come first.
    fn name(&mut self, first: Token<'t>) {
        let place = self.group().expects.take();
        let Some(first) = first.name() else { return };
        let mut ahead = self.tokens;
        let mut name = TableName {
            schema: None,
            table: plain(first),
        };
        if ahead.next() == Some(Token::Op(b'.'))
            && let Some(second) = ahead.next().and_then(Token::name)
        {
            self.tokens = ahead;
            name = TableName {
                schema: Some(plain(first)),
                table: plain(second),
            };
        }
        let function = place == Some(Place::From) && self.before_parenthesis();
        let dual = name.schema.is_none() && *name.table == *b"dual";
        if !function && !dual && !self.found.contains(&name) {
            self.found.push(name);
        }
    }
}

impl Group {
    /// Whether nothing stood in it before.
    fn is_fresh(self) -> bool {
        !self.query && !self.list
    }
}

/// Verbs whose TABLE is followed by names.
fn names_tables(verb: &[u8]) -> bool {
    matches!(
        verb,
        b"create"
            | b"alter"
            | b"drop"
            | b"truncate"
            | b"lock"
            | b"rename"
            | b"analyze"
            | b"optimize"
            | b"check"
            | b"checksum"
            | b"repair"
            | b"flush"
            | b"load"
    )
}

/// Verbs whose REFERENCES, VIEW, TO and LIKE are followed by a table.
fn outside_of_queries(verb: &[u8]) -> bool {
    matches!(verb, b"create" | b"alter" | b"rename" | b"drop")
}

/// Words that stand before a table's name.
fn is_modifier(word: &[u8]) -> bool {
    matches!(
        word,
        b"low_priority"
            | b"high_priority"
            | b"delayed"
            | b"quick"
            | b"ignore"
            | b"lateral"
            | b"if"
            | b"not"
            | b"exists"
            | b"only"
    )
}

/// A name without the doubling of its backticks.
fn plain(name: &[u8]) -> Box<[u8]> {
    let mut doubled = false;
    let kept = name.iter().filter(|byte| {
        doubled = **byte == b'`' && !doubled;
        **byte != b'`' || doubled
    });
    kept.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::super::{LexMode, Scan, Scratch, Seed, scan};
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut scratch = Scratch::default();
        let seed = Seed::new(1);
        let Scan::Read(read) = scan(text.as_bytes(), LexMode::default(), &seed, &mut scratch)
        else {
            panic!("cannot read {text}");
        };
        let shown = tables_of(read.text).into_iter().map(|name| {
            let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
            let schema = name.schema.map(|it| text(&it) + ".").unwrap_or_default();
            schema + &text(&name.table)
        });
        let shown: Vec<_> = shown.collect();
        assert_eq!(shown.join(" "), expected, "{text}");
    }

    #[test]
    fn queries() {
        for (text, tables) in [
            ("SELECT 1", ""),
            ("SELECT 1 FROM dual", ""),
            ("SELECT a FROM t", "t"),
            ("SELECT a FROM `T``x` AS b WHERE c = 1", "T`x"),
            ("SELECT a FROM s.t, `s`.`u` x, v", "s.t s.u v"),
            ("SELECT a FROM t JOIN u ON t.a = u.b, v", "t u v"),
            (
                "SELECT a FROM t LEFT JOIN (u CROSS JOIN v) USING (a)",
                "t u v",
            ),
            ("SELECT a FROM (t, u) JOIN v", "t u v"),
            ("SELECT a FROM ((t))", "t"),
            ("SELECT a FROM (SELECT b FROM t) x, u", "t u"),
            ("SELECT a, (SELECT MAX(b) FROM u), c FROM t", "u t"),
            (
                "SELECT a FROM t WHERE b IN (SELECT c FROM u) ORDER BY d, e",
                "t u",
            ),
            ("SELECT a FROM t UNION SELECT a FROM u", "t u"),
            (
                "SELECT EXTRACT(YEAR FROM d), TRIM(LEADING FROM e), f FROM t",
                "t",
            ),
            ("SELECT SUBSTRING(a FROM 2 FOR 3) FROM t", "t"),
            ("SELECT a FROM t USE INDEX FOR ORDER BY (i), u", "t u"),
            ("SELECT a FROM t USE INDEX FOR JOIN (i), u", "t u"),
            ("SELECT a FROM t PARTITION (p, q), u", "t u"),
            ("SELECT a FROM t FORCE INDEX (i, j) STRAIGHT_JOIN u", "t u"),
            ("SELECT STRAIGHT_JOIN a FROM t", "t"),
            ("SELECT a FROM { OJ t LEFT OUTER JOIN u ON b = c }", "t u"),
            ("SELECT a FROM t, LATERAL (SELECT b FROM u) x", "t u"),
            (
                "SELECT a FROM JSON_TABLE('[]', '$' COLUMNS (a INT PATH '$.a', b INT PATH '$.b')) x, t",
                "t",
            ),
            ("SELECT a FROM t FOR UPDATE OF t", "t"),
            ("SELECT a FROM t INTO OUTFILE 'x'", "t outfile"),
            ("WITH x AS (SELECT a FROM t) SELECT a FROM x", "t x"),
            ("TABLE t", "t"),
            ("SELECT a FROM (TABLE t) x", "t"),
            ("VALUES ROW(1, 2)", ""),
            ("EXPLAIN SELECT a FROM t", "t"),
            ("SHOW TABLES FROM s", ""),
            ("SELECT a FROM t; SELECT b FROM u", "t u"),
        ] {
            check(text, tables);
        }
    }

    #[test]
    fn writes() {
        for (text, tables) in [
            ("INSERT INTO t (a, b) VALUES (1, 2)", "t"),
            ("INSERT IGNORE s.t VALUES (1)", "s.t"),
            ("REPLACE t SELECT a FROM u", "t u"),
            (
                "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 2",
                "t",
            ),
            ("UPDATE t SET a = 1 WHERE b = 2", "t"),
            ("UPDATE LOW_PRIORITY t, u SET t.a = u.b", "t u"),
            (
                "UPDATE t JOIN u USING (a) SET b = (SELECT c FROM v)",
                "t u v",
            ),
            ("DELETE FROM t WHERE a = 1", "t"),
            ("DELETE x FROM t x JOIN u", "t u"),
            ("DELETE FROM x USING t x, u", "x t u"),
            ("TRUNCATE t", "t"),
            ("TRUNCATE TABLE s.t", "s.t"),
            ("CREATE TABLE IF NOT EXISTS t (a INT, b INT)", "t"),
            ("CREATE TABLE t LIKE u", "t u"),
            ("CREATE TABLE t (a INT REFERENCES u (a))", "t u"),
            ("CREATE INDEX i ON t (a)", "t"),
            ("ALTER TABLE t ADD COLUMN a INT, ADD COLUMN b INT", "t"),
            ("DROP TABLE IF EXISTS t, s.u", "t s.u"),
            ("RENAME TABLE t TO u, v TO w", "t u v w"),
            ("LOCK TABLES t READ, u WRITE", "t u"),
            ("LOAD DATA INFILE 'x' INTO TABLE t", "t"),
        ] {
            check(text, tables);
        }
    }
}
