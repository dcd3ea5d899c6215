//! Runs one test file with `mysqltest` against one address, in the surroundings that MySQL's own
//! driver of these tests gives it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use highwater::rig::TestSuite;
use rustix::process::{Pid, Signal, kill_process_group};

use super::candidates::Candidate;

/// How a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It printed what it must.
    Equal,
    /// It did not, or failed.
    Differs,
    /// It skipped itself: the server is not what it wants.
    Skipped,
    /// It was ended after its time.
    Late,
}

impl Outcome {
    pub(crate) const ALL: [Self; 4] = [Self::Equal, Self::Differs, Self::Skipped, Self::Late];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Differs => "differs",
            Self::Skipped => "skipped",
            Self::Late => "late",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// The end of one run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    /// One line of why.
    pub(crate) note: String,
}

/// Where a file is run against.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) socket: PathBuf,
    /// The folder that holds the servers' own folders: what tests call the var folder, since server
    /// and tests exchange files there.
    pub(crate) var: PathBuf,
}

/// Runs files and keeps what they said in a folder.
pub(crate) struct Runner {
    suite: TestSuite,
    logs: PathBuf,
}

/// The clients that tests call, with the variables that name them. All read the same options file.
const CLIENTS: &[(&str, &str)] = &[
    ("MYSQL", "mysql"),
    ("MYSQL_BINLOG", "mysqlbinlog"),
    ("MYSQL_CHECK", "mysqlcheck"),
    ("MYSQL_DUMP", "mysqldump"),
    ("MYSQL_IMPORT", "mysqlimport"),
    ("MYSQL_SHOW", "mysqlshow"),
    ("MYSQL_SLAP", "mysqlslap"),
];

/// Programs that are called with options of the test's own.
const PROGRAMS: &[(&str, &str)] = &[
    ("EXE_MYSQL", "mysql"),
    ("MYSQLADMIN", "mysqladmin"),
    ("MYSQL_CONFIG_EDITOR", "mysql_config_editor"),
    ("MYSQL_MY_PRINT_DEFAULTS", "my_print_defaults"),
    ("MYSQL_TZINFO_TO_SQL", "mysql_tzinfo_to_sql"),
    ("MY_PERROR", "perror"),
    ("MYISAMCHK", "myisamchk"),
    ("MYISAMPACK", "myisampack"),
    ("IBD2SDI", "ibd2sdi"),
    ("INNOCHECKSUM", "innochecksum"),
];

impl Runner {
    pub(crate) fn new(suite: &TestSuite, logs: PathBuf) -> Self {
        Self {
            suite: suite.clone(),
            logs,
        }
    }

    pub(crate) fn suite(&self) -> &TestSuite {
        &self.suite
    }

    /// Makes what tests expect to find around them.
    pub(crate) fn prepare(&self, target: &Target) {
        for folder in ["tmp", "log", "bin", "run"] {
            fs::create_dir_all(target.var.join(folder)).unwrap();
        }
        let data = target.var.join("std_data");
        if !data.exists() {
            symlink(self.suite.folder().join("std_data"), data).unwrap();
        }
        for (_, name) in CLIENTS.iter().chain(PROGRAMS) {
            self.wrap(target, name);
        }
        self.wrap(target, "mysqltest");
        fs::write(options_file(target), options(target)).unwrap();
    }

