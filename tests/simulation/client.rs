//! A client of the proxy: what it asks for, what it was told, and what it is promised.

use std::rc::Rc;
use std::time::{Duration, Instant};

use highwater::domain::consistency::{GroupKey, Level, OnTimeout, Settings};
use highwater::domain::position::{GtidSet, Position};
use highwater::domain::session::{ClientTraits, Session};
use highwater::domain::sql::{Dialect, LexMode, Seed, StatementProfile, explain};

use super::bits::Bits;
use super::link::Link;
use super::proxy::Answer;
use super::sim::{Defect, GROUPS, Sim};

/// What a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    /// Reads a variable of one server as well.
    PrimaryRead,
    Locking,
    /// A read by its text; a view in it writes.
    HiddenWrite,
    Write,
    /// A write that no GTID names.
    Unlogged,
    /// Commits something and then fails.
    HalfFails,
    Begin,
    BeginReadOnly,
    Commit,
    Rollback,
    TemporaryTable,
    Diagnostics,
}

impl Kind {
    /// Whether sending it twice would do it twice.
    pub(crate) fn writes(self) -> bool {
        matches!(
            self,
            Self::Write | Self::Unlogged | Self::HalfFails | Self::Commit | Self::TemporaryTable
        )
    }

    pub(crate) fn belongs_to_primary(self) -> bool {
        matches!(
            self,
            Self::Write
                | Self::Unlogged
                | Self::HalfFails
                | Self::Locking
                | Self::PrimaryRead
                | Self::TemporaryTable
                | Self::Begin
        )
    }

    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::Read => "SELECT * FROM t",
            Self::PrimaryRead => "SELECT @@server_id, b FROM t",
            Self::Locking => "SELECT * FROM t FOR UPDATE",
            Self::HiddenWrite => "SELECT * FROM view_that_writes",
            Self::Write | Self::Unlogged => "INSERT INTO t VALUES (1)",
            Self::HalfFails => "CALL inserts_and_fails()",
            Self::Begin => "BEGIN",
            Self::BeginReadOnly => "START TRANSACTION READ ONLY",
            Self::Commit => "COMMIT",
            Self::Rollback => "ROLLBACK",
            Self::TemporaryTable => "CREATE TEMPORARY TABLE x (a INT)",
            Self::Diagnostics => "SHOW WARNINGS",
        }
    }
}

/// A statement of a client.
pub(crate) struct Op {
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) profile: StatementProfile,
    pub(crate) arrived: Instant,
    /// What its answer must show.
    pub(crate) required: Bits,
}

/// One client and its session.
pub(crate) struct Client {
    pub(crate) sim: Rc<Sim>,
    pub(crate) id: usize,
    pub(crate) session: Session,
    pub(crate) primary: Option<Link>,
    pub(crate) replica: Option<Link>,
    pub(crate) group: usize,
    /// The connection that has its temporary table.
    pub(crate) pinned: Option<u64>,
    /// What it wrote and was told of, and what it saw.
    pub(crate) knows: Bits,
    /// Of its writes, those that no GTID names.
    pub(crate) unlogged: Bits,
    /// What the open READ ONLY transaction must show.
    binding: Option<Bits>,
    /// The position as it was last looked at.
    position: Position,
    profiles: Vec<(Kind, StatementProfile)>,
}

/// The group of that number.
pub(crate) fn group(number: usize) -> GroupKey {
    GroupKey::named(number.to_string().as_bytes())
}

fn new_session(settings: Settings) -> Session {
    let client = ClientTraits {
        found_rows: false,
        state_after_rows: true,
    };
    Session::new(settings, client)
}

impl Client {
    fn new(sim: Rc<Sim>, id: usize) -> Self {
        let kinds = [
            Kind::Read,
            Kind::PrimaryRead,
            Kind::Locking,
            Kind::HiddenWrite,
            Kind::Write,
            Kind::Unlogged,
            Kind::HalfFails,
            Kind::Begin,
            Kind::BeginReadOnly,
            Kind::Commit,
            Kind::Rollback,
            Kind::TemporaryTable,
            Kind::Diagnostics,
        ];
        let mode = LexMode {
            dialect: Dialect::MYSQL,
            ..LexMode::default()
        };
        let seed = Seed::new(1);
        let profile = |kind: Kind| (kind, explain(kind.sql().as_bytes(), mode, &seed));
        let settings = any_settings(&sim);
        let group = sim.random.below(GROUPS);
        Self {
            sim,
            id,
            session: new_session(settings),
            primary: None,
            replica: None,
            group,
            pinned: None,
            knows: Bits::default(),
            unlogged: Bits::default(),
            binding: None,
            position: Position::Nothing,
            profiles: kinds.into_iter().map(profile).collect(),
        }
    }

