//! What the rules cost for each job: writing and reading a record, and deciding what becomes of it.
//!
//! Run with `cargo bench`. The figures are for comparing two commits on one machine in one sitting, not for quoting.

use std::hint::black_box;

use celeriac_core::{Ending, JobId, QueueName, Record, Rules, TaskName, Timestamp, decide};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde_json::value::RawValue;

/// A job with a payload of 128 bytes, the size that other queues are measured with.
fn record() -> Option<Record> {
    let payload = format!("\"{}\"", "x".repeat(126)).into_bytes();
    Some(Record::new(JobId::generate(), TaskName::new("noop").ok()?, QueueName::default(), payload))
}

fn rules(criterion: &mut Criterion) {
    let Some(record) = record() else { return };
    let bytes = record.encode();
    let rules = Rules::new("bench", Timestamp::default());
    criterion.bench_function("record_encode", |bencher| bencher.iter(|| black_box(&record).encode_unstamped()));
    criterion.bench_function("record_decode", |bencher| {
        bencher.iter(|| Record::decode(record.id.clone(), black_box(bytes.as_slice())));
    });
    criterion.bench_function("decide_success", |bencher| {
        let ending = || Ending::Succeeded(RawValue::NULL.to_owned());
        bencher.iter_batched(|| record.clone(), |record| decide(record, ending(), &rules), BatchSize::SmallInput);
    });
    criterion.bench_function("job_id_generate", |bencher| bencher.iter(JobId::generate));
}

criterion_group!(benches, rules);
criterion_main!(benches);
