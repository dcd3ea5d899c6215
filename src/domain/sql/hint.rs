//! What a client asks for one statement: in a comment that leads it, or in query attributes.
//!
//! `/* highwater: consistency=global, group='cart 7', after='…' */ SELECT …`,
//! `/* highwater: primary */ SELECT …`, `/* highwater: replica */ SELECT …`. The same keys, as
//! `highwater.consistency` and so on, name query attributes. A key or a value that is not known is an
//! error: to pass over `consistency=gobal` would weaken what the client asked for.
//!
//! Hints are read from each text, since a profile is cached by a text without its comments.

use std::borrow::Cow;

use super::chars;
use crate::domain::consistency::Level;

/// What a query attribute's name begins with if it is for Highwater.
const ATTRIBUTE_PREFIX: &[u8] = b"highwater.";
/// What the comment begins with.
const COMMENT_WORD: &[u8] = b"highwater";
/// Characters of a wrong word that an error repeats.
const WORD_SHOWN: usize = 40;

/// The wishes about one statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// The level that it is read at, instead of the session's.
    pub level: Option<Level>,
    /// A position that it must cover, as text.
    pub after: Option<Box<str>>,
    /// The causal group that it belongs to.
    pub group: Option<Box<str>>,
    /// The kind of server that shall answer, if it may.
    pub target: Option<HintTarget>,
}

/// The kind of server that a hint asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintTarget {
    /// The primary answers.
    Primary,
    /// A replica answers what a replica may answer, even when that takes longer than the session
    /// wants to wait: the primary takes it only when there is no usable replica. A write never goes
    /// to a replica.
    Replica,
}

/// A hint that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintError {
    /// The word that is wrong.
    pub word: String,
    /// What would be right.
    pub expected: String,
}

impl HintError {
    fn new(word: &[u8], expected: impl Into<String>) -> Self {
        let word = String::from_utf8_lossy(word.trim_ascii());
        Self {
            word: word.chars().take(WORD_SHOWN).collect(),
            expected: expected.into(),
        }
    }
}

impl Hints {
    /// The hints in the comments that lead a text. A text that begins with anything else costs a
    /// look at its first byte.
    ///
    /// # Errors
    /// When such a comment has a word that is not known, or one twice.
    #[inline]
    pub fn of_text(text: &[u8]) -> Result<Self, HintError> {
        match text.first() {
            Some(b'/' | b'-' | b'#') => Self::of_comments(text),
            Some(byte) if chars::is_blank(*byte) => Self::of_comments(text),
            _ => Ok(Self::default()),
        }
    }

    fn of_comments(text: &[u8]) -> Result<Self, HintError> {
        let mut hints = Self::default();
        let mut at = 0;
        loop {
            while text.get(at).is_some_and(|byte| chars::is_blank(*byte)) {
                at += 1;
            }
            let chars::Comment::Plain(end) = chars::comment_at(text, at) else {
                return Ok(hints);
            };
            if let Some(items) = text.get(at..end).and_then(addressed) {
                hints.take_items(items)?;
            }
            at = end;
        }
    }

    fn take_items(&mut self, items: &[u8]) -> Result<(), HintError> {
        let mut items = Items { text: items };
        loop {
            let (key, value) = items.next()?;
            self.take(key, value.as_deref())?;
            if !items.eat(b',') {
                break;
            }
        }
        match items.text.trim_ascii_start() {
            [] => Ok(()),
            rest => Err(HintError::new(rest, "a comma before the next hint")),
        }
    }

    /// Takes in a query attribute; one that is not for Highwater is left alone. `None` is a value
    /// that is no string.
    ///
    /// # Errors
    /// When the name or the value is not known, or the name came before.
    pub fn take_attribute(&mut self, name: &[u8], value: Option<&[u8]>) -> Result<(), HintError> {
        let prefix = name.get(..ATTRIBUTE_PREFIX.len());
        if !prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(ATTRIBUTE_PREFIX)) {
            return Ok(());
        }
        let key = name.get(ATTRIBUTE_PREFIX.len()..).unwrap_or_default();
        match value {
            Some(value) => self.take(key, Some(value)),
            None => Err(HintError::new(name, "a string as its value")),
        }
    }

    fn take(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), HintError> {
        let is = |word: &str| key.eq_ignore_ascii_case(word.as_bytes());
        match value {
            None => fill(&mut self.target, key, HintTarget::of_name(key)?),
            Some(value) if is("consistency") => fill(&mut self.level, key, level(value)?),
            Some(value) if is("after") => fill(&mut self.after, key, text(value)?),
            Some(value) if is("group") => fill(&mut self.group, key, text(value)?),
            Some(value) if is("target") => fill(&mut self.target, key, HintTarget::of_name(value)?),
            Some(_) => Err(HintError::new(
                key,
                "expected consistency, after, group or target",
            )),
        }
    }

    /// Whether a replica is to answer rather than the primary.
    pub fn asks_replica(&self) -> bool {
        self.target == Some(HintTarget::Replica)
    }

    /// Whether the primary is to answer.
    pub fn asks_primary(&self) -> bool {
        self.target == Some(HintTarget::Primary)
    }

    /// These hints, and for what they leave open the ones of `under`.
    #[must_use]
    pub fn over(self, under: &Self) -> Self {
        Self {
            level: self.level.or(under.level),
            after: self.after.or_else(|| under.after.clone()),
            group: self.group.or_else(|| under.group.clone()),
            target: self.target.or(under.target),
        }
    }
}

