//! Settings as servers answer them, and what is said about each.

use super::*;
use crate::checkup::Grade;

/// A server that is set up well, with some fields and settings changed.
fn server(info: &[(&str, &str)], settings: &[(&'static str, &str)]) -> Facts {
    let fields = [
        ("redis_version", "7.0.15"),
        ("role", "master"),
        ("used_memory", "1000000"),
        ("maxmemory", "100000000"),
        ("aof_enabled", "1"),
        ("aof_last_write_status", "ok"),
        ("rdb_last_bgsave_status", "ok"),
        ("connected_slaves", "0"),
        ("cluster_enabled", "0"),
    ];
    let values = [
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("save", "3600 1"),
        ("maxmemory-policy", "noeviction"),
        ("min-replicas-to-write", "0"),
        ("stop-writes-on-bgsave-error", "yes"),
    ];
    let info = fields.iter().chain(info).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let settings = values.iter().chain(settings).map(|(name, value)| (*name, Ok((*value).to_owned())));
    Facts {
        namespace_key: "{shop}:meta".to_owned(),
        ping: Duration::from_micros(100),
        info: Ok(info.collect()),
        settings: settings.collect(),
        refused: Ok(Vec::new()),
    }
}

fn finding(facts: &Facts, check: &str) -> (Grade, String) {
    let found = findings(facts).into_iter().find(|finding| finding.check == check).unwrap();
    (found.grade, found.detail)
}

#[test]
fn a_server_that_is_set_up_well_is_good_throughout() {
    let findings = findings(&server(&[], &[]));
    assert!(findings.iter().all(|finding| finding.grade == Grade::Good), "{findings:#?}");
}

#[test]
fn what_a_crash_loses_is_said_in_words() {
    let said = |settings: &[(&'static str, &str)]| finding(&server(&[], settings), "persistence");
    let (grade, words) = said(&[("appendonly", "no"), ("save", "3600 1 300 100")]);
    assert_eq!(grade, Grade::Doubtful);
    assert_eq!(words, "appendonly is off: a crash loses everything since the last snapshot (save 3600 1 300 100)");
    assert!(said(&[("appendonly", "no"), ("save", "")]).1.contains("loses every job"));
    assert_eq!(said(&[("appendfsync", "no")]).0, Grade::Doubtful);
    assert!(said(&[]).1.contains("about one second"));
    assert!(said(&[("appendfsync", "always")]).1.contains("nothing that was acknowledged"));
}

#[test]
fn a_policy_that_deletes_jobs_is_bad_as_soon_as_it_can() {
    let policy = [("maxmemory-policy", "allkeys-lru")];
    assert_eq!(finding(&server(&[], &policy), "eviction").0, Grade::Bad);
    assert_eq!(finding(&server(&[("maxmemory", "0")], &policy), "eviction").0, Grade::Doubtful);
    let (grade, words) = finding(&server(&[], &[("maxmemory-policy", "volatile-ttl")]), "eviction");
    assert_eq!(grade, Grade::Bad);
    assert!(words.contains("registrations"), "{words}");
}

#[test]
fn memory_is_measured_against_its_limit() {
    let used = |used| finding(&server(&[("used_memory", used)], &[]), "memory").0;
    assert_eq!([used("79000000"), used("80000000"), used("95000000")], [Grade::Good, Grade::Doubtful, Grade::Bad]);
    let unlimited = server(&[("maxmemory", "0"), ("total_system_memory", "2000000")], &[]);
    assert!(finding(&unlimited, "memory").1.contains("50 % of 2.0 MB"));
}

#[test]
fn what_refuses_every_job_is_bad() {
    assert_eq!(finding(&server(&[("role", "slave")], &[]), "role").0, Grade::Bad);
    assert_eq!(finding(&server(&[("redis_version", "6.0.16")], &[]), "version").0, Grade::Bad);
    assert_eq!(finding(&server(&[("aof_last_write_status", "err")], &[]), "disk").0, Grade::Bad);
    assert_eq!(finding(&server(&[("rdb_last_bgsave_status", "err")], &[]), "disk").0, Grade::Bad);
    let quiet = server(&[("rdb_last_bgsave_status", "err")], &[("stop-writes-on-bgsave-error", "no")]);
    assert_eq!(finding(&quiet, "disk").0, Grade::Doubtful);
}

#[test]
fn a_refused_command_is_named_with_what_to_do() {
    let mut facts = server(&[], &[]);
    let denied = "NOPERM this user has no permissions to run the 'publish' command".to_owned();
    facts.refused = Ok(vec![("PUBLISH".to_owned(), denied)]);
    let found = findings(&facts).into_iter().find(|finding| finding.check == "permissions").unwrap();
    assert_eq!(found.grade, Grade::Bad);
    assert!(found.detail.contains("refuses PUBLISH"), "{}", found.detail);
    assert!(found.advice.unwrap().contains("ACL"));
    facts.refused = Err(Unread("OOM command not allowed".to_owned()));
    let found = findings(&facts).into_iter().find(|finding| finding.check == "permissions").unwrap();
    assert!(found.advice.unwrap().contains("maxmemory"));
}

#[test]
fn what_may_not_be_read_is_not_known_and_no_failure() {
    let mut facts = server(&[], &[]);
    facts.settings.values_mut().for_each(|value| *value = Err(Unread("NOPERM".to_owned())));
    assert!(findings(&facts).iter().all(|finding| finding.grade < Grade::Bad));
    facts.info = Err(Unread("NOPERM".to_owned()));
    let (grade, words) = finding(&facts, "server");
    assert_eq!(grade, Grade::Doubtful);
    assert!(words.starts_with("could not read"), "{words}");
}

#[test]
fn replicas_and_clusters_are_remarked() {
    let replicated = [("connected_slaves", "2")];
    assert_eq!(finding(&server(&replicated, &[]), "replication").0, Grade::Doubtful);
    assert_eq!(finding(&server(&replicated, &[("min-replicas-to-write", "1")]), "replication").0, Grade::Good);
    let (grade, words) = finding(&server(&[("cluster_enabled", "1")], &[]), "cluster");
    assert_eq!(grade, Grade::Doubtful);
    assert!(words.contains("{shop}"), "{words}");
}
