//! The monitor against real servers: health, lives, bounds, waits and facts.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "monitor/executed.rs"]
mod executed;
#[path = "monitor/facts.rs"]
mod facts;
#[path = "monitor/fixture.rs"]
mod fixture;
#[path = "monitor/health.rs"]
mod health;
#[path = "monitor/law.rs"]
mod law;
#[path = "monitor/mariadb.rs"]
mod mariadb;
#[path = "monitor/upper.rs"]
mod upper;
#[path = "monitor/wait.rs"]
mod wait;
