//! Literals, which are erased, and lists of them, which become one.

use super::super::chars;
use super::super::variables::{self, OwnVariable};
use super::pass::{Pass, Previous};
use std::ops::Range;

impl Pass<'_, '_> {
    /// `x'4D'`, `b'01'`, `n'text'`, `_utf8mb4'text'`: the end of such a literal, after writing it.
    /// The inner `None` is a literal that never ends.
    pub(super) fn prefixed_literal(&mut self, word: &[u8], end: usize) -> Option<Option<usize>> {
        let first = word.first()?;
        if word.len() == 1 && matches!(first, b'x' | b'X' | b'b' | b'B' | b'n' | b'N') {
            if chars::peek(self.text, end) != b'\'' {
                return None;
            }
            let close = chars::string_end(self.text, end, self.mode);
            let kind = if matches!(first, b'n' | b'N') {
                Previous::String
            } else {
                Previous::Number
            };
            if close.is_some() {
                self.literal(kind);
            }
            return Some(close);
        }
        if *first != b'_' {
            return None;
        }
        // A character set introducer is dropped, the literal behind it is read next.
        let next = chars::skip_blanks(self.text, end);
        let behind = chars::peek(self.text, next);
        let introduces = match behind {
            b'\'' | b'?' | b'0'..=b'9' => true,
            b'"' => !self.mode.ansi_quotes,
            b'x' | b'X' | b'b' | b'B' => chars::peek(self.text, next + 1) == b'\'',
            _ => false,
        };
        introduces.then_some(Some(next))
    }

    /// NULL, TRUE, FALSE and DEFAULT as an element of a list.
    pub(super) fn is_literal_word(&self, word: &[u8], end: usize) -> bool {
        use Previous::{Comma, LiteralComma, Open};
        if !matches!(self.previous, Open | Comma | LiteralComma) || self.semicolon {
            return false;
        }
        let known = match word.len() {
            4 => word.eq_ignore_ascii_case(b"null") || word.eq_ignore_ascii_case(b"true"),
            5 => word.eq_ignore_ascii_case(b"false"),
            7 => word.eq_ignore_ascii_case(b"default"),
            _ => false,
        };
        known && {
            let next = chars::skip_blanks(self.text, end);
            matches!(chars::peek(self.text, next), b',' | b')')
        }
    }

    pub(super) fn number_or_name(&mut self) -> Option<()> {
        match chars::number_end(self.text, self.at) {
            Some(end) => {
                self.at = end;
                self.literal(Previous::Number);
                Some(())
            }
            None => self.word(),
        }
    }

    pub(super) fn quote(&mut self, quote: u8) -> Option<()> {
        let start = self.at;
        if quote == b'"' && self.mode.ansi_quotes {
            let end = chars::quoted_end(self.text, start)?;
            self.at = end;
            self.quoted_name(start + 1, end - 1, b'"');
            return Some(());
        }
        let end = chars::string_end(self.text, start, self.mode)?;
        self.at = end;
        if let Some(name) = self.own_pattern(start + 1..end - 1) {
            self.begin_token();
            self.space_before_word();
            self.out.push(b'\'');
            self.out.extend_from_slice(name.as_bytes());
            self.out.push(b'\'');
            self.token(Previous::String);
            return Some(());
        }
        if self.previous == Previous::String && !self.semicolon {
            // Strings side by side are one string.
            self.gap = false;
            return Some(());
        }
        self.literal(Previous::String);
        Some(())
    }

    /// What is kept of the string that SHOW VARIABLES looks for, if it is for variables of Highwater's
    /// own: the name of one.
    fn own_pattern(&self, inner: Range<usize>) -> Option<&'static str> {
        if self.semicolon || !self.out.starts_with(b"show ") {
            return None;
        }
        let pattern = self.text.get(inner)?;
        let behind = |tail: &[u8]| {
            let at = self.out.len().checked_sub(tail.len());
            let end = at.and_then(|at| self.out.get(at..));
            end.is_some_and(|end| end.eq_ignore_ascii_case(tail))
        };
        let like = [
            b"variables like".as_slice(),
            b"variables where variable_name like",
            b"variables where `variable_name` like",
        ];
        let equals = [
            b"variables where variable_name=".as_slice(),
            b"variables where `variable_name`=",
        ];
        let own = if like.into_iter().any(behind) {
            variables::own_like(pattern).first().copied()
        } else if equals.into_iter().any(behind) {
            OwnVariable::of_name(pattern)
        } else {
            None
        };
        own.map(OwnVariable::name)
    }

    /// Whether the `-` here belongs to the number behind it: it follows no operand.
    pub(super) fn is_sign(&self) -> bool {
        use Previous::{Comma, LiteralComma, Open, Operator};
        matches!(self.previous, Open | Comma | LiteralComma | Operator)
            && !self.semicolon
            && chars::peek(self.text, self.at + 1).is_ascii_digit()
            && chars::number_end(self.text, self.at + 1).is_some()
    }

    /// Writes a literal, or leaves it out as one more of a list.
    #[inline]
    pub(super) fn literal(&mut self, kind: Previous) {
        self.begin_token();
        if self.previous == Previous::LiteralComma {
            self.out.pop();
            // The list goes on as what its first element was.
            let string = self.out.last() == Some(&b'\'');
            self.token(if string {
                Previous::String
            } else {
                Previous::Number
            });
            return;
        }
        self.in_list = matches!(self.previous, Previous::Open | Previous::Comma);
        let alias = self.previous == Previous::Word && self.out.ends_with(b" as");
        self.space_before_word();
        self.out.extend_from_slice(if kind == Previous::String {
            b"'?'"
        } else {
            b"?"
        });
        self.token(if alias { Previous::Quoted } else { kind });
    }
}
