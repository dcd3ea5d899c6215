//! A reused read buffer: bytes come in at the end, are looked at in place, and leave at the front.

use std::ops::Range;

/// Size a buffer starts with and returns to when it is empty.
const BASE: usize = 16 * 1024;
/// Size a buffer grows to by itself when reads keep filling it.
const BULK: usize = 128 * 1024;

/// A contiguous buffer with a read end and a write end.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What has been read and not yet consumed.
    pub fn data(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The unconsumed bytes, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// How many bytes are unconsumed.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether nothing is unconsumed.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops `count` bytes from the front; an empty buffer rewinds, and a large one shrinks back.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.bytes.len() > BULK {
                self.bytes.truncate(BASE);
                self.bytes.shrink_to(BASE);
            }
        }
    }

    /// Cuts a range of the unconsumed bytes out, closing the gap.
    pub fn remove(&mut self, range: Range<usize>) {
        let (from, to) = (self.start + range.start, self.start + range.end);
        if from <= to && to <= self.end {
            self.bytes.copy_within(to..self.end, from);
            self.end -= to - from;
        }
    }

    /// Makes sure that `total` unconsumed bytes will fit without moving again.
    pub fn reserve_total(&mut self, total: usize) {
        if self.start > 0 && self.start + total > self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.start + total > self.bytes.len() {
            self.bytes.resize(self.start + total, 0);
        }
    }

    /// The free room at the end, at least one byte; grows when reads keep filling the buffer.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.end == self.bytes.len() {
                let grown = match self.bytes.len() {
                    0 => BASE,
                    len if len < BULK => BULK,
                    len => len * 2,
                };
                self.bytes.resize(grown, 0);
            }
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Takes note of `count` bytes that were written into [`Self::spare`].
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Appends bytes, for tests and for packets that are made here.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.reserve_total(self.len() + bytes.len());
        if let Some(room) = self.bytes.get_mut(self.end..self.end + bytes.len()) {
            room.copy_from_slice(bytes);
            self.end += bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_they_came() {
        let mut buffer = Buffer::default();
        buffer.extend(b"hello world");
        buffer.consume(6);
        assert_eq!(buffer.data(), b"world");
        buffer.extend(b"!");
        assert_eq!(buffer.data(), b"world!");
        buffer.remove(0..2);
        assert_eq!(buffer.data(), b"rld!");
        buffer.consume(100);
        assert!(buffer.is_empty());
    }

    #[test]
    fn spare_room_never_ends_and_large_buffers_shrink() {
        let mut buffer = Buffer::default();
        for _ in 0..6 {
            let room = buffer.spare().len();
            assert!(room > 0);
            buffer.filled(room);
        }
        buffer.consume(usize::MAX / 2);
        assert!(buffer.bytes.capacity() <= 2 * BASE);
    }
}
