//! What the settings of a server mean for jobs, in words for whoever is woken by it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::store::{OLDEST, server_version};
use crate::checkup::{Finding, bytes, short_time};
use crate::error::BrokerError;

/// A server this slow makes each call of a worker slow.
const SLOW: Duration = Duration::from_millis(10);

/// Why something is not known.
#[derive(Debug, Clone)]
pub(super) struct Unread(pub(super) String);

impl From<&BrokerError> for Unread {
    fn from(error: &BrokerError) -> Self {
        Self(match error {
            BrokerError::Refused { detail, .. } => detail.clone(),
            BrokerError::InDoubt { source, .. } | BrokerError::Unreachable { source, .. } => source.to_string(),
            other => other.to_string(),
        })
    }
}

/// What a server answered.
#[derive(Debug)]
pub(super) struct Facts {
    /// One key of the namespace, for its hash tag.
    pub(super) namespace_key: String,
    pub(super) ping: Duration,
    pub(super) info: Result<BTreeMap<String, String>, Unread>,
    pub(super) settings: BTreeMap<&'static str, Result<String, Unread>>,
    /// Commands that were refused, each with its words.
    pub(super) refused: Result<Vec<(String, String)>, Unread>,
}

impl Facts {
    fn info(&self, field: &str) -> Option<&str> {
        self.info.as_ref().ok()?.get(field).map(String::as_str)
    }

    fn number(&self, field: &str) -> Option<u64> {
        self.info(field)?.parse().ok()
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name)?.as_ref().ok().map(String::as_str)
    }
}

/// All findings, what refuses jobs now before what may lose some later.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![latency(facts), permissions(facts)];
    match &facts.info {
        Ok(_) => {
            findings.extend([version(facts), role(facts), memory(facts), eviction(facts), persistence(facts)]);
            findings.extend(failed_writes(facts));
            findings.extend([replication(facts), cluster(facts)]);
        }
        Err(Unread(why)) => {
            let detail = format!("could not read INFO, so most is not known: {why}");
            findings.push(Finding::doubtful("server", detail).advise("allow this user INFO and CONFIG GET"));
        }
    }
    findings
}

fn latency(facts: &Facts) -> Finding {
    let time = short_time(facts.ping);
    if facts.ping < SLOW {
        return Finding::good("latency", format!("answers in {time}"));
    }
    Finding::doubtful("latency", format!("answers in {time}; every call of a worker takes that long at least"))
        .advise("look at the network between here and the server, and at its SLOWLOG")
}

fn permissions(facts: &Facts) -> Finding {
    match &facts.refused {
        Ok(refused) => match refused.first() {
            None => Finding::good("permissions", "scripts, keys and messages of this namespace may be used"),
            Some((_, why)) => {
                let names: Vec<_> = refused.iter().map(|(command, _)| command.as_str()).collect();
                let detail = format!("the server refuses {}: {}", names.join(" "), why.trim());
                Finding::bad("permissions", detail).advise(remedy(why))
            }
        },
        Err(Unread(why)) => {
            let detail = format!("no script can be run, and every operation is one: {why}");
            Finding::bad("permissions", detail).advise(remedy(why))
        }
    }
}

fn remedy(why: &str) -> &'static str {
    match why {
        why if why.contains("OOM") => "raise maxmemory or remove what is not needed",
        why if why.contains("READONLY") => "connect to the primary",
        why if why.contains("MISCONF") => "look at the server's log and its disk: it cannot save",
        why if why.contains("NOREPLICAS") => "too few replicas are connected for min-replicas-to-write",
        _ => "ACL SETUSER … +@all ~{NAMESPACE}:* &{NAMESPACE}:*, or the commands that are named here",
    }
}

fn version(facts: &Facts) -> Finding {
    let line = format!("redis_version:{}", facts.info("redis_version").unwrap_or_default());
    match server_version(&line) {
        Some((version, found)) if found >= OLDEST => Finding::good("version", format!("Redis {version}")),
        Some((version, _)) => {
            let (major, minor) = OLDEST;
            Finding::bad("version", format!("Redis {version}; celeriac needs {major}.{minor} or later"))
                .advise("upgrade the server")
        }
        None => Finding::doubtful("version", "the server does not say its version"),
    }
}

fn role(facts: &Facts) -> Finding {
    match facts.info("role") {
        Some("master") => Finding::good("role", "primary: may be written"),
        Some(_) => {
            let primary = facts.info("master_host").unwrap_or("another server");
            Finding::bad("role", format!("a replica of {primary}: it is read-only, every job is refused"))
                .advise("connect to the primary")
        }
        None => Finding::doubtful("role", "could not read whether this is the primary"),
    }
}

fn memory(facts: &Facts) -> Finding {
    let Some(used) = facts.number("used_memory") else {
        return Finding::doubtful("memory", "could not read how much memory is used");
    };
    let (limit, what) = match (facts.number("maxmemory"), facts.number("total_system_memory")) {
        (Some(limit @ 1..), _) => (limit, "maxmemory"),
        (_, Some(total @ 1..)) => (total, "the machine's memory; maxmemory is not set"),
        _ => return Finding::good("memory", format!("{} used", bytes(used))),
    };
    let percent = used.saturating_mul(100) / limit;
    let detail = format!("{} used, {percent} % of {} ({what})", bytes(used), bytes(limit));
    match percent {
        95.. => {
            let when = if percent < 100 { "soon" } else { "now" };
            Finding::bad("memory", format!("{detail}; new jobs are refused {when}"))
                .advise("raise maxmemory, start more workers, or remove what is not needed")
        }
        80..95 => Finding::doubtful("memory", format!("{detail}; new jobs are refused when it is full"))
            .advise("raise maxmemory, start more workers, or keep results for a shorter time"),
        _ => Finding::good("memory", detail),
    }
}

