//! Commands: their codes, the parts of their payloads that a proxy has to know, and the ones that
//! Highwater sends itself.

mod build;
mod change_user;
mod execute;
mod params;
mod query;

use super::reader::Reader;
pub use build::{
    com_init_db, com_ping, com_query, com_quit, com_reset_connection, com_set_option,
    com_stmt_close, com_stmt_prepare, com_stmt_reset,
};
pub use change_user::ChangeUser;
pub use execute::StmtExecute;
pub use params::{Parameter, ParameterValue};
pub use query::{query_attributes, query_text};

macro_rules! commands {
    ($($name:ident = $code:literal, $doc:literal;)*) => {
        /// The first byte of a command's payload (`enum_server_command`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum CommandCode {
            $(#[doc = $doc] $name = $code,)*
        }

        impl CommandCode {
            /// The command of this byte; `None` if there is no such command.
            pub fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

commands! {
    Sleep = 0x00, "Internal to servers.";
    Quit = 0x01, "The client goes. No reply.";
    InitDb = 0x02, "Changes the default schema.";
    Query = 0x03, "One or more statements as text.";
    FieldList = 0x04, "A table's columns.";
    CreateDb = 0x05, "Not in use since long.";
    DropDb = 0x06, "Not in use since long.";
    Refresh = 0x07, "FLUSH by flags.";
    Shutdown = 0x08, "Stops the server.";
    Statistics = 0x09, "One line of plain text.";
    ProcessInfo = 0x0A, "SHOW PROCESSLIST.";
    Connect = 0x0B, "Internal to servers.";
    ProcessKill = 0x0C, "KILL of a connection.";
    Debug = 0x0D, "Makes the server write to its log.";
    Ping = 0x0E, "Asks for an OK.";
    Time = 0x0F, "Internal to servers.";
    DelayedInsert = 0x10, "Internal to servers.";
    ChangeUser = 0x11, "Logs in anew on the same connection.";
    BinlogDump = 0x12, "Asks for the binary log by file and offset.";
    TableDump = 0x13, "Not in use since long.";
    ConnectOut = 0x14, "Internal to servers.";
    RegisterReplica = 0x15, "Announces a replica.";
    StmtPrepare = 0x16, "Prepares a statement.";
    StmtExecute = 0x17, "Runs a prepared statement.";
    StmtSendLongData = 0x18, "A part of a parameter's value. No reply.";
    StmtClose = 0x19, "Forgets a prepared statement. No reply.";
    StmtReset = 0x1A, "Drops a statement's cursor and long data.";
    SetOption = 0x1B, "Turns multi-statements on or off.";
    StmtFetch = 0x1C, "Rows from a statement's cursor.";
    Daemon = 0x1D, "Internal to servers.";
    BinlogDumpGtid = 0x1E, "Asks for the binary log by GTIDs.";
    ResetConnection = 0x1F, "Puts the session back to its start.";
    Clone = 0x20, "The clone plugin's own protocol.";
    SubscribeGroupReplication = 0x21, "Group replication's own stream.";
}

/// The connection id of a COM_PROCESS_KILL.
pub fn process_kill_id(payload: &[u8]) -> Option<u32> {
    after_code(payload, CommandCode::ProcessKill)?.u32()
}

/// The option of a COM_SET_OPTION: 0 turns multi-statements on, 1 off.
pub fn set_option(payload: &[u8]) -> Option<u16> {
    after_code(payload, CommandCode::SetOption)?.u16()
}

/// The statement id of a COM_STMT_EXECUTE, SEND_LONG_DATA, CLOSE, RESET or FETCH.
pub fn stmt_id(payload: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(payload);
    match CommandCode::from_byte(reader.u8()?)? {
        CommandCode::StmtExecute
        | CommandCode::StmtSendLongData
        | CommandCode::StmtClose
        | CommandCode::StmtReset
        | CommandCode::StmtFetch => reader.u32(),
        _ => None,
    }
}

/// The parameter that a COM_STMT_SEND_LONG_DATA brings a part of.
pub fn long_data_param(payload: &[u8]) -> Option<u16> {
    let mut reader = after_code(payload, CommandCode::StmtSendLongData)?;
    reader.u32()?;
    reader.u16()
}

/// Puts another statement id into the payload of one of the commands of [`stmt_id`], in place. The OK of
/// COM_STMT_PREPARE has its id at the same place.
pub fn set_stmt_id(payload: &mut [u8], id: u32) {
    if let Some(place) = payload.get_mut(1..).and_then(<[u8]>::first_chunk_mut) {
        *place = id.to_le_bytes();
    }
}

fn after_code(payload: &[u8], code: CommandCode) -> Option<Reader<'_>> {
    let mut reader = Reader::new(payload);
    (reader.u8()? == code as u8).then_some(reader)
}

#[cfg(test)]
#[path = "command/tests.rs"]
mod tests;
