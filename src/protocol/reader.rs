//! A checked cursor over a packet's payload: the only place where the protocol's primitive types
//! are read.

/// Reads little-endian integers and the protocol's strings from a payload.
///
/// Every method gives `None` when the payload is too short and then leaves the cursor where it was.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    whole: &'a [u8],
    pos: usize,
}

impl<'a> Reader<'a> {
    /// A cursor at the first byte of `payload`.
    pub fn new(payload: &'a [u8]) -> Self {
        Self {
            whole: payload,
            pos: 0,
        }
    }

    /// How many bytes were read.
    pub fn pos(&self) -> usize {
        self.pos
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.whole.get(self.pos..).unwrap_or_default()
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.pos >= self.whole.len()
    }

    /// The next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let end = self.pos.checked_add(n)?;
        let bytes = self.whole.get(self.pos..end)?;
        self.pos = end;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// Two bytes, little endian.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, little endian.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A length-encoded integer. 0xFB (NULL) and 0xFF (error) are no integers.
    pub fn lenenc(&mut self) -> Option<u64> {
        let mut next = *self;
        let value = match next.u8()? {
            0xFB | 0xFF => return None,
            0xFC => u64::from(next.u16()?),
            0xFD => {
                let [a, b, c] = next.array()?;
                u64::from(u32::from_le_bytes([a, b, c, 0]))
            }
            0xFE => u64::from_le_bytes(next.array()?),
            small => u64::from(small),
        };
        *self = next;
        Some(value)
    }

    /// A string after its length-encoded length.
    pub fn lenenc_bytes(&mut self) -> Option<&'a [u8]> {
        let mut next = *self;
        let len = usize::try_from(next.lenenc()?).ok()?;
        let bytes = next.bytes(len)?;
        *self = next;
        Some(bytes)
    }

    /// A string after its one-byte length.
    pub fn u8_bytes(&mut self) -> Option<&'a [u8]> {
        let mut next = *self;
        let len = usize::from(next.u8()?);
        let bytes = next.bytes(len)?;
        *self = next;
        Some(bytes)
    }

    /// A string up to a NUL, which is read too but not given.
    pub fn nul_bytes(&mut self) -> Option<&'a [u8]> {
        let len = memchr::memchr(0, self.rest())?;
        let bytes = self.bytes(len)?;
        self.pos += 1;
        Some(bytes)
    }

    /// A string up to a NUL, or all that is left: some clients leave out the last NUL of a packet.
    pub fn nul_bytes_or_rest(&mut self) -> Option<&'a [u8]> {
        self.nul_bytes().or_else(|| self.bytes(self.rest().len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::writer::{put_lenenc, put_lenenc_bytes};
    use proptest::prelude::*;

    #[test]
    fn a_short_payload_leaves_the_cursor() {
        let mut reader = Reader::new(&[0xFC, 1]);
        assert_eq!(reader.lenenc(), None);
        assert_eq!(reader.pos(), 0);
        let mut reader = Reader::new(&[3, b'a']);
        assert_eq!(reader.lenenc_bytes(), None);
        assert_eq!(reader.rest(), &[3, b'a']);
        assert_eq!(Reader::new(b"abc").nul_bytes(), None);
    }

    proptest! {
        #[test]
        fn lenenc_round_trip(value: u64, text: Vec<u8>) {
            let mut out = Vec::new();
            put_lenenc(&mut out, value);
            put_lenenc_bytes(&mut out, &text);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.lenenc(), Some(value));
            prop_assert_eq!(reader.lenenc_bytes(), Some(&*text));
            prop_assert!(reader.is_empty());
        }
    }
}
