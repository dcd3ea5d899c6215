//! Read consistency levels and what they demand of the server that answers.

/// What a read is promised. The order is by strength except that `bounded` stands on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Level {
    /// Whatever a healthy replica has.
    Eventual,
    /// This session's own acknowledged writes, and everything it already read.
    #[default]
    Session,
}

impl Level {
    /// Every level this version can hold, weakest first.
    pub const ALL: [Self; 2] = [Self::Eventual, Self::Session];

    /// The name used in configuration, SQL, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eventual => "eventual",
            Self::Session => "session",
        }
    }

    /// Reads a level's name, any case. `None` for an unknown one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(name))
    }
}
