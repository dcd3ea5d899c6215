//! What binds a session to its connection, on real servers: each kind pins with its reason and unpins
//! when it is gone; what can be repeated elsewhere does not pin and is there on a replica.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "pins/kinds.rs"]
mod kinds;
#[path = "pins/mariadb.rs"]
mod mariadb;
#[path = "pins/roles.rs"]
mod roles;
#[path = "pins/script.rs"]
mod script;
#[path = "pins/settings.rs"]
mod settings;
#[path = "pins/variables.rs"]
mod variables;
