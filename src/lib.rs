//! Highwater: a read/write-splitting proxy for MySQL and MariaDB whose sessions never read older
//! data than they asked for.
//!
//! # The map
//!
//! The pure rooms decide, the shell moves bytes. `tests/tidy.rs` holds this table: a `crate::` edge
//! that is not in it fails the build.
//!
//! | room | what it is | may use |
//! |---|---|---|
//! | [`domain`] | PURE: ids, positions, SQL classification, topology, levels, routing, session state | nothing of ours |
//! | [`protocol`] | PURE: bytes of the MySQL protocol | nothing of ours |
//! | [`telemetry`] | metrics, logs, error kinds | domain |
//! | [`config`] | file, environment and flags to one resolved `Config` | domain |
//! | [`net`] | sockets and buffers | protocol |
//! | [`frontend`] | the client side: accept, login, error packets | net, protocol, config, telemetry |
//! | [`backend`] | the server side: connect, log in, pools | net, protocol, config, telemetry, domain |
//! | [`monitor`] | probes servers, publishes topology and positions | domain, config, telemetry |
//! | [`relay`] | the only room that sees both sides; runs one session | frontend, backend, net, protocol, domain, monitor, config, telemetry |
//! | [`admin`] | HTTP: the live page, /metrics /healthz /readyz; and the SQL admin port | frontend, net, protocol, domain, config, telemetry |
//! | [`doctor`] | looks at real servers: what would break a promise, and what mends it | domain, config |
//! | [`rig`] | real servers with replication, for `demo` and the tests | config, telemetry |
//! | [`verify`] | the consistency checker: pure rules, and the sessions that make histories | telemetry |
//! | [`daemon`] | composition root: builds every part, owns shutdown | all but cli, doctor, rig and verify |
//! | [`cli`] | run, check, explain, demo, doctor, verify | daemon, config, doctor, domain, rig, verify, telemetry |

pub mod admin;
pub mod backend;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod doctor;
pub mod domain;
pub mod frontend;
pub mod monitor;
pub mod net;
pub mod protocol;
pub mod relay;
pub mod rig;
pub mod telemetry;
pub mod verify;
