//! Runs an example of this package as a program of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

/// Runs an example to its end.
pub(crate) fn run(name: &str, arguments: &[&str]) -> Output {
    command(name).args(arguments).output().unwrap()
}

/// An example, to be started.
///
/// `cargo test` builds examples with the tests, beside the directory of the test itself; but it does not when a single test is
/// named, and a test of an old program would say nothing.
pub(crate) fn command(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples").join(name);
    let newest = sources(name).iter().map(|source| modified(source)).max();
    assert!(
        program.is_file() && Some(modified(&program)) >= newest,
        "{} is missing or old; run cargo build --examples",
        program.display()
    );
    Command::new(program)
}

fn sources(name: &str) -> Vec<PathBuf> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    match fs::read_dir(examples.join(name)) {
        Ok(folder) => folder.map(|source| source.unwrap().path()).collect(),
        Err(_) => vec![examples.join(name).with_extension("rs")],
    }
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}
