//! From text to profile, with a cache in front and a thread of its own for the parser.
//!
//! The pure rooms do the reading; here live what they may not have: the shared cache, and a thread
//! whose stack is large enough that no statement can overflow it.

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use arc_swap::ArcSwapOption;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter};
use tokio::sync::oneshot;

use crate::domain::routing::rules::Look;
use crate::domain::session::Session;
use crate::domain::sql::control::parse_kill;
use crate::domain::sql::{
    Access, Charset, Dialect, Doubt, LexMode, Normalised, Pending, Scan, Scratch, Seed,
    StatementProfile, Verdict, confirm, profile, scan,
};
use crate::domain::topology::Engine;
use crate::telemetry::{Digest, Ran};

/// Stack of the parser's thread: the parser recurses, and drops deep trees recursively.
const STACK: usize = 64 << 20;

/// Profiles by fingerprint.
#[derive(Debug)]
pub struct Classifier {
    cache: Cache<u64, Arc<Shape>, UnitWeighter, DefaultHashBuilder, Fold>,
    /// What was counted of all that is not in the cache.
    rest: Arc<Digest>,
    seed: Seed,
    parser: mpsc::Sender<Question>,
}

/// A cache entry. Text and dialect decide whether a hit is one: fingerprints can collide.
#[derive(Debug)]
pub(super) struct Shape {
    /// The normalised text, which has no literals.
    pub(super) text: Box<[u8]>,
    dialect: Dialect,
    pub(super) profile: StatementProfile,
    /// What was counted of the statements of this shape.
    pub(super) digest: Digest,
    /// What the rules in force say of it, as of the last statement that they were asked for.
    pub(super) look: ArcSwapOption<Look>,
    /// Whether it went from the cache.
    evicted: AtomicBool,
}

/// Adds what was counted of a shape that goes from the cache to that of the rest.
#[derive(Clone, Debug)]
struct Fold(Arc<Digest>);

impl Lifecycle<u64, Arc<Shape>> for Fold {
    type RequestState = ();

    fn on_evict(&self, _: &mut (), _: u64, shape: Arc<Shape>) {
        shape.evicted.store(true, Ordering::Relaxed);
        self.0.absorb(&shape.digest);
    }
}

#[derive(Debug)]
struct Question {
    text: Box<[u8]>,
    pending: Pending,
    answer: oneshot::Sender<StatementProfile>,
}

/// What one session reads its statements with.
#[derive(Debug, Default)]
pub(super) struct Lexer {
    scratch: Scratch,
    baseline: Baseline,
    /// The mode, and the version of the mirror that it was read from. `None` inside: a sql_mode
    /// whose grammar is not read.
    mode: Option<(u64, Option<LexMode>)>,
    /// The shape of the statement that was read last.
    pub(super) shape: Option<Arc<Shape>>,
}

/// What a session starts with: the primary's engine and global values.
#[derive(Clone, Debug, Default)]
pub(super) struct Baseline {
    pub(super) engine: Option<Engine>,
    pub(super) sql_mode: String,
    pub(super) character_set_client: String,
}

impl Shape {
    fn is(&self, statement: &Normalised<'_>) -> bool {
        self.dialect == statement.dialect && *self.text == *statement.text
    }
}

impl Classifier {
    /// A classifier that remembers so many statements.
    ///
    /// # Errors
    /// When the parser's thread cannot be started.
    pub fn start(entries: usize) -> io::Result<Self> {
        let (parser, questions) = mpsc::channel();
        std::thread::Builder::new()
            .name("parser".to_owned())
            .stack_size(STACK)
            .spawn(move || answer_all(&questions))?;
        let seed = Seed::SHARED;
        let rest = Arc::<Digest>::default();
        Ok(Self {
            cache: Cache::with(
                entries,
                entries as u64,
                UnitWeighter,
                DefaultHashBuilder::default(),
                Fold(Arc::clone(&rest)),
            ),
            rest,
            seed,
            parser,
        })
    }

