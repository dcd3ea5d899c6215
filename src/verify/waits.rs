//! How long reads waited to be fresh, from Highwater's metrics page before and after a run.

use super::claim::Claim;

/// The family of metrics, without the `_bucket` of its lines.
const FAMILY: &str = "highwater_consistency_wait_seconds";

/// A histogram as a metrics page shows it: for each bound in seconds how many waits were at most that
/// long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WaitBuckets(Vec<(f64, u64)>);

/// How many reads waited, and how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waits {
    /// Reads that waited.
    pub count: u64,
    /// Half of them waited at most so many seconds; `None` above the last bucket.
    pub p50: Option<f64>,
    /// 99 of 100 of them waited at most so many seconds; `None` above the last bucket.
    pub p99: Option<f64>,
}

impl WaitBuckets {
    /// Reads the waits of a level, or of all levels, from a page in Prometheus' text format.
    pub fn parse(page: &str, level: Option<Claim>) -> Self {
        let start = format!("{FAMILY}_bucket{{");
        let label = level.map(|level| format!("level=\"{}\"", level.name()));
        let mut buckets = Self::default();
        for line in page.lines().filter(|line| line.starts_with(&start)) {
            if label.as_ref().is_some_and(|label| !line.contains(label)) {
                continue;
            }
            let bound = line.split("le=\"").nth(1).and_then(|rest| {
                let text = rest.split('"').next()?;
                if text == "+Inf" {
                    Some(f64::INFINITY)
                } else {
                    text.parse().ok()
                }
            });
            let count = line.rsplit(' ').next().and_then(|text| text.parse().ok());
            if let (Some(bound), Some(count)) = (bound, count) {
                buckets.add(bound, count);
            }
        }
        buckets
    }

    fn add(&mut self, bound: f64, count: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, total)) => *total += count,
            None => self.0.push((bound, count)),
        }
    }

    /// What was added since `before`.
    pub fn since(&self, before: &Self) -> Waits {
        let mut buckets = self.0.clone();
        for (bound, count) in &mut buckets {
            let known = before.0.iter().find(|(known, _)| known == bound);
            *count = count.saturating_sub(known.map_or(0, |(_, count)| *count));
        }
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        let count = buckets.last().map_or(0, |(_, count)| *count);
        let within = |part: f64| {
            let enough = |(_, below): &&(f64, u64)| *below as f64 >= count as f64 * part;
            let found = buckets.iter().find(enough).filter(|_| count > 0);
            found
                .map(|(bound, _)| *bound)
                .filter(|bound| bound.is_finite())
        };
        Waits {
            count,
            p50: within(0.5),
            p99: within(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(session: [u64; 3], global: [u64; 3]) -> String {
        let mut page = "# HELP highwater_consistency_wait_seconds Waits.\n".to_owned();
        for (level, counts) in [("session", session), ("global", global)] {
            for (bound, count) in ["0.001", "0.01", "+Inf"].into_iter().zip(counts) {
                let labels = format!("{{level=\"{level}\",le=\"{bound}\"}}");
                page.push_str(&format!("{FAMILY}_bucket{labels} {count}\n"));
            }
        }
        page
    }

    #[test]
    fn waits_are_what_was_added_in_between() {
        let (before, after) = (page([5, 5, 5], [0, 0, 0]), page([8, 104, 105], [1, 1, 2]));
        for (level, expected) in [
            (Some(Claim::Session), (100, Some(0.01), Some(0.01))),
            (Some(Claim::Global), (2, Some(0.001), None)),
            (None, (102, Some(0.01), None)),
            (Some(Claim::Proxy), (0, None, None)),
        ] {
            let parse = |page| WaitBuckets::parse(page, level);
            let waits = parse(&after).since(&parse(&before));
            assert_eq!((waits.count, waits.p50, waits.p99), expected, "{level:?}");
        }
    }
}
