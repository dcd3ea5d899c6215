//! What the rules do to the statement at hand.

use std::sync::Arc;
use std::time::Instant;

use super::mirror::Copied;
use super::time_limit::TimeLimit;
use super::turn::Turn;
use super::{Active, InForce, bump};
use crate::domain::consistency::GroupKey;
use crate::domain::ids::ClientStmtId;
use crate::domain::routing::Reason;
use crate::domain::routing::rules::{Asker, Look, Own, Rule, RuleSet, Ruled};
use crate::domain::sql::{Access, Hints, OwnVariable, StatementProfile};
use crate::frontend::ClientError;
use crate::relay::classify::Shape;
use crate::relay::commands::Source;
use crate::relay::groups::wishes;
use crate::relay::history::Went;
use crate::relay::session::{End, Relay};
use crate::telemetry::Target;

/// Why a text that a rule made does not run.
const NOT_FOR_SERVERS: &str = "a rule rewrote this statement to one that Highwater answers itself, which rules \
     cannot make";

impl InForce {
    /// The place of the rule that matches a statement; `counted` is told of those that only count.
    pub(in crate::relay) fn find(
        &self,
        shape: Option<&Arc<Shape>>,
        profile: &StatementProfile,
        asker: &Asker<'_>,
        text: &[u8],
        counted: impl FnMut(usize),
    ) -> Option<usize> {
        let access = profile.access;
        let Some(shape) = shape else {
            return self.set.find(&self.unread, access, asker, text, counted);
        };
        let look = shape.look.load();
        match &*look {
            Some(look) if self.set.took(look) => self.set.find(look, access, asker, text, counted),
            _ => {
                let look = Arc::new(look_at(&self.set, shape));
                shape.look.store(Some(Arc::clone(&look)));
                self.set.find(&look, access, asker, text, counted)
            }
        }
    }

    pub(in crate::relay) fn get(&self, place: usize) -> Option<(&Rule, &Active)> {
        self.set.rules().get(place).zip(self.active.get(place))
    }
}

fn look_at(set: &RuleSet, shape: &Shape) -> Look {
    set.look(Some(&shape.text), &shape.profile)
}

impl Relay {
    /// The COM_QUERY at hand, where there are rules.
    pub(in crate::relay) async fn query_by_rules(
        &mut self,
        profile: StatementProfile,
        total: usize,
    ) -> Result<(), End> {
        let in_force = self.shared.rules.in_force();
        let shape = self.lexer.shape.as_ref();
        let place = self.matching(&in_force, shape, &profile, self.text(total), true);
        let Some((rule, active)) = place.and_then(|place| in_force.get(place)) else {
            return self.run_query(profile, total).await;
        };
        let Some(turn) = self.obey(rule, active, &profile).await? else {
            return Ok(());
        };
        let rewritten = rule.rewritten(self.text(total));
        let text = rewritten.as_deref().unwrap_or_else(|| self.text(total));
        if rule.act.mirror.is_some() && profile.access == Access::Read {
            self.mirror(active, Some(text));
        }
        let ran = match rewritten {
            None => self.run_query(profile, total).await,
            Some(text) => {
                bump(&active.counts.rewritten);
                self.run_rewritten_query(text).await
            }
        };
        drop(turn);
        self.end_time_limit(active).await;
        ran
    }

    /// The COM_STMT_EXECUTE at hand, where there are rules.
    pub(in crate::relay) async fn execute_by_rules(
        &mut self,
        id: ClientStmtId,
        total: usize,
    ) -> Result<(), End> {
        let in_force = self.shared.rules.in_force();
        let Some(statement) = self.statements.get(id) else {
            return self.run_execute(id, total).await;
        };
        let profile = statement.profile;
        let text = statement.asked.as_deref();
        let text = text.unwrap_or_else(|| statement.text());
        let place = self.matching(&in_force, statement.shape.as_ref(), &profile, text, true);
        let Some((rule, active)) = place.and_then(|place| in_force.get(place)) else {
            return self.run_execute(id, total).await;
        };
        let Some(turn) = self.obey(rule, active, &profile).await? else {
            self.drop_long_data(id);
            return Ok(());
        };
        if rule.act.mirror.is_some() && profile.access == Access::Read {
            // Its parameters are not text.
            self.mirror(active, None);
        }
        let ran = self.run_execute(id, total).await;
        drop(turn);
        self.end_time_limit(active).await;
        ran
    }

    /// The COM_STMT_PREPARE at hand, where there are rules. `true` if a rule took it over: what it does
    /// besides denying and rewriting is about executions.
    pub(in crate::relay) async fn prepare_by_rules(
        &mut self,
        text: &[u8],
        profile: &StatementProfile,
        hints: &Hints,
    ) -> Result<bool, End> {
        let in_force = self.shared.rules.in_force();
        let shape = self.lexer.shape.as_ref();
        let place = self.matching(&in_force, shape, profile, text, false);
        let Some((rule, active)) = place.and_then(|place| in_force.get(place)) else {
            return Ok(false);
        };
        if rule.act.deny.is_some() {
            self.obey(rule, active, profile).await?;
            return Ok(true);
        }
        let Some(made) = rule.rewritten(text) else {
            return Ok(false);
        };
        active.hit();
        bump(&active.counts.rewritten);
        let profile = self.profile_of(&made).await;
        if matches!(profile.access, Access::Own | Access::Kill) {
            let error = ClientError::Unsupported(NOT_FOR_SERVERS.to_owned());
            self.refuse(error).await?;
            return Ok(true);
        }
        self.asked_text = Some(text.into());
        self.rewritten = made.clone();
        let hints = hints.clone();
        self.prepare_text(&made, profile, hints, Source::ByRule)
            .await?;
        Ok(true)
    }

