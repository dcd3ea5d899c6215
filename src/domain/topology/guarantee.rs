//! Which settings of a server take which promise away.
//!
//! A position says which transactions a server has. It says less than a level promises where a
//! transaction counts as executed without being there (filters), where some write has no position at
//! all, or where what a server shows never was a state of the primary. A level that cannot hold is
//! refused or served elsewhere, never pretended.

use super::{Engine, Role};
use crate::domain::consistency::Level;

/// What a server's settings say about its history, as far as levels depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistorySettings {
    /// What kind of server it is.
    pub engine: Engine,
    /// `binlog_order_commits`: transactions become visible in the order of the binlog. True where
    /// the server has no such setting, as MariaDB, which always orders them.
    pub ordered_commits: bool,
    /// `binlog_do_db` or `binlog_ignore_db` keeps writes out of the binlog.
    pub binlog_filtered: bool,
    /// Appliers of a replica that may work at the same time; 1 or less is one.
    pub appliers: u64,
    /// Whether several appliers commit in the order of the source.
    pub ordered_appliers: bool,
    /// Replication channels, those of group replication left out.
    pub channels: usize,
    /// Whether a replication filter leaves something out or rewrites it.
    pub replication_filtered: bool,
}

impl HistorySettings {
    /// A server whose settings break nothing.
    pub const fn sound(engine: Engine) -> Self {
        Self {
            engine,
            ordered_commits: true,
            binlog_filtered: false,
            appliers: 1,
            ordered_appliers: true,
            channels: 1,
            replication_filtered: false,
        }
    }

    /// What a server's global variables say; its channels and filters are told elsewhere, and are
    /// taken for sound. Spellings of MySQL 8.0.25 and older count as well.
    pub fn from_variables<'a>(engine: Engine, value: impl Fn(&str) -> Option<&'a str>) -> Self {
        let any = |names: [&str; 2]| names.into_iter().find_map(&value);
        let on = |value: Option<&str>| matches!(value, Some("ON" | "1"));
        let sound = Self::sound(engine);
        match engine {
            Engine::MySql => Self {
                ordered_commits: value("binlog_order_commits").is_none_or(|it| on(Some(it))),
                appliers: any(["replica_parallel_workers", "slave_parallel_workers"])
                    .and_then(|count| count.parse().ok())
                    .unwrap_or(sound.appliers),
                ordered_appliers: on(any([
                    "replica_preserve_commit_order",
                    "slave_preserve_commit_order",
                ])),
                ..sound
            },
            // Its appliers always commit a domain's transactions in order, and its primary too.
            Engine::MariaDb => Self {
                appliers: value("slave_parallel_threads")
                    .and_then(|count| count.parse().ok())
                    .unwrap_or(sound.appliers),
                ..sound
            },
        }
    }

    /// What these settings break on a server of this role.
    pub fn flaws(&self, role: Role) -> Flaws {
        let mut flaws = Flaws::NONE;
        let mut note = |is_so: bool, flaw: Flaw| {
            if is_so {
                flaws.add(flaw);
            }
        };
        match role {
            Role::Primary => {
                note(!self.ordered_commits, Flaw::UnorderedCommits);
                note(self.binlog_filtered, Flaw::FilteredBinlog);
            }
            Role::Replica => {
                note(self.replication_filtered, Flaw::FilteredReplication);
                let unordered = self.appliers > 1 && !self.ordered_appliers;
                note(unordered, Flaw::UnorderedAppliers);
                note(self.channels > 1, Flaw::SeveralSources);
            }
        }
        flaws
    }
}

/// One setting that takes promises away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Flaw {
    /// `binlog_order_commits=OFF` on the primary: what it shows and what its history says come in
    /// different orders.
    ///
    /// GTID sets are compared element by element, and each commit is owned until the executed set names
    /// it, in any order; so they need not suffer, and a measurement found no harm. It is refused all the
    /// same: places in a log are an order and nothing else, and that a GTID stays owned for as long as its
    /// commit shows unnamed is known from measurements with ordered commits, not from documentation.
    UnorderedCommits,
    /// `binlog_do_db` or `binlog_ignore_db` on the primary: some writes have no position and reach
    /// no replica.
    FilteredBinlog,
    /// A replication filter: a transaction that was left out counts as executed.
    FilteredReplication,
    /// Several appliers that do not preserve the commit order: states that never were on the primary.
    UnorderedAppliers,
    /// A replica of several sources: it shows transactions that no other server will ever have.
    SeveralSources,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 5] = [
        Self::UnorderedCommits,
        Self::FilteredBinlog,
        Self::FilteredReplication,
        Self::UnorderedAppliers,
        Self::SeveralSources,
    ];

    /// The name used in findings, logs and errors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnorderedCommits => "binlog_order_commits",
            Self::FilteredBinlog => "binlog_filter",
            Self::FilteredReplication => "replication_filter",
            Self::UnorderedAppliers => "preserve_commit_order",
            Self::SeveralSources => "multi_source",
        }
    }

    /// The setting in words, to stand after the name of a server.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::UnorderedCommits => "has binlog_order_commits=OFF",
            Self::FilteredBinlog => {
                "keeps writes out of its binlog (binlog_do_db, binlog_ignore_db)"
            }
            Self::FilteredReplication => "has replication filters",
            Self::UnorderedAppliers => "applies in parallel without replica_preserve_commit_order",
            Self::SeveralSources => "replicates from several sources",
        }
    }

    /// Why it matters, as a sentence.
    pub const fn why(self) -> &'static str {
        match self {
            Self::UnorderedCommits => {
                "transactions become visible on the primary in another order than replicas apply \
                 them: a session that saw the later one may miss it on a replica that has the earlier"
            }
            Self::FilteredBinlog => {
                "a write that is not in the binlog has no position and reaches no replica: no read \
                 there can be known to see it"
            }
            Self::FilteredReplication => {
                "a transaction that a filter leaves out counts as executed: a replica that claims to \
                 have a write may not have it"
            }
            Self::UnorderedAppliers => {
                "a later transaction becomes visible before an earlier one: reads see states that the \
                 primary was never in"
            }
            Self::SeveralSources => {
                "reads there see transactions that this primary does not have: a session that saw one \
                 could never be served by another server again"
            }
        }
    }

    /// Whether `level` cannot hold where this is so. `eventual` promises nothing that a setting could
    /// take away; `bounded` asks for a state of the primary's and no more, which only those that keep
    /// writes away from a replica can spoil.
    pub fn breaks(self, level: Level) -> bool {
        match self {
            Self::FilteredBinlog | Self::FilteredReplication => level != Level::Eventual,
            Self::UnorderedCommits | Self::UnorderedAppliers | Self::SeveralSources => {
                level.keeps_session()
            }
        }
    }
}

