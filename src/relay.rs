//! The only room that sees both sides: runs one client session on its server connections.
//!
//! One session is one task on one worker thread. It reads a command, has it classified and routed
//! by the pure rooms, waits for a position if the level demands it (holding no connection), leases
//! a connection, restores what it lacks, forwards the command and relays the reply. What the reply
//! says of the session is taken in **before** its last packet goes to the client.

mod alarm;
mod attempt;
mod budget;
mod bulk;
mod change_user;
mod changes;
mod classify;
mod commands;
mod deferred;
mod diagnostics;
mod dump;
mod errors;
mod explain;
mod fallback;
mod freshness;
mod groups;
mod hints;
mod history;
mod inactivity;
mod infile;
mod init_connect;
mod inspect;
mod kill;
mod links;
mod login;
mod own;
mod parting;
mod pins;
mod prepared;
mod processlist;
mod reload;
mod replica;
mod reply;
mod rules;
mod session;
mod shadow;
mod shared;
mod slow;
mod spans;
mod staleness;
mod statement;
mod switches;
mod tokens;
mod trace;
mod trackers;
mod values;

pub use classify::Classifier;
pub use history::Entry;
pub use inspect::{RouteView, ShapeView};
pub use kill::{Registry, Seen, end_all};
pub use login::usual_profile;
pub use pins::SessionPin;
pub use rules::{RuleView, Rules};
pub use session::serve;
pub use shadow::Shadow;
pub use shared::{Parts, Refused, Shared};
pub use switches::Switches;
