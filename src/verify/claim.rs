//! What a level promises, as the kinds of violations that it excludes.

/// A kind of violation that [`check`](super::check) looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A session's read misses a write that the session itself was told is done.
    OwnWrites,
    /// A session's read is older than what the session had already read.
    Monotonic,
    /// A read misses a write that was acknowledged more than the maximum staleness before the read
    /// began.
    Bounded,
    /// A read misses a write that any session of its group was told is done before it began.
    Group,
    /// A read misses a write that any session of this run was told is done before it began.
    Proxy,
    /// A read misses a write that was acknowledged to anybody, also past the endpoint, before it began.
    Global,
    /// An acknowledged write is not there at the end.
    Lost,
    /// An element that was appended once is there twice: a write was sent again.
    Duplicated,
    /// A read shows elements in another order than the end does, or with gaps: servers diverged.
    Diverged,
    /// A read shows something that nobody wrote.
    Invented,
}

impl Kind {
    /// Every kind; those about recency first, weakest first.
    pub const ALL: [Self; 10] = [
        Self::OwnWrites,
        Self::Monotonic,
        Self::Bounded,
        Self::Group,
        Self::Proxy,
        Self::Global,
        Self::Lost,
        Self::Duplicated,
        Self::Diverged,
        Self::Invented,
    ];

    /// The name in JSON output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OwnWrites => "own_writes",
            Self::Monotonic => "monotonic",
            Self::Bounded => "bounded",
            Self::Group => "group",
            Self::Proxy => "proxy",
            Self::Global => "global",
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::Diverged => "diverged",
            Self::Invented => "invented",
        }
    }

    /// What went wrong, for people, as what is said of a read.
    pub const fn text(self) -> &'static str {
        match self {
            Self::OwnWrites => "misses the session's own acknowledged writes",
            Self::Monotonic => "is older than what the session had read",
            Self::Bounded => "misses what was acknowledged longer ago than the bound",
            Self::Group => "misses acknowledged writes of the session's group",
            Self::Proxy => "misses acknowledged writes of any session here",
            Self::Global => "misses acknowledged writes of anybody",
            Self::Lost => "cannot show acknowledged writes: they are gone at the end",
            Self::Duplicated => "shows an element twice that was appended once",
            Self::Diverged => "shows another order than the end does",
            Self::Invented => "shows what nobody wrote",
        }
    }

    /// Whether it is about how old an answer is. The others are wrong at every level.
    pub const fn is_recency(self) -> bool {
        !matches!(
            self,
            Self::Lost | Self::Duplicated | Self::Diverged | Self::Invented
        )
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// A consistency level, as a claim about a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claim {
    /// Nothing about age.
    Eventual,
    /// Nothing that was acknowledged longer ago than the maximum staleness is missed.
    Bounded,
    /// A session sees its own writes, and never goes back.
    Session,
    /// Also the writes of its group.
    Group,
    /// Also the writes of every session that uses this endpoint.
    Proxy,
    /// Also what was written past the endpoint.
    Global,
}

impl Claim {
    /// Every claim, in the order in which levels are listed.
    pub const ALL: [Self; 6] = [
        Self::Eventual,
        Self::Bounded,
        Self::Session,
        Self::Group,
        Self::Proxy,
        Self::Global,
    ];

    /// The name of the level.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eventual => "eventual",
            Self::Bounded => "bounded",
            Self::Session => "session",
            Self::Group => "group",
            Self::Proxy => "proxy",
            Self::Global => "global",
        }
    }

    /// Reads a level's name, any case. `None` for an unknown one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|claim| claim.name().eq_ignore_ascii_case(name))
    }

    /// The kind that this claim excludes and no weaker one does; `None` for `eventual`.
    pub const fn own_kind(self) -> Option<Kind> {
        match self {
            Self::Eventual => None,
            Self::Bounded => Some(Kind::Bounded),
            Self::Session => Some(Kind::OwnWrites),
            Self::Group => Some(Kind::Group),
            Self::Proxy => Some(Kind::Proxy),
            Self::Global => Some(Kind::Global),
        }
    }

    /// Whether a violation of this kind is one of this claim.
    pub const fn excludes(self, kind: Kind) -> bool {
        match kind {
            Kind::Lost | Kind::Duplicated | Kind::Diverged | Kind::Invented => true,
            Kind::Bounded => matches!(self, Self::Bounded),
            Kind::OwnWrites | Kind::Monotonic => !matches!(self, Self::Eventual | Self::Bounded),
            Kind::Group => matches!(self, Self::Group | Self::Proxy | Self::Global),
            Kind::Proxy => matches!(self, Self::Proxy | Self::Global),
            Kind::Global => matches!(self, Self::Global),
        }
    }
}
