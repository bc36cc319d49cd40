//! Files in the repository that are made from the code.

use std::path::Path;

/// Asserts that a file of the repository is what the code makes of it now.
///
/// `UPDATE_GENERATED=1` writes it instead.
pub fn assert_current(path: &str, content: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some_and(|value| value == "1") {
        let folder = file.parent().expect("a file has a folder");
        std::fs::create_dir_all(folder)
            .unwrap_or_else(|error| panic!("cannot make {}: {error}", folder.display()));
        std::fs::write(&file, content).unwrap_or_else(|error| panic!("cannot write {path}: {error}"));
        return;
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let line = found
        .lines()
        .zip(content.lines())
        .take_while(|(found, made)| found == made)
        .count()
        + 1;
    assert!(
        found == content,
        "{path} is not what the code makes (first difference in line {line}); UPDATE_GENERATED=1 cargo test writes it"
    );
}
