//! Cases of what jobs tell, and of pages.

use celeriac_core::{JobId, MAX_LOG_LINES, Progress, State};

use super::context::{Context, Outcome, delayed, job, job_of, queue_name, seconds, task_name};
use super::worker::{TestWorker, death, parking, retry, success};
use crate::{BrokerError, Delivery, JobFilter, NOTES_TTL, Note, PageMark};

fn note(delivery: &Delivery, progress: Option<Progress>, lines: &[&str]) -> Note {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    Note { id: delivery.record.id.clone(), fence: delivery.lease.fence, progress, lines }
}

/// What the holder of a job tells is kept with the job, and stays when it has ended.
pub async fn what_a_job_tells_is_kept(context: Context) -> Outcome {
    context.enqueue([job("q"), job("q")]).await?;
    let worker = context.worker().await?;
    let held = worker.fetch(&["q"], 2).await?;
    let (broker, session) = (&context.broker, &worker.session);
    let first = note(&held[0], Some(Progress::new(1, Some(10), "begun")), &["line one"]);
    broker.note(session, &[first, note(&held[1], None, &["other"])]).await?;
    let began = context.now();
    context.advance(seconds(1));
    broker.note(session, &[note(&held[0], Some(Progress::new(9, Some(10), "")), &["two", "three"])]).await?;
    worker.settle_one(&held[0], success(&held[0], context.now())).await?;
    let notes = broker.notes(&held[0].record.id).await?;
    assert_eq!(notes.progress, Some(Progress::new(9, Some(10), "")));
    let lines: Vec<_> = notes.lines.iter().map(|line| (line.at, line.text.as_str())).collect();
    assert_eq!(lines, [(began, "line one"), (context.now(), "two"), (context.now(), "three")]);
    let other = broker.notes(&held[1].record.id).await?;
    assert_eq!((other.progress, other.lines.len()), (None, 1));
    Ok(())
}

/// Who does not hold the job under that token can tell nothing of it.
pub async fn only_the_holder_tells(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let gone = context.worker().await?;
    let old = gone.fetch_one("q").await?;
    context.lose(&gone).await?;
    let worker = context.worker().await?;
    worker.fetch_suspect("q").await?;
    context.broker.note(&gone.session, &[note(&old, None, &["late"])]).await?;
    context.broker.note(&worker.session, &[note(&old, None, &["stale"])]).await?;
    assert!(context.broker.notes(&id).await?.lines.is_empty());
    assert!(context.broker.notes(&JobId::generate()).await?.lines.is_empty());
    Ok(())
}

/// Of a long log the newest lines are kept, in order.
pub async fn the_newest_lines_are_kept(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let worker = context.worker().await?;
    let held = worker.fetch_one("q").await?;
    let lines: Vec<String> = (0..MAX_LOG_LINES + 30).map(|number| format!("line {number}")).collect();
    for part in lines.chunks(40) {
        let part: Vec<_> = part.iter().map(String::as_str).collect();
        context.broker.note(&worker.session, &[note(&held, None, &part)]).await?;
    }
    let kept: Vec<_> = context.broker.notes(&held.record.id).await?.lines.into_iter().map(|line| line.text).collect();
    assert_eq!(kept, lines[30..]);
    Ok(())
}

/// What a job has told can be read for a day, and no longer if a store can let it go by itself.
pub async fn what_a_job_told_does_not_go_early(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let worker = context.worker().await?;
    let held = worker.fetch_one("q").await?;
    context.broker.note(&worker.session, &[note(&held, None, &["line"])]).await?;
    context.advance(NOTES_TTL - seconds(1));
    context.broker.prune(100).await?;
    assert_eq!(context.broker.notes(&held.record.id).await?.lines.len(), 1);
    Ok(())
}

/// All pages of a filter, one after the other.
async fn pages(context: &Context, filter: &JobFilter) -> Result<Vec<JobId>, BrokerError> {
    let (mut ids, mut mark) = (Vec::new(), None::<PageMark>);
    loop {
        let page = context.broker.page(filter, mark.as_ref()).await?;
        assert!(page.jobs.len() <= filter.limit);
        ids.extend(page.jobs.into_iter().map(|view| view.id));
        // A mark that somebody typed is as good.
        match page.next {
            Some(next) => mark = Some(PageMark::from(next.to_string())),
            None => return Ok(ids),
        }
    }
}

fn filter(state: State, limit: usize) -> JobFilter {
    JobFilter { state: Some(state), limit, ..JobFilter::default() }
}

async fn die(context: &Context, worker: &TestWorker) -> Outcome {
    for delivery in worker.fetch(&["q"], 100).await? {
        worker.settle_one(&delivery, death(&delivery, context.now())).await?;
    }
    Ok(())
}

/// Dead jobs are paged newest first, whatever the size of the page, also when many died at once; each is shown once.
pub async fn dead_jobs_are_paged(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let mut older = context.enqueue((0..7).map(|_| job("q"))).await?;
    die(&context, &worker).await?;
    context.advance(seconds(10));
    let mut newer = context.enqueue((0..4).map(|_| job("q"))).await?;
    die(&context, &worker).await?;
    for limit in [1, 2, 3, 5, 100] {
        let mut found = pages(&context, &filter(State::Dead, limit)).await?;
        let mut rest = found.split_off(4);
        for ids in [&mut found, &mut rest, &mut older, &mut newer] {
            ids.sort();
        }
        assert_eq!((&found, &rest), (&newer, &older), "{limit} a page");
    }
    Ok(())
}

