//! Which accounts the server is known to let in.

use std::collections::HashMap;
use std::sync::Arc;

use crate::backend::accounts::Stamp;
use crate::backend::conn::ServerConn;
use crate::backend::error::BackendError;

/// The last login of each account.
#[derive(Debug, Default)]
pub(super) struct Vouched(HashMap<Arc<str>, Stamp>);

impl Vouched {
    /// A login succeeded or failed.
    pub(super) fn on_login(&mut self, user: &Arc<str>, opened: &Result<ServerConn, BackendError>) {
        match opened {
            Ok(conn) if !conn.confined => {
                self.0.insert(Arc::clone(user), conn.stamp.clone());
            }
            Ok(_) => {
                self.0.remove(user);
            }
            Err(error) if error.refusal().is_some() => {
                self.0.remove(user);
            }
            Err(_) => {}
        }
    }

    /// Nothing is known of this account any more.
    pub(super) fn forget(&mut self, user: &str) {
        self.0.remove(user);
    }

    /// Whether one that logs in now would be let in, as far as is known.
    pub(super) fn is_known(&self, user: &str) -> bool {
        self.0.get(user).is_some_and(Stamp::is_current)
    }
}
