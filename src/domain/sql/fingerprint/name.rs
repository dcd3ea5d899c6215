//! Quoted and qualified names.

use super::super::chars::{self, Class};
use super::pass::{Pass, Previous};

impl Pass<'_, '_> {
    pub(super) fn backtick(&mut self) -> Option<()> {
        let start = self.at;
        let end = chars::quoted_end(self.text, start)?;
        self.at = end;
        self.quoted_name(start + 1, end - 1, b'`');
        Some(())
    }

    /// Writes the name between `start` and `end` in backticks.
    pub(super) fn quoted_name(&mut self, start: usize, end: usize, quote: u8) {
        self.begin_token();
        self.space_before_word();
        self.out.push(b'`');
        let name = &self.text[start..end];
        if quote == b'`' {
            self.out.extend_from_slice(name);
        } else {
            let mut doubled = false;
            for &byte in name {
                match byte {
                    b'"' if doubled => doubled = false,
                    b'"' => {
                        doubled = true;
                        self.out.push(byte);
                    }
                    b'`' => self.out.extend_from_slice(b"``"),
                    _ => self.out.push(byte),
                }
            }
        }
        self.out.push(b'`');
        self.token(Previous::Quoted);
        self.qualified_name();
    }

    /// After a name: a dot with a name right behind it goes on with a name, even one that begins
    /// with a digit.
    pub(super) fn qualified_name(&mut self) {
        if chars::peek(self.text, self.at) != b'.' {
            return;
        }
        let start = self.at + 1;
        if chars::class_of(chars::peek(self.text, start)) != Class::Digit {
            return;
        }
        let end = chars::word_end(self.text, start);
        self.out.push(b'.');
        self.out.extend_from_slice(&self.text[start..end]);
        self.at = end;
        self.previous = Previous::Word;
        self.qualified_name();
    }
}
