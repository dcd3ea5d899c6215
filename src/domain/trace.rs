//! The trace that a statement belongs to, as its client says: a `traceparent` of W3C's Trace Context, in a
//! query attribute or in a comment as sqlcommenter writes it.

use memchr::memmem;

/// What the query attribute, and the key in the comment, is called.
pub const NAME: &[u8] = b"traceparent";

/// The span of the application that a statement's span is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: u128,
    /// The span.
    pub span: u64,
    /// Whether the application keeps this trace.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads `00-<32 hex>-<16 hex>-<2 hex>`. Of a version that is not known, what this one has is read, as
    /// the standard wants it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut parts = text.trim().split('-');
        let mut hex = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            part.bytes().all(lower).then_some(part)
        };
        let version = hex(2)?;
        let trace = u128::from_str_radix(hex(32)?, 16).ok()?;
        let span = u64::from_str_radix(hex(16)?, 16).ok()?;
        let flags = u8::from_str_radix(hex(2)?, 16).ok()?;
        let more = parts.next().is_some();
        let known = version != "ff" && !(version == "00" && more);
        (known && trace != 0 && span != 0).then_some(Self {
            trace,
            span,
            sampled: flags & 1 == 1,
        })
    }

    /// The one in the comment that ends a text, or in the one that begins it.
    pub fn of_text(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let text = text.strip_suffix(b";").unwrap_or(text).trim_ascii_end();
        let last = || {
            let inside = text.strip_suffix(b"*/")?;
            inside.get(memmem::rfind(inside, b"/*")? + 2..)
        };
        let first = || {
            let inside = text.strip_prefix(b"/*")?;
            inside.get(..memmem::find(inside, b"*/")?)
        };
        last()
            .and_then(of_comment)
            .or_else(|| first().and_then(of_comment))
    }
}

/// `key='value'`, several of them with commas between.
fn of_comment(comment: &[u8]) -> Option<TraceParent> {
    comment.split(|byte| *byte == b',').find_map(|item| {
        let value = item.trim_ascii().strip_prefix(NAME)?.trim_ascii_start();
        let value = value.strip_prefix(b"=")?.trim_ascii();
        TraceParent::parse(value.strip_prefix(b"'")?.strip_suffix(b"'")?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parent(sampled: bool) -> TraceParent {
        TraceParent {
            trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            span: 0x00f0_67aa_0ba9_02b7,
            sampled,
        }
    }

    #[test]
    fn trace_parents_are_read() {
        assert_eq!(TraceParent::parse(PARENT.as_bytes()), Some(parent(true)));
        let unsampled = PARENT.replace("-01", "-00");
        assert_eq!(
            TraceParent::parse(unsampled.as_bytes()),
            Some(parent(false))
        );
        let later = PARENT.replacen("00-", "cc-", 1) + "-what-comes";
        assert_eq!(TraceParent::parse(later.as_bytes()), Some(parent(true)));
        for wrong in [
            "",
            "00",
            &PARENT.replacen("00-", "ff-", 1),
            &PARENT.to_uppercase(),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &PARENT.replace("4bf9", "4bf"),
            &PARENT.replace("4bf9", "+bf9"),
            &format!("{PARENT}-more"),
        ] {
            assert_eq!(TraceParent::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn they_are_found_in_the_last_comment_and_in_the_first() {
        for text in [
            format!("SELECT 1 /*traceparent='{PARENT}'*/"),
            format!("SELECT 1 /* action='a%20b',traceparent='{PARENT}',z='1' */ ;\n"),
            format!("/*traceparent='{PARENT}'*/ SELECT 1"),
            format!("/*traceparent='{PARENT}'*/ SELECT 1 /* and more */"),
            format!("SELECT '/*' /*traceparent='{PARENT}'*/"),
        ] {
            assert_eq!(
                TraceParent::of_text(text.as_bytes()),
                Some(parent(true)),
                "{text}"
            );
        }
        for text in [
            "",
            "*/",
            "/*",
            "/*/",
            "SELECT 1",
            "SELECT 1 /*traceparent=''*/",
            &format!("SELECT 'traceparent={PARENT}'"),
            &format!("SELECT 1 /*x_traceparent='{PARENT}'*/"),
            &format!("SELECT /*traceparent='{PARENT}'*/ 1"),
        ] {
            assert_eq!(TraceParent::of_text(text.as_bytes()), None, "{text}");
        }
    }
}
