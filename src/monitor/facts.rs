//! What is read once in a server's life.

use crate::domain::topology::Engine;

/// What a data connection, and the greeting of our own clients, must know of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// What kind of server it is.
    pub engine: Engine,
    /// `@@version`.
    pub version: String,
    /// `@@version_comment`.
    pub version_comment: String,
    /// The id of `@@global.collation_server`, as in a greeting's character set byte (which holds
    /// only its low 8 bits).
    pub collation: u16,
    /// Names for `session_track_system_variables`, comma separated: every variable that a session
    /// can set and whose change matters to the next statement.
    pub tracked_variables: String,
    /// For a replica: session variables whose default differs from the primary's, as the name and
    /// the primary's value as an SQL literal, to be SET on each data connection there. Empty for
    /// the primary.
    pub baseline: Vec<(String, String)>,
}
