//! Tags in comments: what frameworks say of the code that sent a statement.
//!
//! The sqlcommenter form, `/*action='list',controller='carts'*/` with percent-encoded keys and values,
//! and the older one of Rails, `/*action:list,controller:carts*/`, in comments before and behind the
//! statement. A comment elsewhere is not looked at.

use std::borrow::Cow;

use super::chars::{self, Comment};

/// Whether one of the tags of a statement's text satisfies `wanted`, which is given key and value.
pub fn has_tag(text: &[u8], wanted: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    let mut at = 0;
    loop {
        while text.get(at).is_some_and(|byte| chars::is_blank(*byte)) {
            at += 1;
        }
        let Comment::Plain(end) = chars::comment_at(text, at) else {
            break;
        };
        if text
            .get(at..end)
            .is_some_and(|comment| tagged(comment, &wanted))
        {
            return true;
        }
        at = end;
    }
    behind(text.get(at..).unwrap_or_default()).is_some_and(|comment| tagged(comment, &wanted))
}

/// The comment that ends a text.
fn behind(text: &[u8]) -> Option<&[u8]> {
    let ends = |byte: &u8| !byte.is_ascii_whitespace() && *byte != b';';
    let end = text.iter().rposition(ends)? + 1;
    let text = text.get(..end)?;
    let inside = text.strip_suffix(b"*/")?;
    let start = inside.windows(2).rposition(|it| it == b"/*")?;
    text.get(start..)
}

fn tagged(comment: &[u8], wanted: &impl Fn(&[u8], &[u8]) -> bool) -> bool {
    let inside = comment
        .strip_prefix(b"/*")
        .and_then(|comment| comment.strip_suffix(b"*/"));
    let Some(mut rest) = inside else { return false };
    while let Some((key, value, behind)) = one(rest) {
        if wanted(&decoded(key), &decoded(value)) {
            return true;
        }
        rest = behind;
    }
    false
}

/// The first tag, and what stands behind its comma.
fn one(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let sign = text.iter().position(|it| matches!(it, b'=' | b':'))?;
    let key = text.get(..sign)?.trim_ascii();
    let rest = text.get(sign + 1..)?.trim_ascii_start();
    let (value, rest) = match rest.strip_prefix(b"'") {
        Some(quoted) => {
            let end = closing_quote(quoted)?;
            let rest = quoted.get(end + 1..)?;
            let comma = rest.iter().position(|it| *it == b',');
            (quoted.get(..end)?, after(rest, comma))
        }
        None => {
            let comma = rest.iter().position(|it| *it == b',');
            let value = rest.get(..comma.unwrap_or(rest.len()))?;
            (value.trim_ascii(), after(rest, comma))
        }
    };
    Some((key, value, rest))
}

/// Where a quoted value ends: a quote in it is escaped by a backslash.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|byte| {
        let end = *byte == b'\'' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        end
    })
}

fn after(text: &[u8], comma: Option<usize>) -> &[u8] {
    comma
        .and_then(|comma| text.get(comma + 1..))
        .unwrap_or_default()
}

/// Without percent-encoding and backslashes; copied only where there are any.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|it| matches!(it, b'%' | b'\\')) {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let hex = |at: usize| char::from(*text.get(at)?).to_digit(16);
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                plain.extend(u8::try_from(high * 16 + low));
                at += 3;
            }
            (b'\\', ..) => {
                plain.extend(text.get(at + 1));
                at += 2;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_before_and_behind() {
        let has = |text: &str| {
            has_tag(text.as_bytes(), |key, value| {
                (key, value) == (&b"app"[..], &b"shop"[..])
            })
        };
        for text in [
            "SELECT 1 /*app='shop'*/",
            "SELECT 1 /* app='shop' */;",
            "SELECT 1 /*action='a%2Cb',app='shop',x='y'*/",
            r"SELECT 1 /*action='it\'s, app',app='shop'*/",
            "SELECT 1 /*%61pp='%73hop'*/",
            "/*app='shop'*/ SELECT 1",
            "/* x */ /*app:shop,action:list*/ SELECT 1",
            "-- y\n/*app='shop'*/ SELECT 1 /*app='other'*/",
            "SELECT 1 /*action:list,app:shop*/",
        ] {
            assert!(has(text), "{text}");
        }
        for text in [
            "SELECT 1",
            "",
            "/*",
            "SELECT 1 /*app='shops'*/",
            "SELECT 1 /*app='shop*/",
            "SELECT 1 /*xapp='shop'*/",
            "SELECT /*app='shop'*/ 1",
            "SELECT '/*app=''shop''*/'",
            "SELECT 1 /*+ app='shop' */ x",
            "/*!app='shop'*/ SELECT 1",
        ] {
            assert!(!has(text), "{text}");
        }
    }
}
