//! What the metrics page says after what was fed.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::domain::session::PinReason;
use crate::domain::sql::{Access, Begin};

fn page(feed: impl FnOnce(&Metrics)) -> String {
    let metrics = Metrics::new().unwrap();
    feed(&metrics);
    metrics.render().unwrap()
}

fn check(page: &str, line: &str) {
    assert!(
        page.lines().any(|found| found == line),
        "no line {line} in\n{page}"
    );
}

#[test]
fn statements_are_counted_by_what_where_and_why() {
    let took = Duration::from_micros(120);
    let page = page(|metrics| {
        for _ in 0..3 {
            metrics.statement(Access::Read, Target::Replica, Reason::Fresh, took);
        }
        metrics.statement(Access::Read, Target::Primary, Reason::NoReplica, took);
        let begin = Access::Begin(Begin::default());
        metrics.statement(begin, Target::Primary, Reason::InTransaction, took);
    });
    check(
        &page,
        r#"highwater_statements_total{access="read",reason="fresh",target="replica"} 3"#,
    );
    check(
        &page,
        r#"highwater_statements_total{access="begin",reason="in_transaction",target="primary"} 1"#,
    );
    check(
        &page,
        r#"highwater_statement_seconds_bucket{target="replica",le="0.0001"} 0"#,
    );
    check(
        &page,
        r#"highwater_statement_seconds_bucket{target="replica",le="0.0002"} 3"#,
    );
    check(
        &page,
        r#"highwater_statement_seconds_count{target="primary"} 2"#,
    );
    check(&page, "highwater_offload_ratio 0.75");
    let version = env!("CARGO_PKG_VERSION");
    check(
        &page,
        &format!(r#"highwater_build_info{{version="{version}"}} 1"#),
    );
}

#[test]
fn consistency_errors_and_pins_are_counted() {
    let page = page(|metrics| {
        metrics.waited(Level::Session, Duration::from_millis(3));
        metrics.outcome(Level::Session, Outcome::Waited);
        metrics.error(ErrorKind::Auth, Side::Client);
        metrics.pins.at(PinReason::NamedLock).inc_by(2);
        metrics.probe_coalesced.inc();
    });
    check(
        &page,
        r#"highwater_consistency_wait_seconds_bucket{level="session",le="0.005"} 1"#,
    );
    check(
        &page,
        r#"highwater_consistency_outcome_total{level="session",outcome="waited"} 1"#,
    );
    check(
        &page,
        r#"highwater_errors_total{kind="auth",side="client"} 1"#,
    );
    check(&page, r#"highwater_pins_total{reason="named_lock"} 2"#);
    check(&page, "highwater_probe_coalesced_total 1");
}

#[test]
fn a_session_is_counted_once_and_counted_out() {
    let metrics = Metrics::new().unwrap();
    let mut session = metrics.session(SessionState::LoggingIn);
    let other = metrics.session(SessionState::LoggingIn);
    session.set(SessionState::Active);
    session.set(SessionState::Active);
    assert_eq!(metrics.sessions_in(SessionState::LoggingIn), 1);
    assert_eq!(metrics.sessions_in(SessionState::Active), 1);
    drop((session, other));
    for &state in SessionState::ALL {
        assert_eq!(metrics.sessions_in(state), 0, "{state:?}");
    }
}

#[test]
fn servers_are_told_apart_by_address() {
    let page = page(|metrics| {
        let primary = metrics.backend("db1:3306", Role::Primary);
        primary.set_up(true);
        primary.connections(ConnectionState::Idle).set(4);
        let replica = metrics.backend("db2:3306", Role::Replica);
        replica.set_up(false);
        replica.set_lag(Some(Duration::from_millis(250)));
        metrics.backend("db3:3306", Role::Replica).set_lag(None);
    });
    check(
        &page,
        r#"highwater_backend_up{backend="db1:3306",role="primary"} 1"#,
    );
    check(
        &page,
        r#"highwater_backend_up{backend="db2:3306",role="replica"} 0"#,
    );
    check(
        &page,
        r#"highwater_backend_connections{backend="db1:3306",state="idle"} 4"#,
    );
    check(
        &page,
        r#"highwater_backend_lag_seconds{backend="db2:3306"} 0.25"#,
    );
    check(
        &page,
        r#"highwater_backend_lag_seconds{backend="db3:3306"} NaN"#,
    );
}
