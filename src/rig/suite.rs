//! MySQL's own test files and the programs that run them, fetched like a server.
//!
//! They are data of another licence (GPL): they are read where they were unpacked, and nothing of
//! them is kept elsewhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::RigError;
use super::program::{Engine, Unpacked, command};
use super::{apt, cache, install};

/// The unpacked package: `mysqltest`, the clients it calls, the test files and their results.
#[derive(Clone, Debug)]
pub struct TestSuite {
    unpacked: Unpacked,
}

impl TestSuite {
    /// Finds the suite in the cache folder (see [`install`](super::install())) or fetches Debian's
    /// package `mysql-testsuite` into it, without root rights. Blocks, up to minutes on a slow network.
    ///
    /// # Errors
    ///
    /// As [`install`](super::install()).
    pub fn install(progress: &dyn Fn(&str)) -> Result<Self, RigError> {
        let root = cache::once("mysql-testsuite", progress, |root| {
            apt::unpack(apt::Wanted::TestSuite, root, progress)
        })?;
        Self::at(&root)
    }

    fn at(root: &Path) -> Result<Self, RigError> {
        let found = Unpacked::find(root).map(|unpacked| Self { unpacked });
        let whole = found.filter(|suite| suite.folder().join("bin/mysqltest").is_file());
        whole.ok_or_else(|| {
            RigError::install(
                format!("{} has no mysqltest", root.display()),
                install::advice(Engine::MySql),
            )
        })
    }

    /// The folder that holds `t`, `r`, `include`, `std_data` and the other suites.
    pub fn folder(&self) -> PathBuf {
        self.unpacked.root.join("usr/lib/mysql-test")
    }

    /// The folder of the character sets' files, which clients are to be told.
    pub fn charsets(&self) -> PathBuf {
        self.unpacked.share().join("charsets")
    }

    /// A program of the suite's packages (`mysqltest`, `mysql`, `mysqldump`, …), ready for arguments;
    /// `None` if it is not among them.
    pub fn program(&self, name: &str) -> Option<Command> {
        let usr = self.unpacked.root.join("usr");
        let file = ["bin", "lib/mysql-test/bin", "sbin"]
            .iter()
            .map(|folder| usr.join(folder).join(name))
            .find(|path| path.is_file())?;
        Some(command(Some(&self.unpacked), &file))
    }
}
