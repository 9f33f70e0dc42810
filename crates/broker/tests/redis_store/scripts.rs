//! Rules that every script keeps: its header says what its arguments are, and it is loaded when it is missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use celeriac_broker::conformance::{Load, job, request, success};

use crate::support::Scene;

const SECTIONS: [&str; 5] = ["PURPOSE", "PRECONDITION", "KEYS", "ARGV", "RETURNS"];

fn scripts(folder: &Path) -> Vec<(PathBuf, String)> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let scripts = files.filter(|path| path.extension().is_some_and(|extension| extension == "lua"));
    scripts.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("lua")
}

/// The header's sections in order, each on one line.
fn sections(script: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in script.lines().map_while(|line| line.strip_prefix("-- ")) {
        match line.split_once(": ") {
            Some((name, text)) if SECTIONS.contains(&name) => sections.push((name.into(), text.into())),
            _ => {
                if let Some((_, text)) = sections.last_mut() {
                    text.push(' ');
                    text.push_str(line);
                }
            }
        }
    }
    sections
}

/// `1 jobs, 2 queues` as place and name.
fn promised(text: &str) -> BTreeMap<usize, String> {
    let words: Vec<_> =
        text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    words.windows(2).filter_map(|pair| Some((pair[0].parse().ok()?, pair[1].to_owned()))).collect()
}

/// `local jobs = KEYS[1]` as place and name. An argument that is compared with a word keeps its name.
fn named(script: &str, table: &str) -> BTreeMap<usize, String> {
    let lines = script.lines().filter_map(|line| line.strip_prefix("local "));
    lines
        .filter_map(|line| {
            let (name, value) = line.split_once(" = ")?;
            let place = value.trim_start_matches("tonumber(").strip_prefix(table)?.strip_prefix('[')?;
            Some((place.split_once(']')?.0.parse().ok()?, name.to_owned()))
        })
        .collect()
}

#[test]
fn each_header_has_its_sections_in_order_and_lists_what_the_script_names() {
    let scripts = scripts(&folder());
    assert!(scripts.len() > 20);
    for (path, script) in scripts {
        let sections = sections(&script);
        let names: Vec<_> = sections.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, SECTIONS, "{}", path.display());
        for (at, table) in [(2, "KEYS"), (3, "ARGV")] {
            assert_eq!(promised(&sections[at].1), named(&script, table), "{table} of {}", path.display());
        }
    }
}

#[test]
fn each_script_is_called_and_stays_small() {
    let callers = std::fs::read_to_string(folder().join("../src/redis/script.rs")).unwrap();
    let callers = callers.split_whitespace().collect::<Vec<_>>().join(" ");
    for (path, script) in scripts(&folder()) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(callers.contains(&format!("\"{name}\", [")), "nobody calls {name}");
        assert!(script.lines().count() <= 220, "{name} is too long");
        for forbidden in ["cjson", "'KEYS'", "'SCAN'", "'HSCAN'", "tostring("] {
            assert!(!script.contains(forbidden), "{name} uses {forbidden}");
        }
    }
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_told_again() {
    let (scene, _server) = Scene::alone(&Default::default()).await;
    let forget = || async {
        let _: () = scene.ask(redis::cmd("SCRIPT").arg("FLUSH")).await;
    };
    let worker = scene.worker().await.unwrap();
    scene.enqueue([job("q")]).await.unwrap();
    forget().await;
    scene.enqueue([job("q")]).await.unwrap();
    forget().await;
    let delivery = worker.fetch_one("q").await.unwrap();
    forget().await;
    worker.settle_one(&delivery, success(&delivery, scene.now())).await.unwrap();
    forget().await;
    let fetched = scene.broker.fetch(&worker.session, &request(&["q"], 5, Load::Idle)).await.unwrap();
    assert_eq!(fetched.jobs.len(), 1);
    forget().await;
    assert_eq!(scene.queue("q").await.unwrap().running, 1);
}