    /// The profile of a statement. Waits only when the parser has to be asked.
    pub(super) async fn profile(
        &self,
        text: &[u8],
        session: &Session,
        lexer: &mut Lexer,
    ) -> StatementProfile {
        let Some(mode) = lexer.mode(session) else {
            lexer.shape = None;
            return unread(text);
        };
        let normalised = match scan(text, mode, &self.seed, &mut lexer.scratch) {
            Scan::Unread(profile) => {
                lexer.shape = None;
                return profile;
            }
            Scan::Read(normalised) => normalised,
        };
        if let Some(known) = self.cache.get(&normalised.fingerprint)
            && known.is(&normalised)
        {
            let profile = known.profile;
            lexer.shape = Some(known);
            return profile;
        }
        let found = match profile(normalised) {
            Verdict::Decided(profile) => profile,
            Verdict::NeedsParse(pending) => self.ask(normalised.text, pending).await,
        };
        let made = Arc::new(Shape {
            text: normalised.text.into(),
            dialect: normalised.dialect,
            profile: found,
            digest: Digest::default(),
            look: ArcSwapOption::empty(),
            evicted: AtomicBool::new(false),
        });
        // Of two sessions that meet it at once one enters it, so that both count in one place.
        let make = || Ok::<_, Infallible>(Arc::clone(&made));
        let entered = self
            .cache
            .get_or_insert_with(&normalised.fingerprint, make)
            .unwrap_or_else(|never| match never {});
        lexer.shape = Some(match entered.is(&normalised) {
            true => entered,
            false => {
                self.cache.insert(normalised.fingerprint, Arc::clone(&made));
                made
            }
        });
        found
    }

    /// Counts a statement of this shape; without one, with the rest.
    pub(super) fn count(&self, shape: Option<&Arc<Shape>>, ran: &Ran) {
        let Some(shape) = shape else {
            return self.rest.count(ran);
        };
        if shape.evicted.load(Ordering::Relaxed) && shape.evicted.swap(false, Ordering::Relaxed) {
            // A prepared statement outlived it.
            let fingerprint = shape.profile.fingerprint;
            self.cache.insert(fingerprint, Arc::clone(shape));
        }
        shape.digest.count(ran);
    }

    /// The shape with this fingerprint, if it is remembered.
    pub(super) fn shape(&self, fingerprint: u64) -> Option<Arc<Shape>> {
        self.cache.get(&fingerprint)
    }

    /// Every shape that is remembered.
    pub(super) fn shapes(&self) -> Vec<Arc<Shape>> {
        self.cache.iter().map(|(_, shape)| shape).collect()
    }

    /// What was counted of all others.
    pub(super) fn rest(&self) -> &Digest {
        &self.rest
    }

    async fn ask(&self, text: &[u8], pending: Pending) -> StatementProfile {
        let (answer, answered) = oneshot::channel();
        let question = Question {
            text: text.into(),
            pending,
            answer,
        };
        match self.parser.send(question) {
            Ok(()) => answered
                .await
                .unwrap_or_else(|_| pending.unconfirmed(Doubt::NotUnderstood)),
            Err(_) => pending.unconfirmed(Doubt::NotUnderstood),
        }
    }
}

/// Answers until the classifier is gone. A parser that panics has not understood.
fn answer_all(questions: &mpsc::Receiver<Question>) {
    for Question {
        text,
        pending,
        answer,
    } in questions
    {
        let found = catch_unwind(AssertUnwindSafe(|| confirm(&text, pending)))
            .unwrap_or_else(|_| pending.unconfirmed(Doubt::NotUnderstood));
        // A session that ended in the meantime needs no answer.
        let _ = answer.send(found);
    }
}

/// A statement in a grammar that is not read; KILL is found all the same, for it must not be
/// relayed as it is.
fn unread(text: &[u8]) -> StatementProfile {
    let profile = StatementProfile::unread(Doubt::NotUnderstood);
    match parse_kill(text, LexMode::default()) {
        Some(_) => StatementProfile {
            access: Access::Kill,
            ..profile
        },
        None => profile,
    }
}

impl Lexer {
    pub(super) fn new(baseline: Baseline) -> Self {
        Self {
            baseline,
            ..Self::default()
        }
    }

    /// How the session's text is read now.
    pub(super) fn mode(&mut self, session: &Session) -> Option<LexMode> {
        let version = session.mirror.version();
        let mode = match self.mode {
            Some((seen, mode)) if seen == version => mode,
            _ => {
                let mode = self.read_mode(session);
                self.mode = Some((version, mode));
                mode
            }
        };
        mode.map(|mode| LexMode {
            no_backslash_escapes: session.transaction.no_backslash_escapes(),
            ..mode
        })
    }

    fn read_mode(&self, session: &Session) -> Option<LexMode> {
        let value = |name: &[u8], baseline: &str| match session.mirror.get(name) {
            Some(value) => String::from_utf8_lossy(value).into_owned(),
            None => baseline.to_owned(),
        };
        let charset = value(b"character_set_client", &self.baseline.character_set_client);
        let sql_mode = value(b"sql_mode", &self.baseline.sql_mode);
        LexMode::of_sql_mode(&sql_mode, Charset::of_name(&charset), self.baseline.engine)
    }
}
