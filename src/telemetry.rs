//! What Highwater tells its operators: metrics, logs and the words errors are counted under.
//!
//! [`Metrics`] is one struct with every metric as a documented field; it is made once and passed to
//! the parts that feed it, never a global. This room knows no configuration and no socket.

mod digest;
mod fault;
mod grid;
mod history;
mod label;
pub mod log;
mod metrics;
pub mod otlp;

pub use digest::{Digest, DigestCounts, Ran};
pub use fault::{ErrorKind, Retry, Side};
pub use grid::Grid;
pub use history::{BackendMoment, Buckets, History, Percentiles, Reading, Sample};
pub use label::{
    AccessLabel, ConnectionState, Foreseen, Handover, Label, Outcome, PreparedEvent, ReloadOutcome,
    SessionState, SpanEvent, Target, Wrote,
};
pub use metrics::{BackendMetrics, Metrics, Offloading, PinGauge, SessionGauge};
