//! Which of several replicas a session settles on.

use crate::domain::ids::BackendId;

/// A replica that could take the read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The server.
    pub backend: BackendId,
    /// Statements in flight there, through this proxy.
    pub in_flight: usize,
    /// Sessions that settled there.
    pub sessions: usize,
}

/// The least loaded candidate. Sessions settle on a replica and stay, so their number weighs
/// before the statements of the moment; `turn` breaks ties so that equal servers take turns.
pub fn pick(candidates: &[Candidate], turn: usize) -> Option<BackendId> {
    let start = turn.checked_rem(candidates.len())?;
    let (before, after) = candidates.split_at_checked(start)?;
    after
        .iter()
        .chain(before)
        .min_by_key(|candidate| (candidate.sessions, candidate.in_flight))
        .map(|candidate| candidate.backend)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(id: u16, sessions: usize, in_flight: usize) -> Candidate {
        Candidate { backend: BackendId(id), in_flight, sessions }
    }

    #[test]
    fn the_least_loaded_wins_and_equals_take_turns() {
        let unequal = [replica(1, 3, 0), replica(2, 2, 9)];
        assert_eq!(pick(&unequal, 0), Some(BackendId(2)));
        let equal = [replica(1, 2, 1), replica(2, 2, 1)];
        assert_eq!(pick(&equal, 0), Some(BackendId(1)));
        assert_eq!(pick(&equal, 1), Some(BackendId(2)));
        assert_eq!(pick(&[], 5), None);
    }
}
