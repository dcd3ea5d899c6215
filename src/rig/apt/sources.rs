//! Reads the repositories of the machine's own apt configuration, in both notations.

use std::fs;
use std::path::PathBuf;

/// One repository of the machine's apt configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) uri: String,
    pub(super) suites: Vec<String>,
    pub(super) components: Vec<String>,
    pub(super) signed_by: Option<String>,
}

/// Every source of the machine's own apt configuration.
pub(super) fn machine_sources() -> Vec<Source> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let mut parts: Vec<PathBuf> = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    parts.sort();
    files.extend(parts);
    let mut sources = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => sources.extend(parse_deb822(&text)),
            Some("list") => sources.extend(parse_one_line(&text)),
            _ => {}
        }
    }
    sources.into_iter().flat_map(resolve_mirror_file).collect()
}

/// Cloud images name a file of mirrors instead of a mirror.
fn resolve_mirror_file(source: Source) -> Vec<Source> {
    let Some(path) = source.uri.strip_prefix("mirror+file:") else {
        return vec![source];
    };
    let path = format!("/{}", path.trim_start_matches('/'));
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|uri| !uri.starts_with('#'))
        .map(|uri| Source {
            uri: uri.to_owned(),
            ..source.clone()
        })
        .collect()
}

/// Stanzas of `Types: deb`, `URIs:`, `Suites:`, `Components:`, `Signed-By:`, as in `*.sources`.
fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for stanza in stanzas(text) {
        let field = |name: &str| {
            stanza
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| words(value))
                .unwrap_or_default()
        };
        let enabled = field("Enabled").first().is_none_or(|word| word != "no");
        if !enabled || !field("Types").iter().any(|word| word == "deb") {
            continue;
        }
        for uri in field("URIs") {
            sources.push(Source {
                uri,
                suites: field("Suites"),
                components: field("Components"),
                signed_by: field("Signed-By").into_iter().next(),
            });
        }
    }
    sources
}

fn stanzas(text: &str) -> Vec<Vec<(String, String)>> {
    let mut stanzas: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.trim().is_empty() {
            stanzas.push(Vec::new());
            continue;
        }
        let Some(fields) = stanzas.last_mut() else {
            continue;
        };
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line);
            }
        } else if let Some((key, value)) = line.split_once(':') {
            fields.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    stanzas
}

/// Lines of `deb [options] uri suite component…`, as in `sources.list`.
fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let rest = rest.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => ("", rest),
    };
    let mut rest = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uri: rest.next()?,
        suites: vec![rest.next()?],
        components: rest.collect(),
        signed_by: options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .map(str::to_owned),
    })
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suites: &[&str], signed_by: Option<&str>) -> Source {
        Source {
            uri: uri.to_owned(),
            suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
            components: vec!["main".to_owned()],
            signed_by: signed_by.map(str::to_owned),
        }
    }

    #[test]
    fn deb822_sources_are_read() {
        let text = "# mirror\nTypes: deb deb-src\nURIs: http://mirror/debian\n\
                    Suites: stable\n stable-updates\nComponents: main\nSigned-By: /keys.gpg\n\n\
                    Types: deb\nEnabled: no\nURIs: http://off/debian\nSuites: a\n\n\
                    Types: deb-src\nURIs: http://src/debian\nSuites: a\n";
        assert_eq!(
            parse_deb822(text),
            [source(
                "http://mirror/debian",
                &["stable", "stable-updates"],
                Some("/keys.gpg")
            )]
        );
    }

    #[test]
    fn one_line_sources_are_read() {
        let text = "deb http://mirror/debian stable main # the mirror\n\
                    deb [arch=amd64 signed-by=/keys.gpg] http://b/debian/ stable main\n\
                    deb-src http://src/debian stable main\n#deb http://off x main\n";
        assert_eq!(
            parse_one_line(text),
            [
                source("http://mirror/debian", &["stable"], None),
                source("http://b/debian/", &["stable"], Some("/keys.gpg")),
            ]
        );
    }
}