/// However many died in one moment, the pages have them all.
pub async fn no_dead_job_is_missed(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.extend(context.enqueue((0..100).map(|_| job("q"))).await?);
        die(&context, &worker).await?;
    }
    context.advance(seconds(1));
    ids.extend(context.enqueue((0..100).map(|_| job("q"))).await?);
    die(&context, &worker).await?;
    for limit in [7, 250, 1000] {
        let mut found = pages(&context, &filter(State::Dead, limit)).await?;
        found.sort();
        ids.sort();
        assert_eq!(found, ids, "{limit} a page");
    }
    Ok(())
}

/// Jobs that wait are paged in the order of their turn, over priorities and queues; those that are due later come later.
pub async fn waiting_jobs_are_paged(context: Context) -> Outcome {
    let mut urgent = job("b");
    urgent.record.priority = celeriac_core::Priority::new(9).expect("it is one");
    let ids = context.enqueue([job("b"), job("a"), urgent, job("b"), job("c")]).await?;
    let expected: Vec<_> = [1, 2, 0, 3, 4].map(|place: usize| ids[place].clone()).into();
    let late = context.enqueue((1..6).map(|number| delayed(seconds(10 * number), "a"))).await?;
    for limit in [1, 2, 100] {
        assert_eq!(pages(&context, &filter(State::Queued, limit)).await?, expected, "{limit} a page");
        assert_eq!(pages(&context, &filter(State::Scheduled, limit)).await?, late, "{limit} a page");
    }
    let of_b = JobFilter { queue: Some(queue_name("b")), ..filter(State::Queued, 2) };
    assert_eq!(pages(&context, &of_b).await?, expected[1..4]);
    Ok(())
}

/// Parked and running jobs are paged too, each once.
pub async fn parked_and_running_jobs_are_paged(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let mut parked = context.enqueue([job_of("x", "q"), job_of("y", "q"), job_of("x", "q"), job_of("z", "q")]).await?;
    for delivery in worker.fetch(&["q"], 10).await? {
        worker.settle_one(&delivery, parking(&delivery, context.now())).await?;
    }
    let mut running = context.enqueue((0..3).map(|_| job("q"))).await?;
    worker.fetch(&["q"], 10).await?;
    parked.sort();
    running.sort();
    for (state, expected) in [(State::Parked, &parked), (State::Running, &running)] {
        let mut found = pages(&context, &filter(state, 3)).await?;
        found.sort();
        assert_eq!(&found, expected, "{state}");
    }
    Ok(())
}

/// A page holds what fits the filter: task, queue, the text of the last error, the time since.
pub async fn a_page_is_filtered(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let ids = context.enqueue([job_of("x", "q"), job_of("y", "q"), job_of("x", "q")]).await?;
    for delivery in worker.fetch(&["q"], 100).await? {
        worker.settle_one(&delivery, death(&delivery, context.now())).await?;
        context.advance(seconds(10));
    }
    let dead = |change: fn(&mut JobFilter)| {
        let mut filter = filter(State::Dead, 10);
        change(&mut filter);
        filter
    };
    let x = dead(|filter| filter.task = Some(task_name("x")));
    assert_eq!(pages(&context, &x).await?, [ids[2].clone(), ids[0].clone()]);
    let text = dead(|filter| filter.error = Some("bad c".to_owned()));
    assert_eq!(pages(&context, &text).await?.len(), 3);
    assert!(pages(&context, &dead(|filter| filter.error = Some("good".to_owned()))).await?.is_empty());
    assert!(pages(&context, &dead(|filter| filter.queue = Some(queue_name("other")))).await?.is_empty());
    let mut old = filter(State::Dead, 10);
    old.until = Some(context.job(&ids[1]).await?.since);
    assert_eq!(pages(&context, &old).await?, [ids[1].clone(), ids[0].clone()]);
    Ok(())
}

/// Retries are paged with what is scheduled, by their due time.
pub async fn retries_are_paged_by_their_due_time(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let retried = context.enqueue_one(job("q")).await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, retry(&delivery, context.now(), seconds(20))).await?;
    let early = context.enqueue_one(delayed(seconds(10), "q")).await?;
    let page = context.broker.page(&filter(State::Retry, 10), None).await?;
    let found: Vec<_> = page.jobs.iter().map(|view| (view.id.clone(), view.due_at)).collect();
    let due = |after| Some(context.now().after(seconds(after)));
    assert_eq!(found, [(early, due(10)), (retried, due(20))]);
    Ok(())
}

/// A mark that the store did not make is refused.
pub async fn a_foreign_page_mark_is_refused(context: Context) -> Outcome {
    let mark = PageMark::from("no mark".to_owned());
    let answer = context.broker.page(&filter(State::Dead, 10), Some(&mark)).await;
    assert!(matches!(answer, Err(BrokerError::Invalid(_))), "{answer:?}");
    Ok(())
}
