//! A table with one entry a server, by its number. Servers come while a proxy runs, and an entry stays
//! where it is once it is there: whoever looks one up waits for nobody.

use std::sync::OnceLock;

use super::ids::BackendId;

/// Entries that are made room for at once.
const CHUNK: usize = 64;
const CHUNKS: usize = (u16::MAX as usize + 1) / CHUNK;

type Chunk<T> = Box<[OnceLock<T>]>;

/// One `T` for each server that has one.
#[derive(Debug)]
pub struct PerServer<T>(Box<[OnceLock<Chunk<T>>]>);

impl<T> Default for PerServer<T> {
    fn default() -> Self {
        Self((0..CHUNKS).map(|_| OnceLock::new()).collect())
    }
}

impl<T> PerServer<T> {
    /// The entry of a server.
    pub fn get(&self, id: BackendId) -> Option<&T> {
        let chunk = self.0.get(id.index() / CHUNK)?.get()?;
        chunk.get(id.index() % CHUNK)?.get()
    }

    /// The entry of a server, made now if it has none.
    pub fn get_or_init(&self, id: BackendId, make: impl FnOnce() -> T) -> Option<&T> {
        let chunk = self.0.get(id.index() / CHUNK)?;
        let chunk = chunk.get_or_init(|| (0..CHUNK).map(|_| OnceLock::new()).collect());
        Some(chunk.get(id.index() % CHUNK)?.get_or_init(make))
    }

    /// Every entry, in the order of the numbers.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let chunks = self.0.iter().filter_map(OnceLock::get);
        chunks.flatten().filter_map(OnceLock::get)
    }
}

impl<T> FromIterator<T> for PerServer<T> {
    /// The entries of the servers from number 0 on.
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let table = Self::default();
        for (number, entry) in (0..=u16::MAX).zip(entries) {
            table.get_or_init(BackendId(number), || entry);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_where_they_are() {
        let table: PerServer<u32> = [10, 11].into_iter().collect();
        let first = table.get(BackendId(0));
        assert_eq!(first, Some(&10));
        assert_eq!(table.get(BackendId(2)), None);
        for id in [2, 63, 64, 9_999, u16::MAX] {
            assert_eq!(table.get_or_init(BackendId(id), || 7), Some(&7));
            assert_eq!(table.get_or_init(BackendId(id), || 8), Some(&7));
        }
        assert_eq!(table.get(BackendId(65)), None);
        assert_eq!(first, table.get(BackendId::PRIMARY));
        assert_eq!(
            table.iter().copied().collect::<Vec<_>>(),
            [10, 11, 7, 7, 7, 7, 7]
        );
    }
}