fn eviction(facts: &Facts) -> Finding {
    let Some(policy) = facts.setting("maxmemory-policy").or_else(|| facts.info("maxmemory_policy")) else {
        return Finding::doubtful("eviction", "could not read maxmemory-policy; anything but noeviction deletes jobs");
    };
    if policy == "noeviction" {
        return Finding::good("eviction", "noeviction: a full server refuses new jobs and deletes none");
    }
    let deletes = if policy.starts_with("volatile") {
        "registrations of workers and what makes an enqueue idempotent"
    } else {
        "jobs"
    };
    let advice = "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf";
    if facts.number("maxmemory") == Some(0) {
        let detail = format!("maxmemory-policy {policy} deletes {deletes} once maxmemory is set and reached");
        return Finding::doubtful("eviction", detail).advise(advice);
    }
    Finding::bad("eviction", format!("maxmemory-policy {policy} deletes {deletes} when memory is full")).advise(advice)
}

fn persistence(facts: &Facts) -> Finding {
    const CHECK: &str = "persistence";
    let appends = match (facts.setting("appendonly"), facts.info("aof_enabled")) {
        (Some(setting), _) => setting == "yes",
        (None, Some(enabled)) => enabled == "1",
        (None, None) => return Finding::doubtful(CHECK, "could not read what a crash loses"),
    };
    if !appends {
        return snapshots_only(facts).advise("CONFIG SET appendonly yes, and the same in redis.conf");
    }
    match facts.setting("appendfsync") {
        Some("always") => {
            Finding::good(CHECK, "appendonly, synced always: a crash loses nothing that was acknowledged")
        }
        Some("everysec") => {
            Finding::good(CHECK, "appendonly, synced every second: a crash of the machine loses about one second")
        }
        Some(_) => {
            let detail = "appendonly, synced when the system likes: a crash of the machine can lose half a minute";
            Finding::doubtful(CHECK, detail).advise("CONFIG SET appendfsync everysec, and the same in redis.conf")
        }
        None => Finding::doubtful(CHECK, "appendonly is on; could not read how often it is synced"),
    }
}

fn snapshots_only(facts: &Facts) -> Finding {
    let detail = match facts.setting("save") {
        Some("") => "appendonly is off and nothing is saved: a crash or a restart loses every job".to_owned(),
        Some(save) => format!("appendonly is off: a crash loses everything since the last snapshot (save {save})"),
        None => "appendonly is off: a crash loses everything since the last snapshot, if any is taken".to_owned(),
    };
    Finding::doubtful("persistence", detail)
}

/// Writes to the disk that failed: then Redis refuses jobs, or a crash loses more than it should.
fn failed_writes(facts: &Facts) -> Option<Finding> {
    let failed = |field| facts.info(field).is_some_and(|status| status != "ok");
    let advice = "look at the server's log and at the room on its disk";
    if failed("aof_last_write_status") {
        return Some(
            Finding::bad("disk", "the last write to the append-only file failed: jobs are refused").advise(advice),
        );
    }
    if !failed("rdb_last_bgsave_status") {
        return None;
    }
    let refuses = facts.setting("stop-writes-on-bgsave-error") != Some("no") && facts.setting("save") != Some("");
    let finding = if refuses {
        Finding::bad("disk", "the last snapshot failed: the server refuses jobs until one succeeds")
    } else {
        Finding::doubtful("disk", "the last snapshot failed")
    };
    Some(finding.advise(advice))
}

fn replication(facts: &Facts) -> Finding {
    const CHECK: &str = "replication";
    let replicas = facts.number("connected_slaves").unwrap_or_default();
    if replicas == 0 {
        return Finding::good(CHECK, "no replica is connected; without a failover nothing is lost by one");
    }
    match facts.setting("min-replicas-to-write").and_then(|count| count.parse::<u64>().ok()) {
        Some(0) => {
            let detail =
                format!("{replicas} connected, asynchronously: a failover can lose jobs that were acknowledged");
            Finding::doubtful(CHECK, detail).advise(
                "min-replicas-to-write 1 bounds that to min-replicas-max-lag, and refuses jobs without a replica",
            )
        }
        Some(least) => {
            let detail =
                format!("{replicas} connected, {least} needed for a write; a failover can still lose the newest");
            Finding::good(CHECK, detail)
        }
        None => {
            let detail = format!("{replicas} connected; a failover can lose jobs that were acknowledged");
            Finding::doubtful(CHECK, format!("{detail}; could not read min-replicas-to-write"))
        }
    }
}

fn cluster(facts: &Facts) -> Finding {
    let tag = facts.namespace_key.split_inclusive('}').next().unwrap_or_default();
    if facts.info("cluster_enabled") != Some("1") {
        return Finding::good("cluster", "not a node of a Cluster");
    }
    let detail = format!("a node of a Cluster: all keys share the hash tag {tag}, so one node must hold its slot");
    Finding::doubtful("cluster", format!("{detail}; moving slots is not supported"))
        .advise("use a server of its own, or pin the slot")
}

#[cfg(test)]
mod tests;
