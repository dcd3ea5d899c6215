//! What a run found, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::check::Findings;
use super::claim::{Claim, Kind};
use super::percentile::Percentiles;
use super::run::{Made, Plan, Told};
use super::waits::Waits;

/// A run and what was found in it.
#[derive(Debug)]
pub struct Report<'a> {
    /// What was to be done.
    pub plan: &'a Plan,
    /// What happened.
    pub made: &'a Made,
    /// What that shows.
    pub findings: &'a Findings,
    /// How long reads waited to be fresh, if the endpoint tells.
    pub waits: Option<Waits>,
}

impl Report<'_> {
    /// Whether the answer is yes: the level that was asked for was tried and nothing contradicts it, or
    /// none was asked for.
    pub fn passed(&self) -> bool {
        let keeps = |level| self.findings.holds(level) && self.findings.tried(level);
        self.plan.level.is_none_or(keeps)
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.head(&mut text);
        self.kinds(&mut text);
        self.verdict(&mut text);
        self.examples(&mut text);
        text
    }

    fn head(&self, text: &mut String) {
        let (plan, made, found) = (self.plan, self.made, self.findings);
        let seconds = made.took.as_secs_f64().max(1e-9);
        let rate = |count: u64| count as f64 / seconds;
        let _ = writeln!(
            text,
            "\n{:.1} s, {} sessions in pairs, {} registers and {} lists{}; {}",
            seconds,
            plan.sessions,
            plan.keys,
            plan.keys,
            if plan.past.is_some() {
                ", other writers past the endpoint"
            } else {
                ""
            },
            self.told(),
        );
        for (name, count, latency) in [
            ("reads", found.reads, found.read_latency),
            ("writes", found.writes, found.write_latency),
        ] {
            let _ = writeln!(
                text,
                "  {name:<8}{count:>10}  {:>8.0}/s  {}",
                rate(count),
                latencies(latency)
            );
        }
        if let Some(waits) = self.waits {
            let bound = |seconds: Option<f64>| match seconds {
                Some(seconds) => format!("at most {:.1} ms", seconds * 1e3),
                None => "more than the largest bucket".to_owned(),
            };
            let _ = writeln!(
                text,
                "  waits   {:>10}  p50 {}  p99 {} (the endpoint's own metrics)",
                waits.count,
                bound(waits.p50),
                bound(waits.p99)
            );
        }
        if found.unknown > 0 {
            let _ = writeln!(
                text,
                "  {} writes ended without an answer: they may have happened or not",
                found.unknown
            );
        }
        if made.flagged > 0 {
            let _ = writeln!(
                text,
                "  {} reads came with a warning that they may be old, and were not checked",
                made.flagged
            );
        }
        for (error, count) in &made.errors {
            let _ = writeln!(text, "  {count} times: {error}");
        }
        if made.cut_short {
            text.push_str("  ended before its time\n");
        }
        if let Some(left) = &made.left_behind {
            let _ = writeln!(text, "  {left}");
        }
    }

    /// What the endpoint was told about the level.
    fn told(&self) -> String {
        let level = self.plan.level.map_or("none", Claim::name);
        match self.made.told {
            Told::Nothing => "no level asked for".to_owned(),
            Told::Unknown => format!("level {level}, of which the endpoint knows nothing"),
            told => format!("level {level}, set by {}", told.name()),
        }
    }

    fn kinds(&self, text: &mut String) {
        let name = |kind: Kind| match kind {
            Kind::Bounded => format!("{} of {:?}", kind.text(), self.plan.max_staleness),
            kind => kind.text().to_owned(),
        };
        let width = Kind::ALL.iter().map(|kind| name(*kind).len()).max();
        let width = width.unwrap_or(0);
        let _ = writeln!(
            text,
            "\n  {:<width$}  {:>10}{:>10}",
            "a read that ...", "checked", "found"
        );
        for kind in Kind::ALL {
            let tally = self.findings.tally(kind);
            let (checked, found) = (tally.checked, tally.violations);
            let _ = write!(text, "  {:<width$}  {checked:>10}{found:>10}", name(kind));
            if found > 0 && checked > 0 {
                let share = found as f64 / checked as f64;
                let _ = write!(text, "  {:.3} %", share * 100.0);
            }
            text.push('\n');
        }
        let staleness = self.findings.staleness;
        if staleness.count > 0 {
            let _ = writeln!(
                text,
                "  {} reads missed something that had been acknowledged for {}",
                staleness.count,
                latencies(staleness)
            );
        }
    }

    fn verdict(&self, text: &mut String) {
        let names = |wanted: &dyn Fn(Claim) -> bool| {
            let chosen = Claim::ALL.into_iter().filter(|claim| wanted(*claim));
            chosen.map(Claim::name).collect::<Vec<_>>().join(", ")
        };
        let (holds, tried) = (
            |claim| self.findings.holds(claim),
            |claim| self.findings.tried(claim),
        );
        text.push('\n');
        for (what, names) in [
            ("consistent with", names(&|c| holds(c) && tried(c))),
            ("contradicts", names(&|c| !holds(c))),
            ("not tried", names(&|c| holds(c) && !tried(c))),
        ] {
            if !names.is_empty() {
                let _ = writeln!(text, "  {what:<16}  {names}");
            }
        }
        if self.plan.past.is_none() && holds(Claim::Global) && tried(Claim::Global) {
            text.push_str("  nobody wrote past the endpoint: --past-url tries global in full\n");
        }
        if let Some(level) = self.plan.level {
            let answer = match (holds(level), tried(level)) {
                (false, _) => "does not hold",
                (true, false) => "was not tried: no read came at a moment that matters",
                (true, true) => "holds",
            };
            let _ = writeln!(text, "  level {} {answer}", level.name());
        }
    }

    fn examples(&self, text: &mut String) {
        let mut shown: Vec<&[String]> = Vec::new();
        for kind in Kind::ALL {
            let Some(example) = &self.findings.tally(kind).example else {
                continue;
            };
            let Some((_, events)) = example.lines.split_last() else {
                continue;
            };
            // One story often shows several kinds.
            if shown.contains(&events) {
                continue;
            }
            shown.push(events);
            let _ = writeln!(text, "\n  for example, a read that {}:", kind.text());
            for line in &example.lines {
                let _ = writeln!(text, "  {line}");
            }
        }
    }

    /// The report for programs: one object. Times are in milliseconds.
    pub fn json(&self) -> String {
        let (plan, made, found) = (self.plan, self.made, self.findings);
        let errors = made.errors.iter();
        let errors: Vec<Value> = errors
            .map(|(text, count)| json!({ "error": text, "count": count }))
            .collect();
        let claims: Vec<_> = found
            .consistent_with()
            .into_iter()
            .map(Claim::name)
            .collect();
        let waits = self.waits.map(|waits| {
            let ms = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1e3);
            json!({ "count": waits.count, "p50_ms": ms(waits.p50), "p99_ms": ms(waits.p99) })
        });
        let value = json!({
            "level": plan.level.map(Claim::name),
            "level_set_by": made.told.name(),
            "passed": self.passed(),
            "tried": plan.level.map(|level| found.tried(level)),
            "consistent_with": claims,
            "seconds": made.took.as_secs_f64(),
            "sessions": plan.sessions,
            "keys": plan.keys,
            "reads": found.reads,
            "writes": found.writes,
            "writes_of_unknown_outcome": found.unknown,
            "reads_with_a_warning": made.flagged,
            "max_staleness_ms": ms(plan.max_staleness),
            "read_latency": percentiles(found.read_latency),
            "write_latency": percentiles(found.write_latency),
            "staleness": percentiles(found.staleness),
            "waits": waits,
            "violations": violations(found),
            "errors": errors,
            "end_was_read": made.history.last.is_some(),
            "cut_short": made.cut_short,
            "left_behind": made.left_behind,
        });
        format!("{value:#}\n")
    }
}

fn violations(found: &Findings) -> Value {
    let mut kinds = Map::new();
    for kind in Kind::ALL {
        let tally = found.tally(kind);
        let example = tally.example.as_ref().map(|example| &example.lines);
        let value = json!({
            "checked": tally.checked,
            "found": tally.violations,
            "example": example,
        });
        kinds.insert(kind.name().to_owned(), value);
    }
    Value::Object(kinds)
}

fn percentiles(times: Percentiles) -> Value {
    json!({
        "count": times.count,
        "p50_ms": ms(times.p50),
        "p99_ms": ms(times.p99),
        "max_ms": ms(times.max),
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn latencies(times: Percentiles) -> String {
    let (p50, p99, max) = (ms(times.p50), ms(times.p99), ms(times.max));
    format!("p50 {p50:.2} ms  p99 {p99:.2} ms  max {max:.2} ms")
}
