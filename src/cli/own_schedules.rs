//! The schedules that a process keeps: those of the application's code and those of its file, as one owner's.
//!
//! All of them are checked before the store is asked for anything: one that cannot work changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use celeriac_beat::Beat;
use celeriac_broker::{Broker, Owner, ScheduleEntry};
use celeriac_core::ScheduleName;
use celeriac_worker::Tasks;

use crate::cli::application::ApplicationSchedules;
use crate::cli::config::{DEFAULT_FILE, FileSchedules};
use crate::cli::exit::{Failure, chain};

/// Schedules that were checked, and to whom they belong.
#[derive(Debug)]
pub(crate) struct OwnSchedules {
    owner: Option<ScheduleName>,
    entries: Vec<ScheduleEntry>,
}

impl OwnSchedules {
    /// A beat that keeps them.
    pub(crate) fn beat(self, broker: Arc<dyn Broker>) -> Result<Beat, Failure> {
        let builder = Beat::builder(broker).entries(self.entries);
        let builder = match self.owner {
            Some(owner) => builder.owner(owner.as_str()),
            None => builder,
        };
        builder.build().map_err(|error| Failure::usage(chain(&error)))
    }
}

/// Puts the schedules of the application and of the file together. The owner is whoever `ordered` names, or else they themselves.
pub(crate) fn gather(
    application: ApplicationSchedules,
    file: FileSchedules,
    ordered: Option<ScheduleName>,
    tasks: &Tasks,
) -> Result<OwnSchedules, Failure> {
    let has_none = application.periodic.is_empty() && !file.is_there && application.owner.is_none();
    if let Some(owner) = ordered.as_ref().filter(|_| has_none) {
        return Err(Failure::usage(format!(
            "--owner {owner}: there is no {DEFAULT_FILE} here, so that all schedules of this owner would be removed from the store; name the \
             file with --config, or leave --owner out to run the schedules of the store"
        )));
    }
    let owner = owner(&application, &file, ordered)?;
    let mut entries = Vec::new();
    for periodic in application.periodic {
        let entry = periodic.into_entry(Owner::Hand);
        entries.push(entry.map_err(|error| Failure::usage(chain(&error)))?);
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = entries.iter().find(|entry| !names.insert(entry.name.clone())) {
        return Err(Failure::usage(format!("two schedules of the application are named {:?}", twice.name.as_str())));
    }
    for (at, entry) in &file.entries {
        if names.contains(&entry.name) {
            let text = format!("schedule {:?} is one of the application's own already", entry.name.as_str());
            return Err(file.failure(*at, text));
        }
        if tasks.queue_of(entry.schedule.task.as_str()).is_none() {
            let (place, task) = (file.place(*at), &entry.schedule.task);
            tracing::warn!(
                %place, schedule = %entry.name, %task,
                "neither this file nor this application knows the task; another worker must"
            );
        }
    }
    entries.extend(file.entries.into_iter().map(|(_, entry)| entry));
    Ok(OwnSchedules { owner, entries })
}

fn owner(
    application: &ApplicationSchedules,
    file: &FileSchedules,
    ordered: Option<ScheduleName>,
) -> Result<Option<ScheduleName>, Failure> {
    if ordered.is_some() {
        return Ok(ordered);
    }
    let own = application.owner.as_deref().map(ScheduleName::new).transpose();
    let own = own.map_err(|error| Failure::usage(format!("the owner of the application's schedules: {error}")))?;
    match (own, &file.owner) {
        (Some(own), Some((at, other))) if own != *other => {
            let text = format!("owner: the application is {own:?} by its code; write the same here, or nothing");
            Err(file.failure(*at, text))
        }
        (Some(own), _) => Ok(Some(own)),
        (None, Some((_, owner))) => Ok(Some(owner.clone())),
        (None, None) if !file.entries.is_empty() => Err(file.without_owner()),
        (None, None) if !application.periodic.is_empty() => Err(Failure::usage(
            "the application's schedules need an owner: Cli::owner(\"NAME\") in its code, or --owner NAME; it tells them from those of \
             other applications in the same store",
        )),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_beat::Periodic;
    use celeriac_client::Signature;
    use serde_json::value::RawValue;

    fn periodic(name: &str) -> Periodic {
        Periodic::new(name, "@daily", Signature::new("t", RawValue::from_string("{}".to_owned()).unwrap()))
    }

    fn application(owner: Option<&str>, names: &[&str]) -> ApplicationSchedules {
        let periodic = names.iter().map(|name| periodic(name)).collect();
        ApplicationSchedules { owner: owner.map(str::to_owned), periodic }
    }

    fn name(text: &str) -> ScheduleName {
        ScheduleName::new(text).unwrap()
    }

    fn file(owner: Option<&str>, names: &[&str]) -> FileSchedules {
        let entries = names.iter().map(|name| (0, periodic(name).into_entry(Owner::Hand).unwrap())).collect();
        let mut file = FileSchedules::default();
        (file.is_there, file.owner, file.entries) = (true, owner.map(|owner| (0, name(owner))), entries);
        file
    }

    fn gathered(application: ApplicationSchedules, file: FileSchedules) -> Result<OwnSchedules, String> {
        gather(application, file, None, &Tasks::new()).map_err(|failure| failure.message)
    }

    #[test]
    fn code_and_file_are_one_set_of_one_owner() {
        let own = gathered(application(Some("shop"), &["a"]), file(Some("shop"), &["b"])).unwrap();
        let names: Vec<_> = own.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!((own.owner, names), (Some(name("shop")), vec!["a", "b"]));
        let ordered = gather(application(Some("x"), &["a"]), file(Some("y"), &[]), Some(name("z")), &Tasks::new());
        assert_eq!(ordered.unwrap().owner, Some(name("z")));
        assert_eq!(gathered(application(None, &[]), file(None, &[])).unwrap().owner, None);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let refusal = |application, file| gathered(application, file).unwrap_err();
        let twice = refusal(application(Some("shop"), &["a"]), file(None, &["b", "a"]));
        assert!(twice.contains("schedule \"a\" is one of the application's own"), "{twice}");
        assert!(refusal(application(Some("shop"), &["a", "a"]), file(None, &[])).contains("two schedules"));
        assert!(refusal(application(Some("shop"), &[]), file(Some("mail"), &[])).contains("is \"shop\" by its code"));
        assert!(refusal(application(None, &["a"]), file(None, &[])).contains("Cli::owner(\"NAME\")"));
        assert!(refusal(application(None, &[]), file(None, &["a"])).contains("write owner = \"NAME\""));
        assert!(refusal(application(Some("a b"), &[]), file(None, &[])).contains("the owner of the application's"));
    }

    #[test]
    fn an_order_without_any_schedule_would_remove_them_all() {
        let nothing = gather(application(None, &[]), FileSchedules::default(), Some(name("shop")), &Tasks::new());
        assert!(nothing.unwrap_err().message.contains("would be removed"));
        let emptied = gather(application(None, &[]), file(None, &[]), Some(name("shop")), &Tasks::new());
        assert_eq!(emptied.unwrap().owner, Some(name("shop")));
    }
}
