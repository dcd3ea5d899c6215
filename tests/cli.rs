//! The commands as a person meets them: output, errors and exit codes of the real binary.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CONFIG: &str = r#"
[cluster]
primary = "db1"
replicas = ["db2"]
[monitor]
user = "watch"
password_file = "watch.password"
[[user]]
name = "app"
password_env = "APP_PASSWORD"
"#;

const COMMANDS: [&str; 9] = [
    "run",
    "check",
    "explain",
    "doctor",
    "demo",
    "health",
    "verify",
    "completions",
    "man",
];

/// A folder that is gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("highwater-cli-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("watch.password"), "s3cret-of-watch\n").unwrap();
        Self(path)
    }

    fn write(&self, text: &str) -> PathBuf {
        let path = self.0.join("config.toml");
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the binary with no variable of Highwater but those given.
fn highwater(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    for (name, _) in std::env::vars() {
        if name.starts_with("HIGHWATER_") {
            command.env_remove(name);
        }
    }
    command.env("APP_PASSWORD", "s3cret-of-app");
    command.envs(variables.iter().copied());
    command.args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn check(config: &Path, variables: &[(&str, &str)]) -> (i32, String, String) {
    let path = config.to_str().unwrap();
    let output = highwater(&["check", "--config", path], variables);
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn check_prints_the_resolved_configuration_without_secrets() {
    let folder = Folder::new("check");
    let config = folder.write(CONFIG);
    let (code, out, err) = check(&config, &[("HIGHWATER_HTTP_LISTEN", "127.0.0.1:7777")]);
    assert_eq!((code, err.as_str()), (0, ""));
    for line in [
        "primary = \"db1:3306\"",
        "replicas = [\"db2:3306\"]",
        "level = \"session\"",
        "password_env = \"APP_PASSWORD\"",
        "listen = \"127.0.0.1:7777\"",
    ] {
        assert!(
            out.lines().any(|found| found == line),
            "no line {line} in\n{out}"
        );
    }
    assert!(!out.contains("s3cret"), "{out}");
}

#[test]
fn check_says_what_is_wrong_and_what_to_do() {
    let folder = Folder::new("wrong");
    let config = folder.write(&format!(
        "{CONFIG}[consistency]\nlevel = \"sesion\"\nmax_lags = \"1s\"\n"
    ));
    let (code, out, err) = check(&config, &[]);
    assert_eq!((code, out.as_str()), (1, ""));
    let path = config.display();
    assert_eq!(
        err,
        format!(
            "highwater: {path}:12: consistency.level: expected one of eventual, bounded, session, group, proxy, global; found \"sesion\"\n\
             highwater: {path}:13: consistency.max_lags: unknown key; did you mean max_lag?\n  \
             mend that and check again; config/reference.toml explains every key\n"
        )
    );
    let (code, _, err) = check(&folder.0.join("nowhere.toml"), &[]);
    assert_eq!(code, 1);
    assert!(err.contains("nowhere.toml: cannot read the file"), "{err}");
}

#[test]
fn run_refuses_a_bad_configuration_with_64() {
    let folder = Folder::new("run");
    let config = folder.write(&CONFIG.replace("[[user]]", "[[users]]"));
    let output = highwater(&["run", "--config", config.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(64));
    let err = text(&output.stderr);
    assert!(
        err.contains("users: unknown table; did you mean user?"),
        "{err}"
    );
    assert!(err.contains("at least one [[user]]"), "{err}");

    let output = highwater(
        &["run", "--primary", "db1:x"],
        &[("HIGHWATER_LISTEN", "nowhere")],
    );
    assert_eq!(output.status.code(), Some(64));
    let err = text(&output.stderr);
    assert!(
        err.contains("highwater: --primary: cluster.primary: expected HOST:PORT"),
        "{err}"
    );
    assert!(
        err.contains("environment variable HIGHWATER_LISTEN: proxy.listen:"),
        "{err}"
    );
}

#[test]
fn wrong_usage_is_2_and_help_is_0() {
    for arguments in [
        &["run", "--bananas"][..],
        &["explain"],
        &["check"],
        &["fly"],
        &[],
    ] {
        assert_eq!(
            highwater(arguments, &[]).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    for command in COMMANDS {
        let output = highwater(&[command, "--help"], &[]);
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(
            text(&output.stdout).contains("Usage: highwater"),
            "{command}"
        );
    }
    let version = text(&highwater(&["--version"], &[]).stdout);
    assert_eq!(
        version.trim(),
        concat!("highwater ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn explain_says_where_and_why() {
    let output = highwater(
        &["explain", "SELECT a FROM t WHERE b = 'x' FOR UPDATE"],
        &[],
    );
    assert_eq!(output.status.code(), Some(0));
    let out = text(&output.stdout);
    let starts = [
        "class ",
        "effects ",
        "doubt ",
        "fingerprint ",
        "goes to ",
        "why ",
    ];
    for (line, start) in out.lines().zip(starts) {
        assert!(line.starts_with(start), "{out}");
    }
    assert!(out.contains("goes to      primary\n"), "{out}");
    assert!(out.contains("why          locking_read: "), "{out}");

    // A double quote is a string or a name, by the mode.
    let fingerprint = |mode: &str, quoted: &str| {
        let statement = format!("SELECT {quoted} FROM t");
        let output = highwater(&["explain", "--sql-mode", mode, &statement], &[]);
        text(&output.stdout)
            .lines()
            .find(|line| line.starts_with("fingerprint"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(fingerprint("", "\"a\""), fingerprint("", "'b'"));
    assert_ne!(
        fingerprint("ANSI_QUOTES", "\"a\""),
        fingerprint("ANSI_QUOTES", "'b'")
    );
}

/// What a configuration's rules make of statements, as EXPLAIN ROUTE names them.
#[test]
fn explain_names_the_rule_of_a_configuration() {
    let folder = Folder::new("explain");
    let rules = r#"
[[user]]
name = "reports"
password_env = "APP_PASSWORD"
consistency = "eventual"
[[rule]]
name = "counts"
table = "audit"
count_only = true
deny = "no"
[[rule]]
name = "no-drop"
regex = '(?i)^drop\b'
deny = "migrations do that"
[[rule]]
name = "renamed"
regex = 'stock_old'
rewrite = "stock"
[[rule]]
name = "by-address"
client = "10.0.0.0/8"
target = "primary"
[[rule]]
name = "by-schema"
schema = "shop"
consistency = "global"
"#;
    let config = folder.write(&format!("{CONFIG}{rules}"));
    let explain = |arguments: &[&str]| {
        let config = config.to_str().unwrap();
        let output = highwater(&[&["explain", "--config", config], arguments].concat(), &[]);
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let read = "SELECT a FROM t";
    for (arguments, lines) in [
        (
            &[read][..],
            &["rule none", "level session", "goes to replica,"][..],
        ),
        (
            &["--client", "10.0.0.7", read],
            &[
                "rule by-address: target primary",
                "goes to primary",
                "why rule:",
            ],
        ),
        (
            &["--schema", "shop", read],
            &["rule by-schema: consistency global", "level global"],
        ),
        (
            &["--user", "reports", read],
            &["rule none", "level eventual"],
        ),
        (
            &["DROP TABLE t"],
            &[
                "rule no-drop: deny",
                "error migrations do that",
                "goes to nowhere: an error",
                "why denied:",
            ],
        ),
        (
            &["SELECT a FROM audit"],
            &["counted by counts", "rule none", "goes to replica,"],
        ),
        (
            &["UPDATE stock_old SET a = 1"],
            &[
                "rule renamed: rewrite",
                "rewritten UPDATE stock SET a = 1",
                "goes to primary",
            ],
        ),
    ] {
        let (code, out, err) = explain(arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        let mut told = out.lines().map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.join(" ")
        });
        for line in lines {
            assert!(
                told.any(|found| found.starts_with(line)),
                "{arguments:?}: {line}\n{out}"
            );
        }
    }
    let (code, _, err) = explain(&["--user", "nobody", read]);
    assert_eq!(code, 1);
    assert!(err.contains("no [[user]] is \"nobody\""), "{err}");
    let wrong = highwater(&["explain", "--user", "app", read], &[]);
    assert_eq!(wrong.status.code(), Some(2));
}

/// Answers one request with `answer` and runs `highwater health` against it.
fn health(answer: &'static str) -> (i32, String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        text(&request[..length])
    });
    let output = highwater(&["health", "--http", &address], &[]);
    let request = server.join().unwrap();
    assert!(request.starts_with("GET /readyz HTTP/1.1\r\n"), "{request}");
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn health_passes_the_answer_on() {
    let (code, out, _) = health("HTTP/1.1 200 OK\r\n\r\nready\n");
    assert_eq!((code, out.as_str()), (0, "ready\n"));
    let (code, _, err) = health("HTTP/1.1 503 Service Unavailable\r\n\r\nno usable primary\n");
    assert_eq!(code, 1);
    assert!(err.starts_with("highwater: no usable primary\n"), "{err}");
    assert_eq!(health("SSH-2.0-x\r\n").0, 1);
}

#[test]
fn health_says_when_nobody_answers() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = highwater(&["health", "--http", &free.to_string()], &[]);
    assert_eq!(output.status.code(), Some(1));
    let err = text(&output.stderr);
    assert!(err.contains(&format!("nobody answers at {free}")), "{err}");
}

#[test]
fn health_finds_the_port_in_the_configuration() {
    let folder = Folder::new("health");
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config = folder.write(&format!(
        "{CONFIG}[http]\nlisten = \"0.0.0.0:{}\"\n",
        free.port()
    ));
    let output = highwater(&["health", "--config", config.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(1));
    let err = text(&output.stderr);
    assert!(err.contains(&format!("nobody answers at {free}")), "{err}");

    let config = folder.write("[http]\nlisten = 7\n");
    let output = highwater(&["health", "--config", config.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(1));
    let err = text(&output.stderr);
    assert!(
        err.contains("config.toml:2: http.listen: expected"),
        "{err}"
    );
}

#[test]
fn completions_name_every_command_and_its_flags() {
    for (shell, flag) in [
        ("bash", "--monitor-password-file"),
        ("zsh", "--monitor-password-file"),
        ("fish", "-l monitor-password-file"),
    ] {
        let output = highwater(&["completions", shell], &[]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = text(&output.stdout);
        for word in COMMANDS.into_iter().chain([flag]) {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
    }
    assert_eq!(
        highwater(&["completions", "cmd"], &[]).status.code(),
        Some(2)
    );
}

/// Bash itself completes, as if TAB was pressed after the words of `line`.
fn completed(line: &str) -> Vec<String> {
    let script = text(&highwater(&["completions", "bash"], &[]).stdout);
    let press = format!(
        "{script}\nCOMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         last=${{COMP_WORDS[$COMP_CWORD]}}; before=${{COMP_WORDS[$COMP_CWORD - 1]}}\n\
         _highwater highwater \"$last\" \"$before\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash").args(["-c", &press]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes() {
    assert_eq!(completed("highwater doc"), ["doctor"]);
    assert_eq!(completed("highwater run --rep"), ["--replica"]);
    assert_eq!(completed("highwater demo --engine ma"), ["mariadb"]);
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let page = |arguments: &[&str]| {
        let output = highwater(arguments, &[]);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        text(&output.stdout).replace("\\-", "-")
    };
    let main = page(&["man"]);
    for section in [
        "NAME",
        "SYNOPSIS",
        "\"EXIT STATUS\"",
        "ENVIRONMENT",
        "FILES",
    ] {
        assert!(main.contains(&format!("\n.SH {section}\n")), "{section}");
    }
    for word in ["64", "HIGHWATER_MONITOR_PASSWORD", "highwater.toml"] {
        assert!(main.contains(word), "{word}");
    }
    for command in COMMANDS {
        assert!(
            main.contains(&format!("highwater-{command}(1)")),
            "{command}"
        );
        let page = page(&["man", command]);
        assert!(page.contains(".SH NAME\n"), "{command}");
        let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap();
        assert!(
            title.starts_with(&format!(".TH highwater-{command} 1")),
            "{title}"
        );
    }
    assert!(page(&["man", "run"]).contains("--monitor-password-file"));
    let wrong = highwater(&["man", "fly"], &[]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("there is no command \"fly\""));
}
