//! The examples of docs/rules.md do what the page says.

use super::Room;
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
    for table in ["stock", "catalogue", "orders", "audit_log"] {
        run(&mut room.client, &format!("CREATE TABLE {table} (n INT)")).await;
        run(&mut room.client, &format!("INSERT INTO {table} VALUES (1)")).await;
    }
    // So many that a join of five of them takes days.
    let many: Vec<_> = (2..600).map(|it| format!("({it})")).collect();
    let many = format!("INSERT INTO orders VALUES {}", many.join(","));
    run(&mut room.client, &many).await;
    let examples = examples();
    assert_eq!(examples.len(), 7);
    for example in &examples {
        assert!(!example.statements.is_empty(), "{}", example.rules);
        room.rules(&example.rules);
        for (sql, becomes) in &example.statements {
            room.setup().cluster.wait_all_caught_up().await.unwrap();
            let went = room.went(sql).await;
            assert_eq!(&went, becomes, "{}\n{sql}", example.rules);
        }
    }
}
