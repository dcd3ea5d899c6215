//! A Java with a MySQL driver.
#![allow(unreachable_pub, reason = "shared by several tests")]

use std::path::Path;
use std::process::Command;

use super::programs::runs;

/// Where Debian's libmariadb-java has the driver; `HIGHWATER_JDBC` names another place.
const JDBC: &str = "/usr/share/java/mariadb-java-client.jar";

/// What is missing where there is none.
pub const WHAT: &str = "Java with its driver (packages default-jdk-headless, libmariadb-java)";

/// A Java that runs a source file with the driver at hand.
pub fn java() -> Option<Command> {
    let jar = std::env::var("HIGHWATER_JDBC").unwrap_or(JDBC.to_owned());
    let compiler = ["--describe-module", "jdk.compiler"];
    if !Path::new(&jar).exists() || !runs(Command::new("java").args(compiler)) {
        return None;
    }
    let mut java = Command::new("java");
    java.args(["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", &jar]);
    Some(java)
}
