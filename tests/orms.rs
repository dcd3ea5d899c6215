//! What frameworks send to a server, as they send it: every answer is the primary's own, reads outside
//! of transactions are answered by replicas, and none is older than the commit before it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::script::check;

#[tokio::test]
async fn rails_migrates_dumps_its_schema_and_saves() {
    check("rails", include_str!("orms/rails.txt")).await;
}

#[tokio::test]
async fn hibernate_sets_its_sessions_and_takes_numbers() {
    check("hibernate", include_str!("orms/hibernate.txt")).await;
}

#[tokio::test]
async fn django_introspects_and_updates_or_creates() {
    check("django", include_str!("orms/django.txt")).await;
}

#[tokio::test]
async fn sqlalchemy_asks_first_and_rolls_back_last() {
    check("sqlalchemy", include_str!("orms/sqlalchemy.txt")).await;
}

#[tokio::test]
async fn php_applications_set_names_and_count_found_rows() {
    check("php", include_str!("orms/php.txt")).await;
}
