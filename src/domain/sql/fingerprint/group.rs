//! Parenthesised groups: rows that look alike become one.

use super::pass::{Pass, Previous};

/// Groups nested deeper than this are not collapsed.
const MAX_TRACKED_DEPTH: usize = 32;

/// A place in the normalised text that is none.
const NOWHERE: usize = usize::MAX;

/// The open groups: the statement itself at 0, then one for each parenthesis.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Groups {
    open: [Group; MAX_TRACKED_DEPTH],
    depth: usize,
}

/// A parenthesised group that is open, and its last closed child.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    start: usize,
    child: (usize, usize),
}

impl Groups {
    /// Forgets the statement before.
    pub(super) fn begin(&mut self) {
        self.depth = 0;
        self.open[0].child = (NOWHERE, NOWHERE);
    }

    /// A group opens at `start`.
    fn open(&mut self, start: usize) {
        self.depth += 1;
        if let Some(group) = self.open.get_mut(self.depth) {
            *group = Group {
                start,
                child: (NOWHERE, NOWHERE),
            };
        }
    }

    /// The group that opened last is closed and ends the text. If it repeats its sibling, as in
    /// `(?,?),(?,?)`, the answer is where that sibling ends.
    fn close(&mut self, text: &[u8]) -> Option<usize> {
        let parent = self.depth.checked_sub(1)?;
        let closed = self.open.get(self.depth).copied();
        self.depth = parent;
        let start = closed?.start;
        let (first, last) = self.open[parent].child;
        let repeats = last.checked_add(1) == Some(start)
            && text.get(last) == Some(&b',')
            && text.get(first..last) == text.get(start..);
        if repeats {
            return Some(last);
        }
        self.open[parent].child = (start, text.len());
        None
    }
}

impl Pass<'_, '_> {
    pub(super) fn comma(&mut self) {
        self.begin_token();
        self.at += 1;
        self.out.push(b',');
        let literal = matches!(self.previous, Previous::Number | Previous::String);
        let list = literal && self.in_list;
        self.token(if list {
            Previous::LiteralComma
        } else {
            Previous::Comma
        });
    }

    pub(super) fn open(&mut self) {
        self.begin_token();
        self.at += 1;
        self.groups.open(self.out.len());
        self.out.push(b'(');
        self.token(Previous::Open);
    }

    pub(super) fn close(&mut self) {
        self.begin_token();
        self.at += 1;
        self.out.push(b')');
        self.token(Previous::Close);
        if let Some(sibling) = self.groups.close(self.out) {
            self.out.truncate(sibling);
        }
    }
}
