//! What operators and their tools reach: for now the HTTP port. The SQL admin port will be a second
//! part beside it.

pub mod http;