impl HintTarget {
    fn of_name(name: &[u8]) -> Result<Self, HintError> {
        if name.eq_ignore_ascii_case(b"primary") {
            Ok(Self::Primary)
        } else if name.eq_ignore_ascii_case(b"replica") {
            Ok(Self::Replica)
        } else {
            Err(HintError::new(
                name,
                "expected primary, replica, or a key with its value",
            ))
        }
    }
}

/// Two wishes about the same thing are one too many.
fn fill<T>(place: &mut Option<T>, key: &[u8], value: T) -> Result<(), HintError> {
    if place.replace(value).is_some() {
        return Err(HintError::new(key, "expected it once"));
    }
    Ok(())
}

fn level(value: &[u8]) -> Result<Level, HintError> {
    let known = std::str::from_utf8(value).ok().and_then(Level::from_name);
    known.ok_or_else(|| {
        let names = Level::ALL.map(Level::name).join(", ");
        HintError::new(value, format!("expected one of {names}"))
    })
}

fn text(value: &[u8]) -> Result<Box<str>, HintError> {
    match std::str::from_utf8(value) {
        Ok(value) => Ok(value.into()),
        Err(_) => Err(HintError::new(value, "expected UTF-8")),
    }
}

/// What stands behind `highwater:` in a comment that begins so.
fn addressed(comment: &[u8]) -> Option<&[u8]> {
    let inside = comment.strip_prefix(b"/*")?.strip_suffix(b"*/")?;
    let (word, rest) = inside
        .trim_ascii_start()
        .split_at_checked(COMMENT_WORD.len())?;
    if !word.eq_ignore_ascii_case(COMMENT_WORD) {
        return None;
    }
    rest.trim_ascii_start().strip_prefix(b":")
}

/// A word, and its value if it has one.
type Item<'t> = (&'t [u8], Option<Cow<'t, [u8]>>);

/// The items of a hint comment.
struct Items<'t> {
    text: &'t [u8],
}

impl<'t> Items<'t> {
    /// `word`, or `key = value`.
    fn next(&mut self) -> Result<Item<'t>, HintError> {
        let key = self.word();
        if key.is_empty() {
            let rest = self.text;
            return Err(HintError::new(
                rest,
                "expected a hint behind the colon or comma",
            ));
        }
        if !self.eat(b'=') {
            return Ok((key, None));
        }
        let value = match self.text.trim_ascii_start() {
            [quote @ (b'\'' | b'"'), ..] => self.quoted(*quote, key)?,
            _ => self.word().into(),
        };
        Ok((key, Some(value)))
    }

    fn eat(&mut self, byte: u8) -> bool {
        let rest = self.text.trim_ascii_start().strip_prefix(&[byte]);
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }

    fn word(&mut self) -> &'t [u8] {
        let text = self.text.trim_ascii_start();
        let ends =
            |byte: &u8| matches!(byte, b',' | b'=' | b'\'' | b'"') || byte.is_ascii_whitespace();
        let end = text.iter().position(ends).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.text = rest;
        word
    }

    /// A quoted value, in which the quote is doubled.
    fn quoted(&mut self, quote: u8, key: &[u8]) -> Result<Cow<'t, [u8]>, HintError> {
        let unclosed = || HintError::new(key, "a value whose quotes close");
        let mut value = Cow::default();
        let mut rest = self.text.trim_ascii_start().get(1..).unwrap_or_default();
        loop {
            let at = rest.iter().position(|byte| *byte == quote);
            let (part, behind) = at
                .and_then(|at| rest.split_at_checked(at + 1))
                .ok_or_else(unclosed)?;
            if behind.first() != Some(&quote) {
                append(&mut value, part.strip_suffix(&[quote]).unwrap_or(part));
                self.text = behind;
                return Ok(value);
            }
            append(&mut value, part);
            rest = behind.get(1..).unwrap_or_default();
        }
    }
}

