//! Functions and variables whose value the session knows: a server would answer for one of its own
//! connections, and the client's session is spread over several of them.
//!
//! A statement that mentions one has [`super::Effects::MENTIONS_KNOWN`]; what is sent to the server has
//! the value in its place (`control::parse_known`).

/// A built-in function without arguments, or a session variable, that the session has the value of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Known {
    /// `CONNECTION_ID()` and `@@pseudo_thread_id`: the id that the client was given.
    ConnectionId,
}

/// The functions, in lower case.
const FUNCTIONS: [(&str, Known); 1] = [("connection_id", Known::ConnectionId)];

/// The session variables, in lower case.
const VARIABLES: [(&str, Known); 1] = [("pseudo_thread_id", Known::ConnectionId)];

impl Known {
    /// The one that a call of this function without arguments stands for, in any case.
    pub fn of_function(name: &[u8]) -> Option<Self> {
        find(&FUNCTIONS, name)
    }

    /// The one that the session variable of this name shows, in any case.
    pub fn of_variable(name: &[u8]) -> Option<Self> {
        find(&VARIABLES, name)
    }

    /// Whether it stays the same from one statement of a packet to the next. What does not is only
    /// known for the first of them.
    pub const fn is_lasting(self) -> bool {
        match self {
            Self::ConnectionId => true,
        }
    }
}

fn find(list: &[(&str, Known)], name: &[u8]) -> Option<Known> {
    let same = |(spelled, _): &&(&str, Known)| name.eq_ignore_ascii_case(spelled.as_bytes());
    list.iter().find(same).map(|(_, known)| *known)
}
