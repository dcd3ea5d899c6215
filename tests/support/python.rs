//! A Python with its MySQL driver.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "for tests, which fail by panicking"
)]

use std::process::Command;

/// A Python with PyMySQL: the one on the path, or one made beside the build.
pub fn python() -> String {
    let has_driver = |python: &str| {
        let asked = Command::new(python).args(["-c", "import pymysql"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    if has_driver("python3") {
        return "python3".to_owned();
    }
    let folder = format!("{}/python", env!("CARGO_TARGET_TMPDIR"));
    let python = format!("{folder}/bin/python3");
    if !has_driver(&python) {
        let made = Command::new("python3")
            .args(["-m", "venv", "--clear", &folder])
            .output();
        assert!(
            made.is_ok_and(|output| output.status.success()),
            "install the packages python3 and python3-venv"
        );
        let pip = Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "PyMySQL"])
            .output()
            .unwrap();
        assert!(
            pip.status.success(),
            "PyMySQL cannot be installed: {}",
            String::from_utf8_lossy(&pip.stderr)
        );
    }
    python
}
