//! The client side: how clients log in, and what they are told when something fails.
//!
//! This room knows no server: whether a client may use its default schema is found out by the relay,
//! which then sends the OK that ends the login.

pub mod errors;
pub mod login;

pub use errors::ClientError;
