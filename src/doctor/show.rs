//! A diagnosis as text for people, and as JSON for machines.

use std::fmt::Write as _;

use super::finding::{Diagnosis, Finding, Mend, Severity};

impl Diagnosis {
    /// For people: the heaviest first, what is in order in one line each.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            match finding.severity {
                Severity::Ok => {
                    let _ = writeln!(out, "ok       {}: {}", finding.rule, finding.seen);
                }
                _ => out.push_str(&paragraph(finding)),
            }
        }
        out.push_str(&self.verdict());
        out
    }

    /// One line: how many findings, and whether the configured levels can hold.
    fn verdict(&self) -> String {
        let counts: Vec<_> = Severity::ALL
            .iter()
            .map(|severity| format!("{} {}", self.count(*severity), severity.name()))
            .collect();
        let mut levels: Vec<_> = self.levels.iter().map(|(level, _)| level.name()).collect();
        levels.dedup();
        let verdict = match self.holds() {
            true => "can hold",
            false => "cannot hold everywhere",
        };
        format!("\n{}: {} {verdict}\n", counts.join(", "), levels.join(", "))
    }

    /// For machines: one object.
    pub fn to_json(&self) -> String {
        let levels = self.levels.iter().map(|(level, asked_by)| {
            object(&[("level", text(level.name())), ("asked_by", text(asked_by))])
        });
        let findings = self.findings.iter().map(finding);
        let mut json = object(&[
            ("holds", self.holds().to_string()),
            ("levels", list(levels)),
            ("findings", list(findings)),
        ]);
        json.push('\n');
        json
    }
}

fn paragraph(finding: &Finding) -> String {
    let mut out = format!("{:8} {}", finding.severity.name(), finding.rule);
    if let Some(server) = &finding.server {
        let _ = write!(out, " on {server}");
    }
    out.push('\n');
    let mut line = |label: &str, text: &str| {
        if !text.is_empty() {
            let _ = writeln!(out, "  {label:6} {text}");
        }
    };
    line("seen", &finding.seen);
    line("why", &finding.why);
    let broken: Vec<_> = finding.breaks.iter().map(|level| level.name()).collect();
    line("breaks", &broken.join(", "));
    let Mend {
        on,
        sql,
        options,
        configuration,
        advice,
    } = &finding.mend;
    if let Some(on) = on.as_ref().filter(|_| !sql.is_empty()) {
        line("mend", &format!("on {on}:"));
    }
    for statement in sql {
        line("", &format!("  {statement};"));
    }
    for option in options {
        line("", &format!("  in its option file: {option}"));
    }
    for setting in configuration {
        line("or", &format!("in Highwater's configuration: {setting}"));
    }
    line("advice", advice);
    out.push('\n');
    out
}

fn finding(finding: &Finding) -> String {
    let lines = |lines: &[String]| list(lines.iter().map(|line| text(line)));
    let nullable = |value: &Option<String>| value.as_deref().map_or("null".to_owned(), text);
    let mend = object(&[
        ("on", nullable(&finding.mend.on)),
        ("sql", lines(&finding.mend.sql)),
        ("options", lines(&finding.mend.options)),
        ("configuration", lines(&finding.mend.configuration)),
        ("advice", text(&finding.mend.advice)),
    ]);
    object(&[
        ("rule", text(finding.rule)),
        ("severity", text(finding.severity.name())),
        ("server", nullable(&finding.server)),
        ("seen", text(&finding.seen)),
        ("why", text(&finding.why)),
        (
            "breaks",
            list(finding.breaks.iter().map(|level| text(level.name()))),
        ),
        ("mend", mend),
    ])
}

fn object(members: &[(&str, String)]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(name, value)| format!("{}:{value}", text(name)))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// A JSON string (RFC 8259, section 7).
fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::consistency::Level;

    #[test]
    fn a_finding_is_shown_with_what_mends_it() {
        let mut found = Finding::warning("gtid_mode is \"OFF\"")
            .on("db1:3306")
            .why("nobody knows\tanything")
            .breaks([Level::Session])
            .sql(["SET PERSIST gtid_mode = ON"])
            .configure("[pool] max_connections = 5");
        found.rule = "gtid_mode";
        found.severity = Severity::Failure;
        let diagnosis = Diagnosis {
            levels: vec![(Level::Session, "[consistency] level".to_owned())],
            findings: vec![found, Finding::ok("fine")],
        };
        let shown = diagnosis.to_text();
        for part in [
            "failure  gtid_mode on db1:3306\n  seen   gtid_mode is \"OFF\"\n",
            "  breaks session\n  mend   on db1:3306:\n",
            "SET PERSIST gtid_mode = ON;\n",
            "or     in Highwater's configuration: [pool] max_connections = 5\n",
            "1 failure, 0 warning, 0 note, 1 ok: session cannot hold everywhere\n",
        ] {
            assert!(shown.contains(part), "{part:?} is not in\n{shown}");
        }
        let json = diagnosis.to_json();
        for part in [
            r#"{"holds":false,"levels":[{"level":"session","asked_by":"[consistency] level"}]"#,
            r#""seen":"gtid_mode is \"OFF\"","why":"nobody knows\u0009anything","breaks":["session"]"#,
            r#""sql":["SET PERSIST gtid_mode = ON"]"#,
        ] {
            assert!(json.contains(part), "{part:?} is not in\n{json}");
        }
    }
}
