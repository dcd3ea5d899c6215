//! What a rule found.

use crate::domain::consistency::Level;

/// How bad it is. The order is by weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Looked at, and as it should be.
    Ok,
    /// Good to know.
    Note,
    /// Costs speed, comfort or safety, but no configured promise.
    Warning,
    /// A configured level cannot hold, or nothing can be served.
    Failure,
}

impl Severity {
    /// Every severity, the heaviest first.
    pub const ALL: [Self; 4] = [Self::Failure, Self::Warning, Self::Note, Self::Ok];

    /// The name that is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// One thing that a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// `host:port` of the server it was seen on; `None` for all of them, or for none.
    pub server: Option<String>,
    /// What was seen.
    pub seen: String,
    /// Why it matters. Empty where nothing has to be done.
    pub why: String,
    /// Levels that cannot hold there.
    pub breaks: Vec<Level>,
    /// What mends it.
    pub mend: Mend,
}

/// What mends something. Any part may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mend {
    /// The server on which the SQL is run, as `host:port`.
    pub on: Option<String>,
    /// Statements, in this order.
    pub sql: Vec<String>,
    /// Lines for the option file of that server.
    pub options: Vec<String>,
    /// Lines for Highwater's own configuration.
    pub configuration: Vec<String>,
    /// What else there is to do.
    pub advice: String,
}

impl Finding {
    /// A finding about everything; the rule's name is filled in by whoever runs the rule.
    pub fn new(severity: Severity, seen: impl Into<String>) -> Self {
        Self {
            rule: "",
            severity,
            server: None,
            seen: seen.into(),
            why: String::new(),
            breaks: Vec::new(),
            mend: Mend::default(),
        }
    }

    /// All is well.
    pub fn ok(seen: impl Into<String>) -> Self {
        Self::new(Severity::Ok, seen)
    }

    /// Good to know.
    pub fn note(seen: impl Into<String>) -> Self {
        Self::new(Severity::Note, seen)
    }

    /// Something that should be mended.
    pub fn warning(seen: impl Into<String>) -> Self {
        Self::new(Severity::Warning, seen)
    }

    /// Something without which nothing works.
    pub fn failure(seen: impl Into<String>) -> Self {
        Self::new(Severity::Failure, seen)
    }

    /// Where it was seen.
    #[must_use]
    pub fn on(mut self, address: &str) -> Self {
        self.server = Some(address.to_owned());
        self
    }

    /// Why it matters.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// The levels that cannot hold.
    #[must_use]
    pub fn breaks(mut self, levels: impl IntoIterator<Item = Level>) -> Self {
        self.breaks.extend(levels);
        self
    }

    /// Statements that mend it, where it was seen.
    #[must_use]
    pub fn sql(mut self, statements: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.mend.on = self.mend.on.or_else(|| self.server.clone());
        self.mend.sql.extend(statements.into_iter().map(Into::into));
        self
    }

    /// Statements that mend it, to be run elsewhere.
    #[must_use]
    pub fn sql_on(mut self, address: &str, statement: impl Into<String>) -> Self {
        self.mend.on = Some(address.to_owned());
        self.mend.sql.push(statement.into());
        self
    }

    /// A line for the server's option file.
    #[must_use]
    pub fn option(mut self, line: impl Into<String>) -> Self {
        self.mend.options.push(line.into());
        self
    }

    /// A line for Highwater's configuration.
    #[must_use]
    pub fn configure(mut self, line: impl Into<String>) -> Self {
        self.mend.configuration.push(line.into());
        self
    }

    /// What else there is to do.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.mend.advice = advice.into();
        self
    }
}

/// All findings.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// The configured levels, each with the key that asks for it.
    pub levels: Vec<(Level, String)>,
    /// The heaviest first; within one weight in the order of the rules.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Whether every configured level can hold.
    pub fn holds(&self) -> bool {
        let failed = |finding: &Finding| finding.severity == Severity::Failure;
        !self.findings.iter().any(failed)
    }

    /// How many findings there are of one weight.
    pub fn count(&self, severity: Severity) -> usize {
        let same = |finding: &&Finding| finding.severity == severity;
        self.findings.iter().filter(same).count()
    }
}
