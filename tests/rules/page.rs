//! The examples of docs/rules.md do what the page says.

use super::{Room, error};
use crate::support::run;

/// An example: its rules, and statements with what becomes of them.
#[derive(Default)]
struct Example {
    rules: String,
    statements: Vec<(String, String)>,
}

fn examples() -> Vec<Example> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut examples: Vec<Example> = Vec::new();
    let mut in_rules = false;
    for line in page.lines() {
        match line {
            "```toml" => {
                examples.push(Example::default());
                in_rules = true;
            }
            "```" => in_rules = false,
            _ if in_rules => {
                let rules = &mut examples.last_mut().unwrap().rules;
                rules.push_str(line);
                rules.push('\n');
            }
            _ => {
                let row = line
                    .strip_prefix("| `")
                    .and_then(|row| row.strip_suffix("` |"));
                let row = row.and_then(|row| row.split_once("` | `"));
                if let (Some((sql, becomes)), Some(example)) = (row, examples.last_mut()) {
                    example
                        .statements
                        .push((sql.to_owned(), becomes.to_owned()));
                }
            }
        }
    }
    examples
}

#[tokio::test]
async fn examples_do_what_the_page_says() {
    let mut room = Room::new("page").await;
    const TABLES: [&str; 4] = ["stock", "catalogue", "orders", "audit_log"];
    for table in TABLES {
        run(&mut room.client, &format!("CREATE TABLE {table} (n INT)")).await;
    }
    // So many that a join of five tables takes days.
    let many: Vec<_> = (1..600).map(|it| format!("({it})")).collect();
    let examples = examples();
    assert_eq!(examples.len(), 7);
    for example in &examples {
        assert!(!example.statements.is_empty(), "{}", example.rules);
        room.rules("");
        for table in TABLES {
            run(&mut room.client, &format!("DELETE FROM {table}")).await;
            let fill = format!("INSERT INTO {table} VALUES {}", many.join(","));
            run(&mut room.client, &fill).await;
        }
        room.rules(&example.rules);
        for (sql, becomes) in &example.statements {
            room.setup().cluster.wait_all_caught_up().await.unwrap();
            let went = match becomes.parse::<u16>() {
                Ok(_) => error(&mut room.client, sql).await.0.to_string(),
                Err(_) => room.went(sql).await,
            };
            assert_eq!(&went, becomes, "{}\n{sql}", example.rules);
        }
    }
}
