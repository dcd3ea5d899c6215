//! Makes metrics and registers them: one method for each shape.

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use crate::telemetry::grid::Grid;
use crate::telemetry::label::Label;

/// Upper bounds in seconds: from 50 µs, which no network answers below, to 10 s, which is beyond
/// every default timeout; about two and a half buckets a decade.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0,
    2.0, 5.0, 10.0,
];

/// Makes metrics and registers them.
pub(super) struct Maker<'a>(pub(super) &'a Registry);

impl Maker<'_> {
    pub(super) fn grid<A: Label, B: Label, C: Label>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<Grid<A, B, C>> {
        let family = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(Grid::new(family))
    }

    pub(super) fn histograms<L: Label>(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> prometheus::Result<Box<[Histogram]>> {
        let family = self.histogram_family(name, help, label)?;
        let one = |value: &L| family.with_label_values(&[value.name()]);
        Ok(L::ALL.iter().map(one).collect())
    }

    pub(super) fn histogram_family(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> prometheus::Result<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        let family = HistogramVec::new(options, &[label])?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        let family = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    pub(super) fn gauges_of<L: Label>(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> prometheus::Result<Box<[IntGauge]>> {
        let family = self.int_gauges(name, help, &[label])?;
        let one = |value: &L| family.with_label_values(&[value.name()]);
        Ok(L::ALL.iter().map(one).collect())
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let counter = IntCounter::new(name, help)?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        let gauge = Gauge::new(name, help)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    pub(super) fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<GaugeVec> {
        let family = GaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    pub(super) fn int_gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntGaugeVec> {
        let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }
}
