//! Cases of bytes: what goes in comes out, in arguments, results and names.

use celeriac_core::{JobId, Transition};
use serde_json::value::RawValue;

use super::context::{Context, Outcome, given, job, queue_name, task_name, with_payload};
use super::worker::{hand_back, retry, success};
use crate::BrokerError;

/// Arguments on which stores stumble: a store that parses JSON rounds numbers, confuses `[]` with `{}` and gives up on depth.
fn arguments() -> Vec<Vec<u8>> {
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    let mebibyte = format!("\"{}\"", "x".repeat(1024 * 1024 - 2));
    let texts = [
        "{}",
        "[]",
        r#"{"a":[],"b":{}}"#,
        "18446744073709551615",
        "-9223372036854775808",
        "[12345678901234567890123, 0.1, 1e400, -0.0]",
        "\"grüße, 世界, \\u0000, \u{1f980}\"",
        " {\"spaced\" :\t1 }\n",
        "'quotes' \"and\" \\slashes\\ ; DROP TABLE jobs; --",
        deep.as_str(),
        mebibyte.as_str(),
    ];
    let mut all: Vec<_> = texts.map(|text| text.as_bytes().to_vec()).into();
    all.push(Vec::new());
    all.push((0..=255).collect());
    all
}

/// Arguments come out byte by byte as they went in, from a fetch and from a look.
pub async fn arguments_are_kept_byte_by_byte(context: Context) -> Outcome {
    let worker = context.worker().await?;
    for sent in arguments() {
        let id = context.enqueue_one(with_payload(sent.clone(), "q")).await?;
        let shown = &sent[..sent.len().min(60)];
        assert!(context.job(&id).await?.payload.as_ref() == Some(&sent), "{}", shown.escape_ascii());
        assert!(worker.fetch_one("q").await?.record.payload == sent, "{}", shown.escape_ascii());
    }
    Ok(())
}

/// Held jobs can be asked for by name, however many big ones are held beside them.
pub async fn held_jobs_are_found_by_name(context: Context) -> Outcome {
    let mut sent = Vec::new();
    for _ in 0..30 {
        sent.push(context.enqueue_one(with_payload(vec![b'1'; 100_000], "q")).await?);
    }
    let (worker, other) = (context.worker().await?, context.worker().await?);
    let mut held = Vec::new();
    while held.len() < 29 {
        held.extend(worker.fetch(&["q"], 29 - held.len()).await?);
    }
    other.fetch_one("q").await?;
    let incarnation = &worker.session.incarnation;
    assert!(context.broker.held_by(incarnation, 500).await?.len() < 20, "there is an end to what one answer holds");
    let asked = [sent[29].clone(), sent[28].clone(), JobId::generate(), sent[0].clone()];
    let mut found = context.broker.held_among(incarnation, &asked).await?;
    found.sort_by_key(|delivery| sent.iter().position(|id| *id == delivery.record.id));
    assert!(found == [held[0].clone(), held[28].clone()]);
    let some = context.broker.held_among(incarnation, &sent).await?.len();
    assert!((1..29).contains(&some), "{some}");
    assert!(context.broker.held_among(incarnation, &[]).await?.is_empty());
    Ok(())
}

/// Arguments survive each way back into the queue.
pub async fn arguments_survive_going_round(context: Context) -> Outcome {
    let worker = context.worker().await?;
    for sent in arguments() {
        context.enqueue_one(with_payload(sent.clone(), "q")).await?;
        let first = worker.fetch_one("q").await?;
        worker.settle_one(&first, hand_back(&first, context.now())).await?;
        let second = worker.fetch_one("q").await?;
        worker.settle_one(&second, retry(&second, context.now(), std::time::Duration::from_secs(1))).await?;
        context.advance(std::time::Duration::from_secs(1));
        context.broker.promote_due(1).await?;
        assert!(worker.fetch_one("q").await?.record.payload == sent, "{}", sent[..sent.len().min(60)].escape_ascii());
    }
    Ok(())
}

async fn kept_result(context: &Context, json: &str) -> Result<String, BrokerError> {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    let Transition::Finish { mut outcome, keep, unique, step } = success(&delivery, context.now()) else {
        panic!("not finished")
    };
    outcome.result = Some(RawValue::from_string(json.to_owned()).expect("it is JSON"));
    worker.settle_one(&delivery, Transition::Finish { outcome, keep, unique, step }).await?;
    let end = context.broker.result(&id).await?;
    Ok(end.and_then(|outcome| outcome.result).map(|result| result.get().to_owned()).unwrap_or_default())
}

/// A result comes out as it went in, big numbers and empty lists included.
pub async fn a_result_is_kept_as_it_is(context: Context) -> Outcome {
    let long = format!("\"{}\"", "é".repeat(300_000));
    for json in ["[]", "{}", "null", "12345678901234567890123", "\"\\u0000 世界\"", "[1e400]", long.as_str()] {
        assert!(kept_result(&context, json).await? == json, "{}", json.chars().take(40).collect::<String>());
    }
    Ok(())
}

/// Names may be as long as the alphabet's rule allows, and use all of its signs.
pub async fn the_longest_names_are_kept(context: Context) -> Outcome {
    let name = format!("._:/-{}", "a".repeat(195));
    let mut new = given(&name, &name);
    new.record.task = task_name(&name);
    context.enqueue([new]).await?;
    let worker = context.worker().await?;
    let record = worker.fetch_one(&name).await?.record;
    assert_eq!(Ok(record.id), JobId::new(&name));
    assert_eq!((record.queue, record.task), (queue_name(&name), task_name(&name)));
    Ok(())
}
