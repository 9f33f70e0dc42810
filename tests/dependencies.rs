//! What other people's code this workspace may use: the rules of deny.toml, checked wherever the tests run.
//!
//! `cargo deny` checks them too and knows more, but it is not everywhere where cargo is.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn rules() -> toml::Table {
    read("deny.toml").parse().unwrap()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn texts(list: &toml::Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|entry| entry.get("crate").unwrap_or(entry).as_str().unwrap()).collect()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The packages that are compiled here, as cargo knows them. The build has fetched them, so this needs no network.
fn packages() -> Vec<Value> {
    let version = run("rustc", &["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let arguments = ["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", host];
    let metadata: Value = serde_json::from_str(&run(env!("CARGO"), &arguments)).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether an SPDX expression can be met with the allowed licences. AND binds closer than OR; some old crates write `/` for OR.
fn is_met(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    any(&mut words, allowed)
}

type Words<'w> = std::iter::Peekable<std::str::SplitWhitespace<'w>>;

fn any(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut met = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let word = words.next().unwrap_or_default();
    if word == "(" {
        let met = any(words, allowed);
        assert_eq!(words.next(), Some(")"));
        return met;
    }
    let mut licence = word.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{word} WITH {}", words.next().unwrap_or_default());
    }
    allowed.contains(&licence.as_str())
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let allowed = ["A", "B"];
    let met = ["A", "A OR X", "X/B", "A AND B", "(X OR A) AND B", "X AND X OR A"];
    assert!(met.iter().all(|expression| is_met(expression, &allowed)), "{met:?}");
    let unmet = ["X", "A AND X", "(A OR B) AND X", "A WITH X", "", "X OR A AND X"];
    assert!(!unmet.iter().any(|expression| is_met(expression, &allowed)), "{unmet:?}");
}

#[test]
fn every_licence_is_allowed() {
    let rules = rules();
    let allowed = texts(&rules["licenses"]["allow"]);
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or("no licence");
        assert!(is_met(licence, &allowed), "{} is under {licence}", package["name"]);
    }
}

#[test]
fn no_banned_crate_and_no_foreign_source_is_locked() {
    let lock: toml::Table = read("Cargo.lock").parse().unwrap();
    let rules = rules();
    let (banned, registries) = (texts(&rules["bans"]["deny"]), texts(&rules["sources"]["allow-registry"]));
    for package in lock["package"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        assert!(!banned.contains(&name), "{name} is banned by deny.toml");
        if let Some(source) = package.get("source").and_then(toml::Value::as_str) {
            let registry = source.strip_prefix("registry+").unwrap_or(source);
            assert!(registries.contains(&registry), "{name} comes from {source}");
        }
    }
}
