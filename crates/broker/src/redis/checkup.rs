//! Asks a server how it is set up. What the answers mean is said in `diagnosis.rs`.
//!
//! Much of it may be forbidden to this user, or have another name on a rented server: then it is not known, and that is said.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use redis::Cmd;

use super::diagnosis::{self, Facts, Unread};
use super::replies::read;
use super::script::{self, Call};
use super::store::RedisBroker;
use crate::checkup::{Checkup, median};
use crate::error::BrokerError;

/// How often the server is asked for nothing, to see how fast it answers.
const PINGS: usize = 12;

/// The settings that decide what a crash loses and what a full memory does.
const SETTINGS: [&str; 6] =
    ["appendonly", "appendfsync", "save", "maxmemory-policy", "min-replicas-to-write", "stop-writes-on-bgsave-error"];

impl RedisBroker {
    pub(super) async fn check_up(&self) -> Result<Checkup, BrokerError> {
        let ping = self.median_ping().await?;
        let info = self.text(redis::cmd("INFO").arg("all")).await.map(|text| fields(&text));
        let mut settings = BTreeMap::new();
        for name in SETTINGS {
            settings.insert(name, self.setting(name).await);
        }
        let refused = self.refused_commands().await;
        let facts = Facts { namespace_key: self.keys.meta(), ping, info, settings, refused };
        Ok(Checkup::new(diagnosis::findings(&facts)))
    }

    async fn median_ping(&self) -> Result<Duration, BrokerError> {
        let mut times = Vec::with_capacity(PINGS);
        for _ in 0..PINGS {
            let asked = Instant::now();
            self.commands.command(&redis::cmd("PING")).await?;
            times.push(asked.elapsed());
        }
        Ok(median(times))
    }

    async fn text(&self, command: &Cmd) -> Result<String, Unread> {
        let answer = self.pool.command(command).await.and_then(read);
        answer.map_err(|error| Unread::from(&error))
    }

    async fn setting(&self, name: &str) -> Result<String, Unread> {
        let answer = self.pool.command(redis::cmd("CONFIG").arg("GET").arg(name)).await;
        let named: Vec<String> = answer.and_then(read).map_err(|error| Unread::from(&error))?;
        let value = named.into_iter().nth(1);
        value.ok_or_else(|| Unread("this server has no such setting".to_owned()))
    }

    /// The commands that this user may not run, or that the server does not carry out now, each with its words.
    async fn refused_commands(&self) -> Result<Vec<(String, String)>, Unread> {
        let mut call = Call::new(&script::PROBE, &[self.keys.probe()]);
        call.arg(self.keys.finished());
        let answer = self.pool.call(&call).await.and_then(|mut reply| reply.pairs());
        let mut refused = answer.map_err(|error| Unread::from(&error))?;
        // What waits may not stand in a script. The key is not there, so nothing is popped.
        let wait = self.pool.command(redis::cmd("BLPOP").arg(self.keys.probe()).arg("0.01")).await;
        if let Err(BrokerError::Refused { detail, .. }) = wait {
            refused.push(("BLPOP".to_owned(), detail));
        }
        Ok(refused)
    }
}

/// The fields of an answer to `INFO`.
pub(super) fn fields(info: &str) -> BTreeMap<String, String> {
    let named = info.lines().filter_map(|line| line.trim_end().split_once(':'));
    named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn the_probe_tries_every_command_that_a_script_uses() {
        let lua = Path::new(env!("CARGO_MANIFEST_DIR")).join("lua");
        let mut used = BTreeSet::new();
        for directory in [lua.clone(), lua.join("lib")] {
            for entry in std::fs::read_dir(directory).unwrap() {
                let text = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
                let calls = text.split("call('").skip(1).filter_map(|rest| rest.split('\'').next());
                used.extend(calls.map(str::to_owned));
            }
        }
        let probe = std::fs::read_to_string(lua.join("probe.lua")).unwrap();
        assert!(used.len() > 20, "this test has lost sight of the scripts");
        let missing: Vec<_> = used.iter().filter(|command| !probe.contains(&format!("'{command}'"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
