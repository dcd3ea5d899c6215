//! What the client asked its server to track for it. Highwater sets the trackers for its own use,
//! so it keeps the client's wish and gives it exactly that.

/// Tracker settings as the client believes them to be; the defaults are MySQL's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerWish {
    /// `session_track_schema`.
    pub schema: bool,
    /// `session_track_state_change`.
    pub state_change: bool,
    /// `session_track_gtids` is OWN_GTID or ALL_GTIDS.
    pub gtids: bool,
    /// `session_track_transaction_info` is STATE or CHARACTERISTICS.
    pub transaction_state: bool,
    /// `session_track_transaction_info` is CHARACTERISTICS.
    pub characteristics: bool,
    /// `session_track_system_variables`; `*` stands for all.
    variables: Box<[u8]>,
}

/// MySQL's default of `session_track_system_variables`.
const DEFAULT_VARIABLES: &[u8] =
    b"time_zone,autocommit,character_set_client,character_set_results,character_set_connection";

impl Default for TrackerWish {
    fn default() -> Self {
        Self {
            schema: true,
            state_change: false,
            gtids: false,
            transaction_state: false,
            characteristics: false,
            variables: DEFAULT_VARIABLES.into(),
        }
    }
}

impl TrackerWish {
    /// Takes in a changed variable if it is a tracker setting; says whether it was one.
    pub fn on_variable(&mut self, name: &[u8], value: &[u8]) -> bool {
        let on = value.eq_ignore_ascii_case(b"ON") || value == b"1";
        match name {
            b"session_track_schema" => self.schema = on,
            b"session_track_state_change" => self.state_change = on,
            b"session_track_gtids" => self.gtids = !value.eq_ignore_ascii_case(b"OFF"),
            b"session_track_transaction_info" => {
                self.characteristics = value.eq_ignore_ascii_case(b"CHARACTERISTICS");
                self.transaction_state = !value.eq_ignore_ascii_case(b"OFF");
            }
            b"session_track_system_variables" => self.variables = value.into(),
            _ => return false,
        }
        true
    }

    /// Whether the client wants to hear of this variable.
    pub fn variable(&self, name: &[u8]) -> bool {
        self.variables
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|wanted| wanted == b"*" || wanted.eq_ignore_ascii_case(name))
    }
}