    /// A script with the program's name that runs it with its own C library.
    fn wrap(&self, target: &Target, name: &str) {
        let Some(command) = self.suite.program(name) else {
            return;
        };
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let path = target.var.join("bin").join(name);
        fs::write(
            &path,
            format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" ")),
        )
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a file and waits for its end, at most for `patience`.
    pub(crate) async fn run(
        &self,
        candidate: &Candidate,
        target: &Target,
        patience: Duration,
    ) -> Ended {
        empty(&target.var.join("tmp"));
        let said = self.logs.join(format!("{}.said", candidate.name));
        let mut command = self.mysqltest(target);
        command.arg(format!("--test-file={}", candidate.file.display()));
        command.arg("--tail-lines=20");
        if let Some(result) = &candidate.result {
            command.arg(format!("--result-file={}", result.display()));
        }
        let file = fs::File::create(&said).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let started = Instant::now();
        let mut child = tokio::process::Command::from(command).spawn().unwrap();
        let group = child.id();
        let status = tokio::time::timeout(patience, child.wait()).await;
        if let Some(group) = group.and_then(|id| Pid::from_raw(id.try_into().ok()?)) {
            // Whatever it left running; usually nothing.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let outcome = match &status {
            Err(_) => Outcome::Late,
            Ok(status) => match status.as_ref().unwrap().code() {
                Some(0) => Outcome::Equal,
                Some(62) => Outcome::Skipped,
                _ => Outcome::Differs,
            },
        };
        let _ = child.wait().await;
        Ended {
            outcome,
            took: started.elapsed(),
            note: note(&said, outcome),
        }
    }

    /// `mysqltest` with all but the file to run.
    fn mysqltest(&self, target: &Target) -> Command {
        let suite = self.suite.folder();
        let mut command = Command::new(target.var.join("bin/mysqltest"));
        command
            .current_dir(&suite)
            .arg(format!(
                "--defaults-file={}",
                options_file(target).display()
            ))
            .arg("--silent")
            .arg(format!("--tmpdir={}", target.var.join("tmp").display()))
            .arg(format!(
                "--character-sets-dir={}",
                self.suite.charsets().display()
            ))
            .arg(format!("--logdir={}", self.logs.display()))
            .arg("--database=test")
            .arg(format!(
                "--timer-file={}",
                target.var.join("log/timer").display()
            ));
        self.surround(&mut command, target);
        command
    }

    fn surround(&self, command: &mut Command, target: &Target) {
        let suite = self.suite.folder();
        let bin = target.var.join("bin");
        let options = options_file(target);
        for (variable, name) in CLIENTS {
            let value = format!(
                "{} --defaults-file={}",
                bin.join(name).display(),
                options.display()
            );
            command.env(variable, value);
        }
        for (variable, name) in PROGRAMS {
            command.env(variable, bin.join(name));
        }
        let mysqltest = format!(
            "{} --defaults-file={} --silent --tmpdir={} --logdir={} --database=test",
            bin.join("mysqltest").display(),
            options.display(),
            target.var.join("tmp").display(),
            target.var.join("log").display(),
        );
        command
            .env("MYSQL_TEST", mysqltest)
            .env("MYSQL_TEST_DIR", &suite)
            .env("MYSQL_TEST_DIR_ABS", &suite)
            .env("MYSQL_TMP_DIR", target.var.join("tmp"))
            .env("MYSQLTEST_VARDIR", &target.var)
            .env("MYSQLTEST_VARDIR_ABS", &target.var)
            .env("MYSQL_CHARSETSDIR", self.suite.charsets())
            .env(
                "MYSQL_SHAREDIR",
                self.suite.charsets().parent().unwrap_or(&suite),
            )
            .env("MYSQL_BINDIR", &bin)
            .env("SECURE_LOAD_PATH", suite.join("std_data"))
            .env("PATH_CONFIG_FILE", &options)
            .env("MASTER_MYPORT", target.port.to_string())
            .env("MASTER_MYSOCK", &target.socket)
            .env("MYSQL_TEST_LOGIN_FILE", target.var.join("tmp/.mylogin.cnf"))
            .env("MYSQL_TEST_ROOT", "YES")
            .env("USE_RUNNING_SERVER", "0")
            .env("MTR_RECORD", "0")
            .env("UMASK", "0660")
            .env("UMASK_DIR", "0770")
            .env("LC_ALL", "C")
            .env("LC_COLLATE", "C")
            .env("LC_CTYPE", "C");
    }
}

fn options_file(target: &Target) -> PathBuf {
    target.var.join("my.cnf")
}

/// The options of every client: root, over TCP, without TLS.
fn options(target: &Target) -> String {
    let mut text = format!(
        "[client]\nhost=127.0.0.1\nport={}\nsocket={}\nuser=root\npassword=\nprotocol=tcp\n\
         ssl-mode=DISABLED\nget-server-public-key\n",
        target.port,
        target.socket.display()
    );
    for client in [
        "mysql",
        "mysqlshow",
        "mysqlimport",
        "mysqlcheck",
        "mysqltest",
    ] {
        text.push_str(&format!("[{client}]\ndefault-character-set=utf8mb4\n"));
    }
    text.push_str("[mysqlbinlog]\ndisable-force-if-open\n");
    text
}

fn empty(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
}

/// One line that says why: the skip's reason or the first complaint.
fn note(said: &Path, outcome: Outcome) -> String {
    let said = fs::read(said).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let line = match outcome {
        Outcome::Equal => None,
        Outcome::Skipped => said.lines().last(),
        Outcome::Differs | Outcome::Late => said
            .lines()
            .find(|line| line.contains("mysqltest:"))
            .or_else(|| said.lines().next()),
    };
    line.unwrap_or_default().chars().take(200).collect()
}
