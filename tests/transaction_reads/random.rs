//! Random transactions of one client through the proxy, and straight on one server: equal answers.

use super::seen::run;
use crate::measure::reads_on;
use crate::support::raw::usual;
use crate::{deferring, directly, through};

const PROGRAMS: u64 = 12;
const STATEMENTS: usize = 60;

/// SplitMix64: enough for a choice of statements, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

fn statement(rng: &mut Dice) -> String {
    let id = rng.below(8);
    let v = rng.below(100);
    match rng.below(30) {
        0..=8 => "SELECT * FROM t ORDER BY id".to_owned(),
        9..=11 => format!("SELECT v FROM t WHERE id = {id}"),
        12 => "SELECT COUNT(*), SUM(v) FROM t".to_owned(),
        13 => format!("SELECT v FROM t WHERE id = {id} FOR UPDATE"),
        14..=15 => format!("INSERT INTO t VALUES ({id}, {v})"),
        16..=17 => format!("UPDATE t SET v = {v} WHERE id = {id}"),
        18 => format!("DELETE FROM t WHERE id = {id}"),
        19..=20 => "BEGIN".to_owned(),
        21..=23 => "COMMIT".to_owned(),
        24..=25 => "ROLLBACK".to_owned(),
        26 => "SAVEPOINT a".to_owned(),
        27 => "ROLLBACK TO a".to_owned(),
        28 => format!("SET autocommit = {}", id % 2),
        _ => [
            "START TRANSACTION READ WRITE",
            "COMMIT AND CHAIN",
            "SELECT 1",
            "DO 1",
        ][usize::try_from(id % 4).unwrap()]
        .to_owned(),
    }
}

#[tokio::test]
async fn random_transactions_see_what_one_server_shows() {
    let setup = deferring().await;
    let first = std::env::var("HW_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut compared = 0;
    for seed in first..first + PROGRAMS {
        let mut rng = Dice(seed);
        let mut client = through(&setup, usual()).await;
        let mut direct = directly(&setup, usual()).await;
        for sql in [
            "DROP TABLE IF EXISTS t",
            "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
        ] {
            run(&mut client, sql).await;
            run(&mut direct, sql).await;
        }
        let mut history = Vec::new();
        for _ in 0..STATEMENTS {
            let sql = statement(&mut rng);
            history.push(sql.clone());
            let got = run(&mut client, &sql).await;
            let expected = run(&mut direct, &sql).await;
            assert_eq!(got, expected, "HW_SEED={seed}, after {history:#?}");
            compared += 1;
        }
    }
    let (replicas, primary) = (
        reads_on(&setup.proxy, "replica"),
        reads_on(&setup.proxy, "primary"),
    );
    println!("{compared} answers equal; {replicas} reads on replicas, {primary} on the primary");
    assert!(replicas > primary, "{replicas} of {}", replicas + primary);
    setup.proxy.shut_down().await;
}
