//! Sets of MySQL GTIDs.

/// A set of MySQL global transaction ids, tagged ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidSet {}