/// Copies only what is not one piece.
fn append<'t>(value: &mut Cow<'t, [u8]>, part: &'t [u8]) {
    match value.is_empty() {
        true => *value = part.into(),
        false => value.to_mut().extend_from_slice(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Hints, HintError> {
        Hints::of_text(text.as_bytes())
    }

    fn check(text: &str, expected: Hints) {
        assert_eq!(read(text), Ok(expected), "{text}");
    }

    fn target(target: HintTarget) -> Hints {
        Hints {
            target: Some(target),
            ..Hints::default()
        }
    }

    #[test]
    fn comments() {
        let primary = || target(HintTarget::Primary);
        check("/* highwater: primary */ SELECT 1", primary());
        check("/*HighWater:PRIMARY*/SELECT 1", primary());
        check(
            "\n -- by a framework\n/* a */ # b\n/* highwater : target=primary */ SELECT 1",
            primary(),
        );
        check("/* highwater: replica */", target(HintTarget::Replica));
        check(
            "/* highwater: consistency = Session, after=\"a:1-5,b:7\" , group='it''s, mine' */ SELECT 1",
            Hints {
                level: Some(Level::Session),
                after: Some("a:1-5,b:7".into()),
                group: Some("it's, mine".into()),
                target: None,
            },
        );
        check(
            "/* highwater: consistency=eventual *//* highwater: primary */ SELECT 1",
            Hints {
                level: Some(Level::Eventual),
                ..primary()
            },
        );
        for none in [
            "",
            " ",
            "SELECT 1",
            "SELECT /* highwater: primary */ 1",
            "(/* highwater: primary */ SELECT 1)",
            "/* highwaters: primary */ SELECT 1",
            "/* highwater primary */ SELECT 1",
            "/* see highwater: primary */ SELECT 1",
            "/*! highwater: primary */ SELECT 1",
            "/*+ highwater: primary */ SELECT 1",
            "-- highwater: primary\nSELECT 1",
            "/* highwater: primary SELECT 1",
            "/*",
            "/*/",
        ] {
            check(none, Hints::default());
        }
    }

    #[test]
    fn quotes_hold_anything() {
        for (quoted, expected) in [
            ("''", ""),
            ("''''", "'"),
            ("''''''", "''"),
            ("'''a'", "'a"),
            ("'a'''", "a'"),
            ("'a''b'", "a'b"),
            ("\"a\"\"'b\"", "a\"'b"),
            ("' a,b = c '", " a,b = c "),
        ] {
            let group = Some(expected.into());
            let hints = Hints {
                group,
                ..target(HintTarget::Primary)
            };
            check(&format!("/* highwater: group={quoted}, primary */"), hints);
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, word) in [
            ("/* highwater: consistency=gobal */ SELECT 1", "gobal"),
            ("/* highwater: consistncy=session */ SELECT 1", "consistncy"),
            ("/* highwater: primry */ SELECT 1", "primry"),
            ("/* highwater: consistency */ SELECT 1", "consistency"),
            ("/* highwater: primary, replica */ SELECT 1", "replica"),
            (
                "/* highwater: primary *//* highwater: primary */ SELECT 1",
                "primary",
            ),
            ("/* highwater: primary replica */ SELECT 1", "replica"),
            ("/* highwater: after=a:1,b:2 */ SELECT 1", "b:2"),
            ("/* highwater: group='a */ SELECT 1", "group"),
            ("/* highwater: group='a'b */ SELECT 1", "b"),
            ("/* highwater: group='a'' */ SELECT 1", "group"),
            ("/* highwater: group=' */ SELECT 1", "group"),
            ("/* highwater: */ SELECT 1", ""),
            ("/* highwater: primary, */ SELECT 1", ""),
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(error.word, word, "{text}");
        }
    }

    #[test]
    fn attributes() {
        let read = |name: &str, value: Option<&str>| {
            let mut hints = Hints::default();
            let taken = hints.take_attribute(name.as_bytes(), value.map(str::as_bytes));
            taken.map(|()| hints)
        };
        let eventual = Hints {
            level: Some(Level::Eventual),
            ..Hints::default()
        };
        assert_eq!(
            read("highwater.consistency", Some("EVENTUAL")),
            Ok(eventual)
        );
        let replica = target(HintTarget::Replica);
        assert_eq!(read("Highwater.Target", Some("replica")), Ok(replica));
        assert_eq!(read("trace_id", None), Ok(Hints::default()));
        for (name, value) in [
            ("highwater.consistency", None),
            ("highwater.consistency", Some("")),
            ("highwater.primary", Some("yes")),
            ("highwater.", Some("")),
        ] {
            assert!(read(name, value).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_nearer_wins() {
        let far = Hints {
            level: Some(Level::Session),
            group: Some("a".into()),
            ..Hints::default()
        };
        let near = Hints {
            level: Some(Level::Eventual),
            ..target(HintTarget::Replica)
        };
        let both = near.clone().over(&far);
        assert_eq!(both.group, far.group);
        assert_eq!((both.level, both.target), (near.level, near.target));
    }
}
