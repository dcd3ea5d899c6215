//! The four bytes before each payload: three of length, one of sequence.
//!
//! A payload of exactly [`MAX_PAYLOAD`] bytes continues in the next frame; a packet whose length is a
//! multiple of it ends with an empty frame.

/// Bytes of a frame's header.
pub const HEADER: usize = 4;

/// The largest payload of one frame; a frame of this size says that the packet goes on.
pub const MAX_PAYLOAD: usize = 0xFF_FFFF;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of payload that follow, at most [`MAX_PAYLOAD`].
    pub len: usize,
    /// The sequence id: 0 in a command's first frame, one more in each frame after it, wrapping.
    pub seq: u8,
}

impl FrameHeader {
    /// The header at the start of `buf`; `None` while fewer than [`HEADER`] bytes are there.
    pub fn parse(buf: &[u8]) -> Option<Self> {
        let [a, b, c, seq] = *buf.first_chunk()?;
        Some(Self {
            len: usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16,
            seq,
        })
    }

    /// Whether the packet goes on in the next frame.
    pub fn continues(self) -> bool {
        self.len == MAX_PAYLOAD
    }

    /// Bytes of the frame, header included.
    pub fn frame_len(self) -> usize {
        HEADER + self.len
    }

    /// The header's bytes. A `len` above [`MAX_PAYLOAD`] cannot be told and is cut.
    pub fn to_bytes(self) -> [u8; HEADER] {
        let [a, b, c, ..] = self.len.min(MAX_PAYLOAD).to_le_bytes();
        [a, b, c, self.seq]
    }
}

/// Appends `payload` as one packet, in as many frames as it needs. `seq` is the first frame's
/// sequence id and afterwards that of the next one to send.
pub fn append_packet(out: &mut Vec<u8>, seq: &mut u8, payload: &[u8]) {
    let mut rest = payload;
    loop {
        let (part, tail) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        let header = FrameHeader {
            len: part.len(),
            seq: *seq,
        };
        out.extend_from_slice(&header.to_bytes());
        out.extend_from_slice(part);
        *seq = seq.wrapping_add(1);
        rest = tail;
        if !header.continues() {
            return;
        }
    }
}

/// Appends a packet whose payload `write` appends in place: nothing is copied unless the payload
/// turns out longer than one frame.
pub fn append_with(out: &mut Vec<u8>, seq: &mut u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    write(out);
    let len = out.len() - start - HEADER;
    if len >= MAX_PAYLOAD {
        let payload = out.split_off(start + HEADER);
        out.truncate(start);
        return append_packet(out, seq, &payload);
    }
    patch_header(out, start, FrameHeader { len, seq: *seq });
    *seq = seq.wrapping_add(1);
}

/// Overwrites the header that starts at `start`. Does nothing if `buf` does not reach that far.
pub fn patch_header(buf: &mut [u8], start: usize, header: FrameHeader) {
    if let Some(place) = buf.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *place = header.to_bytes();
    }
}

/// Gives the frames of a reply other sequence ids, however its bytes are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renumber {
    by: u8,
    /// Bytes of the frame under way that did not come yet.
    left: usize,
}

impl Renumber {
    /// For a reply to a command of so many frames as `sent` says, whose sender had put it into so many as
    /// `asked` says (both wrapping, as the ids do).
    pub fn new(asked: u8, sent: u8) -> Self {
        Self {
            by: asked.wrapping_sub(sent),
            left: 0,
        }
    }

    /// Whether any id changes.
    #[inline]
    pub fn changes(self) -> bool {
        self.by != 0
    }

    /// Changes the ids in the next bytes of the reply, which hold whole headers only.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        let mut at = self.left.min(bytes.len());
        self.left -= at;
        while let Some(header) = bytes.get(at..).and_then(FrameHeader::parse) {
            let seq = header.seq.wrapping_add(self.by);
            patch_header(bytes, at, FrameHeader { seq, ..header });
            at += header.frame_len();
            self.left = at.saturating_sub(bytes.len());
        }
    }
}

/// The payload of the single frame that `frame` begins with; `None` if it is not whole.
pub fn payload(frame: &[u8]) -> Option<&[u8]> {
    let header = FrameHeader::parse(frame)?;
    frame.get(HEADER..header.frame_len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(mut bytes: &[u8]) -> Vec<(usize, u8)> {
        let mut found = Vec::new();
        while let Some(header) = FrameHeader::parse(bytes) {
            found.push((header.len, header.seq));
            bytes = &bytes[header.frame_len()..];
        }
        assert!(bytes.is_empty());
        found
    }

    #[test]
    fn packets_are_split_at_the_largest_payload() {
        let cases = [
            (0, vec![(0, 255)]),
            (5, vec![(5, 255)]),
            (MAX_PAYLOAD - 1, vec![(MAX_PAYLOAD - 1, 255)]),
            (MAX_PAYLOAD, vec![(MAX_PAYLOAD, 255), (0, 0)]),
            (MAX_PAYLOAD + 1, vec![(MAX_PAYLOAD, 255), (1, 0)]),
            (
                2 * MAX_PAYLOAD,
                vec![(MAX_PAYLOAD, 255), (MAX_PAYLOAD, 0), (0, 1)],
            ),
        ];
        for (len, expected) in cases {
            let payload = vec![7; len];
            let (mut copied, mut in_place) = (Vec::new(), Vec::new());
            let (mut seq, mut seq_in_place) = (255, 255);
            append_packet(&mut copied, &mut seq, &payload);
            append_with(&mut in_place, &mut seq_in_place, |out| {
                out.extend_from_slice(&payload);
            });
            assert_eq!(lengths(&copied), expected, "payload of {len}");
            assert!(copied == in_place && seq == seq_in_place);
        }
    }

    #[test]
    fn a_reply_is_renumbered_however_it_is_cut() {
        let payloads: [&[u8]; 4] = [b"abc", b"", b"d", b"efgh"];
        let reply = |mut seq: u8| {
            let mut out = Vec::new();
            for payload in payloads {
                append_packet(&mut out, &mut seq, payload);
            }
            out
        };
        let expected = reply(255);
        // Behind the header of the first frame, in its payload, behind it, and in the last one's.
        for cuts in [&[][..], &[4], &[5, 6], &[7], &[11, 21], &[4, 7, 11, 16]] {
            let mut bytes = reply(2);
            let mut renumber = Renumber::new(255, 2);
            assert!(renumber.changes());
            let mut from = 0;
            for to in cuts.iter().copied().chain([bytes.len()]) {
                renumber.apply(&mut bytes[from..to]);
                from = to;
            }
            assert_eq!(bytes, expected, "{cuts:?}");
        }
        assert!(!Renumber::new(3, 3).changes());
    }

    #[test]
    fn a_part_of_a_frame_is_no_frame() {
        assert_eq!(FrameHeader::parse(&[1, 0, 0]), None);
        assert_eq!(payload(&[2, 0, 0, 0, b'a']), None);
        assert_eq!(payload(&[1, 0, 0, 0, b'a', b'b']), Some(&b"a"[..]));
    }
}
