//! Rules of the source tree that a machine can check; without a check they would decay.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use celeriac::JobState;

const LONGEST_FILE: usize = 500;
const LONGEST_EXAMPLE: usize = 80;

/// What a crate may use of this workspace, tests aside.
const ARROWS: [(&str, &[&str]); 10] = [
    ("core", &[]),
    ("broker", &["celeriac-core"]),
    ("workflow", &["celeriac-broker", "celeriac-core"]),
    ("client", &["celeriac-broker", "celeriac-core", "celeriac-workflow"]),
    ("worker", &["celeriac-broker", "celeriac-core", "celeriac-workflow"]),
    ("fault-proxy", &[]),
    ("beat", &["celeriac-broker", "celeriac-client", "celeriac-core"]),
    ("local-redis", &[]),
    ("macros", &[]),
    ("testkit", &["celeriac-broker", "celeriac-core", "celeriac-fault-proxy", "celeriac-local-redis"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file with this extension below `directory`, as paths from the root. Empty for a directory that does not exist.
/// What a build has left in a `target` is not source.
fn files(directory: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.extend((!path.ends_with("target")).then_some(path));
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn rust_files() -> Vec<String> {
    let files: Vec<_> =
        ["benches", "crates", "examples", "src", "tests"].iter().flat_map(|at| files(at, "rs")).collect();
    assert!(files.len() > 20, "this test has lost sight of the source");
    files
}

/// Programs for the tests of the macros: fragments that must, or must not, compile.
fn is_compile_case(path: &str) -> bool {
    path.contains("tests/macro_")
}

fn assert_none(what: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{what}:\n{}", offenders.join("\n"));
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let long: Vec<_> = rust_files().into_iter().filter(|path| read(path).lines().count() > LONGEST_FILE).collect();
    assert_none("split these by what they are responsible for", &long);
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    let mute: Vec<_> = rust_files()
        .into_iter()
        .filter(|path| !is_compile_case(path))
        .filter(|path| !read(path).lines().find(|line| !line.starts_with("#!")).unwrap_or("").starts_with("//! "))
        .collect();
    assert_none("begin these with //!", &mute);
}

#[test]
fn examples_are_short() {
    let long: Vec<_> = files("examples", "rs")
        .into_iter()
        .filter(|path| !path.starts_with("examples/flights/") && read(path).lines().count() >= LONGEST_EXAMPLE)
        .collect();
    assert_none("an example is one idea in fewer than 80 lines", &long);
}

/// The packages of this workspace that `manifest` names in sections of this kind, for any target.
fn own_dependencies(manifest: &toml::Table, kind: &str) -> BTreeSet<String> {
    let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
    let sections = targets.filter_map(|target| target.get(kind)).chain(manifest.get(kind));
    let named = sections.filter_map(toml::Value::as_table).flatten().map(|(name, value)| {
        let renamed = value.get("package").and_then(toml::Value::as_str);
        renamed.unwrap_or(name).to_owned()
    });
    named.filter(|name| name.starts_with("celeriac")).collect()
}

#[test]
fn crates_use_each_other_only_along_the_arrows() {
    let arrows = BTreeMap::from(ARROWS);
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let manifest: toml::Table = read(&format!("crates/{name}/Cargo.toml")).parse().unwrap();
        let allowed =
            arrows.get(name.as_str()).unwrap_or_else(|| panic!("name the arrows of crates/{name} in {}", file!()));
        for kind in ["dependencies", "build-dependencies"] {
            let used = own_dependencies(&manifest, kind);
            assert!(used.iter().all(|used| allowed.contains(&used.as_str())), "crates/{name} uses {used:?}");
        }
        let tested = own_dependencies(&manifest, "dev-dependencies");
        assert!(!tested.contains("celeriac"), "the tests of crates/{name} use the root package");
    }
}

/// Whether a panic in this file stops nobody but a test.
fn is_test_code(path: &str) -> bool {
    // The test kit for applications is test code of theirs.
    path == "src/testing.rs"
        || path.starts_with("crates/testkit/")
        || path.contains("/conformance/")
        || path.contains("/tests/")
        || path.ends_with("/tests.rs")
}

/// The source without comments and without the modules under `#[cfg(test)]`.
fn without_tests_and_comments(source: &str) -> String {
    let mut kept = String::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.trim() == "#[cfg(test)]" {
            // A module in this file ends with a brace at its own indent; `mod tests;` is over at once.
            if lines.next().is_some_and(|next| next.ends_with('{')) {
                lines.find(|line| line.strip_prefix(indent) == Some("}"));
            }
        } else if !line.trim_start().starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Where `source` may panic without saying why it cannot.
fn bare_panics(source: &str) -> Vec<String> {
    let source = without_tests_and_comments(source);
    let mut found = Vec::new();
    for word in [".unwrap()", ".unwrap_err()", "panic!(", "todo!(", "unimplemented!("] {
        found.extend(source.contains(word).then(|| word.to_owned()));
    }
    for (at, call) in source.match_indices(".expect(") {
        let argument = source[at + call.len()..].trim_start();
        let reason = argument.strip_prefix('"').and_then(|text| text.split('"').next()).unwrap_or("");
        if reason.split_whitespace().count() < 3 {
            found.push(format!(".expect({}", argument.lines().next().unwrap_or("")));
        }
    }
    found
}

/// Delays, leases and expiries are decided by the store's clock. Only the store that has no other clock reads this machine's, and who shows
/// the time to people.
#[test]
fn nobody_who_decides_reads_the_clock_of_the_machine() {
    let may = [
        "crates/broker/src/sqlite/clock.rs",
        "src/cli/health/file.rs",
        "src/cli/doctor.rs",
        "src/cli/schedule/next.rs",
    ];
    let readers: Vec<_> = rust_files()
        .into_iter()
        .filter(|path| path.contains("src/") && !path.starts_with("benches/") && !may.contains(&path.as_str()))
        .filter(|path| without_tests_and_comments(&read(path)).contains("SystemTime::now"))
        .collect();
    assert_none("ask the store for the time", &readers);
}

#[test]
fn nothing_panics_without_the_reason_why_it_cannot() {
    let of_crates = rust_files().into_iter().filter(|path| path.starts_with("crates/") && path.contains("/src/"));
    let sources = of_crates.chain(files("src", "rs")).filter(|path| !is_test_code(path));
    let panics: Vec<_> = sources
        .flat_map(|path| bare_panics(&read(&path)).into_iter().map(move |word| format!("{path}: {word}")))
        .collect();
    assert_none("answer an error, or say in expect why it cannot happen", &panics);
}

#[test]
fn a_panic_is_seen_in_code_and_not_in_tests_or_comments() {
    assert_eq!(bare_panics("let x = y.unwrap();\n"), [".unwrap()"]);
    assert_eq!(bare_panics("y.expect(\n    \"broken\",\n);"), [".expect(\"broken\","]);
    let fine =
        "/// y.unwrap()\ny.expect(\"a map has no two equal keys\");\n#[cfg(test)]\nmod tests {\n    y.unwrap();\n}\n";
    assert!(bare_panics(fine).is_empty());
    assert_eq!(bare_panics(&format!("{fine}z.unwrap();")), [".unwrap()"]);
    assert_eq!(bare_panics("#[cfg(test)]\nmod tests;\nz.unwrap();"), [".unwrap()"]);
}

#[test]
fn every_script_says_what_it_does_with_which_keys_and_what_it_answers() {
    let parts = ["-- PURPOSE: ", "-- PRECONDITION: ", "-- KEYS: ", "-- ARGV: ", "-- RETURNS: "];
    for path in files("crates/broker/lua", "lua") {
        let script = read(&path);
        if path.contains("/lib/") {
            assert!(script.starts_with("-- "), "{path} does not begin with what it is for");
            continue;
        }
        let header = script.lines().take_while(|line| line.starts_with("--"));
        let found: Vec<_> = header.filter_map(|line| parts.into_iter().find(|part| line.starts_with(part))).collect();
        assert_eq!(found, parts, "the header of {path}");
    }
}

#[test]
fn no_script_scans() {
    let scans = |path: &String| ["'KEYS'", "SCAN'"].iter().any(|command| read(path).contains(command));
    let scanning: Vec<_> = files("crates/broker/lua", "lua").into_iter().filter(scans).collect();
    assert_none("a script must touch what it is told and no more", &scanning);
}

#[test]
fn the_table_of_states_says_what_the_code_says() {
    let document = read("docs/state-machine.md");
    let (_, edges) = document.split_once("\n## Edges\n").unwrap();
    let (edges, _) = edges.split_once("\n## ").unwrap();
    let state = |cell: &str| cell.trim().parse::<JobState>().ok();
    let mut written = BTreeSet::new();
    for row in edges.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<_> = row.split('|').collect();
        let to = state(cells[2]).unwrap_or_else(|| panic!("no state: {row}"));
        match state(cells[1]) {
            Some(from) => assert!(written.insert((from, to)), "twice: {row}"),
            None => assert_eq!(cells[1].trim(), "new", "{row}"),
        }
    }
    let pairs = JobState::ALL.into_iter().flat_map(|from| JobState::ALL.map(|to| (from, to)));
    let coded: BTreeSet<_> = pairs.filter(|(from, to)| from.may_become(*to)).collect();
    assert_eq!(written, coded);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned);
    for path in top.into_iter().chain(files("docs", "md")) {
        let document = read(&path);
        let targets = document.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file: PathBuf = root().join(&path).with_file_name(target.split('#').next().unwrap_or(target));
            assert!(file.exists(), "{path} links to {target}");
        }
    }
}

#[test]
fn the_manual_shows_the_examples_as_they_are() {
    let manual = read("README.md");
    let example = read("examples/hello.rs");
    let is_shown = |line: &&str| !line.starts_with("//!") && !line.starts_with("#![");
    let program = example.lines().skip_while(|line| !is_shown(line) || line.is_empty()).collect::<Vec<_>>().join("\n");
    assert!(manual.contains(&format!("```rust\n{program}\n```")), "the program is not examples/hello.rs");
    let commands = read("examples/commands/celeriac.toml");
    let (_, tasks) = commands.split_once("\n\n").unwrap();
    assert!(manual.contains(&format!("```toml\n{tasks}```")), "the tasks are not those of examples/commands");
    let (guide, workflow) = (read("docs/guides/workflows.md"), read("examples/workflow/workflow.json"));
    assert!(guide.contains(&format!("```json\n{workflow}```")), "the workflow is not that of examples/workflow");
}
