//! `job revoke`.

use celeriac_broker::Revocation;
use celeriac_core::JobId;
use serde_json::{Map, Value, json};

use crate::cli::consent::person;
use crate::cli::exit::{Exit, Failure};
use crate::cli::job::unknown;
use crate::cli::output::{print, print_json};
use crate::cli::store::Store;

/// How many jobs are revoked in one call.
const PORTION: usize = 500;

pub(crate) async fn run(store: &Store, ids: &[JobId], json: bool) -> Result<(), Failure> {
    let by = person();
    let mut answers = Vec::with_capacity(ids.len());
    for portion in ids.chunks(PORTION) {
        answers.extend(portion.iter().zip(store.ask(store.broker.revoke(portion, &by)).await?));
    }
    if json {
        let entry = |(id, answer): &(&JobId, Revocation)| (id.to_string(), json!(word(*answer)));
        print_json(&Value::Object(answers.iter().map(entry).collect::<Map<_, _>>()))?;
    } else {
        print(&answers.iter().map(|(id, answer)| format!("{id}  {}\n", sentence(*answer))).collect::<String>())?;
    }
    let of = |wanted| answers.iter().filter(move |(_, answer)| *answer == wanted).map(|(id, _)| id.as_str());
    let missing: Vec<_> = of(Revocation::Unknown).collect();
    if !missing.is_empty() {
        return Err(unknown(store, &missing));
    }
    match of(Revocation::TooLate).next() {
        Some(id) => Err(Failure::new(Exit::Failed, format!("job {id} in {store} had ended before"))),
        None => Ok(()),
    }
}

fn word(answer: Revocation) -> &'static str {
    match answer {
        Revocation::Ended => "revoked",
        Revocation::Told => "told",
        Revocation::TooLate => "too_late",
        _ => "unknown",
    }
}

fn sentence(answer: Revocation) -> &'static str {
    match answer {
        Revocation::Ended => "revoked: it never starts",
        Revocation::Told => "runs; its worker is told to stop, and it is not run again",
        Revocation::TooLate => "too late: it had ended before",
        _ => "not known",
    }
}
