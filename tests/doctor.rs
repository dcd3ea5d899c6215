//! `highwater doctor` on real servers: each setting is broken, found, mended by what the finding says,
//! and found no more.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

#[path = "doctor/binary.rs"]
mod binary;
#[path = "doctor/clinic.rs"]
mod clinic;
#[path = "doctor/identity.rs"]
mod identity;
#[path = "doctor/mariadb.rs"]
mod mariadb;
#[path = "doctor/mysql.rs"]
mod mysql;
#[path = "doctor/traffic.rs"]
mod traffic;
