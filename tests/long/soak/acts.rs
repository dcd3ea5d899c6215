//! What a session of the soak does, and what it must see: its own settings, variables, tables, locks and rows,
//! and nobody else's.

use std::sync::Arc;

use mysql_async::Result;
use mysql_async::prelude::Queryable;

use super::client::Client;
use super::shared::USERS;

impl Client {
    pub(crate) async fn act(&mut self) -> Result<()> {
        match self.below(20) {
            0..6 => self.look().await,
            6 | 7 => self.write().await,
            8 => self.transaction().await,
            9 => self.prepared().await,
            10 => self.choose_schema().await,
            11 => self.diagnostics().await,
            12 => self.bound_by_table().await,
            13 => self.bound_by_lock().await,
            14 => self.bound_by_variable().await,
            15 => self.raise_mark().await,
            16 | 17 => self.read_mark().await,
            18 => self.settings().await,
            _ => match self.below(3) {
                0 => self.change_user().await,
                _ => self.reset().await,
            },
        }
    }

    /// What every later look must find.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        let number = self.number;
        if self.schema != "soak_a" {
            self.schema = "soak_a";
            self.run("USE soak_a").await?;
        }
        self.run(&format!(
            "SET @canary = {number}, time_zone = '{}', group_concat_max_len = {}",
            zone(number),
            1000 + number
        ))
        .await?;
        let group = self.group();
        self.run(&format!("SET highwater_group = 'group {group}'"))
            .await
    }

    /// After a login, a reset or a change of user there is nothing of anybody.
    pub(crate) async fn is_new(&mut self) -> Result<()> {
        self.schema = "soak_a";
        self.sees(
            "SELECT CONCAT_WS(' ', COALESCE(@canary, 'none'), COALESCE(@computed, 'none'), \
             @@time_zone, @@group_concat_max_len, @@sql_mode = @@global.sql_mode, @@autocommit, DATABASE())",
            "none none SYSTEM 1024 1 1 soak_a",
        )
        .await?;
        self.sees("SELECT LAST_INSERT_ID()", "0").await?;
        self.sees("SELECT MAX(owner) FROM canary", "-1").await
    }

    async fn look(&mut self) -> Result<()> {
        let number = self.number;
        let (user, _) = USERS[self.user];
        let schema = self.schema;
        let expected = format!(
            "{number} {} {} {user} {schema}",
            zone(number),
            1000 + number
        );
        self.sees(
            "SELECT CONCAT_WS(' ', @canary, @@time_zone, @@group_concat_max_len, \
             SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE())",
            &expected,
        )
        .await?;
        match self.below(8) {
            0 => self.sees("SELECT RELEASE_ALL_LOCKS()", "0").await,
            1 => self.sees("SELECT @computed IS NULL", "1").await,
            _ => self.sees("SELECT MAX(owner) FROM canary", "-1").await,
        }
    }

    async fn write(&mut self) -> Result<()> {
        let number = self.number;
        let v = self.below(1000);
        self.run(&format!("DELETE FROM rows_of WHERE owner = {number}"))
            .await?;
        self.run(&format!(
            "INSERT INTO rows_of (owner, v) VALUES (@canary, {v})"
        ))
        .await?;
        let mine = format!("SELECT v FROM rows_of WHERE owner = {number}");
        self.sees(&mine, &v.to_string()).await?;
        let mine = "SELECT owner FROM rows_of WHERE id = LAST_INSERT_ID()";
        self.sees(mine, &number.to_string()).await
    }

    async fn transaction(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let _permit = shared.bound().await;
        let number = self.number;
        self.run("BEGIN").await?;
        self.run("INSERT INTO rows_of (owner, v) VALUES (@canary, -7)")
            .await?;
        self.run("SAVEPOINT s").await?;
        self.run("INSERT INTO rows_of (owner, v) VALUES (@canary, -7)")
            .await?;
        self.run("ROLLBACK TO s").await?;
        let mine = format!("SELECT COUNT(*) FROM rows_of WHERE v = -7 AND owner = {number}");
        self.sees(&mine, "1").await?;
        self.run("ROLLBACK").await?;
        self.sees(&mine, "0").await?;
        self.run("START TRANSACTION READ ONLY").await?;
        self.sees("SELECT @canary", &number.to_string()).await?;
        self.sees(&mine, "0").await?;
        self.run("COMMIT").await
    }

    async fn prepared(&mut self) -> Result<()> {
        let text = "SELECT CONCAT(@canary, ' ', ?, ' ', @@time_zone)";
        let statement = self.conn.prep(text).await?;
        for given in 0..3_u32 {
            self.shared.ran();
            let got: Option<String> = self.conn.exec_first(&statement, (given,)).await?;
            let expected = format!("{} {given} {}", self.number, zone(self.number));
            self.is(text, &expected, got.as_deref());
        }
        // Its table is that of the schema that was in use when it was first prepared.
        let schema = self.schema;
        let insert = format!("INSERT INTO {schema}.rows_of (owner, v) VALUES (@canary, ?)");
        self.shared.ran();
        self.conn.exec_drop(insert, (-1,)).await?;
        let mine = "SELECT owner FROM rows_of WHERE id = LAST_INSERT_ID()";
        self.sees(mine, &self.number.to_string()).await?;
        self.conn.close(statement).await
    }

    async fn choose_schema(&mut self) -> Result<()> {
        self.schema = match self.schema {
            "soak_a" => "soak_b",
            _ => "soak_a",
        };
        self.run(&format!("USE {}", self.schema)).await?;
        self.sees("SELECT DATABASE()", self.schema).await
    }

    async fn diagnostics(&mut self) -> Result<()> {
        let some = 1 + self.below(3);
        let rows: Vec<String> = (0..some)
            .map(|_| format!("({}, -1)", self.number))
            .collect();
        let sql = format!("INSERT INTO rows_of (owner, v) VALUES {}", rows.join(", "));
        self.run(&sql).await?;
        self.sees("SELECT ROW_COUNT()", &some.to_string()).await?;
        self.run(
            "SELECT SQL_CALC_FOUND_ROWS 1 FROM (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) x LIMIT 1",
        )
        .await?;
        self.sees("SELECT FOUND_ROWS()", "3").await?;
        self.run("SELECT CAST('x' AS SIGNED)").await?;
        self.sees("SHOW COUNT(*) WARNINGS", "1").await?;
        self.fails("SELECT 1 FROM no_such_table", 1146).await?;
        self.sees("SHOW COUNT(*) ERRORS", "1").await?;
        self.sees("SHOW ERRORS", "Error").await
    }

    async fn bound_by_table(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let _permit = shared.bound().await;
        let number = self.number;
        self.run("CREATE TEMPORARY TABLE canary (owner INT)")
            .await?;
        self.run("INSERT INTO canary VALUES (@canary)").await?;
        let mine = "SELECT COUNT(*) + MAX(owner) FROM canary";
        self.sees(mine, &(number + 1).to_string()).await?;
        self.sees("SELECT @canary", &number.to_string()).await?;
        self.run("DROP TEMPORARY TABLE canary").await?;
        self.sees("SELECT MAX(owner) FROM canary", "-1").await
    }

    async fn bound_by_lock(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let _permit = shared.bound().await;
        let name = format!("soak_{}", self.number);
        self.sees(&format!("SELECT GET_LOCK('{name}', 0)"), "1")
            .await?;
        self.sees(&format!("SELECT IS_FREE_LOCK('{name}')"), "0")
            .await?;
        self.sees("SELECT RELEASE_ALL_LOCKS()", "1").await?;
        self.sees(&format!("SELECT IS_FREE_LOCK('{name}')"), "1")
            .await
    }

    async fn bound_by_variable(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let _permit = shared.bound().await;
        let number = self.number;
        self.run("SET @computed = @canary + 1").await?;
        self.sees("SELECT @computed", &(number + 1).to_string())
            .await?;
        // NULL alone would keep the type of a value that only the server knows, and the session bound by it.
        self.run("SET @computed = 0, @computed = NULL").await
    }

    /// Raises the mark of the group, which every later read of the group must see.
    async fn raise_mark(&mut self) -> Result<()> {
        let group = self.group();
        let sql = format!("UPDATE soak_a.marks SET v = LAST_INSERT_ID(v + 1) WHERE g = {group}");
        self.run(&sql).await?;
        let mark = self.conn.last_insert_id().unwrap_or_default();
        self.shared.raised(group, mark);
        self.seen = self.seen.max(mark);
        self.sees("SELECT LAST_INSERT_ID()", &mark.to_string())
            .await
    }

    /// Reads the mark at some level: never less than what this session saw, and nothing that was acknowledged
    /// in its group is missing at a level that promises that.
    async fn read_mark(&mut self) -> Result<()> {
        let group = self.group();
        let levels = [
            "session", "session", "session", "group", "group", "proxy", "global",
        ];
        let level = levels[usize::try_from(self.below(levels.len() as u64)).unwrap()];
        let least = match level {
            "session" => self.seen,
            _ => self.seen.max(self.shared.mark(group)),
        };
        let sql = format!(
            "/* highwater: consistency={level} */ SELECT v FROM soak_a.marks WHERE g = {group}"
        );
        let got = self.cell(&sql).await?.and_then(|it| it.parse().ok());
        self.shared.looked();
        match got {
            Some(mark) if mark >= least => self.seen = mark,
            _ => {
                let number = self.number;
                let line = format!("{number}: stale at {level}: at least {least}, got {got:?}");
                self.shared.found(line);
            }
        }
        Ok(())
    }

    /// Settings of many kinds, and back.
    async fn settings(&mut self) -> Result<()> {
        self.run("SET sql_mode = 'ANSI', @@lc_time_names = 'de_DE', div_precision_increment = 6")
            .await?;
        self.sees(
            "SELECT 'a' || DAYNAME('2024-03-03') || (1/4)",
            "aSonntag0.250000",
        )
        .await?;
        self.run("SET NAMES latin1").await?;
        self.sees("SELECT CHARSET('x')", "latin1").await?;
        self.run("SET NAMES utf8mb4").await?;
        self.run(
            "SET sql_mode = DEFAULT, lc_time_names = DEFAULT, div_precision_increment = DEFAULT",
        )
        .await?;
        self.sees(
            "SELECT CONCAT('a' || 'b', DAYNAME('2024-03-03'))",
            "0Sunday",
        )
        .await
    }

    /// What must be gone when the session is.
    pub(crate) async fn hold_much(&mut self) -> Result<()> {
        let number = self.number;
        self.run("SET @computed = @canary + 1, sql_mode = 'ANSI'")
            .await?;
        self.run("CREATE TEMPORARY TABLE canary (owner INT)")
            .await?;
        self.run("INSERT INTO canary VALUES (@canary)").await?;
        self.run(&format!("DO GET_LOCK('soak_{number}', 0)")).await
    }

    async fn reset(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let permit = shared.bound().await;
        if self.below(3) == 0 {
            self.hold_much().await?;
        }
        self.conn.reset().await?;
        drop(permit);
        if self.schema != "soak_a" {
            self.run("USE soak_a").await?;
        }
        self.is_new().await?;
        self.settle().await
    }
}

/// A time zone that few other sessions have.
fn zone(number: usize) -> String {
    format!("+{:02}:{:02}", number % 13, number / 13 % 60)
}
