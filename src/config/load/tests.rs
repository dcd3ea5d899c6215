//! What configurations mean, what is wrong with them, and that the reference is true.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::config::{AuroraConsistency, Secret, SecretSource};
use crate::domain::consistency::{Level, OnTimeout};

const REFERENCE: &str = include_str!("../../../config/reference.toml");

/// The least that can be run; `[monitor]` comes last so that tests can add to it.
const SMALLEST: &str = r#"
[cluster]
primary = "db1"
[[user]]
name = "app"
password_env = "APP_PASSWORD"
[monitor]
user = "watch"
password_env = "WATCH_PASSWORD"
"#;

fn environment(name: &str) -> Option<String> {
    let known = name.ends_with("_PASSWORD") && !name.starts_with("HIGHWATER_");
    known.then(|| format!("the {name}"))
}

fn load_with(
    text: &str,
    flags: &Flags,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (Result<Config, ConfigError>, Vec<String>) {
    let path = Path::new("config.toml");
    match layers::parse(text, path) {
        Ok(tree) => resolve(tree, Some(path), flags, environment),
        Err(problem) => (Err(ConfigError::new(vec![problem])), Vec::new()),
    }
}

fn load(text: &str) -> Result<Config, ConfigError> {
    load_with(text, &Flags::default(), &environment).0
}

/// What is said about `SMALLEST` with `text` after it.
fn complaint(text: &str) -> String {
    match load(&format!("{SMALLEST}{text}")) {
        Ok(_) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_smallest_configuration_has_every_default() {
    let config = load(SMALLEST).unwrap();
    let mut expected = Config::for_cluster(
        Address::new("db1", 3306),
        Vec::new(),
        config.users.clone(),
        config.monitor.account.clone(),
    );
    expected.proxy = ProxyConfig::default();
    expected.http = HttpConfig::default();
    expected.admin = AdminConfig::default();
    assert_eq!(config, expected);
    assert_eq!(config.users[0].password.expose(), "the APP_PASSWORD");
    assert_eq!(
        config.monitor.account.source,
        SecretSource::Environment("WATCH_PASSWORD".to_owned())
    );
}

#[test]
fn every_key_is_read() {
    let config = load(
        r#"
        [proxy]
        listen = "0.0.0.0:1"
        socket = "run/sock"
        workers = 3
        drain_timeout = "0s"
        [consistency]
        level = "Eventual"
        catch_up_timeout = "0s"
        on_timeout = "Stale"
        max_staleness = "2s"
        primary_budget = "7%"
        max_lag = "1.5s"
        group_key = "attribute:tenant"
        groups_max = 3
        group_idle = "1h"
        [cluster]
        primary = "db1:3307"
        replicas = ["db2", "[::1]:3308"]
        [monitor]
        user = "watch"
        password_env = "WATCH_PASSWORD"
        interval = "50ms"
        timeout = "2s"
        [[user]]
        name = "a"
        password_env = "A_PASSWORD"
        [[user]]
        name = "b"
        password_env = "B_PASSWORD"
        consistency = "global"
        catch_up_timeout = "3s"
        max_staleness = "0s"
        on_timeout = "error"
        group = "shop"
        [pool]
        max_connections = 9
        min_idle = 0
        acquire_timeout = "1s"
        idle_timeout = "1h"
        [limits]
        max_sessions = 5
        max_command_held = "64KiB"
        login_timeout = "3s"
        statement_cache = 7
        [http]
        listen = "[::]:2"
        [admin]
        listen = "127.0.0.2:3"
        [log]
        format = "json"
        level = "warn,highwater::relay=trace"
        "#,
    )
    .unwrap();
    assert_eq!(config.proxy.socket.as_deref(), Some(Path::new("run/sock")));
    assert_eq!(config.consistency.level, Level::Eventual);
    assert_eq!(config.consistency.max_lag, Duration::from_millis(1500));
    let replicas = config.cluster.replicas.iter().map(Address::to_string);
    assert_eq!(replicas.collect::<Vec<_>>(), ["db2:3306", "[::1]:3308"]);
    assert_eq!(config.users[1].password, Secret::new("the B_PASSWORD"));
    assert_eq!(config.consistency.primary_budget.as_percent(), 7);
    let wishes = |user: usize| config.consistency.settings(&config.users[user].consistency);
    assert_eq!(wishes(0).level, Level::Eventual);
    assert_eq!(wishes(0).on_timeout, OnTimeout::Stale);
    assert_eq!(wishes(1).level, Level::Global);
    assert_eq!(wishes(1).max_staleness, Duration::ZERO);
    assert_eq!(config.limits.max_command_held, 65_536);
    assert_eq!(config.log.format, LogFormat::Json);

    let shown = config.to_toml();
    assert!(!shown.contains("the A_PASSWORD"), "{shown}");
    assert_eq!(
        load(&shown).unwrap(),
        config,
        "what is shown is the same configuration"
    );
}

#[test]
fn what_is_wrong_is_said_with_line_key_and_expectation() {
    for (text, expected) in [
        (
            "[consistency]\nlevel = \"sesion\"",
            r#"config.toml:11: consistency.level: expected one of eventual, bounded, session, group, proxy, global; found "sesion""#,
        ),
        (
            "[consistency]\non_timeout = \"retry\"",
            r#"config.toml:11: consistency.on_timeout: expected one of primary, error, stale; found "retry""#,
        ),
        (
            "[consistency]\nprimary_budget = \"101%\"",
            r#"config.toml:11: consistency.primary_budget: expected whole percents from 0% to 100%; found "101%""#,
        ),
        (
            "[consistency]\ngroup_key = \"attribute:\"",
            r#"config.toml:11: consistency.group_key: expected user or attribute:NAME; found "attribute:""#,
        ),
        (
            "[consistency]\n\nlevle = \"session\"",
            "config.toml:12: consistency.levle: unknown key; did you mean level?",
        ),
        (
            "[http]\nbananas = 1",
            "config.toml:11: http.bananas: unknown key; known here: listen, password_file",
        ),
        (
            "[proxi]\nlisten = \"x\"",
            "config.toml:10: proxi: unknown table; did you mean proxy?",
        ),
        (
            "interval = \"200\"",
            r#"config.toml:10: monitor.interval: expected a duration with its unit, such as 250ms, 10s, 5m or 1h; found "200""#,
        ),
        (
            "interval = 200",
            "config.toml:10: monitor.interval: expected a text in quotes; found 200",
        ),
        (
            "interval = \"1ms\"",
            r#"config.toml:10: monitor.interval: expected at least 10ms; found "1ms""#,
        ),
        (
            "[limits]\nmax_sessions = 0",
            "config.toml:11: limits.max_sessions: expected a number from 1 to 1000000; found 0",
        ),
        (
            "[limits]\nmax_command_held = \"1B\"",
            r#"config.toml:11: limits.max_command_held: expected a size from 1KiB to 1GiB; found "1B""#,
        ),
        (
            "[pool]\nmax_connections = 2\nmin_idle = 3",
            "config.toml:12: pool.min_idle: expected a number from 0 to 2; found 3",
        ),
        (
            "[proxy]\nlisten = \"localhost\"",
            r#"config.toml:11: proxy.listen: expected IP:PORT, such as 127.0.0.1:6033; found "localhost""#,
        ),
        (
            "[admin]\nlisten = \"0.0.0.0:6032\"",
            "config.toml:11: admin.listen: expected a loopback address, or a password for others to reach it: set [admin] password_file",
        ),
        (
            "[log]\nlevel = \"loud\"",
            r#"config.toml:11: log.level: expected one of error, warn, info, debug, trace, off; found "loud""#,
        ),
        (
            "[[rule]]\nname = \"a\"\nusr = 1\nuser = \"b\"\nallow = true",
            "config.toml:12: rule.usr: unknown key; did you mean user?",
        ),
        (
            "[log]\nlevel =",
            "config.toml:11: not TOML: string values must be quoted, expected literal string",
        ),
        (
            "[[user]]\nname = \"x\"\npassword_env = \"NOWHERE\"",
            "config.toml:12: user.password_env: the environment variable NOWHERE is not set",
        ),
        (
            "[[user]]\nname = \"x\"\npassword_file = \"nowhere\"",
            "config.toml:12: user.password_file: cannot read nowhere: No such file or directory (os error 2)",
        ),
        (
            "[[user]]\nname = \"x\"",
            "config.toml:10: user.password_file: missing: a file that holds the password (or, as password_env, an environment variable)",
        ),
        (
            "[[user]]\npassword_env = \"X_PASSWORD\"",
            "config.toml:10: user.name: missing: a user name",
        ),
        (
            "[[user]]\nname = \"app\"\npassword_env = \"X_PASSWORD\"",
            r#"config.toml: user.name: "app" is there twice"#,
        ),
    ] {
        assert_eq!(complaint(text), expected, "{text}");
    }
}

#[test]
fn a_password_in_the_file_is_refused_and_not_repeated() {
    let said = complaint("[[user]]\nname = \"x\"\npassword = \"hunter2\"");
    assert!(
        said.starts_with("config.toml:12: user.password: a password must not stand"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn all_problems_are_told_at_once() {
    let (result, _) = load_with(
        "[proxy]\nlisten = 1\nworkers = \"x\"\n[cluster]\nreplicas = [\"a\",\n\"b c\", 7]\n",
        &Flags::default(),
        &environment,
    );
    let error = result.unwrap_err();
    let keys: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "proxy.listen",
            "proxy.workers",
            "cluster.primary",
            "cluster.replicas",
            "cluster.replicas",
            "monitor.user",
            "monitor.password_file",
            "user"
        ]
    );
    let lines = error.to_string();
    assert!(
        lines.contains("config.toml:6: cluster.replicas: expected HOST:PORT"),
        "{lines}"
    );
    assert!(
        lines.contains("config.toml: user: missing: at least one [[user]]"),
        "{lines}"
    );
    assert!(lines.contains("come in a later version"), "{lines}");
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let variables = |name: &str| match name {
        "HIGHWATER_LISTEN" => Some("127.0.0.1:2".to_owned()),
        "HIGHWATER_HTTP_LISTEN" => Some("127.0.0.1:22".to_owned()),
        "HIGHWATER_REPLICAS" => Some("r1, r2:3307".to_owned()),
        "HIGHWATER_CONSISTENCY" => Some(String::new()),
        "HIGHWATER_MONITOR_PASSWORD" => Some("from the environment".to_owned()),
        other => environment(other),
    };
    let flags = Flags {
        listen: Some("127.0.0.1:3".to_owned()),
        consistency: Some("eventual".to_owned()),
        ..Flags::default()
    };
    let text =
        format!("{SMALLEST}[proxy]\nlisten = \"127.0.0.1:1\"\n[http]\nlisten = \"127.0.0.1:11\"");
    let config = load_with(&text, &flags, &variables).0.unwrap();
    assert_eq!(config.proxy.listen.port(), 3);
    assert_eq!(config.http.listen.port(), 22);
    assert_eq!(config.consistency.level, Level::Eventual);
    let replicas = config.cluster.replicas.iter().map(Address::to_string);
    assert_eq!(replicas.collect::<Vec<_>>(), ["r1:3306", "r2:3307"]);
    assert_eq!(
        config.monitor.account.password.expose(),
        "from the environment"
    );
}

#[test]
fn a_bad_value_names_the_flag_or_variable_it_came_from() {
    let variables = |name: &str| match name {
        "HIGHWATER_HTTP_LISTEN" => Some("here".to_owned()),
        other => environment(other),
    };
    let flags = Flags {
        primary: Some(":x".to_owned()),
        ..Flags::default()
    };
    let said = load_with(SMALLEST, &flags, &variables)
        .0
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("--primary: cluster.primary: expected HOST:PORT"),
        "{said}"
    );
    assert!(
        said.contains("environment variable HIGHWATER_HTTP_LISTEN: http.listen: expected IP:PORT"),
        "{said}"
    );
}

#[test]
fn every_flag_and_variable_reaches_its_key() {
    let config = |key: &str| match key {
        "listen" => "127.0.0.1:9",
        "level" => "eventual",
        "mode" => "shadow",
        _ => "nine",
    };
    for over in layers::OVERRIDES {
        if let Some(variable) = over.variable {
            let variables = |name: &str| {
                if name == variable {
                    Some(config(over.key).to_owned())
                } else {
                    environment(name)
                }
            };
            let changed = load_with(SMALLEST, &Flags::default(), &variables)
                .0
                .unwrap();
            assert_ne!(changed, load(SMALLEST).unwrap(), "{variable}");
        }
    }
}

#[test]
fn duplicate_servers_are_refused() {
    let text = SMALLEST.replace(
        "primary = \"db1\"",
        "primary = \"db1\"\nreplicas = [\"db1:3306\"]",
    );
    let said = load(&text).unwrap_err().to_string();
    assert_eq!(
        said,
        "config.toml:4: cluster.replicas: db1:3306 is named twice in [cluster]"
    );
}

#[test]
fn the_admin_port_is_open_on_loopback_only_without_a_password() {
    let folder = std::env::temp_dir();
    let file = |name: &str, text: &str| {
        let path = folder.join(format!("highwater-admin-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    };
    let (right, empty) = (file("right", "s3same\n"), file("empty", "\n"));
    let read = |more: String| {
        let text = format!("{SMALLEST}\n[admin]\n{more}");
        load(&text)
    };
    let with = |path: &Path| format!("password_file = \"{}\"\n", path.display());
    let config = read(format!(
        "listen = \"0.0.0.0:6032\"\n{0}[http]\n{0}",
        with(&right)
    ));
    let config = config.unwrap();
    assert_eq!(config.admin.account.password, Secret::new("s3same"));
    assert_eq!(config.http.account.password, Secret::new("s3same"));
    assert_eq!(config.to_toml().matches("password_file").count(), 2);
    assert!(config.to_toml().contains("password_file"));
    assert!(!config.to_toml().contains("s3same"));
    assert!(read(with(&right)).is_ok());
    for (wrong, why) in [
        (with(&empty), "holds no password"),
        (
            "password = \"s3same\"".to_owned(),
            "must not stand in the configuration",
        ),
        (
            "listen = \"0.0.0.0:6032\"".to_owned(),
            "expected a loopback address",
        ),
        (
            "listen = \"[::]:6032\"".to_owned(),
            "expected a loopback address",
        ),
    ] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains("s3same"), "{error}");
    }
    for path in [right, empty] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn rules_are_read_and_shown() {
    const RULES: &str = r#"
[[rule]]
name = "carts"
user = "app"
schema = ["shop", "s*"]
client = "10.0.0.0/8"
fingerprint = "ab"
regex = "(?i)x"
only_table = "shop.carts"
tag = ["a=b", "c"]
class = "read"
target = "replica"
consistency = "bounded"
max_staleness = "2s"
group = "g"
timeout = "3s"
rewrite = "y"
mirror = "db9"
mirror_share = "7%"
limit_rate = 5
limit_concurrency = 6
limit_wait = "1s"
[[rule]]
name = "no.1"
count_only = true
table = ["a", "b.c"]
deny = "no"
"#;
    let config = load(&format!("{SMALLEST}{RULES}")).unwrap();
    let [carts, no] = &config.rules[..] else {
        panic!("{:?}", config.rules);
    };
    assert_eq!((&*carts.name, &*no.name), ("carts", "no.1"));
    assert_eq!(carts.when.fingerprints, [0xab]);
    assert_eq!(carts.act.limit.unwrap().wait, Duration::from_secs(1));
    assert_eq!(
        carts.act.summary(),
        "rewrite, limit 5 a second, limit 6 at once, target replica, consistency bounded, \
         max_staleness 2s, group g, timeout 3s, mirror 7% to db9:3306"
    );
    assert!(no.count_only && no.act.deny.is_some());
    assert_eq!(load(&config.to_toml()).unwrap().rules, config.rules);
}

#[test]
fn what_is_wrong_with_a_rule_is_named() {
    for (rule, expected) in [
        ("user = \"a\"\nallow = true", "10: rule.name: missing"),
        ("name = \"a b\"", "11: rule.name: expected at most 64"),
        (
            "name = \"a\"\nallow = true",
            "11: rule.name: the rule has no condition",
        ),
        (
            "name = \"a\"\nuser = \"b\"",
            "11: rule.name: the rule does nothing",
        ),
        (
            "name = \"a\"\nuser = []\nallow = true",
            "12: rule.user: expected at least one",
        ),
        (
            "name = \"a\"\nuser = 1\nallow = true",
            "12: rule.user: expected a text",
        ),
        (
            "name = \"a\"\nregex = \"(\"\nallow = true",
            "12: rule.regex: expected a regular",
        ),
        (
            "name = \"a\"\nclient = \"10.1.0.0/8\"\nallow = true",
            "12: rule.client: bits behind",
        ),
        (
            "name = \"a\"\nfingerprint = \"xyz\"\nallow = true",
            "12: rule.fingerprint: expected up",
        ),
        (
            "name = \"a\"\ntable = \"a.b.c\"\nallow = true",
            "12: rule.table: expected table",
        ),
        (
            "name = \"a\"\ntag = \"=b\"\nallow = true",
            "12: rule.tag: expected key",
        ),
        (
            "name = \"a\"\nclass = \"reads\"\nallow = true",
            "12: rule.class: expected one of",
        ),
        (
            "name = \"a\"\nuser = \"b\"\ntarget = \"x\"",
            "13: rule.target: expected one of",
        ),
        (
            "name = \"a\"\nuser = \"b\"\nallow = 1",
            "13: rule.allow: expected true or false",
        ),
        (
            "name = \"a\"\nuser = \"b\"\nallow = true\ntimeout = \"1s\"",
            "13: rule.allow: allow does",
        ),
        (
            "name = \"a\"\nuser = \"b\"\nrewrite = \"x\"",
            "13: rule.rewrite: it replaces",
        ),
        (
            "name = \"a\"\nuser = \"b\"\nlimit_wait = \"1s\"",
            "13: rule.limit_wait: it is about",
        ),
        (
            "name = \"a\"\nuser = \"b\"\nlimit_rate = 0",
            "13: rule.limit_rate: expected a number",
        ),
        (
            "name = \"a\"\nuser = \"b\"\nmirror_share = \"5%\"",
            "13: rule.mirror_share: it is a share",
        ),
        (
            "name = \"a\"\nclass = \"write\"\ntarget = \"replica\"",
            "13: rule.target: only what is classified as a read",
        ),
        (
            "name = \"a\"\ntable = \"t\"\nconsistency = \"eventual\"",
            "12: rule.table: a statement that joins",
        ),
        (
            "name = \"a\"\nuser = \"b\"\nallow = true\n[[rule]]\nname = \"a\"\nuser = \"b\"\nallow = true",
            "15: rule.name: \"a\" is there twice",
        ),
    ] {
        let said = complaint(&format!("[[rule]]\n{rule}"));
        let expected = format!("config.toml:{expected}");
        assert!(said.contains(&expected), "{rule}\n{said}");
    }
}

#[test]
fn the_reference_has_every_key_at_its_default() {
    let (config, keys) = load_with(REFERENCE, &Flags::default(), &|name| {
        name.ends_with("_PASSWORD").then(|| name.to_owned())
    });
    let config = config.unwrap();
    let smallest = load(SMALLEST).unwrap();
    let expected = Config {
        cluster: ClusterConfig {
            primary: Address::new("10.0.0.1", 3306),
            replicas: Vec::new(),
            aurora_consistency: AuroraConsistency::Proxy,
        },
        monitor: MonitorConfig::new(config.monitor.account.clone()),
        users: config.users.clone(),
        rules: config.rules.clone(),
        ..smallest
    };
    assert_eq!(config, expected);

    let named = keys_of(REFERENCE);
    for key in &keys {
        assert!(named.contains(key), "the reference does not show {key}");
    }
    for key in &named {
        assert!(
            keys.contains(key),
            "the reference shows {key}, which is not read"
        );
    }
}

#[test]
fn each_key_of_the_reference_is_explained() {
    let mut before = "";
    for line in REFERENCE.lines() {
        if key_of(line).is_some() {
            assert!(
                before.starts_with("# ") && before.ends_with('.'),
                "no explanation before {line}"
            );
        }
        before = line;
    }
}

/// Every `table.key` that stands in `text`, also in a comment.
fn keys_of(text: &str) -> Vec<String> {
    let mut table = "";
    let mut keys = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']);
        } else if let Some(key) = key_of(line) {
            keys.push(format!("{table}.{key}"));
        }
    }
    keys
}

fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.trim_start_matches("# ").split_once(" = ")?;
    key.chars()
        .all(|c| c.is_ascii_lowercase() || c == '_')
        .then_some(key)
}
