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

    /// What no script may run, or what is asked for on purpose although it may be refused.
    const BESIDE_THE_PROBE: [&str; 6] = ["BLPOP", "CONFIG", "EVALSHA", "INFO", "PING", "TYPE"];

    /// The words that stand behind `before` and in front of `after`, in all files of a folder.
    fn words(folder: &Path, before: &str, after: char) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
            let calls = text.split(before).skip(1).filter_map(|rest| rest.split(after).next());
            found.extend(calls.filter(|word| word.chars().all(|c| c.is_ascii_uppercase())).map(str::to_owned));
        }
        found
    }

    #[test]
    fn the_probe_tries_every_command_that_is_used() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut used = words(&root.join("lua"), "call('", '\'');
        used.extend(words(&root.join("lua/lib"), "call('", '\''));
        assert!(used.len() > 20, "this test has lost sight of the scripts");
        let sent = words(&root.join("src/redis"), "cmd(\"", '"');
        assert!(sent.len() > 10, "this test has lost sight of the commands that are sent as they are");
        used.extend(sent.into_iter().filter(|command| !BESIDE_THE_PROBE.contains(&command.as_str())));
        let probe = std::fs::read_to_string(root.join("lua/probe.lua")).unwrap();
        let missing: Vec<_> = used.iter().filter(|command| !probe.contains(&format!("'{command}'"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
