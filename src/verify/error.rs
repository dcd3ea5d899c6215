//! Why a history could not be made.

/// What keeps the checker from its work. None of it says anything about consistency.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The endpoint cannot be reached or refuses the login.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// `host:port`.
        address: String,
        /// Why.
        source: mysql_async::Error,
    },
    /// The url names no schema.
    #[error("the url names no schema for the checker's table")]
    NoSchema,
    /// The table cannot be made.
    #[error("cannot make the table {table}: {source}")]
    Table {
        /// Its name, with the schema.
        table: String,
        /// Why.
        source: mysql_async::Error,
    },
    /// The table does not appear where reads go.
    #[error("the table {table} could not be read through the endpoint within {seconds} s: {why}")]
    NotVisible {
        /// Its name, with the schema.
        table: String,
        /// How long it was waited for.
        seconds: u64,
        /// What the last attempt met.
        why: String,
    },
    /// The endpoint knows levels, and refuses the one that was asked for.
    #[error("the endpoint refuses {statement}: {source}")]
    Level {
        /// The statement that would have set it.
        statement: String,
        /// Why.
        source: mysql_async::Error,
    },
    /// No session could be kept open.
    #[error("every session lost its connection and could not get another one: {why}")]
    Lost {
        /// What the last attempt met.
        why: String,
    },
    /// It was interrupted before there was anything to check.
    #[error("interrupted before the sessions began")]
    Interrupted,
    /// A task of the checker ended early.
    #[error("a session of the checker ended early: {0}")]
    Internal(#[from] tokio::task::JoinError),
}

impl VerifyError {
    /// What the user can do about it.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Connect { .. } => {
                "check host, port, user and password; HIGHWATER_VERIFY_PASSWORD or --password-file give \
                 the password where the url has none"
            }
            Self::NoSchema => {
                "name one that the account may create a table in: mysql://user@host:3306/schema"
            }
            Self::Table { .. } => {
                "the account needs CREATE, DROP, INSERT, UPDATE and SELECT in that schema; for an endpoint \
                 that takes no writes, name one that does with --write-url"
            }
            Self::NotVisible { .. } => {
                "does the endpoint replicate from where the writes go, and is it less than that behind?"
            }
            Self::Level { .. } => {
                "name a level that the endpoint knows, or none to check it as it is"
            }
            Self::Lost { .. } => "is the endpoint up, and does it allow this many connections?",
            Self::Interrupted => "run it again to see what it finds",
            Self::Internal(_) => "please report it",
        }
    }
}
