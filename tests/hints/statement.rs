//! Hints in comments and query attributes, as text and in prepared statements.

use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::reply::ReplyKind;
use mysql_async::prelude::Queryable;

use crate::support::raw::{Raw, about, error_of, ok_of, shown, usual};
use crate::support::script::{Went, counters};
use crate::support::stage::{Stage, stage};
use crate::support::{run, script};

/// A COM_QUERY with query attributes, all of them strings.
fn query(attributes: &[(&str, &str)], sql: &str) -> Vec<u8> {
    let mut out = vec![3];
    put_attributes(&mut out, attributes);
    out.extend_from_slice(sql.as_bytes());
    out
}

/// A COM_STMT_EXECUTE of a statement without parameters, with query attributes.
fn execute(id: u32, attributes: &[(&str, &str)]) -> Vec<u8> {
    let mut out = about(0x17, id);
    out.extend_from_slice(&[8, 1, 0, 0, 0]);
    let mut rest = Vec::new();
    put_attributes(&mut rest, attributes);
    // Here the count comes alone.
    rest.remove(1);
    out.extend_from_slice(&rest);
    out
}

fn put_attributes(out: &mut Vec<u8>, attributes: &[(&str, &str)]) {
    let short = |len: usize| u8::try_from(len).unwrap();
    out.extend_from_slice(&[short(attributes.len()), 1]);
    if attributes.is_empty() {
        return;
    }
    out.extend(std::iter::repeat_n(0, attributes.len().div_ceil(8)));
    out.push(1);
    for (name, _) in attributes {
        out.extend_from_slice(&[254, 0, short(name.len())]);
        out.extend_from_slice(name.as_bytes());
    }
    for (_, value) in attributes {
        out.push(short(value.len()));
        out.extend_from_slice(value.as_bytes());
    }
}

/// A client that sends packets as they are, and can tell where each statement went.
struct Teller<'s> {
    stage: &'s Stage,
    raw: Raw,
}

impl<'s> Teller<'s> {
    async fn new(stage: &'s Stage) -> Self {
        let flags = usual() | CapabilityFlags::CLIENT_QUERY_ATTRIBUTES;
        let raw = stage.raw("app", flags).await;
        assert!(raw.profile.query_attributes());
        Self { stage, raw }
    }

    /// Sends a command; `target reason` of what it counted, or the number of its error.
    async fn went(&mut self, payload: &[u8], kind: ReplyKind) -> String {
        self.raw.ask(&[0x0E], ReplyKind::Simple).await;
        let before = counters(self.stage.setup);
        let frames = self.raw.ask(payload, kind).await;
        self.raw.ask(&[0x0E], ReplyKind::Simple).await;
        if let Some(code) = error_of(&frames).filter(|_| frames.len() == 1) {
            return code.to_string();
        }
        let after = counters(self.stage.setup);
        let changed = after
            .iter()
            .filter(|(went, count)| before.get(went) != Some(count));
        let told: Vec<_> = changed
            .map(|(Went { target, reason, .. }, _)| format!("{target} {reason}"))
            .collect();
        told.join(", ")
    }

    async fn prepare(&mut self, sql: &str) -> u32 {
        let frames = self
            .raw
            .ask(&[b"\x16", sql.as_bytes()].concat(), ReplyKind::Prepare)
            .await;
        assert_eq!(frames[0][0], 0, "{}", shown(&frames));
        u32::from_le_bytes(frames[0][1..5].try_into().unwrap())
    }
}

#[tokio::test]
async fn comments_send_a_statement_where_they_say() {
    script::check(
        "hint_comments",
        "p CREATE TABLE t (a INT)
         r /* highwater: replica */ SELECT COUNT(*) FROM t
         p:hint /* highwater: primary */ SELECT COUNT(*) FROM t
         r SELECT COUNT(*) FROM t
         p:write /* highwater: replica */ INSERT INTO t VALUES (1)
         p:hint /* app */ /* highwater: primary, consistency=session */ SELECT COUNT(*) FROM t
         p:locking_read /* highwater: replica */ SELECT a FROM t FOR UPDATE
         p:in_transaction BEGIN
         p:in_transaction /* highwater: replica */ SELECT COUNT(*) FROM t
         p:in_transaction COMMIT
         p:hint /* highwater: primary */ START TRANSACTION READ ONLY
         p:in_transaction COMMIT
         r START TRANSACTION READ ONLY
         p:hint /* highwater: primary */ SELECT COUNT(*) FROM t
         p:in_transaction COMMIT
         r START TRANSACTION READ ONLY
         r SELECT COUNT(*) FROM t
         r /* highwater: primary */ SELECT COUNT(*) FROM t
         r COMMIT
        ",
    )
    .await;
}

