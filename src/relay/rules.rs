//! The rules in force, with what each one counts and bounds; replaced whole when the configuration is.
//!
//! The pure room says which rule matches. Here is what a match needs besides: counts, turns under a
//! limit, a queue to a mirror. A session looks at one flag where there are no rules.

mod apply;
mod explain;
mod mirror;
mod time_limit;
mod turn;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;
use prometheus::IntCounter;
use tokio::sync::Semaphore;

use super::shared::Shared;
use crate::domain::routing::rules::{Bucket, Look, Rule, RuleSet};
use crate::domain::sql::{Doubt, StatementProfile};
use crate::telemetry::Metrics;
use mirror::Mirroring;
pub(super) use time_limit::TimeLimit;

/// What all sessions know of rules.
#[derive(Debug)]
pub struct Rules {
    /// Whether there is one.
    any: AtomicBool,
    in_force: ArcSwap<InForce>,
    /// How many sets there were.
    sets: AtomicU64,
}

/// The rules of one configuration.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) set: RuleSet,
    pub(super) active: Box<[Active]>,
    /// Of texts that cannot be read.
    unread: Look,
}

/// What one rule needs besides what it says.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) counts: Arc<Counts>,
    hits: IntCounter,
    /// Under `limit_rate`.
    pub(super) bucket: Option<Mutex<Bucket>>,
    /// Under `limit_concurrency`.
    pub(super) seats: Option<Arc<Semaphore>>,
    /// Under `mirror`.
    mirror: Option<Mirroring>,
}

/// How often a rule did what, since the start or since there is a rule of its name.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) matched: AtomicU64,
    pub(super) denied: AtomicU64,
    pub(super) limited: AtomicU64,
    pub(super) delayed: AtomicU64,
    pub(super) rewritten: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) mirrored: AtomicU64,
    pub(super) not_mirrored: AtomicU64,
}

/// A rule, and how often it did what.
#[derive(Clone, Debug)]
pub struct RuleView {
    /// The rule.
    pub rule: Rule,
    /// Statements that it matched.
    pub matched: u64,
    /// Statements that it refused.
    pub denied: u64,
    /// Statements that were over its limit, and were refused for that.
    pub limited: u64,
    /// Statements that waited for their turn under its limit.
    pub delayed: u64,
    /// Statements whose text it changed.
    pub rewritten: u64,
    /// Statements that were stopped since they took longer than it allows.
    pub timed_out: u64,
    /// Reads that its mirror was sent.
    pub mirrored: u64,
    /// Reads of the mirror's share that it was not sent: it was too slow, or they cannot be repeated.
    pub not_mirrored: u64,
}

pub(super) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Active {
    fn new(rule: &Rule, counts: Arc<Counts>, metrics: &Metrics) -> Self {
        let limit = rule.act.limit.unwrap_or_default();
        let bucket = limit.rate.map(|rate| Bucket::new(rate, Instant::now()));
        let seats = limit.concurrency.map(|most| Semaphore::new(most as usize));
        Self {
            counts,
            hits: metrics.rule_hits(&rule.name),
            bucket: bucket.map(Mutex::new),
            seats: seats.map(Arc::new),
            mirror: rule.act.mirror.as_ref().map(Mirroring::new),
        }
    }

    /// It matched a statement.
    pub(super) fn hit(&self) {
        bump(&self.counts.matched);
        self.hits.inc();
    }
}

impl Rules {
    /// These rules, in their order.
    pub fn new(rules: &[Rule], metrics: &Metrics) -> Self {
        Self {
            any: AtomicBool::new(!rules.is_empty()),
            in_force: ArcSwap::from_pointee(InForce::new(rules, 0, &HashMap::new(), metrics)),
            sets: AtomicU64::new(1),
        }
    }

    /// Whether there is a rule.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// The rules in force now.
    pub(super) fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Replaces all rules; those whose names stay keep what they counted.
    fn replace(&self, rules: &[Rule], metrics: &Metrics) {
        let before = self.in_force();
        let names = before.set.rules().iter().map(|rule| rule.name.as_str());
        let counts = before
            .active
            .iter()
            .map(|active| Arc::clone(&active.counts));
        let counts: HashMap<_, _> = names.zip(counts).collect();
        let number = self.sets.fetch_add(1, Ordering::Relaxed);
        let after = InForce::new(rules, number, &counts, metrics);
        self.in_force.store(Arc::new(after));
        self.any.store(!rules.is_empty(), Ordering::Release);
        let gone = |name: &&&str| !rules.iter().any(|rule| rule.name == **name);
        for name in counts.keys().filter(gone) {
            metrics.forget_rule(name);
        }
    }
}

impl InForce {
    fn new(
        rules: &[Rule],
        number: u64,
        counts: &HashMap<&str, Arc<Counts>>,
        metrics: &Metrics,
    ) -> Self {
        let active = rules.iter().map(|rule| {
            let counts = counts.get(rule.name.as_str()).cloned();
            Active::new(rule, counts.unwrap_or_default(), metrics)
        });
        let set = RuleSet::new(rules.to_vec(), number);
        let unread = StatementProfile::unread(Doubt::NotUnderstood);
        Self {
            active: active.collect(),
            unread: set.look(None, &unread),
            set,
        }
    }
}

impl Shared {
    /// Puts other rules in force, for each session from its next statement on. Rules whose names stay
    /// keep their counts.
    pub fn set_rules(&self, rules: &[Rule]) {
        self.rules.replace(rules, &self.metrics);
    }

    /// The rules in force, in their order.
    pub fn rules(&self) -> Vec<RuleView> {
        let in_force = self.rules.in_force();
        let rules = in_force.set.rules().iter().zip(&in_force.active);
        let rules = rules.map(|(rule, active)| {
            let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let counts = &active.counts;
            RuleView {
                rule: rule.clone(),
                matched: of(&counts.matched),
                denied: of(&counts.denied),
                limited: of(&counts.limited),
                delayed: of(&counts.delayed),
                rewritten: of(&counts.rewritten),
                timed_out: of(&counts.timed_out),
                mirrored: of(&counts.mirrored),
                not_mirrored: of(&counts.not_mirrored),
            }
        });
        rules.collect()
    }
}
