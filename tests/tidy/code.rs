//! Rust text as far as the house rules need it: tokens without comments and strings, and the paths
//! they spell, with `use` groups expanded.

/// One token and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A path such as `crate::net::stream`, by its segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathUse {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// How many inline modules surround it.
    pub(crate) depth: usize,
    /// Whether one of them is `tests`.
    pub(crate) in_tests: bool,
}

/// The tokens and paths of one file.
pub(crate) struct Code {
    pub(crate) tokens: Vec<Token>,
    pub(crate) paths: Vec<PathUse>,
}

impl Code {
    pub(crate) fn of(text: &str) -> Self {
        let tokens = Lexer::new(text).run();
        let paths = paths(&tokens);
        Self { tokens, paths }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            line: 1,
            tokens: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<Token> {
        while let Some(first) = self.rest.chars().next() {
            if self.rest.starts_with("//") {
                self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                self.skip(block_comment(self.rest));
            } else if let Some(length) = raw_string(self.rest) {
                self.skip(length);
            } else if first == '"' || self.rest.starts_with("b\"") || self.rest.starts_with("c\"") {
                self.skip(quoted(self.rest, '"'));
            } else if first == '\'' || self.rest.starts_with("b'") {
                self.quote();
            } else if is_word(first) {
                let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                self.push(end);
            } else if self.rest.starts_with("::") {
                self.push(2);
            } else if first.is_whitespace() {
                self.skip(first.len_utf8());
            } else {
                self.push(first.len_utf8());
            }
        }
        self.tokens
    }

    /// A character literal, or the quote of a lifetime.
    fn quote(&mut self) {
        let body = self.rest.trim_start_matches('b').get(1..).unwrap_or("");
        let mut letters = body.chars();
        let literal = letters.next() == Some('\\') || letters.next() == Some('\'');
        let length = if literal { quoted(self.rest, '\'') } else { 1 };
        self.skip(length);
    }

    fn push(&mut self, length: usize) {
        let text = self.rest[..length].to_owned();
        let line = self.line;
        self.tokens.push(Token { text, line });
        self.rest = &self.rest[length..];
    }

    fn skip(&mut self, length: usize) {
        self.line += self.rest[..length].matches('\n').count();
        self.rest = &self.rest[length..];
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length of the block comment at the start of `text`; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// Length of the raw string at the start of `text`, if there is one.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        text.strip_prefix(prefix)
            .is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
    })?;
    let rest = &text[prefix.len()..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let start = prefix.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = text[start..].find(&end)?;
    Some(start + length + end.len())
}

/// Length of the literal at the start of `text`, which `quote` opens and closes.
fn quoted(text: &str, quote: char) -> usize {
    let start = text.find(quote).unwrap_or(0) + 1;
    let mut escaped = false;
    for (at, c) in text[start..].char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return start + at + 1;
        }
    }
    text.len()
}

/// Every path and every lone name, in order.
fn paths(tokens: &[Token]) -> Vec<PathUse> {
    let mut found = Vec::new();
    let mut modules: Vec<(usize, bool)> = Vec::new();
    let mut braces = 0_usize;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let text = |offset: usize| {
            tokens
                .get(at + offset)
                .map_or("", |token| token.text.as_str())
        };
        match token.text.as_str() {
            "mod" if text(2) == "{" => {
                modules.push((braces, text(1) == "tests"));
                braces += 1;
                at += 3;
                continue;
            }
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                modules.retain(|(outer, _)| *outer < braces);
            }
            word if word.starts_with(is_word) => {
                let start = PathUse {
                    segments: Vec::new(),
                    line: token.line,
                    depth: modules.len(),
                    in_tests: modules.iter().any(|(_, tests)| *tests),
                };
                at = follow(tokens, at, &start, &mut found);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads the path at `at`, with its groups, onto `so_far`; returns where it ends.
fn follow(tokens: &[Token], mut at: usize, so_far: &PathUse, found: &mut Vec<PathUse>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut path = so_far.clone();
    path.line = tokens.get(at).map_or(path.line, |token| token.line);
    loop {
        if text(at) == "{" {
            at += 1;
            while !matches!(text(at), "}" | "") {
                if text(at) == "," {
                    at += 1;
                } else {
                    at = follow(tokens, at, &path, found);
                }
            }
            return at + 1;
        }
        if !(text(at).starts_with(is_word) || text(at) == "*") {
            break;
        }
        path.segments.push(text(at).to_owned());
        at += 1;
        if text(at) != "::" {
            if text(at) == "as" {
                at += 2;
            }
            break;
        }
        at += 1;
    }
    if path.segments.len() > so_far.segments.len() {
        found.push(path);
        at
    } else {
        at + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let code = Code::of(text);
        let shown: Vec<_> = code
            .paths
            .iter()
            .map(|path| path.segments.join("::"))
            .collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        check("a // b\nc /* d /* e */ f */ g", &["a", "c", "g"]);
        check(
            r###"a("b::c \" d", r#"e"f"#, b"g", 'h', '\'', b'i')"###,
            &["a"],
        );
        check("fn f<'a>(x: &'a T)", &["fn", "f", "a", "x", "a", "T"]);
    }

    #[test]
    fn groups_are_expanded() {
        check(
            "use a::{b, c::{d, e as f}, *};",
            &["use", "a::b", "a::c::d", "a::c::e", "a::*"],
        );
        check("x::y::<Z>()", &["x::y", "Z"]);
        check("if x { y }", &["if", "x", "y"]);
    }

    #[test]
    fn inline_modules_are_counted() {
        let code = Code::of("mod a { mod tests { x } y } z");
        let depths: Vec<_> = code
            .paths
            .iter()
            .map(|path| (path.segments.join("::"), path.depth, path.in_tests))
            .collect();
        let expected = [("x", 2, true), ("y", 1, false), ("z", 0, false)];
        assert_eq!(
            depths,
            expected.map(|(name, depth, tests)| (name.to_owned(), depth, tests))
        );
    }
}
