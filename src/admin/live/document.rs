//! What `/api/status` tells, as JSON: everything at once, what changes with each sample, and the tables.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::admin::house::{House, rows, table};
use crate::admin::http::{AskReady, Readiness};
use crate::admin::table::{Cell, Column, Table};
use crate::admin::tables::TABLES;
use crate::domain::consistency::Level;
use crate::telemetry::{
    BackendMoment, History, Label, Metrics, Percentiles, Sample, SessionState, Side, Target,
};

/// Tables that change with each sample; they have a few rows.
const SHORT: [&str; 4] = ["backends", "positions", "pools", "switches"];
/// Tables that may be long, and the rows of each that are told.
const LONG: [(&str, usize); 6] = [
    ("sessions", 200),
    ("pins", 200),
    ("digests", 100),
    ("advice", 50),
    ("rules", 500),
    ("config", 500),
];
/// The longest text of a statement that is told.
const LONGEST: usize = 1000;

/// Who is asked.
pub(super) struct Teller {
    pub(super) house: Arc<dyn House>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) ready: AskReady,
    /// When the process began, since the epoch.
    pub(super) started: Duration,
}

impl Teller {
    /// Everything.
    pub(super) fn whole(&self, history: &History, step: Duration) -> Value {
        let mut whole = self.moment();
        whole.extend(self.long_tables());
        whole.insert("history".to_owned(), columns(history, step));
        whole.insert("help".to_owned(), help());
        Value::Object(whole)
    }

    /// What changes with each sample.
    pub(super) fn now(&self, history: &History) -> Value {
        let mut now = self.moment();
        let sample = history.newest().map(|sample| {
            let newest = std::iter::once(sample);
            Value::Object(series(newest, sample))
        });
        now.insert("sample".to_owned(), sample.unwrap_or_default());
        Value::Object(now)
    }

    /// The long tables.
    pub(super) fn tables(&self) -> Value {
        Value::Object(self.long_tables())
    }

    fn moment(&self) -> Map<String, Value> {
        let ready = match (self.ready)() {
            Readiness::Ready => Value::Null,
            Readiness::NotReady(why) => why.into(),
        };
        let mut moment = Map::new();
        for (name, value) in [
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("started_ms", millis(self.started)),
            ("now_ms", millis(super::since_epoch())),
            ("not_ready", ready),
            ("offload", self.offload()),
            ("errors", self.errors()),
            ("session_states", self.session_states()),
        ] {
            moment.insert(name.to_owned(), value);
        }
        for name in SHORT {
            moment.insert(name.to_owned(), self.table(name, usize::MAX).0);
        }
        moment
    }

    fn long_tables(&self) -> Map<String, Value> {
        let (mut found, mut totals) = (Map::new(), Map::new());
        for (name, most) in LONG {
            let (rows, total) = self.table(name, most);
            found.insert(name.to_owned(), rows);
            totals.insert(name.to_owned(), total.into());
        }
        found.insert("totals".to_owned(), totals.into());
        found
    }

    /// The first rows of a table as objects, and how many it has.
    fn table(&self, name: &str, most: usize) -> (Value, usize) {
        let Some(table) = table(name) else {
            return (Value::Null, 0);
        };
        let mut all = rows(&*self.house, table);
        if let ("sessions", Some(state)) = (name, table.column("state")) {
            // Where not all can be told: those that do something.
            let running = Cell::Text("running".to_owned());
            all.sort_by_key(|row| row.get(state) != Some(&running));
        }
        let total = all.len();
        let objects = all.into_iter().take(most).map(|row| {
            let cells = table.columns.iter().zip(row);
            let cells =
                cells.map(|(column, cell)| (column.name.to_owned(), value(column.name, cell)));
            Value::Object(cells.collect())
        });
        (objects.collect(), total)
    }

    fn offload(&self) -> Value {
        let seen = self.metrics.offloading();
        let ratio = (seen.reads > 0).then(|| seen.on_replicas as f64 / seen.reads as f64);
        json!({
            "reads": seen.reads,
            "on_replicas": seen.on_replicas,
            "ratio": ratio.map(|ratio| round(ratio, 1e4)),
            "in_transaction": seen.in_transaction,
            "autocommit_off": seen.autocommit_off,
            "before_write": seen.before_write,
        })
    }

    fn errors(&self) -> Value {
        let counts = self.metrics.error_counts().into_iter();
        counts
            .map(|(kind, side, count)| {
                json!({ "kind": kind.name(), "side": side.name(), "count": count })
            })
            .collect()
    }

