//! Programs that a machine may lack.
#![allow(unreachable_pub, reason = "shared by several tests")]

use std::process::{Command, Stdio};

/// Ends a test that cannot run here.
pub fn skipped(missing: &str) {
    assert!(
        std::env::var_os("HIGHWATER_TEST_ALL").is_none(),
        "{missing} is missing"
    );
    eprintln!("SKIPPED, there is no {missing}");
}

/// Whether it runs and likes it.
pub fn runs(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stderr(Stdio::null());
    quiet
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
