//! How long reading a statement takes: nanoseconds per statement, the best of many rounds.
//!
//! `cargo bench --bench classify`. "scan" is what every statement costs; "profile" and "confirm"
//! are paid on a cache miss only.

use std::hint::black_box;
use std::time::{Duration, Instant};

use highwater::domain::sql::{
    LexMode, Normalised, Scan, Scratch, Seed, Verdict, confirm, profile, scan,
};

/// How long one figure is measured.
const PATIENCE: Duration = Duration::from_millis(200);

fn main() {
    println!(
        "{:<28} {:>7} {:>7} {:>9} {:>7} {:>10} {:>11}",
        "statement", "bytes", "normal", "scan ns", "ns/B", "profile ns", "confirm ns"
    );
    for (name, text) in statements() {
        report(name, text.as_bytes());
    }
}

fn report(name: &str, text: &[u8]) {
    let seed = Seed::new(42);
    let mode = LexMode::default();
    let mut scratch = Scratch::default();
    let scan_ns = best(|| {
        black_box(scan(black_box(text), mode, &seed, &mut scratch));
    });
    let Scan::Read(statement) = scan(text, mode, &seed, &mut scratch) else {
        println!("{name:<28} is not read");
        return;
    };
    let (profile_ns, confirm_ns) = miss(statement);
    println!(
        "{name:<28} {:>7} {:>7} {scan_ns:>9.0} {:>7.2} {profile_ns:>10.0} {confirm_ns:>11.0}",
        text.len(),
        statement.text.len(),
        scan_ns / as_f64(text.len()),
    );
}

fn miss(statement: Normalised<'_>) -> (f64, f64) {
    let profile_ns = best(|| {
        black_box(profile(black_box(statement)));
    });
    let confirm_ns = match profile(statement) {
        Verdict::Decided(_) => 0.0,
        Verdict::NeedsParse(pending) => best(|| {
            black_box(confirm(black_box(statement.text), pending));
        }),
    };
    (profile_ns, confirm_ns)
}

/// Nanoseconds of one call: the least of several batches.
fn best(mut call: impl FnMut()) -> f64 {
    const BATCH: u32 = 64;
    let started = Instant::now();
    let mut least = Duration::MAX;
    while started.elapsed() < PATIENCE {
        let batch = Instant::now();
        for _ in 0..BATCH {
            call();
        }
        least = least.min(batch.elapsed());
    }
    least.as_secs_f64() * 1e9 / f64::from(BATCH)
}

fn as_f64(len: usize) -> f64 {
    f64::from(u32::try_from(len).unwrap_or(u32::MAX))
}

fn statements() -> Vec<(&'static str, String)> {
    let row = "(50147,'68487932199-96439406143-93774651418-41631865787-96406072701-20604855487-\
               25459966574-28203206787-41238978918-19503783441','22195207048-70116052123-\
               74140395089-76317954521-98694025897',1234,'2024-01-02 03:04:05',NULL)";
    let columns: Vec<String> = (0..49)
        .map(|c| {
            format!(
                "`alias_{}`.`column_number_{c}` AS `t{}_r{c}_value_of_it`",
                c % 5,
                c % 5
            )
        })
        .collect();
    let joins: Vec<String> = (1..5)
        .map(|t| format!("LEFT OUTER JOIN `table_{t}` `alias_{t}` ON `alias_{t}`.`parent_id` = `alias_0`.`id` AND `alias_{t}`.`type` = 'T{t}'"))
        .collect();
    vec![
        ("select 1", "SELECT 1".into()),
        ("begin", "BEGIN".into()),
        ("point select", "SELECT c FROM sbtest1 WHERE id=50147".into()),
        ("range select", "SELECT DISTINCT c FROM sbtest1 WHERE id BETWEEN 50147 AND 50246 ORDER BY c".into()),
        ("sysbench insert", "INSERT INTO sbtest1 (id, k, c, pad) VALUES (50147, 50147, '68487932199-96439406143-93774651418-41631865787-96406072701-20604855487-25459966574-28203206787-41238978918-19503783441', '22195207048-70116052123-74140395089-76317954521-98694025897')".into()),
        ("sysbench update", "UPDATE sbtest1 SET k=k+1 WHERE id=50147".into()),
        ("30-way IN", format!("SELECT id, name, email FROM users WHERE id IN ({})", vec!["50147"; 30].join(", "))),
        (
            "ORM select, 4 KB",
            format!(
                "SELECT {} FROM `table_0` `alias_0` {} WHERE `alias_0`.`status` IN ('a', 'b', 'c') AND `alias_0`.`created_at` >= '2024-01-01 00:00:00' ORDER BY `alias_0`.`id` DESC LIMIT 25",
                columns.join(", "),
                joins.join(" ")
            ),
        ),
        ("100-row insert", format!("INSERT INTO `t` (`a`, `b`, `c`, `d`, `e`, `f`) VALUES {}", vec![row; 100].join(","))),
        ("64 KB string", format!("UPDATE t SET body = '{}' WHERE id = 1", "x".repeat(64 << 10))),
    ]
}