    /// The client's life.
    pub(crate) async fn live(sim: Rc<Sim>, id: usize, commands: usize) {
        let mut client = Self::new(Rc::clone(&sim), id);
        let think = sim.random.of(&[500u64, 3_000, 15_000]);
        for _ in 0..commands {
            sim.clock.sleep(sim.random.delay(think, 60_000)).await;
            client.between().await;
            let kind = client.choose();
            client.ask(kind).await;
        }
        client.leave();
        sim.at_work.set(sim.at_work.get() - 1);
    }

    /// What happens between statements.
    async fn between(&mut self) {
        let sim = Rc::clone(&self.sim);
        let idle = !self.session.transaction.is_open();
        match sim.random.range(0, 99) {
            0..=9 => {
                self.session.settings = any_settings(&sim);
                sim.note(|| format!("{} {:?}", self.id, self.session.settings));
            }
            10..=12 => self.group = sim.random.below(GROUPS),
            13..=16 if idle => self.reset(),
            17..=19 if idle => self.carry_token().await,
            20..=29 if idle && self.session.transaction.open_on().is_none() => {
                self.release_replica();
            }
            30..=34 if idle && self.pinned.is_none() => self.release_primary(),
            _ => {}
        }
        self.session.hints.level = sim.random.percent(6).then(|| sim.random.of(&Level::ALL));
    }

    /// COM_RESET_CONNECTION.
    fn reset(&mut self) {
        self.sim.note(|| format!("{} resets", self.id));
        let settings = any_settings(&self.sim);
        self.session.on_reset(settings);
        if self.sim.has(Defect::ResetForgetsPositions) {
            self.session = new_session(settings);
            self.position = Position::Nothing;
        }
        self.pinned = None;
        self.unlogged = Bits::default();
        self.release_primary();
        self.release_replica();
    }

    fn choose(&mut self) -> Kind {
        let random = &self.sim.random;
        if self.session.transaction.open_on().is_some() {
            return match random.range(0, 99) {
                0..=39 => Kind::Read,
                40..=44 => Kind::Locking,
                45..=64 => Kind::Write,
                65..=69 => Kind::HalfFails,
                70..=92 => Kind::Commit,
                _ => Kind::Rollback,
            };
        }
        match random.range(0, 99) {
            0..=51 => Kind::Read,
            52..=56 => Kind::PrimaryRead,
            57..=60 => Kind::Locking,
            61..=62 => Kind::HiddenWrite,
            63..=79 => Kind::Write,
            80 => Kind::Unlogged,
            81..=86 => Kind::HalfFails,
            87..=90 => Kind::Begin,
            91..=96 => Kind::BeginReadOnly,
            97 => Kind::TemporaryTable,
            _ => Kind::Diagnostics,
        }
    }

    async fn ask(&mut self, kind: Kind) {
        let sim = Rc::clone(&self.sim);
        // In a READ ONLY transaction a write is an error on any server.
        let kind = match kind {
            Kind::Locking | Kind::Write | Kind::HalfFails
                if self.session.transaction.read_only() =>
            {
                Kind::Read
            }
            kind => kind,
        };
        let found = self.profiles.iter().find(|(known, _)| *known == kind);
        let profile = found.unwrap().1;
        sim.serial.set(sim.serial.get() + 1);
        let mut op = Op {
            id: sim.serial.get(),
            kind,
            profile,
            arrived: sim.clock.now(),
            required: Bits::default(),
        };
        op.required = self.required(op.arrived);
        let level = self.session.read_level();
        sim.note(|| format!("{} asks {kind:?} at {level:?}", self.id));
        let on_replica = self.session.transaction.read_only();
        let answer = self.run(&op).await;
        sim.counts.borrow_mut().commands += 1;
        self.judge(&op, on_replica, answer);
        self.check_position();
    }

    /// What an answer must show that is asked for now.
    fn required(&self, arrived: Instant) -> Bits {
        let told = self.sim.told.borrow();
        let level = self.session.read_level();
        let mut required = match level {
            Level::Eventual => return Bits::default(),
            Level::Bounded => return self.executed_before(arrived),
            _ => self.knows.clone(),
        };
        match level {
            Level::Group => required.join(&told.groups[self.group]),
            Level::Proxy => required.join(&told.proxy),
            Level::Global => required.join(&told.anywhere),
            _ => {}
        }
        required
    }

    /// What the primary had executed when a bounded read may look back to.
    fn executed_before(&self, arrived: Instant) -> Bits {
        let now = self.sim.clock.now();
        let staleness = self.session.settings.max_staleness + (now - arrived);
        let from = u128::from(self.sim.clock.micros()).saturating_sub(staleness.as_micros());
        let mut executed = Bits::default();
        for (id, txn) in self.sim.world.borrow().txns.iter().enumerate() {
            if txn.executed_at.is_some_and(|at| u128::from(at) < from) {
                executed.insert(id);
            }
        }
        executed
    }

