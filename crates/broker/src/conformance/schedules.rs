//! Cases of schedules: each occurrence becomes a job once, whoever asks, and people change them at any time.

use std::time::Duration;

use celeriac_core::{JobOptions, Overlap, Schedule, ScheduleName, Timestamp, UniqueKey};
use serde_json::value::RawValue;

use super::context::{Context, Outcome, queue_name, seconds, task_name, within};
use super::worker::{death, revocation, success};
use crate::{Fired, Firing, MAX_SCHEDULES, Owner, Put, Revocation, ScheduleEntry, ScheduleView};

fn name(text: &str) -> ScheduleName {
    ScheduleName::new(text).expect("the suite uses valid names")
}

fn app(text: &str) -> Owner {
    Owner::App(name(text))
}

fn schedule(timetable: &str) -> Schedule {
    let args = RawValue::from_string(r#"{"n": 1.10}"#.to_owned()).expect("valid JSON");
    Schedule::new(timetable, task_name("task"), queue_name("q"), args)
}

fn entry(text: &str, owner: Owner, timetable: &str) -> ScheduleEntry {
    ScheduleEntry { name: name(text), owner, schedule: schedule(timetable) }
}

/// A schedule that people keep. Its jobs go to the queue `q`.
#[must_use]
pub fn schedule_entry(text: &str, timetable: &str) -> ScheduleEntry {
    entry(text, Owner::Hand, timetable)
}

/// Puts a schedule that people keep, and answers how the store shows it.
async fn put(context: &Context, text: &str) -> Result<ScheduleView, crate::BrokerError> {
    let answers = context.broker.put_schedules(&[entry(text, Owner::Hand, "every 1m")]).await?;
    assert_eq!(answers, [Put::Added]);
    get(context, text).await
}

async fn get(context: &Context, text: &str) -> Result<ScheduleView, crate::BrokerError> {
    Ok(context.broker.schedule(&name(text)).await?.unwrap_or_else(|| panic!("no schedule {text}")))
}

/// The occurrence of now, and the next one a minute later, as a beat would fire it that has read this.
#[must_use]
pub fn firing_at(view: &ScheduleView, now: Timestamp) -> Firing {
    Firing {
        name: view.name.clone(),
        revision: view.revision,
        last: view.last,
        until: now,
        next: Some(now.after(seconds(60))),
        jobs: vec![schedule("every 1m").job(&view.name, now)],
        due: now,
        missed: 0,
        unless_unfinished: false,
    }
}

fn firing(context: &Context, view: &ScheduleView) -> Firing {
    firing_at(view, context.now())
}

/// Puts a schedule, and lets a second go by.
async fn put_before(context: &Context, text: &str) -> Result<ScheduleView, crate::BrokerError> {
    let view = put(context, text).await?;
    context.advance(seconds(1));
    Ok(view)
}

async fn fire(context: &Context, firing: &Firing) -> Result<Fired, crate::BrokerError> {
    Ok(context.broker.fire(std::slice::from_ref(firing)).await?.remove(0))
}

/// A new schedule has no past and is due at once, for a beat to find out when it is.
pub async fn a_new_schedule_begins_now(context: Context) -> Outcome {
    let view = put(&context, "s").await?;
    let expected = ScheduleView::new(entry("s", Owner::Hand, "every 1m"), context.now());
    assert_eq!(view, expected);
    let due = context.broker.due_schedules(10).await?;
    assert_eq!((due.due, due.next, due.now), (vec![expected], None, context.now()));
    assert_eq!(context.stranger.schedules(None, 10).await?, [], "another namespace");
    Ok(())
}

/// An occurrence becomes a job, and the schedule moves on, in one step.
pub async fn an_occurrence_becomes_a_job_once(context: Context) -> Outcome {
    let view = put(&context, "s").await?;
    context.advance(seconds(1));
    let mut order = firing(&context, &view);
    (order.due, order.missed) = (context.now(), 3);
    context.advance(Duration::from_millis(250));
    let fired_at = context.now();
    assert_eq!(fire(&context, &order).await?, Fired::Done);
    assert_eq!(fire(&context, &order).await?, Fired::Moved, "the second beat, or the second copy");
    assert_eq!(context.queue("q").await?.ready, 1);
    let moved = get(&context, "s").await?;
    assert_eq!((moved.last, moved.next), (order.until, order.next));
    assert_eq!((moved.fired, moved.missed, moved.skipped), (1, 3, 0));
    assert_eq!((moved.fired_at, moved.lag), (Some(fired_at), Duration::from_millis(250)));
    assert_eq!(moved.job.as_ref(), Some(&order.jobs[0].id));
    let got = context.worker().await?.fetch_one("q").await?;
    assert_eq!((&got.record.id, got.record.payload.as_slice()), (&order.jobs[0].id, br#"{"n": 1.10}"#.as_slice()));
    assert_eq!(got.record.enqueued_at, fired_at);
    Ok(())
}

/// Whoever read a schedule before it was changed fires nothing.
pub async fn a_changed_schedule_is_not_fired_as_it_was(context: Context) -> Outcome {
    let old = put(&context, "s").await?;
    let mut changed = entry("s", Owner::Hand, "every 1m");
    changed.schedule.overlap = Overlap::Skip;
    context.advance(seconds(5));
    assert_eq!(context.broker.put_schedules(&[changed.clone()]).await?, [Put::Changed]);
    assert_eq!(fire(&context, &firing(&context, &old)).await?, Fired::Moved);
    let new = get(&context, "s").await?;
    assert_eq!((new.last, new.revision, new.next), (old.last, 2, Some(context.now())));
    assert_eq!(new.schedule, Ok(changed.schedule));
    assert_eq!(fire(&context, &firing(&context, &new)).await?, Fired::Done);
    Ok(())
}

/// Another timetable has no past.
pub async fn another_timetable_begins_anew(context: Context) -> Outcome {
    put(&context, "s").await?;
    context.advance(seconds(600));
    let answers = context.broker.put_schedules(&[entry("s", Owner::Hand, "every 2m")]).await?;
    assert_eq!((answers, get(&context, "s").await?.last), (vec![Put::Changed], context.now()));
    Ok(())
}

/// What would have occurred while a schedule rested is not caught up.
pub async fn one_that_rested_begins_anew(context: Context) -> Outcome {
    let mut resting = entry("s", Owner::Hand, "every 1m");
    resting.schedule.rests = true;
    context.broker.put_schedules(&[resting]).await?;
    context.advance(seconds(600));
    let answers = context.broker.put_schedules(&[entry("s", Owner::Hand, "every 1m")]).await?;
    assert_eq!((answers, get(&context, "s").await?.last), (vec![Put::Changed], context.now()));
    Ok(())
}

/// What is put again as it was is left as it was.
pub async fn an_unchanged_schedule_keeps_its_past(context: Context) -> Outcome {
    let view = put(&context, "s").await?;
    context.advance(seconds(1));
    fire(&context, &firing(&context, &view)).await?;
    let before = get(&context, "s").await?;
    context.advance(seconds(5));
    assert_eq!(context.broker.put_schedules(&[entry("s", Owner::Hand, "every 1m")]).await?, [Put::Unchanged]);
    assert_eq!(get(&context, "s").await?, before);
    Ok(())
}

/// Nobody changes or removes what somebody else keeps.
pub async fn a_schedule_belongs_to_its_owner(context: Context) -> Outcome {
    let answers = context.broker.put_schedules(&[entry("s", app("shop"), "every 1m")]).await?;
    assert_eq!(answers, [Put::Added]);
    for other in [Owner::Hand, app("mail")] {
        let answers = context.broker.put_schedules(&[entry("s", other.clone(), "every 2m")]).await?;
        assert_eq!(answers, [Put::Owned { by: app("shop") }]);
        assert_eq!(context.broker.remove_schedules(&[name("s")], Some(&other)).await?, [false]);
    }
    assert_eq!(get(&context, "s").await?.owner, app("shop"));
    assert_eq!(context.broker.remove_schedules(&[name("s"), name("t")], Some(&app("shop"))).await?, [true, false]);
    assert_eq!(context.broker.schedule(&name("s")).await?, None);
    assert_eq!(context.broker.due_schedules(10).await?.due, []);
    context.broker.put_schedules(&[entry("s", app("shop"), "every 1m")]).await?;
    assert_eq!(context.broker.remove_schedules(&[name("s")], None).await?, [true], "anybody's, if no owner is named");
    Ok(())
}

/// A removed schedule fires no more; its jobs stay.
pub async fn a_removed_schedule_is_not_fired(context: Context) -> Outcome {
    let view = put(&context, "s").await?;
    context.advance(seconds(1));
    fire(&context, &firing(&context, &view)).await?;
    let view = get(&context, "s").await?;
    context.broker.remove_schedules(&[name("s")], None).await?;
    context.advance(seconds(60));
    assert_eq!(fire(&context, &firing(&context, &view)).await?, Fired::Moved);
    assert_eq!(context.queue("q").await?.ready, 1);
    Ok(())
}

/// Paused it is never due; resumed it begins now.
pub async fn a_paused_schedule_occurs_no_more(context: Context) -> Outcome {
    let view = put(&context, "s").await?;
    assert!(context.broker.pause_schedule(&name("s"), true).await?);
    assert!(context.broker.pause_schedule(&name("s"), true).await?, "it may be paused twice");
    assert!(!context.broker.pause_schedule(&name("t"), true).await?);
    context.advance(seconds(60));
    assert_eq!(context.broker.due_schedules(10).await?.due, []);
    assert_eq!(fire(&context, &firing(&context, &view)).await?, Fired::Moved);
    let paused = get(&context, "s").await?;
    assert_eq!((paused.paused, paused.next, paused.revision), (true, None, 2));
    let mut changed = entry("s", Owner::Hand, "every 1m");
    changed.schedule.jitter_ms = 1;
    context.broker.put_schedules(&[changed]).await?;
    assert_eq!(context.broker.due_schedules(10).await?.due, [], "a change does not resume it");
    assert!(context.broker.pause_schedule(&name("s"), false).await?);
    let resumed = get(&context, "s").await?;
    let now = Some(context.now());
    assert_eq!((resumed.paused, Some(resumed.last), resumed.next), (false, now, now));
    Ok(())
}

/// The earliest is due first, in bounded portions, and the first that is left says when to look again.
pub async fn what_is_due_comes_in_portions(context: Context) -> Outcome {
    for text in ["c", "a", "b"] {
        put(&context, text).await?;
    }
    for (text, wait) in [("a", 30), ("b", 20), ("c", 10)] {
        let mut order = firing(&context, &get(&context, text).await?);
        (order.next, order.jobs) = (Some(context.now().after(seconds(wait))), Vec::new());
        assert_eq!(fire(&context, &order).await?, Fired::Done);
    }
    let names = |due: &[ScheduleView]| due.iter().map(|view| view.name.to_string()).collect::<Vec<_>>();
    let later = |wait| Some(context.now().after(seconds(wait)));
    let none = context.broker.due_schedules(10).await?;
    assert_eq!((names(&none.due), none.next), (vec![], later(10)));
    let (twenty, thirty) = (later(20), later(30));
    context.advance(seconds(20));
    let two = context.broker.due_schedules(10).await?;
    assert_eq!((names(&two.due), two.next), (vec!["c".to_owned(), "b".to_owned()], thirty));
    let one = context.broker.due_schedules(1).await?;
    assert_eq!((names(&one.due), one.next), (vec!["c".to_owned()], twenty));
    Ok(())
}

/// A schedule that never comes again is kept, and never due.
pub async fn a_schedule_may_have_no_next_occurrence(context: Context) -> Outcome {
    let mut order = firing(&context, &put_before(&context, "s").await?);
    order.next = None;
    assert_eq!(fire(&context, &order).await?, Fired::Done);
    context.advance(seconds(1000));
    let due = context.broker.due_schedules(10).await?;
    assert_eq!((due.due, due.next), (vec![], None));
    assert_eq!(get(&context, "s").await?.fired, 1);
    Ok(())
}

/// Nothing is enqueued while the job before waits or runs; once it has ended, whatever its end, the next one is.
pub async fn an_occurrence_is_skipped_while_the_one_before_is_unfinished(context: Context) -> Outcome {
    put(&context, "s").await?;
    let occur = async |expected: Fired| {
        context.advance(seconds(10));
        let mut order = firing(&context, &get(&context, "s").await?);
        order.unless_unfinished = true;
        assert_eq!(fire(&context, &order).await?, expected);
        Ok::<_, crate::BrokerError>(order.jobs.remove(0).id)
    };
    let worker = context.worker().await?;
    occur(Fired::Done).await?;
    occur(Fired::Skipped).await?;
    let running = worker.fetch_one("q").await?;
    occur(Fired::Skipped).await?;
    worker.settle_one(&running, success(&running, context.now())).await?;
    occur(Fired::Done).await?;
    let running = worker.fetch_one("q").await?;
    worker.settle_one(&running, death(&running, context.now())).await?;
    let revoked = occur(Fired::Done).await?;
    assert_eq!(context.broker.revoke(&[revoked], "test").await?, [Revocation::Ended]);
    let told = occur(Fired::Done).await?;
    let running = worker.fetch_one("q").await?;
    assert_eq!(context.broker.revoke(&[told], "test").await?, [Revocation::Told]);
    occur(Fired::Skipped).await?;
    worker.settle_one(&running, revocation(&running, context.now())).await?;
    occur(Fired::Done).await?;
    let view = get(&context, "s").await?;
    assert_eq!((view.fired, view.skipped), (5, 3));
    Ok(())
}

/// Occurrences that would not move their schedule on could be fired again and again: nobody could know the second call.
pub async fn occurrences_lie_behind_the_last_one(context: Context) -> Outcome {
    let view = put(&context, "s").await?;
    let order = firing(&context, &view);
    let missed = Firing { jobs: Vec::new(), missed: 1, ..order.clone() };
    for invalid in [order.clone(), missed] {
        let answer = context.broker.fire(&[invalid]).await;
        assert!(matches!(answer, Err(crate::BrokerError::Invalid(_))), "{answer:?}");
    }
    assert_eq!((get(&context, "s").await?, context.queue("q").await?.ready), (view, 0));
    assert_eq!(fire(&context, &Firing { jobs: Vec::new(), ..order }).await?, Fired::Done, "none need no instant");
    Ok(())
}

/// No call touches more than 500 schedules or jobs.
pub async fn calls_about_schedules_are_bounded(context: Context) -> Outcome {
    let many = || (0..=MAX_SCHEDULES).map(|number| entry(&format!("s{number}"), Owner::Hand, "every 1m"));
    let entries: Vec<_> = many().collect();
    let names: Vec<_> = many().map(|entry| entry.name).collect();
    let refused = |answer: Result<(), crate::BrokerError>| {
        assert!(matches!(answer, Err(crate::BrokerError::Invalid(_))), "{answer:?}");
    };
    refused(context.broker.put_schedules(&entries).await.map(drop));
    for some in entries.chunks(MAX_SCHEDULES) {
        context.broker.put_schedules(some).await?;
    }
    refused(context.broker.remove_schedules(&names, None).await.map(drop));
    assert_eq!(context.broker.schedules(None, usize::MAX).await?.len(), MAX_SCHEDULES);
    let due = context.broker.due_schedules(usize::MAX).await?;
    assert_eq!((due.due.len(), due.next), (MAX_SCHEDULES, Some(context.now())));
    context.advance(seconds(1));
    let mut order = firing(&context, &due.due[0]);
    order.jobs = (0..=MAX_SCHEDULES as u64)
        .map(|age| schedule("every 1m").job(&order.name, context.now().after(seconds(age))))
        .collect();
    refused(context.broker.fire(std::slice::from_ref(&order)).await.map(drop));
    order.jobs.truncate(MAX_SCHEDULES);
    assert_eq!(fire(&context, &order).await?, Fired::Done);
    assert_eq!(context.queue("q").await?.ready, MAX_SCHEDULES as u64);
    Ok(())
}

/// Several occurrences are caught up in one step; one whose id is in use was enqueued before.
pub async fn several_occurrences_are_enqueued_at_once(context: Context) -> Outcome {
    let view = put(&context, "s").await?;
    context.advance(seconds(180));
    let mut order = firing(&context, &view);
    let instants = [60, 120, 180].map(|after| view.last.after(seconds(after)));
    order.jobs = instants.map(|instant| schedule("every 1m").job(&view.name, instant)).into();
    let mut early = super::context::given(order.jobs[1].id.as_str(), "q");
    early.record.payload = b"1".to_vec();
    context.enqueue([early]).await?;
    assert_eq!(fire(&context, &order).await?, Fired::Done);
    assert_eq!(context.queue("q").await?.ready, 3);
    let moved = get(&context, "s").await?;
    assert_eq!((moved.fired, moved.job.as_ref()), (3, Some(&order.jobs[2].id)));
    Ok(())
}

/// A job whose unique key is taken is skipped, and the next one of the schedule is not.
pub async fn a_taken_unique_key_skips_an_occurrence(context: Context) -> Outcome {
    put(&context, "s").await?;
    let occur = async || {
        context.advance(seconds(10));
        let mut order = firing(&context, &get(&context, "s").await?);
        let mut options = JobOptions::default();
        options.unique = UniqueKey::new("key").ok();
        order.jobs[0].options = options;
        fire(&context, &order).await
    };
    let worker = context.worker().await?;
    assert_eq!([occur().await?, occur().await?], [Fired::Done; 2]);
    let view = get(&context, "s").await?;
    assert_eq!((view.fired, view.skipped, context.queue("q").await?.ready), (1, 1, 1));
    let running = worker.fetch_one("q").await?;
    worker.settle_one(&running, success(&running, context.now())).await?;
    occur().await?;
    assert_eq!(get(&context, "s").await?.fired, 2);
    Ok(())
}

/// Schedules are listed by name, a page at a time.
pub async fn schedules_are_listed_by_name(context: Context) -> Outcome {
    let names = ["b", "a:1", "c", "B", "a-1"];
    let entries: Vec<_> = names.iter().map(|text| entry(text, Owner::Hand, "every 1m")).collect();
    assert_eq!(context.broker.put_schedules(&entries).await?, vec![Put::Added; 5]);
    let mut listed = Vec::new();
    loop {
        let page = context.broker.schedules(listed.last(), 2).await?;
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        listed.extend(page.into_iter().map(|view| view.name));
    }
    assert_eq!(listed.iter().map(ScheduleName::as_str).collect::<Vec<_>>(), ["B", "a-1", "a:1", "b", "c"]);
    Ok(())
}

/// Every change ends the wait of whoever has not seen it, also of one that came before the wait; a firing ends none.
pub async fn a_change_ends_the_wait_of_every_beat(context: Context) -> Outcome {
    let mark = context.broker.due_schedules(1).await?.mark;
    let other = context.broker.sibling().await?;
    let waits = async {
        let wait = seconds(3600);
        tokio::join!(context.broker.wait_for_schedules(&mark, wait), other.wait_for_schedules(&mark, wait))
    };
    let put = async {
        tokio::task::yield_now().await;
        put(&context, "s").await
    };
    let (ended, view) = within(async { tokio::join!(waits, put) }).await;
    ended.0?;
    ended.1?;
    let view = view?;
    within(context.broker.wait_for_schedules(&mark, seconds(3600))).await?;
    for change in ["pause", "resume", "remove"] {
        let mark = context.broker.due_schedules(1).await?.mark;
        match change {
            "remove" => drop(context.broker.remove_schedules(&[name("s")], None).await?),
            _ => drop(context.broker.pause_schedule(&name("s"), change == "pause").await?),
        }
        within(context.broker.wait_for_schedules(&mark, seconds(3600))).await?;
    }
    let mark = context.broker.due_schedules(1).await?.mark;
    context.advance(seconds(1));
    fire(&context, &firing(&context, &view)).await?;
    assert_eq!(context.broker.due_schedules(1).await?.mark, mark);
    context.broker.wait_for_schedules(&mark, Duration::from_millis(20)).await
}

/// Far instants and full counters are kept as they are.
pub async fn far_instants_of_a_schedule_are_kept(context: Context) -> Outcome {
    let mut order = firing(&context, &put_before(&context, "s").await?);
    (order.until, order.next, order.missed) = (context.now(), Some(Timestamp::MAX), 1 << 40);
    fire(&context, &order).await?;
    let view = get(&context, "s").await?;
    assert_eq!((view.next, view.missed), (Some(Timestamp::MAX), 1 << 40));
    Ok(())
}
