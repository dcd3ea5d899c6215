//! Which of several replicas a session settles on.

use crate::domain::ids::BackendId;

/// A replica that could take the read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The server.
    pub backend: BackendId,
    /// Connections of this proxy that sessions hold there.
    pub leased: usize,
}

/// The least loaded candidate. Sessions settle on a replica and stay, so what counts is how many
/// did; `turn` breaks ties so that equal servers take turns.
pub fn pick(candidates: &[Candidate], turn: usize) -> Option<BackendId> {
    let start = turn.checked_rem(candidates.len())?;
    let (before, after) = candidates.split_at_checked(start)?;
    after
        .iter()
        .chain(before)
        .min_by_key(|candidate| candidate.leased)
        .map(|candidate| candidate.backend)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(id: u16, leased: usize) -> Candidate {
        Candidate {
            backend: BackendId(id),
            leased,
        }
    }

    #[test]
    fn the_least_loaded_wins_and_equals_take_turns() {
        let unequal = [replica(1, 3), replica(2, 2)];
        assert_eq!(pick(&unequal, 0), Some(BackendId(2)));
        let equal = [replica(1, 2), replica(2, 2)];
        assert_eq!(pick(&equal, 0), Some(BackendId(1)));
        assert_eq!(pick(&equal, 1), Some(BackendId(2)));
        assert_eq!(pick(&[], 5), None);
    }
}
