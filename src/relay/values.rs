//! The values of Highwater's own variables: what they can be set to, and what they show.

use std::time::Duration;

use super::freshness::refusal;
use super::groups::group_of;
use super::session::Relay;
use crate::domain::consistency::{GroupKey, Level, OnTimeout};
use crate::domain::position::Position;
use crate::domain::sql::OwnVariable;
use crate::domain::sql::control::{OwnAssignment, OwnValue};
use crate::frontend::ClientError;

/// What a millisecond variable takes, for error messages.
const MILLISECONDS: &str = "expected whole milliseconds from 0 to 4294967295";

/// An assignment of one of our variables that was found right.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Level(Level),
    CatchUpTimeout(Duration),
    MaxStaleness(Duration),
    OnTimeout(OnTimeout),
    ReadAfter(String, Position),
    Group(GroupKey),
    Trace(bool),
    /// One of the settings is what the configuration says, from now on and after a reload.
    Default(OwnVariable),
}

impl Change {
    /// The setting that it is about, and whether it is the client's own afterwards.
    fn chooses(&self) -> Option<(OwnVariable, bool)> {
        match self {
            Self::Level(_) => Some((OwnVariable::ReadConsistency, true)),
            Self::CatchUpTimeout(_) => Some((OwnVariable::CatchUpTimeout, true)),
            Self::MaxStaleness(_) => Some((OwnVariable::MaxStaleness, true)),
            Self::OnTimeout(_) => Some((OwnVariable::OnTimeout, true)),
            Self::Default(variable) => Some((*variable, false)),
            Self::ReadAfter(..) | Self::Group(_) | Self::Trace(_) => None,
        }
    }
}

impl Relay {
    /// Finds out whether a variable can be set to that; nothing is changed yet.
    ///
    /// # Errors
    /// What the client is told if not.
    pub(super) async fn check(&self, assignment: &OwnAssignment) -> Result<Change, ClientError> {
        let variable = assignment.variable;
        let text = match &assignment.value {
            OwnValue::Default => None,
            OwnValue::Text(text) => Some(text.as_str()),
        };
        match variable {
            OwnVariable::AuroraReplicaReadConsistency | OwnVariable::ReadConsistency => {
                let level = text.map(|text| level(variable, text)).transpose()?;
                let asked = level.unwrap_or_else(|| self.defaults().level);
                match (refusal(&self.shared, asked), level) {
                    (Some(error), _) => Err(error),
                    (None, Some(level)) => Ok(Change::Level(level)),
                    (None, None) => Ok(Change::Default(OwnVariable::ReadConsistency)),
                }
            }
            OwnVariable::CatchUpTimeout => match text {
                None => Ok(Change::Default(variable)),
                Some(text) => millis(variable, text).map(Change::CatchUpTimeout),
            },
            OwnVariable::MaxStaleness => match text {
                None => Ok(Change::Default(variable)),
                Some(text) => millis(variable, text).map(Change::MaxStaleness),
            },
            OwnVariable::OnTimeout => match text {
                None => Ok(Change::Default(variable)),
                Some(text) => OnTimeout::from_name(text)
                    .map(Change::OnTimeout)
                    .ok_or_else(|| wrong(variable, text, "expected primary, error or stale")),
            },
            OwnVariable::ReadAfter => {
                let text = text.unwrap_or_default();
                let position = self.position_of_token(text).await?;
                let mut need = self.state.positions.need().clone();
                match need.join(&position) {
                    Ok(()) => Ok(Change::ReadAfter(text.to_owned(), position)),
                    Err(error) => Err(wrong(variable, text, &error.to_string())),
                }
            }
            OwnVariable::Group => {
                self.may_owe_more()?;
                Ok(Change::Group(match text {
                    None | Some("") => group_of(&self.in_force.config, &self.who),
                    Some(text) => GroupKey::named(text.as_bytes()),
                }))
            }
            OwnVariable::Trace => match text.unwrap_or("0").to_ascii_uppercase().as_str() {
                "0" | "OFF" | "FALSE" => Ok(Change::Trace(false)),
                "1" | "ON" | "TRUE" => Ok(Change::Trace(true)),
                other => Err(wrong(variable, other, "expected 0, 1, OFF or ON")),
            },
            OwnVariable::Position => Err(ClientError::ReadOnlyVariable {
                name: variable.name().to_owned(),
            }),
        }
    }

