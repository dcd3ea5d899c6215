//! Server-side errors as the client is told of them: the one place where they are translated.

use crate::backend::{BackendError, Refusal};
use crate::frontend::ClientError;

/// Nothing was sent to a server when one of these happens, so a retry is safe.
pub(super) fn client_error(error: &BackendError) -> ClientError {
    if let Some(Refusal {
        code,
        state,
        message,
    }) = error.refusal()
    {
        return ClientError::Refused {
            code,
            state,
            message,
        };
    }
    match error {
        BackendError::PoolExhausted { .. } => ClientError::PoolExhausted(error.to_string()),
        _ => ClientError::Unreachable(error.to_string()),
    }
}
