//! Template data folders: initialised once for each server version, then copied for every server.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::account::bootstrap_sql;
use super::cache;
use super::error::{IoContext, RigError, tail};
use super::program::{Engine, Program};

/// Counted up whenever what is in a template changes, so that old ones are not used.
const FORMAT: u32 = 1;

/// How long a server may take to settle a fresh data folder.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(120);

/// A data folder that has the `app` schema and the rig's accounts, to copy from.
pub(super) fn folder(program: &Program, progress: &dyn Fn(&str)) -> Result<PathBuf, RigError> {
    let engine = match program.engine() {
        Engine::MySql => "mysql",
        Engine::MariaDb => "mariadb",
    };
    let name = format!("template-{engine}-{}-{FORMAT}", program.version());
    cache::once(&name, progress, |folder| {
        progress("initialising a data folder ...");
        match program.engine() {
            Engine::MySql => initialise_mysql(program, folder),
            Engine::MariaDb => initialise_mariadb(program, folder),
        }
    })
    .map(|folder| folder.join("data"))
}

/// Copies a data folder; `std::fs::copy` shares the blocks where the file system can.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), RigError> {
    fs::create_dir_all(to).during("create", to)?;
    for entry in fs::read_dir(from).during("read", from)? {
        let entry = entry.during("read", from)?;
        let target = to.join(entry.file_name());
        if entry.file_type().during("read", &entry.path())?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).during("write", &target)?;
        }
    }
    Ok(())
}

fn initialise_mysql(program: &Program, folder: &Path) -> Result<(), RigError> {
    let data = folder.join("data");
    let sql = folder.join("accounts.sql");
    fs::write(&sql, bootstrap_sql(Engine::MySql)).during("write", &sql)?;
    let mut command = program.command();
    command
        .arg("--initialize-insecure")
        .arg(format!("--init-file={}", sql.display()))
        .arg(format!("--datadir={}", data.display()))
        .arg("--innodb-use-native-aio=OFF")
        .arg("--innodb-redo-log-capacity=32M");
    run(command, folder, None)?;
    // The first start after this would do a second's work once more in every copy: do it here.
    let sql = folder.join("shutdown.sql");
    fs::write(&sql, "SHUTDOWN;\n").during("write", &sql)?;
    let mut command = program.command();
    command
        .arg(format!("--init-file={}", sql.display()))
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", folder.join("s").display()))
        .args(["--skip-networking", "--mysqlx=OFF", "--skip-log-bin"])
        .arg("--secure-file-priv=")
        .arg("--innodb-use-native-aio=OFF")
        .arg("--innodb-redo-log-capacity=32M");
    run(command, folder, None)?;
    // Every copy gives itself a UUID of its own.
    let identity = data.join("auto.cnf");
    fs::remove_file(&identity).during("remove", &identity)
}

/// What `mariadb-install-db` does, without needing its shell script to find its way in a folder of
/// unpacked packages.
fn initialise_mariadb(program: &Program, folder: &Path) -> Result<(), RigError> {
    let data = folder.join("data");
    fs::create_dir(&data).during("create", &data)?;
    let mut sql = b"create database mysql;\nuse mysql;\nSET @auth_root_socket=NULL;\n".to_vec();
    for part in [
        "system_tables.sql",
        "performance_tables.sql",
        "system_tables_data.sql",
        "gis",
        "sys_schema.sql",
    ] {
        sql.extend(system_sql(program, part)?);
        sql.push(b'\n');
    }
    sql.extend(bootstrap_sql(Engine::MariaDb).into_bytes());
    let mut command = program.command();
    command
        .arg("--bootstrap")
        .arg(format!("--datadir={}", data.display()))
        .args(["--enforce-storage-engine=", "--max-allowed-packet=8M"])
        .args(["--innodb-use-native-aio=OFF", "--innodb-log-file-size=32M"]);
    run(command, folder, Some(sql))
}

fn system_sql(program: &Program, part: &str) -> Result<Vec<u8>, RigError> {
    // The files were renamed in 11.x.
    let names = match part {
        "gis" => [
            "mariadb_add_gis_sp_bootstrap.sql".to_owned(),
            "maria_add_gis_sp_bootstrap.sql".to_owned(),
        ],
        part => [format!("mariadb_{part}"), format!("mysql_{part}")],
    };
    let path = program
        .share_candidates()
        .iter()
        .flat_map(|share| names.iter().map(|name| share.join(name)))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            RigError::install(
                format!("{} has no {} beside it", program.path().display(), names[1]),
                super::install::advice(Engine::MariaDb),
            )
        })?;
    fs::read(&path).during("read", &path)
}

/// Runs a server that ends by itself.
fn run(mut command: Command, folder: &Path, input: Option<Vec<u8>>) -> Result<(), RigError> {
    let log = folder.join("error.log");
    let file = File::create(&log).during("create", &log)?;
    let second = file.try_clone().during("open", &log)?;
    let stdin = match &input {
        Some(_) => Stdio::piped(),
        None => Stdio::null(),
    };
    let mut child = command
        .stdin(stdin)
        .stdout(file)
        .stderr(second)
        .spawn()
        .during("run", Path::new(command.get_program()))?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // A server that stops early closes the pipe; its exit code tells the rest.
        let _ = stdin.write_all(&input);
    }
    let failed = |what: &str| RigError::Server {
        server: "template".to_owned(),
        what: what.to_owned(),
        log: tail(&log, 20),
    };
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    loop {
        match child.try_wait().during("wait for the server of", folder)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(failed(&format!("initialising ended with {status}"))),
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed("initialising took too long"));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