    fn judge(&mut self, op: &Op, in_read_only: bool, answer: Answer) {
        let sim = Rc::clone(&self.sim);
        if !self.session.transaction.is_open() {
            self.binding = None;
        }
        match answer {
            Answer::Shown { seen, stale } => {
                sim.note(|| format!("{} is shown an answer, stale {stale}", self.id));
                // A snapshot is bound to what its first read was promised.
                let required = match in_read_only {
                    true => self.binding.get_or_insert(op.required.clone()).clone(),
                    false => op.required.clone(),
                };
                if stale {
                    sim.counts.borrow_mut().stale += 1;
                } else {
                    self.promised(op, required, &seen);
                }
                self.knows.join(&seen);
            }
            Answer::Done => {
                sim.note(|| format!("{} is done", self.id));
            }
            Answer::Error => {
                sim.counts.borrow_mut().errors += 1;
                sim.note(|| format!("{} gets an error", self.id));
            }
            Answer::Closed => {
                sim.counts.borrow_mut().closed += 1;
                sim.note(|| format!("{} loses its session", self.id));
                self.leave();
                *self = Self::new(sim, self.id);
            }
        }
    }

    /// The promise of the read's level.
    fn promised(&self, op: &Op, mut required: Bits, seen: &Bits) {
        let world = self.sim.world.borrow();
        for excluded in [&world.unlogged, &world.errant] {
            required.subtract(excluded);
        }
        if self.session.read_level().keeps_session() {
            required.join(&self.unlogged);
        }
        required.subtract(&world.lost);
        if let Some(missing) = required.missing_from(seen) {
            let gtid = world.gtid(missing);
            let level = self.session.read_level();
            self.sim.broken(|| {
                format!(
                    "client {}: {:?} at {level:?} does not show transaction {missing} ({gtid:?})",
                    self.id, op.kind
                )
            });
        }
    }

    /// A position never shrinks.
    pub(crate) fn check_position(&mut self) {
        let need = self.session.positions.need();
        if !need.covers(&self.position) {
            let was = &self.position;
            self.sim
                .broken(|| format!("client {}: position {was} shrank to {need}", self.id));
        }
        let world = self.sim.world.borrow();
        let named = |id: &usize| {
            let gtid = world.gtid(*id).unwrap().parse::<GtidSet>().unwrap();
            need.covers(&gtid.into())
        };
        if let Some(id) = world.rolled_back().find(named) {
            let gtid = world.gtid(id);
            self.sim
                .broken(|| format!("client {}: {gtid:?} is demanded and never was", self.id));
        }
        drop(world);
        self.position.clone_from(need);
    }

    /// The position of this session goes to whoever asks next, and one from elsewhere comes in.
    async fn carry_token(&mut self) {
        let sim = Rc::clone(&self.sim);
        let carried = sim.token.take();
        // What the primary has not executed is waited for, and refused if it does not come.
        let executed = sim.executed(sim.clock.now()).await;
        if let Some((position, known)) = carried
            && executed.is_ok_and(|executed| executed.position.covers(&position))
        {
            sim.note(|| format!("{} takes the token {position}", self.id));
            self.session.positions.on_read_after(&position);
            self.knows.join(&known);
        }
        if let Some(token) = self.token().await {
            let mut known = self.knows.clone();
            known.subtract(&self.unlogged);
            sim.note(|| format!("{} gives the token {token}", self.id));
            sim.token.replace(Some((token, known)));
        }
        self.check_position();
    }

    fn leave(&mut self) {
        self.release_primary();
        self.release_replica();
    }

    pub(crate) fn release_primary(&mut self) {
        if let Some(link) = self.primary.take() {
            self.sim.end_lease(link);
        }
    }

    pub(crate) fn release_replica(&mut self) {
        if let Some(link) = self.replica.take() {
            self.sim.end_lease(link);
        }
    }
}

fn any_settings(sim: &Sim) -> Settings {
    let millis = |all: &[u64]| Duration::from_millis(sim.random.of(all));
    Settings {
        level: sim.random.of(&Level::ALL),
        catch_up_timeout: millis(&[0, 5, 50, 1_000]),
        max_staleness: millis(&[0, 3, 20, 100]),
        on_timeout: sim.random.of(&[
            OnTimeout::Primary,
            OnTimeout::Primary,
            OnTimeout::Error,
            OnTimeout::Stale,
        ]),
        ..Settings::default()
    }
}