/// The flaws of one server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flaws(u8);

impl Flaws {
    /// A server that breaks nothing.
    pub const NONE: Self = Self(0);

    /// Adds one.
    pub const fn add(&mut self, flaw: Flaw) {
        self.0 |= 1 << flaw as u8;
    }

    /// Whether this one is among them.
    pub const fn has(self, flaw: Flaw) -> bool {
        self.0 & (1 << flaw as u8) != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Flaw> {
        Flaw::ALL.into_iter().filter(move |flaw| self.has(*flaw))
    }

    /// The first that takes `level` away, if one does. On a replica: it serves no reads at this
    /// level. On the primary: its history is what levels are made of, so nobody can hold the level.
    pub fn breaks(self, level: Level) -> Option<Flaw> {
        match self.is_empty() {
            true => None,
            false => self.iter().find(|flaw| flaw.breaks(level)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(role: Role, change: impl FnOnce(&mut HistorySettings), expected: &[Flaw]) {
        let mut settings = HistorySettings::sound(Engine::MySql);
        change(&mut settings);
        let flaws: Vec<_> = settings.flaws(role).iter().collect();
        assert_eq!(flaws, expected, "{role:?} {settings:?}");
    }

    #[test]
    fn each_setting_counts_in_its_role() {
        use Role::{Primary, Replica};
        check(Primary, |_| {}, &[]);
        check(Replica, |_| {}, &[]);
        let commits = |it: &mut HistorySettings| it.ordered_commits = false;
        check(Primary, commits, &[Flaw::UnorderedCommits]);
        check(Replica, commits, &[]);
        let binlog = |it: &mut HistorySettings| it.binlog_filtered = true;
        check(Primary, binlog, &[Flaw::FilteredBinlog]);
        check(Replica, binlog, &[]);
        let filter = |it: &mut HistorySettings| it.replication_filtered = true;
        check(Replica, filter, &[Flaw::FilteredReplication]);
        check(Primary, filter, &[]);
        let parallel = |it: &mut HistorySettings| {
            (it.appliers, it.ordered_appliers) = (4, false);
        };
        check(Replica, parallel, &[Flaw::UnorderedAppliers]);
        check(Replica, |it| it.ordered_appliers = false, &[]);
        check(Replica, |it| it.appliers = 4, &[]);
        check(Replica, |it| it.channels = 2, &[Flaw::SeveralSources]);
        check(Replica, |it| it.channels = 0, &[]);
    }

    #[test]
    fn a_flaw_takes_away_what_depends_on_history() {
        let mut flaws = Flaws::NONE;
        assert_eq!(flaws.breaks(Level::Session), None);
        flaws.add(Flaw::SeveralSources);
        assert_eq!(flaws.breaks(Level::Bounded), None);
        for level in [Level::Session, Level::Group, Level::Proxy, Level::Global] {
            assert_eq!(flaws.breaks(level), Some(Flaw::SeveralSources));
        }
        flaws.add(Flaw::FilteredReplication);
        assert_eq!(
            flaws.breaks(Level::Session),
            Some(Flaw::FilteredReplication)
        );
        assert_eq!(
            flaws.breaks(Level::Bounded),
            Some(Flaw::FilteredReplication)
        );
        assert_eq!(flaws.breaks(Level::Eventual), None);
    }

    #[test]
    fn variables_are_read_in_the_spelling_of_each_server() {
        use Engine::{MariaDb, MySql};
        let read = |engine, variables: &[(&'static str, &'static str)]| {
            let value = |name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1);
            let settings = HistorySettings::from_variables(engine, value);
            let of = |role| settings.flaws(role).iter().collect::<Vec<_>>();
            (of(Role::Primary), of(Role::Replica))
        };
        let unordered = || vec![Flaw::UnorderedAppliers];
        let new = [
            ("replica_parallel_workers", "4"),
            ("replica_preserve_commit_order", "OFF"),
        ];
        assert_eq!(read(MySql, &new), (vec![], unordered()));
        let old = [
            ("slave_parallel_workers", "4"),
            ("slave_preserve_commit_order", "0"),
        ];
        assert_eq!(read(MySql, &old), (vec![], unordered()));
        let ordered = [
            ("slave_parallel_workers", "4"),
            ("slave_preserve_commit_order", "1"),
        ];
        assert_eq!(read(MySql, &ordered), (vec![], vec![]));
        let commits = [("binlog_order_commits", "OFF")];
        assert_eq!(
            read(MySql, &commits),
            (vec![Flaw::UnorderedCommits], vec![])
        );
        assert_eq!(
            read(MariaDb, &[("slave_parallel_threads", "4")]),
            (vec![], vec![])
        );
        assert_eq!(read(MySql, &[]), (vec![], vec![]));
    }
}
