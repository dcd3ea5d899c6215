//! docs/admin.md is what the tables and commands say.

use highwater::admin::manual::manual;

/// With HIGHWATER_WRITE_DOCS set, the file is written instead.
#[test]
fn the_manual_is_the_one_in_docs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/admin.md");
    if std::env::var_os("HIGHWATER_WRITE_DOCS").is_some() {
        std::fs::write(path, manual()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == manual(),
        "docs/admin.md is not what the tables say: run this test with HIGHWATER_WRITE_DOCS=1"
    );
}