    /// Makes assignments that were found right.
    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.apply_one(change);
        }
    }

    fn apply_one(&mut self, change: Change) {
        if let Some((variable, chosen)) = change.chooses() {
            self.in_force.choose(variable, chosen);
        }
        let defaults = self.defaults();
        let settings = &mut self.state.settings;
        match change {
            Change::Level(level) => settings.level = level,
            Change::CatchUpTimeout(timeout) => settings.catch_up_timeout = timeout,
            Change::MaxStaleness(staleness) => settings.max_staleness = staleness,
            Change::OnTimeout(action) => settings.on_timeout = action,
            Change::Default(variable) => match variable {
                OwnVariable::ReadConsistency => settings.level = defaults.level,
                OwnVariable::CatchUpTimeout => {
                    settings.catch_up_timeout = defaults.catch_up_timeout;
                }
                OwnVariable::MaxStaleness => settings.max_staleness = defaults.max_staleness,
                OwnVariable::OnTimeout => settings.on_timeout = defaults.on_timeout,
                // These have no default of the configuration's, or their own change.
                _ => {}
            },
            Change::ReadAfter(text, position) => {
                self.state.positions.on_read_after(&position);
                self.note_token(&position);
                self.read_after = text;
            }
            Change::Group(group) => self.enter_group(group),
            Change::Trace(on) => self.trace = on,
        }
    }

    /// What a variable shows.
    ///
    /// # Errors
    /// When a position is asked for and none can be had.
    pub(super) async fn value(&mut self, variable: OwnVariable) -> Result<String, ClientError> {
        let settings = &self.state.settings;
        Ok(match variable {
            OwnVariable::AuroraReplicaReadConsistency => {
                settings.level.in_aurora().name().to_owned()
            }
            OwnVariable::ReadConsistency => settings.level.name().to_owned(),
            OwnVariable::CatchUpTimeout => settings.catch_up_timeout.as_millis().to_string(),
            OwnVariable::MaxStaleness => settings.max_staleness.as_millis().to_string(),
            OwnVariable::OnTimeout => settings.on_timeout.name().to_owned(),
            OwnVariable::ReadAfter => self.read_after.clone(),
            OwnVariable::Trace => u8::from(self.trace).to_string(),
            OwnVariable::Position => self.token().await?.to_string(),
            OwnVariable::Group => self
                .group
                .name()
                .map(|name| String::from_utf8_lossy(name).into_owned())
                .unwrap_or_default(),
        })
    }
}

fn level(variable: OwnVariable, text: &str) -> Result<Level, ClientError> {
    let aurora = variable == OwnVariable::AuroraReplicaReadConsistency;
    let allowed: &[Level] = match aurora {
        true => &Level::AURORA,
        false => &Level::ALL,
    };
    Level::from_name(text)
        .filter(|level| allowed.contains(level))
        .ok_or_else(|| {
            let names: Vec<_> = allowed.iter().map(|level| level.name()).collect();
            wrong(
                variable,
                text,
                &format!("expected one of {}", names.join(", ")),
            )
        })
}

fn millis(variable: OwnVariable, text: &str) -> Result<Duration, ClientError> {
    let millis = text.parse::<u32>().ok();
    millis
        .map(|millis| Duration::from_millis(millis.into()))
        .ok_or_else(|| wrong(variable, text, MILLISECONDS))
}

fn wrong(variable: OwnVariable, value: &str, expected: &str) -> ClientError {
    ClientError::WrongValue {
        name: variable.name().to_owned(),
        value: value.chars().take(80).collect(),
        expected: expected.to_owned(),
    }
}