    /// A text that is streamed unread, of which this is the beginning.
    ///
    /// # Errors
    /// When a rule denies it. Rules do nothing else to such a text.
    pub(in crate::relay) fn denied_unread(
        &self,
        profile: &StatementProfile,
        text: &[u8],
    ) -> Result<(), ClientError> {
        let in_force = self.shared.rules.in_force();
        let place = self.matching(&in_force, None, profile, text, true);
        let Some((rule, active)) = place.and_then(|place| in_force.get(place)) else {
            return Ok(());
        };
        active.hit();
        denial(rule, active).map_or(Ok(()), Err)
    }

    fn matching(
        &self,
        in_force: &InForce,
        shape: Option<&Arc<Shape>>,
        profile: &StatementProfile,
        text: &[u8],
        counts: bool,
    ) -> Option<usize> {
        let asker = Asker {
            user: &self.who.user,
            client: self.from,
            schema: self.state.mirror.schema(),
        };
        let counted = |place: usize| {
            if let Some(active) = in_force.active.get(place).filter(|_| counts) {
                active.hit();
            }
        };
        in_force.find(shape, profile, &asker, text, counted)
    }

    /// Does what a rule says before the statement runs; `None` if it does not run.
    async fn obey(
        &mut self,
        rule: &Rule,
        active: &Active,
        profile: &StatementProfile,
    ) -> Result<Option<Turn>, End> {
        let started = Instant::now();
        active.hit();
        if let Some(error) = denial(rule, active) {
            self.refuse_by_rule(error, profile, started).await?;
            return Ok(None);
        }
        self.state.ruled = Ruled::of(&rule.act, self.own_wish());
        self.join_group_of(rule);
        match self.take_turn(rule, active).await? {
            Ok(turn) => {
                if let Some(limit) = rule.act.timeout {
                    self.time_limit = Some(TimeLimit::start(self, &rule.name, limit));
                }
                Ok(Some(turn))
            }
            Err(error) => {
                self.refuse_by_rule(error, profile, started).await?;
                Ok(None)
            }
        }
    }

    async fn refuse_by_rule(
        &mut self,
        error: ClientError,
        profile: &StatementProfile,
        started: Instant,
    ) -> Result<(), End> {
        self.refuse(error).await?;
        self.diary.by_proxy += 1;
        let went = Went {
            access: profile.access,
            fingerprint: profile.fingerprint,
            target: Target::Proxy,
            reason: Reason::Denied,
            failed: true,
        };
        self.note_went(went, started);
        Ok(())
    }

    /// What the client asked for itself.
    fn own_wish(&self) -> Own {
        let (settings, hints) = (&self.state.settings, &self.state.hints);
        let chosen = |variable| self.in_force.has_chosen(variable);
        let level = chosen(OwnVariable::ReadConsistency).then_some(settings.level);
        let staleness = chosen(OwnVariable::MaxStaleness).then_some(settings.max_staleness);
        Own {
            level: hints.level.or(level),
            max_staleness: staleness,
            target: self.state.hints.target,
        }
    }

    /// The rule's group, unless the client named one itself.
    fn join_group_of(&mut self, rule: &Rule) {
        let Some(group) = &rule.act.group else { return };
        let given = match wishes(&self.in_force.config, &self.who.user).group {
            Some(name) => GroupKey::named(name.as_bytes()),
            None => GroupKey::of_user(&self.who.user),
        };
        if self.state.hints.group.is_none() && self.group == given {
            self.state.hints.group = Some(group.as_str().into());
        }
    }

    async fn run_rewritten_query(&mut self, text: Vec<u8>) -> Result<(), End> {
        let profile = self.profile_of(&text).await;
        if matches!(profile.access, Access::Own | Access::Kill) {
            let error = ClientError::Unsupported(NOT_FOR_SERVERS.to_owned());
            return self.refuse(error).await;
        }
        let text = self.with_known(text).await;
        let profile = self.profile_of(&text).await;
        self.run_rewritten(text, profile).await.map(drop)
    }

    /// Has a read repeated on the rule's mirror, if it is of its share.
    fn mirror(&self, active: &Active, text: Option<&[u8]>) {
        let Some(mirror) = active.mirror.as_ref().filter(|it| it.takes_next()) else {
            return;
        };
        let alone = !self.state.transaction.is_open();
        let sent = text.filter(|_| alone).is_some_and(|text| {
            mirror.send(
                &self.shared,
                Copied {
                    user: Arc::clone(&self.who.user),
                    schema: self.state.mirror.schema().map(Into::into),
                    text: text.into(),
                },
            )
        });
        bump(match sent {
            true => &active.counts.mirrored,
            false => &active.counts.not_mirrored,
        });
    }
}

/// The error of a rule that denies.
fn denial(rule: &Rule, active: &Active) -> Option<ClientError> {
    let message = rule.act.deny.clone()?;
    bump(&active.counts.denied);
    Some(ClientError::Denied {
        rule: rule.name.clone(),
        message,
    })
}
