//! Payloads of the commands that Highwater sends itself.

use super::CommandCode;

/// COM_QUERY. With query attributes in force, the text comes after a count of none and one set of them.
pub fn com_query(text: &[u8], query_attributes_in_force: bool) -> Vec<u8> {
    let attributes: &[u8] = if query_attributes_in_force {
        &[0, 1]
    } else {
        &[]
    };
    [&[CommandCode::Query as u8], attributes, text].concat()
}

/// COM_INIT_DB.
pub fn com_init_db(schema: &[u8]) -> Vec<u8> {
    [&[CommandCode::InitDb as u8], schema].concat()
}

/// COM_STMT_PREPARE.
pub fn com_stmt_prepare(text: &[u8]) -> Vec<u8> {
    [&[CommandCode::StmtPrepare as u8], text].concat()
}

/// COM_STMT_CLOSE. It has no reply.
pub fn com_stmt_close(stmt_id: u32) -> [u8; 5] {
    let [a, b, c, d] = stmt_id.to_le_bytes();
    [CommandCode::StmtClose as u8, a, b, c, d]
}

/// COM_STMT_RESET: drops the parts of parameters that were sent ahead.
pub fn com_stmt_reset(stmt_id: u32) -> [u8; 5] {
    let [a, b, c, d] = stmt_id.to_le_bytes();
    [CommandCode::StmtReset as u8, a, b, c, d]
}

/// COM_SET_OPTION: multi-statements on or off.
pub fn com_set_option(multi_statements: bool) -> [u8; 3] {
    [CommandCode::SetOption as u8, u8::from(!multi_statements), 0]
}

/// COM_RESET_CONNECTION.
pub fn com_reset_connection() -> [u8; 1] {
    [CommandCode::ResetConnection as u8]
}

/// COM_PING.
pub fn com_ping() -> [u8; 1] {
    [CommandCode::Ping as u8]
}

/// COM_QUIT. It has no reply.
pub fn com_quit() -> [u8; 1] {
    [CommandCode::Quit as u8]
}
