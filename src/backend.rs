//! The server side: how Highwater logs in to MySQL and MariaDB servers.

pub mod login;
