//! Which sessions' reads may go to replicas while only a part of them may.

use crate::domain::ids::SessionId;

/// Whether a session is among the `percent` that may read from replicas. It depends on its id alone, so
/// that one session's life is steady; and whoever is among few is among more, so that ramping up
/// changes nothing for those who take part already.
pub fn takes_part(session: SessionId, percent: u8) -> bool {
    // Ids follow each other. Multiplied by this part of 2^32, the golden ratio's, neighbours are
    // spread evenly, also where they are few.
    let place = session.0.wrapping_mul(0x9E37_79B9);
    (u64::from(place) * 100) >> 32 < u64::from(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_even_and_only_grow() {
        let sessions = |count: u32| (0..count).map(SessionId::at);
        for (count, percent, low, high) in [
            (10_000, 0, 0, 0),
            (10_000, 100, 10_000, 10_000),
            (10_000, 10, 990, 1_010),
            (10_000, 50, 4_990, 5_010),
            (20, 50, 8, 12),
        ] {
            let taking = sessions(count).filter(|id| takes_part(*id, percent));
            let taking = taking.count();
            assert!((low..=high).contains(&taking), "{percent}%: {taking}");
        }
        for session in sessions(500) {
            let first = (0..=100).find(|percent| takes_part(session, *percent));
            let first = first.unwrap_or(101);
            assert!((first..=100).all(|percent| takes_part(session, percent)));
        }
    }
}