#[tokio::test]
async fn attributes_win_over_comments() {
    let stage = stage().await;
    let mut teller = Teller::new(&stage).await;
    for (attributes, sql, expected) in [
        (vec![], "SELECT 1", "replica fresh"),
        (vec![("trace", "abc")], "SELECT 1", "replica fresh"),
        (
            vec![("highwater.target", "primary")],
            "SELECT 1",
            "primary hint",
        ),
        (
            vec![("trace", "abc"), ("Highwater.Target", "PRIMARY"), ("b", "")],
            "SELECT 1",
            "primary hint",
        ),
        (vec![], "/* highwater: primary */ SELECT 1", "primary hint"),
        (
            vec![("highwater.target", "replica")],
            "/* highwater: primary */ SELECT 1",
            "replica fresh",
        ),
        (
            vec![("highwater.consistency", "eventual")],
            "/* highwater: primary */ SELECT 1",
            "primary hint",
        ),
        (vec![("highwater.consistency", "gobal")], "SELECT 1", "1231"),
        (
            vec![("highwater.consistncy", "session")],
            "SELECT 1",
            "1231",
        ),
        (
            vec![],
            "/* highwater: consistency=gobal */ SELECT 1",
            "1231",
        ),
        (vec![], "/* highwater: primery */ DO 1", "1231"),
        (vec![], "SELECT 1", "replica fresh"),
    ] {
        let went = teller
            .went(&query(&attributes, sql), ReplyKind::Query)
            .await;
        assert_eq!(went, expected, "{attributes:?} {sql}");
    }
}

#[tokio::test]
async fn hints_of_a_prepared_text_hold_for_each_execution() {
    let stage = stage().await;
    let mut teller = Teller::new(&stage).await;
    let kind = ReplyKind::Execute { cursor: false };
    let plain = teller.prepare("SELECT 1").await;
    let hinted = teller.prepare("/* highwater: primary */ SELECT 1").await;
    for (id, attributes, expected) in [
        (plain, vec![], "replica fresh"),
        (hinted, vec![], "primary hint"),
        (plain, vec![], "replica fresh"),
        (plain, vec![("highwater.target", "primary")], "primary hint"),
        (
            hinted,
            vec![("highwater.target", "replica")],
            "replica fresh",
        ),
        (
            hinted,
            vec![("highwater.consistency", "session")],
            "primary hint",
        ),
        (plain, vec![("highwater.consistency", "gobal")], "1231"),
        (plain, vec![("a", "b")], "replica fresh"),
    ] {
        let went = teller.went(&execute(id, &attributes), kind).await;
        assert_eq!(went, expected, "{attributes:?}");
    }
    let refused = b"\x16/* highwater: primry */ SELECT 1";
    let frames = teller.raw.ask(refused, ReplyKind::Prepare).await;
    assert_eq!(error_of(&frames), Some(1231));
}

#[tokio::test]
async fn attributes_behind_parameters_that_were_sent_ahead() {
    let stage = stage().await;
    stage.schema("hint_ahead").await;
    let mut root = stage.direct("hint_ahead").await;
    run(&mut root, "CREATE TABLE t (a INT, b TEXT)").await;
    let flags = usual() | CapabilityFlags::CLIENT_QUERY_ATTRIBUTES;
    let mut raw = stage.raw("hint_ahead", flags).await;
    let prepared = raw
        .ask(b"\x16INSERT INTO t VALUES (?, ?)", ReplyKind::Prepare)
        .await;
    let id = u32::from_le_bytes(prepared[0][1..5].try_into().unwrap());
    let run_with = |value: &str| {
        let mut out = about(0x17, id);
        // Flags, iterations, three values of which none is NULL, types with names.
        out.extend_from_slice(&[8, 1, 0, 0, 0, 3, 0, 1]);
        out.extend_from_slice(b"\x01\0\0\xfc\0\0\xfe\0\x15highwater.consistency");
        out.extend_from_slice(&[7, u8::try_from(value.len()).unwrap()]);
        out.extend_from_slice(value.as_bytes());
        out
    };
    for (value, error) in [("gobal", Some(1231)), ("session", None)] {
        raw.send(&crate::support::raw::long_data(id, 1, b"long "))
            .await;
        raw.send(&crate::support::raw::long_data(id, 1, b"text"))
            .await;
        let reply = raw
            .ask(&run_with(value), ReplyKind::Execute { cursor: false })
            .await;
        assert_eq!(error_of(&reply), error, "{}", shown(&reply));
        if error.is_none() {
            assert_eq!(ok_of(&reply).affected_rows, 1);
        }
    }
    let rows: Vec<(i32, String)> = root.query("SELECT a, b FROM t").await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].0, 7);
    assert_eq!(
        rows[0].1, "long text",
        "what was sent for the refused one is gone"
    );
}