    fn session_states(&self) -> Value {
        let count = |state: &SessionState| {
            let count = self.metrics.sessions_in(*state).max(0);
            (state.name().to_owned(), count.into())
        };
        Value::Object(SessionState::ALL.iter().map(count).collect())
    }
}

/// What tables and columns tell, in the order of the columns.
fn help() -> Value {
    let one = |table: &Table| {
        let column = |column: &Column| json!([column.name, column.help]);
        let columns: Value = table.columns.iter().map(column).collect();
        (
            table.name.to_owned(),
            json!({ "about": table.about, "columns": columns }),
        )
    };
    Value::Object(TABLES.iter().map(one).collect())
}

/// The history by columns: for each series its values, the oldest first.
fn columns(history: &History, step: Duration) -> Value {
    let mut found = match history.newest() {
        Some(newest) => series(history.samples(), newest),
        None => Map::new(),
    };
    found.insert("step_ms".to_owned(), millis(step));
    Value::Object(found)
}

/// The series of some samples; the servers are those of the newest one.
fn series<'a>(
    samples: impl Iterator<Item = &'a Sample> + Clone,
    newest: &Sample,
) -> Map<String, Value> {
    let each = |value: &dyn Fn(&Sample) -> Value| -> Value { samples.clone().map(value).collect() };
    // One series a name; those in which nothing is known are left out.
    let named = |names: &[&str], value: &dyn Fn(&Sample, usize) -> Value| -> Value {
        let known = |values: &Value| {
            let values = values.as_array();
            values.is_some_and(|values| values.iter().any(|value| !value.is_null()))
        };
        let one = |(at, name): (usize, &&str)| {
            let values = each(&|sample| value(sample, at));
            known(&values).then(|| ((*name).to_owned(), values))
        };
        Value::Object(names.iter().enumerate().filter_map(one).collect())
    };
    let targets: Vec<&str> = Target::ALL.iter().map(|target| target.name()).collect();
    let sides: Vec<&str> = Side::ALL.iter().map(|side| side.name()).collect();
    let levels: Vec<&str> = Level::ALL.iter().map(|level| Label::name(*level)).collect();
    let servers = newest.backends.iter();
    let servers: Vec<&str> = servers.map(|backend| &*backend.address).collect();

    let rate = |rates: &[f64], at: usize| rates.get(at).map_or(Value::Null, |it| number(*it));
    let wait = |pick: fn(&Percentiles) -> f64| {
        named(&levels, &|sample, at| {
            let wait = sample.waits.get(at).and_then(Option::as_ref);
            wait.map_or(Value::Null, |wait| number(pick(wait) * 1000.0))
        })
    };
    let server = |value: fn(&BackendMoment) -> Value| {
        named(&servers, &|sample, at| {
            let mut backends = sample.backends.iter();
            let found = backends.find(|backend| servers.get(at) == Some(&&*backend.address));
            found.map_or(Value::Null, value)
        })
    };
    let found = [
        ("times_ms", each(&|sample| millis(sample.at))),
        (
            "statements",
            named(&targets, &|sample, at| rate(&sample.statements, at)),
        ),
        ("reads", each(&|sample| number(sample.reads))),
        (
            "replica_reads",
            each(&|sample| number(sample.replica_reads)),
        ),
        (
            "errors",
            named(&sides, &|sample, at| rate(&sample.errors, at)),
        ),
        ("wait_p50_ms", wait(|wait| wait.p50)),
        ("wait_p99_ms", wait(|wait| wait.p99)),
        (
            "lag_ms",
            server(|backend| backend.lag.map_or(Value::Null, number)),
        ),
        ("connections", server(|backend| backend.used.into())),
        ("waiting", server(|backend| backend.waiting.into())),
    ];
    let found = found.into_iter();
    found
        .map(|(name, values)| (name.to_owned(), values))
        .collect()
}

fn value(column: &str, cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) => match (column, text.char_indices().nth(LONGEST)) {
            ("statement", Some((end, _))) => format!("{}…", &text[..end]).into(),
            _ => text.into(),
        },
        Cell::Number(number) => number.into(),
        Cell::Decimal(decimal) => number(decimal),
    }
}

/// A number with as many decimals as anybody looks at; null for none.
fn number(number: f64) -> Value {
    round(number, 1e3).into()
}

fn round(number: f64, places: f64) -> f64 {
    (number * places).round() / places
}

fn millis(duration: Duration) -> Value {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .into()
}
