//! What handlers share: a value given to the worker once, and asked for by its type.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use celeriac::{Client, State, Tasks, Worker};

/// Stands for a connection pool, an HTTP client, a cache: anything that is cheap to clone.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, usize>>>);

impl Counts {
    fn add(&self, word: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }

    fn of(&self, word: &str) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(word).copied().unwrap_or(0)
    }
}

/// `text` is an argument of the job; `counts` is not, the worker gives it.
#[celeriac::task("count_words")]
async fn count_words(text: String, counts: State<Counts>) -> Result<(), String> {
    text.split_whitespace().for_each(|word| counts.add(word));
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    let lines = ["The quick brown fox", "jumps over the lazy dog", "and the dog sleeps"];
    client.enqueue_many(lines.map(|line| count_words { text: line.into() })).await?;
    let counts = Counts::default();
    // Without `.state(…)` this worker is refused by `build`, with the name of the type that is missing.
    let tasks = Tasks::new().task::<count_words>().state(counts.clone());
    Worker::builder(client, tasks).burst(true).build()?.run().await?;
    println!("the: {}, dog: {}", counts.of("the"), counts.of("dog"));
    Ok(())
}
